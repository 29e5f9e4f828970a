"""A picture of the spectra of classes: their means by band, and one standard deviation about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.sinks.figures import new_figure, save_figure

if TYPE_CHECKING:
    from dask_quant.class_table import ClassTable

_MAX_LEGEND = 24
"""Classes that a legend names (arbitrary: more do not fit beside the picture)."""


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
    for number in reversed(range(len(table))):  # the largest on top
        mean, std, color = table.mean[number], table.std[number], table.colors[number]
        label = f"{number}: {table.n_pixels[number] / total:.1%}"
        axes.fill_between(places, mean - std, mean + std, color=color, alpha=0.08, linewidth=0)
        axes.plot(places, mean, color=color, marker="o", markersize=3, label=label)
    axes.set_xticks(places, table.band_names, rotation=30, ha="right")
    axes.set_ylabel("mean sample, and one standard deviation about it")
    axes.set_title(f"{len(table)} classes")
    axes.grid(alpha=0.25)
    if len(table) <= _MAX_LEGEND:
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles[::-1], labels[::-1], title="class: share", loc="outside right upper")
    return save_figure(figure, suffix)
