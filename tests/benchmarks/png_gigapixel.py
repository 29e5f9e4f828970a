"""A gigapixel PNG to an indexed PNG: seconds against floors, and memory: a command, not a test.

    python tests/benchmarks/png_gigapixel.py --data PHOTOGRAPHS/ --work FOLDER --gigapixels 0.2,2

For every size a PNG is made of the photographs and kept in --work. Then the job runs in a process
of its own, watched from outside, and after it its floors, in this one:

- the input inflated and its filters undone, strip by strip, and nothing else;
- the rows of the output deflated again, at the level that we write them at, on two threads.

The ratio is that of the job over both floors together. Some pixels of every strip are compared with
brute force. Disk: 3 bytes a pixel for the job's scratch file, about 2 for the input.
"""

from __future__ import annotations

import argparse
import shutil
import struct
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from cli_job import print_rows, read_clocks, run_quantize
from label_check import find_nearest
from mosaic import TILE, Mosaic, square_of
from png_maker import filter_rows, make_chunk, make_header

from dask_quant.sinks.png import combine_adler32, deflate_level, strip_rows
from dask_quant.sources.pillow import read_image
from dask_quant.sources.png_strips import ImageData, read_png_header, read_png_strips

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

MAX_RATIO = 1.5
"""Seconds of the job over those of its floors, at most, for a gigapixel and more."""

MAX_PEAK_MB = 1500
"""Memory of the job, at most."""

N_THREADS = 2
"""Threads that make the input, and that deflate again."""

PART_ROWS = 128
"""Rows of the input that are deflated at a time; a divisor of a tile (arbitrary)."""

INPUT_LEVEL = 4
"""Deflate effort of the input (arbitrary; what reads it hardly depends on it)."""

N_COMPARED = 500
"""Pixels of every strip that are compared with brute force (arbitrary)."""


@dataclass(frozen=True)
class Row:
    """One job, measured."""

    gigapixels: float
    """Size of the image."""
    colors: int
    """Distinct colours of the image."""
    input_mb: float
    """Bytes of the input."""
    read_s: float
    """Seconds of inflating the input and undoing its filters."""
    deflate_s: float
    """Seconds of deflating the output."""
    job_s: float
    """Seconds of the job's process, start-up and all."""
    ratio: float
    """The last over the two before."""
    cpu_ratio: float
    """The same of processor seconds, which other users of the machine disturb less."""
    decode_s: float
    """Seconds of decoding and counting."""
    fit_s: float
    """Seconds of fitting."""
    relabel_s: float
    """Seconds of relabelling and writing."""
    peak_mb: float
    """Most memory of all processes of the job."""
    projected_mb: float
    """What the plan said it would be at most."""
    wrong: int
    """Pixels compared that have another colour than they should."""

    @property
    def met(self) -> bool:
        """Whether the aims were met; the ratio is one for images of a gigapixel and more."""
        quick = self.ratio <= MAX_RATIO or self.gigapixels < 1
        return quick and self.peak_mb <= min(MAX_PEAK_MB, self.projected_mb) and self.wrong == 0


def make_input(work: Path, gigapixels: float, photographs: Sequence[Path]) -> Path:
    """Return a PNG of about ``gigapixels``, made now unless it is there."""
    path = work / f"photographs-{gigapixels:g}.png"
    if not path.exists():
        mosaic = Mosaic(square_of(gigapixels), [read_image(photo) for photo in photographs])
        partial = path.with_suffix(".partial")
        write_png(partial, mosaic)
        partial.replace(path)
    return path


def write_png(path: Path, mosaic: Mosaic) -> None:
    """Write a mosaic as a PNG of 8-bit RGB, its rows filtered in turn by all filters but none."""
    height, width = mosaic.shape
    checksum = zlib.adler32(b"")
    with path.open("wb") as file, ThreadPoolExecutor(N_THREADS) as pool:
        file.write(make_header(width, height, 8, 2) + make_chunk(b"IDAT", b"\x78\x9c"))
        for band, above in _make_bands(mosaic):
            pieces = list(_cut_band(band, above))
            for data, part_sum, n_bytes in pool.map(_deflate_part, pieces):
                file.write(make_chunk(b"IDAT", data))
                checksum = combine_adler32(checksum, part_sum, n_bytes)
        file.write(make_chunk(b"IDAT", b"\x03\x00" + struct.pack(">I", checksum)))
        file.write(make_chunk(b"IEND", b""))


def _make_bands(mosaic: Mosaic) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8] | None]]:
    """Yield rows of tiles, ``(rows, 3 * width)``, and the last row of the one before."""
    above = None
    for top in range(0, mosaic.shape[0], TILE):
        tiles = [mosaic.tile(top, left) for left in range(0, mosaic.shape[1], TILE)]
        band = np.concatenate(tiles, axis=1)
        band = band.reshape(len(band), -1)
        yield band, above
        above = band[-1].copy()


def _cut_band(
    band: NDArray[np.uint8], above: NDArray[np.uint8] | None
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8] | None]]:
    """Yield some rows of a band, and the row above them."""
    for top in range(0, len(band), PART_ROWS):
        yield band[top : top + PART_ROWS], band[top - 1] if top else above


def _deflate_part(
    part: tuple[NDArray[np.uint8], NDArray[np.uint8] | None],
) -> tuple[bytes, int, int]:
    """Return rows filtered and deflated, with the checksum and number of their bytes."""
    rows, above = part
    data = filter_rows(rows, 1 + np.arange(len(rows)) % 4, 3, above).tobytes()
    deflate = zlib.compressobj(INPUT_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, 9)
    packed = deflate.compress(data) + deflate.flush(zlib.Z_FULL_FLUSH)
    return packed, zlib.adler32(data), len(data)


def read_strips(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Yield the colours of a PNG, ``(rows, x, 3)``."""
    with path.open("rb") as file:
        header = read_png_header(file, name=path.name)
    rows = strip_rows(header.width)
    return (colors for colors, _ in read_png_strips(str(path), header, rows=rows))


def time_reading(path: Path) -> NDArray[np.float64]:
    """Return the wall and processor seconds of reading a PNG in strips."""
    begin = read_clocks()
    for _ in read_strips(path):
        pass
    return read_clocks() - begin


def time_deflating(path: Path) -> NDArray[np.float64]:
    """Return the wall and processor seconds of deflating the rows of our PNG again, on threads."""
    with path.open("rb") as file:
        header = read_png_header(file, name=path.name)
        level, rows = deflate_level((header.height, header.width)), strip_rows(header.width)
        data, seconds = ImageData(file, header, path.name), np.zeros(2)
        sizes = [min(rows, header.height - top) for top in range(0, header.height, rows)]
        with ThreadPoolExecutor(N_THREADS) as pool:
            for first in range(0, len(sizes), 4 * N_THREADS):
                strips = [data.read_rows(size) for size in sizes[first : first + 4 * N_THREADS]]
                begin = read_clocks()
                list(pool.map(lambda strip: zlib.compress(strip.data, level), strips))
                seconds += read_clocks() - begin
    return seconds


def count_wrong(image: Path, out: Path, palette: NDArray[np.uint8]) -> int:
    """Return how many of some pixels of every strip have not the colour nearest to theirs."""
    draw, wrong = np.random.default_rng(0), 0
    for given, written in zip(read_strips(image), read_strips(out), strict=True):
        places = draw.integers(0, given.size // 3, N_COMPARED)
        pixels, colors = (each.reshape(-1, 3)[places] for each in (given, written))
        nearest = palette[find_nearest(pixels[np.newaxis], palette)[0]]
        wrong += int(np.count_nonzero((nearest != colors).any(axis=1)))
    return wrong


def measure(image: Path, gigapixels: float, work: Path, n_colors: int, options: list[str]) -> Row:
    """Run the job and its floors."""
    out = work / "out.png"
    job = run_quantize(image, out, n_colors, options)
    stages = job.report["seconds"]
    reading, deflating = time_reading(image), time_deflating(out)
    floor_s, floor_cpu_s = reading + deflating
    row = Row(
        gigapixels=gigapixels,
        colors=job.report["n_unique_colors"],
        input_mb=image.stat().st_size / 1e6,
        read_s=reading[0],
        deflate_s=deflating[0],
        job_s=job.run.seconds,
        ratio=job.run.seconds / floor_s,
        cpu_ratio=job.run.cpu_seconds / floor_cpu_s,
        decode_s=stages.get("decode", 0.0),
        fit_s=stages["fit"],
        relabel_s=stages["relabel"],
        peak_mb=job.run.peak_bytes / 1e6,
        projected_mb=job.projected_bytes / 1e6,
        wrong=count_wrong(image, out, job.palette),
    )
    out.unlink()
    return row


def check_room(work: Path, gigapixels: float) -> None:
    """End with a line when there is no room for the input and the scratch file."""
    free, needed = shutil.disk_usage(work).free, 6e9 * gigapixels
    if needed > free:
        message = f"Got {free / 1e9:.1f} GB of free space, {needed / 1e9:.1f} GB may be needed."
        raise SystemExit(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or JSON; exit with 1 when an aim was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of JPEG photographs")
    parser.add_argument("--work", type=Path, required=True, help="folder for images")
    parser.add_argument("--gigapixels", default="0.2", metavar="G,G")
    parser.add_argument("-k", dest="n_colors", type=int, default=16, help="colours")
    parser.add_argument("--option", action="append", default=[], help="passed on: --option=--X=Y")
    parser.add_argument("--json", action="store_true", dest="as_json")
    given = parser.parse_args(arguments)
    photographs = sorted(given.data.rglob("*.jpg"))
    given.work.mkdir(parents=True, exist_ok=True)
    rows = []
    for size in map(float, given.gigapixels.split(",")):
        check_room(given.work, size)
        image = make_input(given.work, size, photographs)
        rows.append(measure(image, size, given.work, given.n_colors, given.option))
    return print_rows(rows, as_json=given.as_json)


if __name__ == "__main__":
    sys.exit(main())
