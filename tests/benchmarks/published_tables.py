"""Published figures beside ours: the tables that others printed of the same images.

Known are three files, by name. Nothing is run here: their figures are theirs, ours those of the
results. The mse of CQ100 is that of this benchmark, summed over 3 channels. PSNR is taken as
10 log10(255^2 / (mse / 3)); the file that has both mse and PSNR is checked for it, and the tables
say how well it agrees.
"""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from peer_methods import REFERENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from peer_results import Record

CQ100_FILE = "cq100_official_mse_MC_OCT.csv"
"""mse of median cut (``MC_k``) and octree (``OCT_k``) by image, by the makers of CQ100."""

CQ100_METHODS = {"MC": "median cut", "OCT": "octree"}
"""Its methods, by the prefix of their columns."""

SKLEARN_FILE = "kodak_sklearn_kmeans_psnr.csv"
"""PSNR of scikit-learn's k-means (``psnr_k``) by Kodak image."""

BASELINES_FILE = "dengyanzhao_kodak_baselines_psnr.csv"
"""Mean PSNR of several methods over all 24 Kodak images, by number of colours."""


@dataclass(frozen=True)
class Pair:
    """One published figure and ours."""

    image: str
    """Name of the image, without suffix."""
    n_colors: int
    """Colours asked for."""
    column: str
    """Column of the published table."""
    published: float
    """Its figure."""
    ours: float
    """The same of our file."""


def find_psnr_db(mse: float) -> float:
    """Return the PSNR in decibels of an mse summed over 3 channels; infinite where that is 0.

    Examples
    --------
    >>> round(find_psnr_db(101.12), 3)
    32.854
    """
    return math.inf if mse == 0 else 10 * math.log10(255**2 / (mse / 3))


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table, by column."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def take_ours(records: Iterable[Record]) -> dict[tuple[str, int], float]:
    """Return the mse of the reference by image, without suffix, and number of colours."""
    return {
        (Path(record.image).stem, record.n_colors): record.mse
        for record in records
        if record.method == REFERENCE and record.mse is not None
    }


def pair_columns(
    rows: Sequence[dict[str, str]],
    prefix: str,
    ours: dict[tuple[str, int], float],
    convert: Callable[[float], float] = float,
) -> list[Pair]:
    """Return the figures of the columns ``prefix_k`` of which we have the image and k."""
    return [
        Pair(row["image"], n_colors, prefix, float(row[f"{prefix}_{n_colors}"]), convert(mse))
        for row in rows
        for (image, n_colors), mse in sorted(ours.items())
        if image == row["image"] and f"{prefix}_{n_colors}" in row
    ]


def render_pairs(
    pairs: Sequence[Pair], what: str, is_better: Callable[[Pair], bool], digits: int
) -> list[str]:
    """Return a row for each number of colours, and all exceptions under the table."""
    if not pairs:
        return [f"No image of {what} has been measured.", ""]
    lines = ["| published | k | images | ours is better | published, mean | ours, mean |"]
    lines.append("|---|---:|---:|---:|---:|---:|")
    for n_colors in sorted({pair.n_colors for pair in pairs}):
        group = [pair for pair in pairs if pair.n_colors == n_colors]
        n_better = sum(map(is_better, group))
        theirs, ours = fmean(p.published for p in group), fmean(p.ours for p in group)
        means = f"{theirs:,.{digits}f} | {ours:,.{digits}f}"
        lines.append(f"| {what} | {n_colors} | {len(group)} | {n_better} | {means} |")
    exceptions = [
        f"{pair.image} at k={pair.n_colors} ({pair.published:,.{digits}f} published, "
        f"{pair.ours:,.{digits}f} ours)"
        for pair in pairs
        if not is_better(pair)
    ]
    return [*lines, "", f"Not better than {what}: {'; '.join(exceptions) or 'none'}.", ""]


def render_cq100(path: Path, ours: dict[tuple[str, int], float]) -> list[str]:
    """Return the tables of CQ100: our mse against median cut and octree, image by image."""
    rows = read_rows(path)
    lines = []
    for prefix, what in CQ100_METHODS.items():
        pairs = pair_columns(rows, prefix, ours)
        lines += render_pairs(pairs, what, lambda pair: pair.ours < pair.published, 3)
    return ["### CQ100, mse by its makers", "", *lines]


def render_sklearn(path: Path, ours: dict[tuple[str, int], float]) -> list[str]:
    """Return the table of Kodak: our PSNR against scikit-learn's, image by image."""
    rows = read_rows(path)
    pairs = pair_columns(rows, "psnr", ours, find_psnr_db)
    words = "scikit-learn's k-means"
    table = render_pairs(pairs, words, lambda pair: pair.ours > pair.published, 3)
    check = (
        "Its PSNR and the PSNR of its mse, 10 log10(255² / (mse / 3)), differ by "
        f"{find_psnr_difference(rows):.4f} dB at most."
    )
    return ["### Kodak, PSNR in dB of scikit-learn's k-means", "", *table, check, ""]


def find_psnr_difference(rows: Sequence[dict[str, str]]) -> float:
    """Return the most by which ``psnr_k`` and the PSNR of ``mse_sum3ch_k`` differ, in decibels."""
    return max(
        abs(float(row[f"psnr_{k}"]) - find_psnr_db(float(figure)))
        for row in rows
        for column, figure in row.items()
        for prefix, _, k in (column.rpartition("_"),)
        if prefix == "mse_sum3ch"
    )


def render_baselines(path: Path, ours: dict[tuple[str, int], float]) -> list[str]:
    """Return the table of Kodak baselines: means over all 24 images beside ours over what ran."""
    lines = ["| k | method | published, all 24 images | ours, mean | over images |"]
    lines.append("|---:|---|---:|---:|---:|")
    for row in sorted(read_rows(path), key=lambda row: (int(row["n_colors"]), row["method"])):
        n_colors = int(row["n_colors"])
        found = [
            find_psnr_db(mse)
            for (image, k), mse in ours.items()
            if k == n_colors and re.fullmatch(r"kodim\d\d", image)
        ]
        if found:
            figures = f"{float(row['psnr_mean']):.3f} | {fmean(found):.3f} | {len(found)}"
            lines.append(f"| {n_colors} | {row['method']} | {figures} |")
    if len(lines) == 2:
        lines = ["No Kodak image has been measured with its numbers of colours."]
    return ["### Kodak, mean PSNR in dB", "", *lines, ""]


RENDERERS = {
    CQ100_FILE: render_cq100,
    SKLEARN_FILE: render_sklearn,
    BASELINES_FILE: render_baselines,
}
"""What renders each file."""


def render_published(folder: Path, records: Sequence[Record]) -> list[str]:
    """Return the lines of every published table in ``folder`` that is known."""
    ours = take_ours(records)
    found = [(folder / name, render) for name, render in RENDERERS.items()]
    lines = ["## Beside published figures", ""]
    for path, render in found:
        lines += render(path, ours) if path.exists() else [f"There is no {path.name}.", ""]
    return lines
