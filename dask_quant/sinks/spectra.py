"""A picture of the spectra of classes: their means by band, and one standard deviation about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.sinks.figures import new_figure, save_figure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.class_table import ClassTable

_MAX_LEGEND = 24
"""Classes that a legend names (arbitrary: more do not fit beside the picture)."""

_MAX_CLASSES = 128
"""Classes that are drawn, those of most pixels (arbitrary: more are one blot)."""

_MAX_TICKS = 36
"""Bands that are named (arbitrary: more run into one another)."""

_MAX_NAME = 24
"""Characters of a band's name (arbitrary)."""

_FLAT = 0.02
"""Part of the height of a picture below which what differs cannot be seen (arbitrary)."""


def draw_spectra(table: ClassTable, suffix: str) -> bytes:
    """Draw the spectra of classes. **Eager**.

    Parameters
    ----------
    table : ClassTable
        The classes.
    suffix : str
        ``.png``, ``.svg`` or ``.pdf``.

    Returns
    -------
    bytes
        The file.

    Raises
    ------
    OutputError
        When Matplotlib is missing.
    """
    n_bands = len(table.band_names)
    figure = new_figure(min(16.0, 6.0 + 0.5 * n_bands), 5.0)
    axes = figure.subplots()
    places = np.arange(n_bands)
    total = max(1, sum(table.n_pixels))
    low, reach, is_own = _find_levels(table)
    for number in reversed(range(min(len(table), _MAX_CLASSES))):  # the largest on top
        mean, std = (table.mean[number] - low) / reach, table.std[number] / reach
        color, label = table.colors[number], f"{number}: {table.n_pixels[number] / total:.1%}"
        axes.fill_between(places, mean - std, mean + std, color=color, alpha=0.08, linewidth=0)
        axes.plot(places, mean, color=color, marker="o", markersize=3, label=label)
        if n_bands == 1:  # where nothing can be filled
            axes.errorbar(places, mean, std, color=color, capsize=4, alpha=0.6)
    step = -(-n_bands // _MAX_TICKS)
    names = [_name_band(table, band, low, reach, is_own=is_own) for band in range(0, n_bands, step)]
    axes.set_xticks(places[::step], names, rotation=30, ha="right", parse_math=False)
    each = ", each band by itself" if is_own else ""
    axes.set_ylabel(f"mean \N{PLUS-MINUS SIGN} standard deviation{each}")
    axes.set_title(_title(len(table)))
    axes.grid(alpha=0.25)
    if len(table) <= _MAX_LEGEND:
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles[::-1], labels[::-1], title="class: share", loc="outside right upper")
    return save_figure(figure, suffix)


def _find_levels(
    table: ClassTable,
) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Return where each band begins, how far it reaches, and whether these are its own.

    Bands are drawn as they are, unless one of them would look flat beside the others. One that is
    the same everywhere reaches without end.
    """
    known = np.isfinite(table.mean).all(axis=1)
    zero, one = np.zeros(len(table.band_names)), np.ones(len(table.band_names))
    if not known.any():
        return zero, one, False
    mean, std = table.mean[known], table.std[known]
    low, high = (mean - std).min(axis=0), (mean + std).max(axis=0)
    reach = high - low
    if not ((reach > 0) & (reach < _FLAT * (high.max() - low.min()))).any():
        return zero, one, False
    return low, np.where(reach > 0, reach, np.inf), True


def _name_band(
    table: ClassTable,
    band: int,
    low: NDArray[np.float64],
    reach: NDArray[np.float64],
    *,
    is_own: bool,
) -> str:
    """Return what stands below a band: its name, and its scale where that is its own."""
    name = table.band_names[band]
    if len(name) > _MAX_NAME:
        name = f"{name[: _MAX_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"
    if not is_own:
        return name
    to = f" to {low[band] + reach[band]:.3g}" if np.isfinite(reach[band]) else ""
    return f"{name}\n{low[band]:.3g}{to}"


def _title(n_classes: int) -> str:
    """Return how many classes there are, and are drawn."""
    if n_classes > _MAX_CLASSES:
        return f"the {_MAX_CLASSES} largest of {n_classes:,} classes"
    return "1 class" if n_classes == 1 else f"{n_classes} classes"
