"""Labels to a tiled TIFF with its pyramid, against deflating its tiles alone: a command.

    python tests/benchmarks/tiff_out.py --work FOLDER --megapixels 200,2000

Labels are those of a photograph in 16 greys, tiled, and moved from block to block, so that no two
are alike; the tasks make them, and they are never held whole. The job is `dask_quant.write` on
threads.
Its floor makes the same labels and deflates the tiles of the full resolution, with the same
library, effort and number of threads, and keeps nothing: no pyramid, no file. Each runs in a fresh
process, one after the other, --repeats times; the best of each is taken. Memory is that of all
processes of the job, seen from outside. The file is read back by tifffile, tile by tile.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import dask
import dask.array as da
import imagecodecs
import numpy as np
import tifffile
from PIL import Image
from process_tree import run_watched

import dask_quant as dq
from dask_quant.kernels.downsample import halve_labels
from dask_quant.sinks.tiff import _LEVEL
from dask_quant.sinks.tiff_layout import BLOCK_SIDE, TILE_SIDE
from dask_quant.sources.samples import find_sample_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

N_COLORS = 16

MAX_PEAK_MB = 1500
"""Memory of the job, at most."""

MAX_RATIO = 2.0
"""Processor seconds of the job over those of its floor, at most: a pyramid is a third more pixels,
and all is written, read and written again."""

MIN_MEGAPIXELS = 100
"""Size from which on that counts: to start takes as long as a small image (arbitrary)."""

_STEP = 37
"""Pixels that labels are moved by from one block to the next (arbitrary)."""


@dataclass(frozen=True)
class Row:
    """One size, measured."""

    megapixels: float
    """Pixels of the image."""
    job_s: float
    """Seconds of writing."""
    floor_s: float
    """Seconds of deflating."""
    ratio: float
    """The former over the latter."""
    cpu_ratio: float
    """The same of processor seconds, which other users of the machine disturb less."""
    peak_mb: float
    """Most memory of all processes of the job."""
    file_mb: float
    """Bytes of the file."""
    floor_mb: float
    """Bytes of the tiles of the full resolution."""
    wrong: int
    """Pixels that tifffile reads differently, in some tiles of all levels."""

    @property
    def met(self) -> bool:
        """Whether the aims were met."""
        quick = self.cpu_ratio <= MAX_RATIO or self.megapixels < MIN_MEGAPIXELS
        return quick and self.peak_mb <= MAX_PEAK_MB and self.wrong == 0


def make_pattern(side: int = BLOCK_SIDE) -> NDArray[np.uint8]:
    """Return a block of labels, uint8 ``(side, side)`` below 16, in the look of a photograph."""
    with Image.open(find_sample_images()[0]) as image:
        greys = np.asarray(image.convert("L")) // (256 // N_COLORS)
    repeats = [-(-side // size) for size in greys.shape]
    return np.tile(greys, repeats)[:side, :side].copy()


def cut_block(
    pattern: NDArray[np.uint8], row: int, column: int, shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return the labels of the block at a row and a column of blocks."""
    moved = np.roll(pattern, (_STEP * row, -_STEP * column), axis=(0, 1))
    return np.ascontiguousarray(moved[: shape[0], : shape[1]])


def choose_shape(megapixels: float) -> tuple[int, int]:
    """Return rows and columns of about as many pixels, neither even."""
    rows = math.isqrt(int(megapixels * 1e6)) | 1
    return rows, int(megapixels * 1e6 / rows) | 1


def make_labels(shape: tuple[int, int]) -> da.Array:
    """Return lazy labels, a chunk for each block."""
    pattern = dask.delayed(make_pattern(), pure=True)
    sides = da.core.normalize_chunks((BLOCK_SIDE, BLOCK_SIDE), shape)
    cut = dask.delayed(cut_block, pure=True)
    rows = [
        [
            da.from_delayed(cut(pattern, i, j, (height, width)), (height, width), np.uint8)
            for j, width in enumerate(sides[1])
        ]
        for i, height in enumerate(sides[0])
    ]
    return da.block(rows)


def run_job(shape: tuple[int, int], out: Path) -> int:
    """Write the file and return its bytes."""
    palette = np.repeat(np.arange(N_COLORS) * 17, 3).reshape(-1, 3)
    return dq.write(make_labels(shape), out, palette=palette, overwrite=True)


def run_floor(shape: tuple[int, int]) -> int:
    """Deflate the tiles of the full resolution and return their bytes."""
    pattern = make_pattern()
    sides = da.core.normalize_chunks((BLOCK_SIDE, BLOCK_SIDE), shape)

    def deflate(place: tuple[int, int]) -> int:
        block = cut_block(pattern, *place, (sides[0][place[0]], sides[1][place[1]]))
        n_bytes = 0
        for top in range(0, block.shape[0], TILE_SIDE):
            for left in range(0, block.shape[1], TILE_SIDE):
                inside = block[top : top + TILE_SIDE, left : left + TILE_SIDE]
                tile = np.zeros((TILE_SIDE, TILE_SIDE), dtype=np.uint8)
                tile[: inside.shape[0], : inside.shape[1]] = inside
                n_bytes += len(imagecodecs.deflate_encode(tile.tobytes(), level=_LEVEL))
        return n_bytes

    with ThreadPoolExecutor(len(list_cpus())) as pool:
        return sum(pool.map(deflate, np.ndindex(*map(len, sides))))


def list_cpus() -> range:
    """Return the processors that Dask's threads use."""
    from dask.system import CPU_COUNT

    return range(CPU_COUNT)


def count_wrong_pixels(path: Path, shape: tuple[int, int]) -> int:
    """Return the pixels of blocks in the corners and the middle that tifffile reads differently."""
    pattern, n_wrong = make_pattern(), 0
    last = [(size - 1) // BLOCK_SIDE for size in shape]
    with tifffile.TiffFile(path) as file:
        for row, column in {(0, 0), (0, last[1]), (last[0], 0), (last[0] // 2, last[1] // 2)}:
            start = (row * BLOCK_SIDE, column * BLOCK_SIDE)
            size = [min(BLOCK_SIDE, n - at) for n, at in zip(shape, start, strict=True)]
            expected = cut_block(pattern, row, column, (size[0], size[1]))
            for level, page in enumerate(list(file.pages)[:4]):
                found = read_window(page, start[0] >> level, start[1] >> level, expected.shape)
                n_wrong += int(np.count_nonzero(found != expected))
                expected = halve_labels(expected)
    return n_wrong


def read_window(
    page: tifffile.TiffPage, row: int, column: int, shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Return a window of whole tiles, decoded by tifffile."""
    window = np.zeros([-(-n // TILE_SIDE) * TILE_SIDE for n in shape], dtype=np.uint8)
    per_row = -(-page.imagewidth // TILE_SIDE)
    for top in range(0, window.shape[0], TILE_SIDE):
        for left in range(0, window.shape[1], TILE_SIDE):
            number = (row + top) // TILE_SIDE * per_row + (column + left) // TILE_SIDE
            page.parent.filehandle.seek(page.dataoffsets[number])
            data = page.parent.filehandle.read(page.databytecounts[number])
            tile = page.decode(data, number)[0][0, :, :, 0]
            window[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return window[: shape[0], : shape[1]]


def measure(megapixels: float, work: Path, repeats: int) -> Row:
    """Return one size, measured: the best of some runs of job and floor."""
    out, shape = work / "labels.tif", choose_shape(megapixels)
    jobs, floors = [], []
    for _ in range(repeats):
        for what, runs in (("job", jobs), ("floor", floors)):
            command = [sys.executable, __file__, "--run", what, "--work", str(work)]
            run = run_watched([*command, "--megapixels", str(megapixels)])
            runs.append((json.loads(run.output), run.peak_bytes))
    (job, floor) = (min((r for r, _ in runs), key=lambda r: r["cpu_s"]) for runs in (jobs, floors))
    row = Row(
        megapixels=shape[0] * shape[1] / 1e6,
        job_s=job["wall_s"],
        floor_s=floor["wall_s"],
        ratio=job["wall_s"] / floor["wall_s"],
        cpu_ratio=job["cpu_s"] / floor["cpu_s"],
        peak_mb=max(peak for _, peak in jobs) / 1e6,
        file_mb=job["n_bytes"] / 1e6,
        floor_mb=floor["n_bytes"] / 1e6,
        wrong=count_wrong_pixels(out, shape),
    )
    out.unlink()
    return row


def run_once(what: str, megapixels: float, work: Path) -> None:
    """Do the job, or its floor, once, and print what it took."""
    shape = choose_shape(megapixels)
    halve_labels(np.zeros((2, 2), dtype=np.uint8))  # compiled before the clock starts
    begin = np.array([time.perf_counter(), time.process_time()])
    n_bytes = run_job(shape, work / "labels.tif") if what == "job" else run_floor(shape)
    wall, cpu = np.array([time.perf_counter(), time.process_time()]) - begin
    print(json.dumps({"wall_s": wall, "cpu_s": cpu, "n_bytes": n_bytes}))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or JSON; exit with 1 when an aim was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for the files")
    parser.add_argument("--megapixels", default="200", metavar="M,M", help="sizes")
    parser.add_argument("--repeats", type=int, default=1, help="runs of job and floor")
    parser.add_argument("--run", choices=("job", "floor"), help="one of them, here and once")
    parser.add_argument("--json", action="store_true", dest="as_json")
    given = parser.parse_args(arguments)
    given.work.mkdir(parents=True, exist_ok=True)
    sizes = [float(size) for size in given.megapixels.split(",")]
    if given.run is not None:
        run_once(given.run, sizes[0], given.work)
        return 0
    rows = [measure(size, given.work, given.repeats) for size in sizes]
    if given.as_json:
        print(json.dumps({"rows": [asdict(row) | {"met": row.met} for row in rows]}))
    else:
        names = list(asdict(rows[0]))
        print(f"| {' | '.join(names)} |\n|{'---:|' * len(names)}")
        for row in rows:
            print(f"| {' | '.join(f'{value:,.2f}' for value in asdict(row).values())} |")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
