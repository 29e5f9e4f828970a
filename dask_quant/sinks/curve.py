"""A picture of the scores of several numbers of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dask_quant.sinks.figures import new_figure, save_figure

if TYPE_CHECKING:
    from dask_quant.class_scores import ClassCurve

_COLOR = "#3366aa"


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
    axes: Any, numbers: list[int], values: list[Any], chosen: int | None, label: str
) -> None:
    """Draw one curve, and mark the number that it suggests."""
    known = [(n, value) for n, value in zip(numbers, values, strict=True) if value is not None]
    if known:  # not for one class alone
        axes.plot(*zip(*known, strict=True), color=_COLOR, marker="o", markersize=4)
    axes.set_xlabel("classes")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.25)
    if chosen is not None:
        axes.axvline(chosen, color="#cc4433", linestyle="--", linewidth=1, label=label)
        axes.legend()
