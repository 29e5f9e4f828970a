"""A gigapixel BigTIFF to a cloud-optimized TIFF: seconds against floors, and memory: a command.

    python tests/benchmarks/tiff_gigapixel.py --data PHOTOGRAPHS/ --work FOLDER --gigapixels 0.2,2

For every size a tiled BigTIFF is made of the photographs and kept in --work. Then the job runs in a
process of its own, watched from outside, and after it its floors, in this one:

- every tile of the input read and decoded, on two threads, and nothing else, by tifffile;
- every tile of the output deflated again, at the effort that we write it at, on two threads.

Colours are counted before pixels are labelled, so a job decodes twice; the ratio is that of the job
over two decodes and one encode, and ``once_ratio`` over one of each. Pixels of tiles all over are
compared with brute force; rasterio has to take the output for a pyramid.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
import tifffile
from cli_job import print_rows, read_clocks, run_quantize
from label_check import find_nearest
from tiff_in import CODECS, decode_tiles, make_tiff

from dask_quant.sinks.tiff import _LEVEL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

MAX_RATIO = 1.5
"""Seconds of the job over those of its floors, at most, for a gigapixel and more."""

MAX_PEAK_MB = 1500
"""Memory of the job, at most."""

N_THREADS = 2
"""Threads of the floors, as many as the job has on the machine that is told of."""

N_TILES = 200
"""Tiles of which pixels are compared with brute force (arbitrary)."""

N_COMPARED = 500
"""Pixels of each that are (arbitrary)."""


@dataclass(frozen=True)
class Row:
    """One job, measured."""

    codec: str
    """How the tiles of the input are compressed."""
    gigapixels: float
    """Size of the image."""
    colors: int
    """Distinct colours of the image."""
    input_mb: float
    """Bytes of the input."""
    output_mb: float
    """Bytes of the output, pyramid and all."""
    decode_s: float
    """Seconds of decoding the input."""
    encode_s: float
    """Seconds of deflating the output."""
    job_s: float
    """Seconds of the job's process, start-up and all."""
    ratio: float
    """Those over two decodes and one encode."""
    once_ratio: float
    """Those over one decode and one encode."""
    cpu_ratio: float
    """As ``ratio``, of processor seconds, which other users of the machine disturb less."""
    count_s: float
    """Seconds of counting."""
    fit_s: float
    """Seconds of fitting."""
    relabel_s: float
    """Seconds of relabelling and writing."""
    peak_mb: float
    """Most memory of all processes of the job."""
    projected_mb: float
    """What the plan said it would be at most."""
    n_levels: int
    """Levels of the output, as GDAL sees them."""
    wrong: int
    """Pixels compared that have another colour than they should."""

    @property
    def met(self) -> bool:
        """Whether the aims were met; the ratio is one for images of a gigapixel and more."""
        quick = self.ratio <= MAX_RATIO or self.gigapixels < 1
        return quick and self.peak_mb <= min(MAX_PEAK_MB, self.projected_mb) and self.wrong == 0


def time_decoding(path: Path) -> NDArray[np.float64]:
    """Return the wall and processor seconds of decoding all tiles of a TIFF."""
    begin = read_clocks()
    decode_tiles(path, N_THREADS)
    return read_clocks() - begin


def time_encoding(path: Path) -> NDArray[np.float64]:
    """Return the wall and processor seconds of deflating the tiles of our TIFF, of all levels."""
    seconds = np.zeros(2)
    with tifffile.TiffFile(path) as file, ThreadPoolExecutor(N_THREADS) as pool:
        for page in file.pages:
            for tiles in _read_some_tiles(page):
                begin = read_clocks()
                list(pool.map(lambda tile: imagecodecs.deflate_encode(tile, level=_LEVEL), tiles))
                seconds += read_clocks() - begin
    return seconds


def _read_some_tiles(page: tifffile.TiffPage) -> Iterator[list[bytes]]:
    """Yield the decoded tiles of a page, some hundred at a time."""
    tiles = []
    for number in range(len(page.dataoffsets)):
        tiles.append(read_tile(page, number).tobytes())
        if len(tiles) == 64 * N_THREADS:
            yield tiles
            tiles = []
    yield tiles


def read_tile(page: tifffile.TiffPage, number: int) -> NDArray[np.uint8]:
    """Return a decoded tile ``(y, x, sample)``, cut where it reaches over the end."""
    page.parent.filehandle.seek(page.dataoffsets[number])
    data = page.parent.filehandle.read(page.databytecounts[number])
    tile: NDArray[np.uint8] = page.decode(data, number, jpegtables=page.jpegtables)[0][0]
    return tile


def count_wrong(image: Path, out: Path, palette: NDArray[np.uint8]) -> int:
    """Return how many of some pixels of some tiles have not the colour nearest to theirs."""
    draw, wrong = np.random.default_rng(0), 0
    with tifffile.TiffFile(image) as given, tifffile.TiffFile(out) as written:
        pages = given.pages.first, written.pages.first
        assert len(pages[0].dataoffsets) == len(pages[1].dataoffsets), "tiles are of one size"
        for number in draw.integers(0, len(pages[0].dataoffsets), N_TILES):
            pixels, labels = (read_tile(page, int(number)) for page in pages)
            rows = draw.integers(0, min(len(pixels), len(labels)), N_COMPARED)
            columns = draw.integers(0, min(pixels.shape[1], labels.shape[1]), N_COMPARED)
            nearest = find_nearest(pixels[rows, columns][np.newaxis], palette)[0]
            wrong += int(np.count_nonzero(nearest != labels[rows, columns, 0]))
    return wrong


def count_levels(out: Path) -> int:
    """Return how many levels GDAL sees in a TIFF."""
    import rasterio

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(out) as dataset:
            return 1 + len(dataset.overviews(1))


def measure(image: Path, gigapixels: float, codec: str, n_colors: int, options: list[str]) -> Row:
    """Run the job and its floors."""
    out = image.with_name("out.tif")
    job = run_quantize(image, out, n_colors, options)
    stages = job.report["seconds"]
    decoding, encoding = time_decoding(image), time_encoding(out)
    floor_s, floor_cpu_s = 2 * decoding + encoding
    row = Row(
        codec=codec,
        gigapixels=gigapixels,
        colors=job.report["n_unique_colors"],
        input_mb=image.stat().st_size / 1e6,
        output_mb=out.stat().st_size / 1e6,
        decode_s=decoding[0],
        encode_s=encoding[0],
        job_s=job.run.seconds,
        ratio=job.run.seconds / floor_s,
        once_ratio=job.run.seconds / (decoding + encoding)[0],
        cpu_ratio=job.run.cpu_seconds / floor_cpu_s,
        count_s=stages["count"],
        fit_s=stages["fit"],
        relabel_s=stages["relabel"],
        peak_mb=job.run.peak_bytes / 1e6,
        projected_mb=job.projected_bytes / 1e6,
        n_levels=count_levels(out),
        wrong=count_wrong(image, out, job.palette),
    )
    out.unlink()
    return row


def check_room(work: Path, gigapixels: float) -> None:
    """End with a line when there is no room for the input and the output with its parts."""
    free, needed = shutil.disk_usage(work).free, 5e9 * gigapixels
    if needed > free:
        message = f"Got {free / 1e9:.1f} GB of free space, {needed / 1e9:.1f} GB may be needed."
        raise SystemExit(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or JSON; exit with 1 when an aim was missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of JPEG photographs")
    parser.add_argument("--work", type=Path, required=True, help="folder for images")
    parser.add_argument("--gigapixels", default="0.2", metavar="G,G")
    parser.add_argument("--codec", action="append", choices=sorted(CODECS))
    parser.add_argument("-k", dest="n_colors", type=int, default=16, help="colours")
    parser.add_argument("--option", action="append", default=[], help="passed on: --option=--X=Y")
    parser.add_argument("--json", action="store_true", dest="as_json")
    given = parser.parse_args(arguments)
    given.work.mkdir(parents=True, exist_ok=True)
    photographs, rows = sorted(given.data.rglob("*.jpg")), []
    for codec in given.codec or ["deflate"]:
        for size in map(float, given.gigapixels.split(",")):
            check_room(given.work, size)
            image = make_tiff(given.work, 1000 * size, codec, photographs)
            rows.append(measure(image, size, codec, given.n_colors, given.option))
    return print_rows(rows, as_json=given.as_json)


if __name__ == "__main__":
    sys.exit(main())
