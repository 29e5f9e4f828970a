"""Counting the colours of a TIFF against the least that it can cost: decoding its tiles.

    python tests/benchmarks/tiff_in.py --megapixels 150 --codec zstd --codec jpeg --work WORK

Makes BigTIFF mosaics of photographs, once for each codec. The floor reads and decodes every tile
with tifffile and imagecodecs, on as many threads, and keeps nothing. Both run in turn, in a process
of their own each, which has done the same once before its clocks start; the medians of wall and
processor seconds are compared. On a machine that is busy with other work, processor seconds alone
mean something.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import tifffile
from mosaic import Mosaic, square_of

import dask_quant as dq
from dask_quant.process import peak_rss_bytes
from dask_quant.sources.pillow import read_image
from dask_quant.sources.samples import find_sample_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

CODECS: dict[str, dict[str, Any]] = {
    "none": {},
    "lzw": {"compression": "lzw", "predictor": True},
    "deflate": {"compression": "deflate", "predictor": True},
    "zstd": {"compression": "zstd", "predictor": True},
    "jpeg": {"compression": "jpeg", "compressionargs": {"level": 85}},
}
"""Codecs by name, as tifffile is told of them."""

TILE = 512
"""Side of a tile of the files."""

MOSAIC_TILE = 2048
"""Side of a tile of the mosaic; a whole number of those of the file."""


@dataclass(frozen=True)
class Row:
    """Ours against the floor, for one file."""

    codec: str
    """How its tiles are compressed."""
    megapixels: float
    """Its pixels."""
    floor_s: float
    """Wall seconds of the floor."""
    ours_s: float
    """Wall seconds of counting."""
    ratio: float
    """Ours by the floor, wall."""
    cpu_ratio: float
    """Ours by the floor, seconds of processors."""
    peak_mb: float
    """Most memory of ours, in 10^6 bytes."""
    colors: int
    """Distinct colours."""


def make_tiff(work: Path, megapixels: float, codec: str, photographs: Sequence[Path] = ()) -> Path:
    """Return a tiled BigTIFF, made now unless it is there; without ``photographs`` of samples."""
    path = work / f"mosaic-{megapixels:g}-{codec}.tif"
    if path.exists():
        return path
    height, width = (side - side % TILE or TILE for side in square_of(megapixels / 1000))
    mosaic = Mosaic(
        (height, width), [read_image(photo) for photo in photographs or find_sample_images()]
    )
    temporary = path.with_suffix(".part")
    tifffile.imwrite(
        *(temporary, _cut_tiles(mosaic)),
        bigtiff=True,
        shape=(height, width, 3),
        dtype=np.uint8,
        tile=(TILE, TILE),
        photometric="rgb",
        **CODECS[codec],
    )
    temporary.rename(path)
    return path


def _cut_tiles(mosaic: Mosaic) -> Iterator[NDArray[np.uint8]]:
    """Yield the tiles of a file row by row; a row of tiles of the mosaic is held at a time."""
    height, width = mosaic.shape
    for top in range(0, height, MOSAIC_TILE):
        parts = [mosaic.tile(top, left) for left in range(0, width, MOSAIC_TILE)]
        band = np.concatenate(parts, axis=1)
        for row in range(0, len(band), TILE):
            for column in range(0, width, TILE):
                yield np.ascontiguousarray(band[row : row + TILE, column : column + TILE])


def decode_tiles(path: Path, n_threads: int) -> int:
    """Read and decode every tile on threads; return their bytes."""
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        page.decode  # noqa: B018 - made here once, not by several threads
        places = list(enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)))
    with open(path, "rb") as file, ThreadPoolExecutor(n_threads) as pool:

        def decode(place: tuple[int, tuple[int, int]]) -> int:
            number, (offset, length) = place
            data = os.pread(file.fileno(), length, offset)
            samples = page.decode(data, number, jpegtables=page.jpegtables)[0]
            return int(samples.nbytes)

        return sum(pool.map(decode, places))


def count_colors(path: Path, n_threads: int) -> int:
    """Count the distinct colours of a file."""
    with dask.config.set(scheduler="threads", num_workers=n_threads):
        return len(dq.count_colors(dq.open_image(path, chunks=MOSAIC_TILE)))


WAYS: dict[str, Callable[[Path, int], int]] = {"floor": decode_tiles, "ours": count_colors}


def measure(way: str, path: Path, n_threads: int) -> dict[str, float]:
    """Return seconds, and what was found, of one way in a process of its own."""
    command = [sys.executable, __file__, "--run", way, str(path), str(n_threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def run_way(way: str, path: Path, n_threads: int) -> None:
    """Run one way twice and print what the second time took as JSON."""
    WAYS[way](path, n_threads)
    wall, cpu = time.perf_counter(), time.process_time()
    found = WAYS[way](path, n_threads)
    took = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    print(json.dumps(took | {"found": found, "peak": peak_rss_bytes()}))


def compare(path: Path, codec: str, n_threads: int, repeats: int) -> Row:
    """Return how counting compares with the floor, each measured in turn with the other."""
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(repeats):
        for way in WAYS:
            runs[way].append(measure(way, path, n_threads))
    wall = {way: median(run["wall_s"] for run in runs[way]) for way in WAYS}
    cpu = {way: median(run["cpu_s"] for run in runs[way]) for way in WAYS}
    return Row(
        codec=codec,
        megapixels=runs["floor"][0]["found"] / 3e6,
        floor_s=wall["floor"],
        ours_s=wall["ours"],
        ratio=wall["ours"] / wall["floor"],
        cpu_ratio=cpu["ours"] / cpu["floor"],
        peak_mb=max(run["peak"] for run in runs["ours"]) / 1e6,
        colors=int(runs["ours"][0]["found"]),
    )


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--megapixels", type=float, default=150)
    parser.add_argument("--codec", action="append", choices=sorted(CODECS))
    parser.add_argument("--work", type=Path, default=Path("tiff-in"), help="folder of files, kept")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the files, measure and print."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["--run"]:
        run_way(given[1], Path(given[2]), int(given[3]))
        return 0
    options = parse(given)
    options.work.mkdir(parents=True, exist_ok=True)
    rows = [
        compare(
            make_tiff(options.work, options.megapixels, codec),
            *(codec, options.threads, options.repeats),
        )
        for codec in options.codec or ["zstd"]
    ]
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows]}))
        return 0
    print("codec     Mpx   floor s  ours s  wall x  cpu x  peak MB  colours")
    for row in rows:
        print(
            f"{row.codec:8}{row.megapixels:6.0f}{row.floor_s:9.2f}{row.ours_s:8.2f}"
            f"{row.ratio:8.2f}{row.cpu_ratio:7.2f}{row.peak_mb:9.0f}{row.colors:12,}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
