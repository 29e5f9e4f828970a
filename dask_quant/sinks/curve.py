"""Scores of several numbers of classes, or of colours, as a table or a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dask_quant.color_curve import ColorCurve
from dask_quant.errors import OptionError
from dask_quant.sinks.atomic import check_output, write_file_atomically
from dask_quant.sinks.figures import FIGURE_SUFFIXES, new_figure, save_figure

if TYPE_CHECKING:
    from pathlib import Path

    from dask_quant.class_scores import ClassCurve

TABLE_SUFFIXES = (".csv", ".json")
"""Suffixes of the files that a table can be written to."""

_COLOR = "#3366aa"


def check_curve_output(out: Path, *, overwrite: bool) -> None:
    """Raise `OptionError` or `OutputError` unless scores can be written to ``out``."""
    known = (*TABLE_SUFFIXES, *FIGURE_SUFFIXES)
    if out.suffix.lower() not in known:
        message = f"Got {str(out)!r} for the output; its name must end in {' or '.join(known)}."
        raise OptionError(message)
    check_output(out, overwrite=overwrite)


def write_curve(curve: ClassCurve | ColorCurve, out: Path, *, overwrite: bool) -> int:
    """Write scores as the suffix of ``out`` says, and return the bytes of the file. **Eager**."""
    suffix = out.suffix.lower()
    if suffix in TABLE_SUFFIXES:
        data = curve.to_text(suffix).encode()
    elif isinstance(curve, ColorCurve):
        data = draw_color_curve(curve, suffix)
    else:
        data = draw_curve(curve, suffix)
    return write_file_atomically(out, [data], overwrite=overwrite)


def draw_color_curve(curve: ColorCurve, suffix: str) -> bytes:
    """Draw error and explained variance against the number of colours. **Eager**.

    Parameters and errors are those of `draw_curve`.
    """
    figure = new_figure(9.0, 3.6)
    numbers = [score.n_colors for score in curve.scores]
    panels: tuple[tuple[str, list[Any]], ...] = (
        ("mse (sRGB, log scale)", [score.mse or None for score in curve.scores]),
        ("explained variance", [score.explained_variance for score in curve.scores]),
    )
    for axes, (title, values) in zip(figure.subplots(1, 2), panels, strict=True):
        _draw_panel(axes, numbers, values, curve.elbow, f"elbow: {curve.elbow}", what="colours")
        axes.set_title(title)
    figure.axes[0].set_yscale("log")
    return save_figure(figure, suffix)


def draw_curve(curve: ClassCurve, suffix: str) -> bytes:
    """Draw inertia and indices against the number of classes. **Eager**.

    Parameters
    ----------
    curve : ClassCurve
        The scores.
    suffix : str
        ``.png``, ``.svg`` or ``.pdf``.

    Raises
    ------
    OutputError
        When Matplotlib is missing.
    """
    figure = new_figure(9.0, 6.4)
    numbers = [score.n_clusters for score in curve.scores]
    panels: tuple[tuple[str, list[Any], int | None, str], ...] = (
        ("inertia", [score.inertia for score in curve.scores], curve.elbow, "elbow"),
        (
            "Calinski-Harabasz (higher is better)",
            [score.calinski_harabasz for score in curve.scores],
            curve.best_calinski_harabasz,
            "highest",
        ),
        (
            "Davies-Bouldin (lower is better)",
            [score.davies_bouldin for score in curve.scores],
            curve.best_davies_bouldin,
            "lowest",
        ),
        (
            "silhouette of a sample (higher is better)",
            [score.silhouette for score in curve.scores],
            curve.best_silhouette,
            "highest",
        ),
    )
    grid = figure.subplots(2, 2).ravel()
    for axes, (title, values, chosen, why) in zip(grid, panels, strict=True):
        _draw_panel(axes, numbers, values, chosen, f"{why}: {chosen}")
        axes.set_title(title)
    return save_figure(figure, suffix)


def _draw_panel(
    axes: Any,
    numbers: list[int],
    values: list[Any],
    chosen: int | None,
    label: str,
    *,
    what: str = "classes",
) -> None:
    """Draw one curve, and mark the number that it suggests."""
    known = [(n, value) for n, value in zip(numbers, values, strict=True) if value is not None]
    if known:  # not for one class alone
        axes.plot(*zip(*known, strict=True), color=_COLOR, marker="o", markersize=4)
    axes.set_xlabel(what)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.25)
    if chosen is not None:
        axes.axvline(chosen, color="#cc4433", linestyle="--", linewidth=1, label=label)
        axes.legend()
