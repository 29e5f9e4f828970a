"""How many times as fast as k-means on all pixels, at no higher error: a command, not a test.

    python tests/benchmarks/ratios.py --image large.jpg --markdown ratios.md

One picture in memory, from its pixels to palette and labels, all in one process that has compiled
and imported everything before. Ours is timed again after each run of the other, so that what
disturbs the machine disturbs both; medians are compared. The exit code is 1 when an aim is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from machine import describe_host, find_versions, read_commit
from peer_methods import (
    cluster_dask_ml,
    cluster_sklearn,
    forget_tables,
    label_nearest,
    quantize_ours,
    round_palette,
)
from peers import measure_mse
from PIL import Image, ImageOps

from dask_quant.sources.samples import find_sample_images

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

SIDE = 2048
"""Rows and columns of the picture: 4 Mpx."""

OURS_PER_RUN = 3
"""Times that ours runs after each run of the other: it is short, and its median should be firm."""

WARM_SIDE = 64
"""Rows and columns that the others are warmed up on (arbitrary); ours has the whole picture."""

EFFORT = "fast"
"""Effort of ours."""


@dataclass(frozen=True)
class Row:
    """Ours against another."""

    against: str
    """The other."""
    aim: float
    """How many times as fast ours should be, at least."""
    their_seconds: tuple[float, ...]
    """Seconds of each of its runs."""
    our_seconds: tuple[float, ...]
    """Seconds of each of ours, between them."""
    their_mse: float
    """Mean squared sRGB distance summed over channels, at its rounded centroids."""
    our_mse: float
    """The same of our palette."""

    @property
    def ratio(self) -> float:
        """Their median seconds divided by ours."""
        return median(self.their_seconds) / median(self.our_seconds)

    @property
    def met(self) -> bool:
        """Whether ours is as fast as aimed at, at no higher error."""
        return self.ratio >= self.aim and self.our_mse <= self.their_mse


def cut_picture(path: Path, side: int) -> NDArray[np.uint8]:
    """Return the middle of a picture, uint8 ``(side, side, 3)``, enlarged where it is too small."""
    with Image.open(path) as image:
        picture = image.convert("RGB")
    if min(picture.size) < side:
        picture = ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return np.asarray(picture.crop((left, top, left + side, top + side)))


def measure_ours(pixels: NDArray[np.uint8], n_colors: int) -> tuple[float, float]:
    """Return seconds and mse of one run, with no lookup table kept from another."""
    forget_tables()
    begin = time.perf_counter()
    palette, labels = quantize_ours(pixels, n_colors, EFFORT)
    seconds = time.perf_counter() - begin
    return seconds, measure_mse(pixels, palette.colors[labels])


def measure_theirs(
    pixels: NDArray[np.uint8], n_colors: int, cluster: Callable[..., NDArray[np.floating]]
) -> tuple[float, float]:
    """Return seconds of one run, and the mse of its centroids, rounded, every pixel at its best."""
    begin = time.perf_counter()
    centroids = cluster(pixels, n_colors)
    seconds = time.perf_counter() - begin
    palette = round_palette(centroids)
    return seconds, measure_mse(pixels, palette[label_nearest(pixels, palette)])


def compare_with(
    against: str,
    aim: float,
    cluster: Callable[..., NDArray[np.floating]],
    pixels: NDArray[np.uint8],
    *,
    n_colors: int,
    repeats: int,
) -> Row:
    """Return ours against another: ``repeats`` times one run of it, then a few of ours."""
    cluster(pixels[:WARM_SIDE, :WARM_SIDE], n_colors)
    measure_ours(pixels, n_colors)
    theirs, ours = [], []
    for _ in range(repeats):
        theirs.append(measure_theirs(pixels, n_colors, cluster))
        ours += [measure_ours(pixels, n_colors) for _ in range(OURS_PER_RUN)]
    return Row(
        against=against,
        aim=aim,
        their_seconds=tuple(seconds for seconds, _ in theirs),
        our_seconds=tuple(seconds for seconds, _ in ours),
        their_mse=theirs[0][1],  # the same in every run: both are seeded
        our_mse=ours[0][1],
    )


def render_rows(rows: Sequence[Row], where: str) -> str:
    """Return the table as Markdown."""
    versions = ", ".join(f"{name} {v}" for name, v in find_versions().items() if v)
    lines = [
        "# From pixels to palette and labels, beside k-means on all pixels",
        "",
        f"{where}; dask_quant effort {EFFORT}. {datetime.now(UTC):%Y-%m-%d %H:%M UTC}; "
        f"commit {read_commit()}; {describe_host()}; {versions}.",
        "",
        "| against | its seconds | ours | times as fast | aim | its mse | our mse |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    return "\n".join([*lines, *map(format_row, rows)]) + "\n"


def format_row(row: Row) -> str:
    """Return one line of the table; medians, with the number of runs."""
    theirs = f"{median(row.their_seconds):.3f} ({len(row.their_seconds)})"
    ours = f"{median(row.our_seconds):.3f} ({len(row.our_seconds)})"
    mark = "" if row.met else " (missed)"
    return (
        f"| {row.against} | {theirs} | {ours} | {row.ratio:,.1f} | at least {row.aim:g}{mark} | "
        f"{row.their_mse:.3f} | {row.our_mse:.3f} |"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or write it; exit with 1 when an aim was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=Path, help="a photograph; by default scikit-learn's")
    parser.add_argument("--side", type=int, default=SIDE, help="its rows and columns, pixels")
    parser.add_argument("-k", type=int, default=16, dest="n_colors", help="colours")
    parser.add_argument("--repeats", type=int, default=3, help="runs of scikit-learn")
    parser.add_argument("--dask-ml-repeats", type=int, default=1, help="runs of dask-ml; 0: none")
    parser.add_argument("--markdown", type=Path, help="where the table goes; else it is printed")
    given = parser.parse_args(arguments)
    image = given.image or find_sample_images()[0]
    pixels = cut_picture(image, given.side)
    sklearn = partial(cluster_sklearn, name="KMeans", n_init=1)
    peers = [("scikit-learn KMeans(n_init=1)", 50, sklearn, given.repeats)]
    peers += [("dask-ml KMeans, threads", 200, cluster_dask_ml, given.dask_ml_repeats)]
    rows = [
        compare_with(name, aim, cluster, pixels, n_colors=given.n_colors, repeats=repeats)
        for name, aim, cluster, repeats in peers
        if repeats > 0
    ]
    where = f"{image.name}, {given.side} x {given.side} pixels, k={given.n_colors}"
    text = render_rows(rows, where)
    if given.markdown is None:
        print(text, end="")
    else:
        given.markdown.write_text(text, encoding="utf-8")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
