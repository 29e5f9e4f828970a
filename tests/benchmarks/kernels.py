"""Speed of the kernels, one core, blocks in memory: a command, not a test.

    python tests/benchmarks/kernels.py                 # the sample photograph, tiled
    python tests/benchmarks/kernels.py --image my.png --json

Every row is the best of a few repeats, so that other users of the machine show least, and is
checked against its aim: at least so many megapixels per second, or at most so many milliseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from machine import describe_machine

from dask_quant.fit.boxes import ColorBoxes
from dask_quant.fit.clusters import Clusters
from dask_quant.histogram import ColorHistogram
from dask_quant.kernels.assign import build_table, label_block
from dask_quant.kernels.count_alpha import count_alpha_block
from dask_quant.kernels.count_block import count_block
from dask_quant.palette import Palette
from dask_quant.premultiplied import clear_hidden
from dask_quant.sources.pillow import read_image
from dask_quant.sources.samples import find_sample_images
from dask_quant.tables import label_pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

BLOCK_PIXELS = 1 << 24
"""Pixels of the block that is counted and relabelled: one task of a large image."""

K = 256
"""Centroids of the Lloyd steps, and colours of the lookup table."""

PROGRAMS = ("Python", "NumPy", "Numba", "dask_quant")
"""What the results depend on."""

FIRST_RUN = "import dask_quant as dq, sys; dq.quantize(sys.argv[1], sys.argv[2], n_colors=16)"


@dataclass(frozen=True)
class Row:
    """One measurement."""

    what: str
    """What was timed."""
    value: float
    """Megapixels per second, milliseconds or seconds."""
    unit: str
    """Unit of ``value`` and ``aim``."""
    aim: float
    """What it should reach: at least for Mpx/s, at most for times."""

    @property
    def met(self) -> bool:
        """Whether the aim was met."""
        return self.value >= self.aim if self.unit == "Mpx/s" else self.value <= self.aim


def measure_seconds(call: Callable[[], object], repeats: int) -> float:
    """Return the least wall time of ``repeats`` calls, after one that compiles and warms caches."""
    call()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)


def tile_pixels(image: NDArray[np.uint8], n_pixels: int) -> NDArray[np.uint8]:
    """Return ``n_pixels`` rows of a picture repeated, uint8 ``(n_pixels, 3)``."""
    rows = image.reshape(-1, 3)
    return np.ascontiguousarray(np.resize(rows, (n_pixels, 3)))


def fade_out(image: NDArray[np.uint8], n_pixels: int) -> NDArray[np.uint8]:
    """Return ``n_pixels`` rows of a picture whose right half fades out, RGBA uint8."""
    alpha = np.interp(np.arange(image.shape[1]), [image.shape[1] // 2, image.shape[1]], [255, 0])
    shares = np.broadcast_to(alpha.astype(np.uint8)[:, np.newaxis], (*image.shape[:2], 1))
    rows = clear_hidden(np.concatenate([image, shares], axis=2)).reshape(-1, 4)
    return np.ascontiguousarray(np.resize(rows, (n_pixels, 4)))


def every_color() -> NDArray[np.uint8]:
    """Return all 2^24 colours, uint8 ``(2^24, 3)``."""
    level = np.arange(256, dtype=np.uint8)
    return np.stack(np.meshgrid(level, level, level, indexing="ij"), axis=-1).reshape(-1, 3)


def settle_centroids(boxes: ColorBoxes, n_steps: int = 5) -> NDArray[np.float64]:
    """Return K centroids spread over the colours, a few Lloyd steps in, as they are in a fit."""
    spread = np.linspace(0, len(boxes.points) - 1, K).astype(np.int64)
    centroids = boxes.points[spread].astype(np.float64)
    clusters = Clusters(boxes, K)
    clusters.start(centroids)
    clusters.descend(n_steps, 0.0)
    return clusters.centroids


def measure_step(boxes: ColorBoxes, repeats: int) -> float:
    """Return the seconds of one Lloyd step that assigns every colour, from nothing."""
    centroids, clusters = settle_centroids(boxes), Clusters(boxes, K)

    def step() -> None:
        clusters.start(centroids)
        clusters.descend(0, 0.0)

    return measure_seconds(step, repeats)


def measure_first_run(image: Path) -> float:
    """Return the seconds of a first run with an empty cache of compiled kernels, less a second."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"NUMBA_CACHE_DIR": str(Path(folder) / "cache")}
        for name in ("first.png", "second.png"):
            command = [sys.executable, "-c", FIRST_RUN, str(image), str(Path(folder) / name)]
            begin = time.perf_counter()
            subprocess.run(command, env=environment, check=True)
            seconds.append(time.perf_counter() - begin)
    return seconds[0] - seconds[1]


def run_benchmark(
    image: Path, *, n_pixels: int = BLOCK_PIXELS, repeats: int = 5, whole_space: bool = True
) -> list[Row]:
    """Return all rows for one picture.

    ``whole_space`` false leaves out what takes seconds: all 2^24 colours, and the first run.
    """
    picture = read_image(image)
    block = tile_pixels(picture, n_pixels)
    histogram = ColorHistogram.from_pixels(picture)
    boxes = ColorBoxes.from_histogram(histogram)
    centroids = settle_centroids(boxes)
    palette = np.unique(np.rint(centroids).astype(np.uint8), axis=0)
    table = build_table(palette, np.dtype(np.uint8))
    faded = fade_out(picture, n_pixels)
    entries = Palette(np.unique(faded[:: max(1, n_pixels // K)], axis=0)[:K])
    count_alpha = measure_seconds(lambda: count_alpha_block(faded), repeats)
    relabel_alpha = measure_seconds(lambda: label_pixels(faded, entries), repeats)
    count = measure_seconds(lambda: count_block(block), repeats)
    relabel = measure_seconds(lambda: label_block(block, table), repeats)
    step = measure_step(boxes, 4 * repeats)
    building = measure_seconds(lambda: build_table(palette, np.dtype(np.uint8)), repeats)
    rows = [
        Row("count the colours of a photograph", len(block) / count / 1e6, "Mpx/s", 400),
        Row("relabel through a table of 2^24 colours", len(block) / relabel / 1e6, "Mpx/s", 400),
        Row("count the same, a half of it fading out", n_pixels / count_alpha / 1e6, "Mpx/s", 20),
        Row(f"relabel that, k={len(entries)}", n_pixels / relabel_alpha / 1e6, "Mpx/s", 10),
        Row(f"one Lloyd step, {len(histogram):,} colours, k={K}", step * 1e3, "ms", 5),
        Row(f"build the table of 2^24 colours, k={K}", building * 1e3, "ms", 200),
    ]
    if whole_space:
        everything = ColorBoxes.from_histogram(ColorHistogram.from_pixels(every_color()))
        full = measure_step(everything, repeats)
        rows.append(Row(f"one Lloyd step, all 2^24 colours, k={K}", full * 1e3, "ms", 200))
        rows.append(Row("compilation at the first run", measure_first_run(image), "s", 10))
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or JSON; exit with 1 when an aim was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=Path, help="a photograph; by default scikit-learn's")
    parser.add_argument("--pixels", type=int, default=BLOCK_PIXELS, help="pixels of the block")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--short", action="store_true", help="leave out what takes seconds")
    parser.add_argument("--json", action="store_true", dest="as_json")
    given = parser.parse_args(arguments)
    image = given.image or find_sample_images()[0]
    rows = run_benchmark(
        image, n_pixels=given.pixels, repeats=given.repeats, whole_space=not given.short
    )
    if given.as_json:
        values = [asdict(row) | {"met": row.met} for row in rows]
        print(
            json.dumps(
                {"machine": describe_machine(*PROGRAMS), "image": image.name, "rows": values}
            )
        )
    else:
        print(f"{image.name}; {describe_machine(*PROGRAMS)}\n")
        print("| what, on one core | measured | aim |\n|---|---:|---:|")
        for row in rows:
            sign = "at least" if row.unit == "Mpx/s" else "at most"
            mark = "" if row.met else " (missed)"
            print(f"| {row.what} | {row.value:,.1f} {row.unit} | {sign} {row.aim:g}{mark} |")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
