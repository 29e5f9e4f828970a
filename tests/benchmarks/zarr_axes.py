"""How long counting takes by the order of a store's axes: a command, not a test.

    python tests/benchmarks/zarr_axes.py --side 8192 --work /tmp/axes --json

One photograph, tiled, is stored as ``(y, x, band)`` and as ``(band, y, x)``, the latter with bands
in a chunk of their own and together, and in 16 bits, with the same codec and sides of chunks. The
colours of each are counted on the threads of this process, one store after another, round by round;
medians are compared with those of ``(y, x, band)``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import zarr
from PIL import Image

import dask_quant as dq
from dask_quant.sources.samples import find_sample_images

if TYPE_CHECKING:
    from collections.abc import Sequence

CHUNK_SIDE = 1024
"""Rows and columns of a chunk."""

LAYOUTS = {
    "(y, x, band)": ((0, 1, 2), (CHUNK_SIDE, CHUNK_SIDE, 3), "uint8"),
    "(band, y, x), bands apart": ((2, 0, 1), (1, CHUNK_SIDE, CHUNK_SIDE), "uint8"),
    "(band, y, x), bands together": ((2, 0, 1), (3, CHUNK_SIDE, CHUNK_SIDE), "uint8"),
    "(y, x, band), 16 bits": ((0, 1, 2), (CHUNK_SIDE, CHUNK_SIDE, 3), "uint16"),
    "(band, y, x), 16 bits": ((2, 0, 1), (1, CHUNK_SIDE, CHUNK_SIDE), "uint16"),
}
"""Axes, chunks and type of each store."""


@dataclass(frozen=True)
class Row:
    """One layout."""

    layout: str
    """Its axes, in words."""
    megapixels_per_second: float
    """Pixels counted in a second, in the median."""
    ratio: float
    """Its median seconds divided by those of the first layout."""
    stored_mb: float
    """Megabytes of the store."""
    same: bool
    """Whether its colours and counts are those of the first layout."""


def write_stores(work: Path, side: int) -> dict[str, Path]:
    """Return the stores, written where they are missing."""
    with Image.open(find_sample_images()[0]) as image:
        photo = np.asarray(image.convert("RGB"))
    repeats = (-(-side // photo.shape[0]), -(-side // photo.shape[1]), 1)
    pixels = np.tile(photo, repeats)[:side, :side]
    stores = {}
    for number, (name, (axes, chunks, dtype)) in enumerate(LAYOUTS.items()):
        stores[name] = work / f"{side}-{number}.zarr"
        if not stores[name].exists():
            samples = pixels.transpose(axes)
            if dtype == "uint16":
                samples = samples * np.uint16(257)
            names = [("y", "x", "band")[axis] for axis in axes]
            zarr.create_array(stores[name], data=samples, chunks=chunks, dimension_names=names)
    return stores


def measure(stores: dict[str, Path], rounds: int) -> list[Row]:
    """Return a row for each store, from as many rounds after one to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in stores}
    histograms = {}
    for number in range(rounds + 1):
        for name, path in stores.items():
            begin = time.perf_counter()
            histograms[name] = dq.count_colors(path)
            if number:
                seconds[name].append(time.perf_counter() - begin)
    first = next(iter(stores))
    return [
        Row(
            name,
            histograms[name].n_pixels / 1e6 / median(seconds[name]),
            median(seconds[name]) / median(seconds[first]),
            sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6,
            np.array_equal(histograms[name].colors, histograms[first].colors)
            and np.array_equal(histograms[name].counts, histograms[first].counts),
        )
        for name, path in stores.items()
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 1 when a layout gives other counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=8192, help="rows and columns")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, required=True, help="folder for the stores")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    rows = measure(write_stores(options.work, options.side), options.rounds)
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows]}))
    else:
        for row in rows:
            print(f"{row.layout:30} {row.megapixels_per_second:8.1f} Mpx/s  {row.ratio:5.2f}")
    return 0 if all(row.same for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
