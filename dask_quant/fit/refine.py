"""From centroids to a palette: rounded, distinct, used, ordered.

Rounding to 8 bits can make centroids coincide, and an entry can lose every pixel to its
neighbours. Such entries are dropped and given to the colours with the largest remaining error,
which lowers the error each time, until ``min(n_colors, distinct colours)`` entries are in use.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.fit.boxes import NO_PINS, slice_colors
from dask_quant.kernels.count_block import pack_colors
from dask_quant.kernels.order import order_block
from dask_quant.palette import Palette

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.fit.alpha_colors import AlphaColors
    from dask_quant.fit.boxes import Assignment, ColorBoxes, Ties

    Painted = ColorBoxes | AlphaColors

_REFILL_SHARE = 8
"""An eighth of the missing entries is refilled at a time, so that they spread (arbitrary)."""


@dataclass(frozen=True)
class FinishedPalette:
    """A palette as it will be written, with the labels of the colours that it was fitted to."""

    palette: Palette
    """Distinct colours by descending count, ties by value; with counts. All but pins are in use."""
    assignment: Assignment
    """Nearest entry of each colour, in the order of the boxes."""


def finish_palette(
    boxes: Painted,
    colors: NDArray[np.floating | np.uint8],
    n_colors: int,
    *,
    pins: NDArray[np.uint8] = NO_PINS,
) -> FinishedPalette:
    """Return the palette of ``min(n_colors, distinct colours)`` entries nearest to ``colors``.

    Parameters
    ----------
    boxes : ColorBoxes or AlphaColors
        The weighted colours to be painted.
    colors : ndarray
        Centroids, sRGB levels, ``(k, 3)``; RGBA, ``(k, 4)``, of colours with transparency.
    n_colors : int
        Entries wanted.
    pins : ndarray
        Entries that are kept even when they win no pixel, distinct, uint8 ``(p, 3)``, at most
        ``n_colors``. They count as colours of the image.
    """
    n_entries = min(n_colors, boxes.count_colors(pins))
    rounded = np.rint(np.clip(colors, 0, 255)).astype(np.uint8)
    entries = _distinct(rounded)
    entries = np.concatenate([pins, entries[~_are_among(entries, pins)]])[:n_entries]
    while True:
        entries, assignment, ties = _fill_up(boxes, entries, n_entries, pins)
        entries, assignment = _sort_entries(entries, assignment, ties)
        counts = assignment.count(n_entries)
        stays = (counts > 0) | _are_among(entries, pins)
        if stays.all():  # the order decides ties, and so could empty an entry
            return FinishedPalette(Palette(entries, counts), assignment)
        entries = entries[stays]


def apply_palette(boxes: Painted, palette: Palette) -> FinishedPalette:
    """Return a given palette, its order kept, with counts of its own; entries may be unused."""
    assignment = boxes.assign_entries(palette.colors)
    counts = assignment.count(len(palette))
    return FinishedPalette(Palette(palette.colors, counts), assignment)


def measure_error(boxes: ColorBoxes, assignment: Assignment, palette: Palette) -> int:
    """Return the squared sRGB error over all pixels, whatever space entries were nearest in."""
    error = 0
    for part in slice_colors(len(boxes.colors)):
        offsets = boxes.colors[part].astype(np.int64) - palette.colors[assignment.labels[part]]
        error += int((assignment.weights[part] * np.square(offsets).sum(axis=1)).sum())
    return error


def _distinct(entries: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the distinct rows of ``(k, 3)`` or ``(k, 4)`` entries, ascending."""
    _, first = np.unique(pack_colors(entries), return_index=True)
    return entries[first]


def _are_among(entries: NDArray[np.uint8], pins: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which of ``(k, 3)`` entries are pinned, bool ``(k,)``."""
    return np.isin(pack_colors(entries), pack_colors(pins))


def _fill_up(
    boxes: Painted, entries: NDArray[np.uint8], n_entries: int, pins: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], Assignment, Ties]:
    """Drop entries that win no pixel and add colours with much error until all are in use or pins.

    Returns them with the assignment of the colours to them, and the colours that could be others'.
    """
    while True:
        assignment, ties = boxes.assign_with_ties(entries)
        stays = (assignment.count(len(entries)) > 0) | _are_among(entries, pins)
        if len(entries) == n_entries and stays.all():
            return entries, assignment, ties
        entries = entries[stays]
        missing = n_entries - len(entries)
        worst = assignment.find_worst(-(-missing // _REFILL_SHARE))
        del assignment, ties  # before the next one is made
        entries = np.concatenate([entries, boxes.colors[worst]])


def _sort_entries(
    entries: NDArray[np.uint8], assignment: Assignment, ties: Ties
) -> tuple[NDArray[np.uint8], Assignment]:
    """Order entries by descending count, ties by colour value, and the assignment to them with it.

    A colour as near to two entries goes to the one that comes first, so the order decides the
    counts by which it is made; see `order_entries`.
    """
    order = order_entries(assignment, ties, pack_colors(entries))
    rank = np.argsort(order).astype(np.uint16)
    labels = rank[assignment.labels]
    np.minimum.at(labels, ties.colors, rank[ties.entries])
    return entries[order], replace(assignment, labels=labels)


def order_entries(
    assignment: Assignment, ties: Ties, codes: NDArray[np.uint32]
) -> NDArray[np.int64]:
    """Return the order in which entries stand by the pixels that they win in it.

    The first is the one that would win most if every tie were its own; it claims those ties, and
    so on with what is left. What an entry can still win only shrinks while others claim, so the
    counts descend; equal ones stand by their codes.

    Parameters
    ----------
    assignment : Assignment
        Of the colours to the entries, in any order.
    ties : Ties
        The colours that have several nearest entries.
    codes : ndarray
        Packed colours of the entries, uint32 ``(k,)``.

    Returns
    -------
    ndarray
        Positions of the entries, int64 ``(k,)``.
    """
    weights = assignment.weights
    winnable = assignment.count(len(codes))
    tied = np.unique(ties.colors)
    np.subtract.at(winnable, assignment.labels[tied], weights[tied])
    np.add.at(winnable, ties.entries, weights[ties.colors])
    return order_block(winnable, codes, ties.colors, ties.entries, weights)
