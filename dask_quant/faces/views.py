"""What results look like as tables: text alone, wherever it is shown."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dask_quant.options import URL_SCHEME, format_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dask_quant.class_scores import ClassCurve
    from dask_quant.color_curve import ColorCurve
    from dask_quant.results import ImageInfo
    from dask_quant.segment_report import SegmentReport

_MAX_BANDS = 8
"""Bands shown beside each class (arbitrary)."""

_MAX_OUTPUTS = 5
"""Outputs that have no folder in common and are named all the same (arbitrary)."""

_MAX_CLASSES = 64
"""Classes shown (arbitrary)."""


@dataclass(frozen=True)
class View:
    """A table, and a line below it."""

    header: tuple[str, ...]
    """Names of the columns."""
    rows: tuple[tuple[str, ...], ...]
    """Cells."""
    summary: str
    """The line."""


def view_classes(report: SegmentReport) -> View:
    """Return classes, their pixels and their means, and what was done."""
    table, total = report.table, max(1, sum(report.table.n_pixels))
    n_bands = min(len(table.band_names), _MAX_BANDS)
    more = ("...",) if len(table.band_names) > n_bands else ()
    rows = tuple(
        (
            f"{number} {table.colors[number]}",
            f"{table.n_pixels[number]:,}",
            f"{table.n_pixels[number] / total:.2%}",
            *(f"{mean:,.4g}" for mean in table.mean[number, :n_bands]),
            *more,
        )
        for number in range(min(len(table), _MAX_CLASSES))
    )
    if len(table) > _MAX_CLASSES:
        left_out = (f"and {len(table) - _MAX_CLASSES:,} more", *[""] * (len(rows[0]) - 1))
        rows = (*rows, left_out)
    header = ("class", "pixels", "share", *table.band_names[:n_bands], *more)
    return View(header, rows, _summarize(report))


def _summarize(report: SegmentReport) -> str:
    """Return what a segmentation did in one line."""
    noun = "raster" if len(report.scenes) == 1 else "rasters"
    explained = report.explained_variance
    fit = ""
    if explained is not None:
        if report.component_shares is not None:
            number, held = len(report.component_shares), sum(report.component_shares)
            fit = f" of {number} principal components that hold {held:.2%} of all variance,"
        fit += f" {explained:.2%} of the variance in {report.n_passes} passes;"
    classes = [scene.output for scene in report.scenes if scene.output is not None]
    names = [name_outputs(classes)] if classes else []
    names += report.outputs[len(classes) :]  # files beside them, anywhere
    written = f": {', '.join(names)}" if names else ""
    return (
        f"{len(report.scenes):,} {noun}, {report.n_pixels:,} pixels, "
        f"{report.n_excluded:,} of them excluded, in {report.n_clusters:,} classes:{fit} "
        f"{format_bytes(report.input_bytes)} -> {format_bytes(report.output_bytes)} "
        f"in {report.seconds['total']:.2f} s{written}"
    )


def view_colors(curve: ColorCurve) -> View:
    """Return the scores of numbers of colours, and what they suggest."""
    rows = tuple(
        (
            str(score.n_colors),
            f"{score.mse:,.2f}",
            "exact" if score.psnr_db is None else f"{score.psnr_db:.2f}",
            f"{score.explained_variance:.2%}",
        )
        for score in curve.scores
    )
    summary = (
        f"elbow at {curve.elbow}; {curve.n_unique_colors:,} colours in {curve.n_pixels:,} pixels"
    )
    return View(("k", "mse", "PSNR dB", "explained"), rows, summary)


def view_scores(curve: ClassCurve) -> View:
    """Return the scores of numbers of classes, and what they suggest."""
    rows = tuple(
        (
            str(score.n_clusters),
            f"{score.inertia:,.6g}",
            f"{score.explained_variance:.2%}",
            _show_number(score.calinski_harabasz),
            _show_number(score.davies_bouldin),
            _show_number(score.silhouette),
        )
        for score in curve.scores
    )
    summary = (
        f"elbow at {curve.elbow}; highest Calinski-Harabasz at {curve.best_calinski_harabasz}, "
        f"lowest Davies-Bouldin at {curve.best_davies_bouldin}; {curve.n_passes} passes"
    )
    names = ("Calinski-Harabasz", "Davies-Bouldin", "silhouette")
    return View(("k", "inertia", "explained", *names), rows, summary)


def _show_number(value: float | None) -> str:
    """Return a number in six digits, or a dash."""
    return "-" if value is None else f"{value:,.6g}"


def name_outputs(outputs: Sequence[str]) -> str:
    """Return the one output, the folder that holds all of them, or where there is none, a few.

    Examples
    --------
    >>> name_outputs(["s3://bucket/out/a/1.png", "s3://bucket/out/b/1.png"])
    's3://bucket/out'
    """
    try:
        schemes, places = zip(*map(_split_scheme, outputs), strict=True)
        common = os.path.commonpath(places) if len(set(schemes)) == 1 else ""
    except ValueError:  # some are absolute, some relative; or there are none
        common = ""
    if common not in ("", os.sep):
        return f"{schemes[0]}{common}"
    more = len(outputs) - _MAX_OUTPUTS
    return ", ".join(outputs[:_MAX_OUTPUTS]) + (f" and {more:,} more" if more > 0 else "")


def _split_scheme(name: str) -> tuple[str, str]:
    """Return the ``scheme://`` of an address, which a path has not, and the rest."""
    match = re.match(URL_SCHEME, name)
    n_scheme = match.end() if match else 0
    return name[:n_scheme], name[n_scheme:]


def describe_pages(info: ImageInfo) -> str:
    """Return how many pages and levels an image has, where it has several."""
    pages = f", {info.n_pages} pages" if (info.n_pages or 1) > 1 else ""
    return pages + (f", {len(info.levels)} levels" if len(info.levels) > 1 else "")


def describe_levels(info: ImageInfo) -> str | None:
    """Return the sizes of the levels of an image and how to choose one; None: it has only one."""
    if len(info.levels) < 2:
        return None
    sizes = (f"{number}: {columns} x {rows}" for number, (rows, columns) in enumerate(info.levels))
    return f"{info.path} has levels, for --level N: {', '.join(sizes)}"
