"""A picture of the spectra of classes: their means by band, and one standard deviation about."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.errors import OutputError

if TYPE_CHECKING:
    from dask_quant.class_table import ClassTable

SPECTRA_SUFFIXES = (".png", ".svg", ".pdf")
"""Suffixes of the pictures that can be drawn."""

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
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        message = 'Cannot draw spectra without Matplotlib; pip install "dask-quant[plot]".'
        raise OutputError(message) from None
    n_bands = len(table.band_names)
    figure = Figure(figsize=(min(16.0, 6.0 + 0.5 * n_bands), 5.0), layout="constrained")
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
    data = io.BytesIO()
    # Neither dates nor random identifiers, so that the same table gives the same bytes.
    metadata = {".png": None, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    kind = suffix.lower()
    with matplotlib.rc_context({"svg.hashsalt": "dask_quant"}):
        figure.savefig(data, format=kind[1:], dpi=120, metadata=metadata[kind])
    return data.getvalue()
