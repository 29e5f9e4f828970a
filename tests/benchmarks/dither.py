"""Speed of dithering, one core, a block in memory: a command, not a test.

    python tests/benchmarks/dither.py                 # the sample photograph, tiled
    python tests/benchmarks/dither.py --image my.png -k 256 --json

Every row is the best of a few repeats, tables and masks made before, and is checked against its
aim: at least so many megapixels per second. The rows without an aim are there to compare with.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from kernels import PROGRAMS, measure_seconds
from machine import describe_machine

import dask_quant as dq
from dask_quant.dithering import Tally, diffuse_rows, dither_block
from dask_quant.fit_options import DITHERS
from dask_quant.sources.pillow import read_image
from dask_quant.sources.samples import find_sample_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BLOCK_PIXELS = 1 << 24
"""Pixels of the block: one task of a large image."""

AIMS = {"none": None, "bayer": 150, "blue-noise": 150, "floyd-steinberg": 40}
"""Megapixels per second that each should reach."""

COUNTING = "count labels and measure their error"


def tile_image(image: NDArray[np.uint8], n_pixels: int) -> NDArray[np.uint8]:
    """Return a picture repeated over about ``n_pixels``, uint8 ``(y, x, 3)``, four times as wide.

    Wide, as bands of large images are: error diffusion looks at one row after the other.
    """
    rows = max(1, int((n_pixels / 4) ** 0.5))
    shape = (rows, n_pixels // rows)
    repeats = [-(-size // own) for size, own in zip(shape, image.shape[:2], strict=True)]
    return np.ascontiguousarray(np.tile(image, (*repeats, 1))[: shape[0], : shape[1]])


def run_benchmark(
    image: Path, *, n_colors: int, n_pixels: int = BLOCK_PIXELS, repeats: int = 5
) -> dict[str, float]:
    """Return megapixels per second by what was done to one picture."""
    picture = read_image(image)
    palette = dq.fit_palette(picture, n_colors, n_init=1)
    block = tile_image(picture, n_pixels)
    mega = block.shape[0] * block.shape[1] / 1e6
    labels = dither_block(block, palette, "none")
    calls = {
        name: (lambda name=name: dither_block(block, palette, name))
        if name != "floyd-steinberg"
        else (lambda: diffuse_rows(block, palette, None))
        for name in DITHERS
    }
    calls[COUNTING] = lambda: Tally.of(block, labels, palette)
    return {name: mega / measure_seconds(call, repeats) for name, call in calls.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or JSON; exit with 1 when an aim was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=Path, help="a photograph; by default scikit-learn's")
    parser.add_argument("-k", "--colors", type=int, default=16, help="colours of the palette")
    parser.add_argument("--pixels", type=int, default=BLOCK_PIXELS, help="pixels of the block")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", dest="as_json")
    given = parser.parse_args(arguments)
    image = given.image or find_sample_images()[0]
    speeds = run_benchmark(
        image, n_colors=given.colors, n_pixels=given.pixels, repeats=given.repeats
    )
    missed = [name for name, aim in AIMS.items() if aim is not None and speeds[name] < aim]
    if given.as_json:
        rows = [
            {"what": name, "mpx_per_s": speed, "aim": AIMS.get(name), "met": name not in missed}
            for name, speed in speeds.items()
        ]
        found = {"machine": describe_machine(*PROGRAMS), "image": image.name, "rows": rows}
        print(json.dumps(found | {"n_colors": given.colors}))
    else:
        print(f"{image.name}, {given.colors} colours; {describe_machine(*PROGRAMS)}\n")
        print("| dithering, on one core | measured | aim |\n|---|---:|---:|")
        for name, speed in speeds.items():
            aim = AIMS.get(name)
            mark = " (missed)" if name in missed else ""
            print(f"| {name} | {speed:,.0f} Mpx/s | {f'at least {aim}' if aim else ''}{mark} |")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
