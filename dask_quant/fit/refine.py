"""From centroids to a palette: rounded, distinct, used, ordered.

Rounding to 8 bits can make centroids coincide, and an entry can lose every pixel to its
neighbours. Such entries are dropped and given to the colours with the largest remaining error,
which lowers the error each time, until ``min(n_colors, distinct colours)`` entries are in use.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.kernels.count_block import pack_colors, unpack_colors
from dask_quant.palette import Palette

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.fit.boxes import Assignment, ColorBoxes

_BULK_SORTS = 8
"""Times that a palette is sorted outright before swaps settle its order (arbitrary)."""

_REFILL_SHARE = 8
"""An eighth of the missing entries is refilled at a time, so that they spread (arbitrary)."""


@dataclass(frozen=True)
class FinishedPalette:
    """A palette as it will be written, with the labels of the colours that it was fitted to."""

    palette: Palette
    """Distinct colours, every one in use, by descending count, ties by value; with counts."""
    assignment: Assignment
    """Nearest entry of each colour, in the order of the boxes."""


def finish_palette(
    boxes: ColorBoxes, colors: NDArray[np.floating | np.uint8], n_colors: int
) -> FinishedPalette:
    """Return the palette of ``min(n_colors, distinct colours)`` entries nearest to ``colors``.

    Parameters
    ----------
    boxes : ColorBoxes
        The weighted colours to be painted.
    colors : ndarray
        Centroids, sRGB levels, ``(k, 3)``.
    n_colors : int
        Entries wanted.
    """
    n_entries = min(n_colors, len(boxes.points))
    entries = _distinct(np.rint(np.clip(colors, 0, 255)).astype(np.uint8))[:n_entries]
    while True:
        entries = _fill_up(boxes, entries, n_entries)
        entries, assignment = _sort_entries(boxes, entries)
        counts = assignment.count(n_entries)
        if counts.all():  # the order decides ties, and so could empty an entry
            return FinishedPalette(Palette(entries, counts), assignment)
        entries = entries[counts > 0]


def apply_palette(boxes: ColorBoxes, palette: Palette) -> FinishedPalette:
    """Return a given palette, its order kept, with counts of its own; entries may be unused."""
    assignment = boxes.assign(palette.colors)
    counts = assignment.count(len(palette))
    return FinishedPalette(Palette(palette.colors, counts), assignment)


def _distinct(entries: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the distinct rows of ``(k, 3)`` entries, ascending."""
    return unpack_colors(np.unique(pack_colors(entries)))


def _fill_up(boxes: ColorBoxes, entries: NDArray[np.uint8], n_entries: int) -> NDArray[np.uint8]:
    """Drop entries that win no pixel and add colours with much error until all are in use."""
    while True:
        assignment = boxes.assign(entries)
        entries = entries[assignment.count(len(entries)) > 0]
        missing = n_entries - len(entries)
        if missing == 0:
            return entries
        errors = assignment.errors
        wanted = -(-missing // _REFILL_SHARE)
        worst = np.argsort(-errors, kind="stable")[:wanted]
        entries = np.concatenate([entries, boxes.points[worst[errors[worst] > 0]]])


def _sort_entries(
    boxes: ColorBoxes, entries: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], Assignment]:
    """Order entries by descending count, ties by colour value, and assign every colour to them.

    A colour as near to two entries goes to the one that comes first, so the order changes the
    counts by which it is made. Sorting outright nearly always settles at once. Where it does not,
    neighbours in the wrong order are swapped, all pairs that share no entry at a time: a swap moves
    pixels from the smaller to the larger of the two only, so the sum of squared counts rises, or
    else an inversion is gone for good; either way it ends.
    """
    for n_sorts in itertools.count(1):
        assignment = boxes.assign(entries)
        order = np.lexsort((pack_colors(entries), -assignment.count(len(entries))))
        rank = np.argsort(order)
        inverted = np.flatnonzero(rank[1:] < rank[:-1])
        if len(inverted) == 0:
            break
        if n_sorts > _BULK_SORTS:
            first = _pick_disjoint(inverted)
            order = np.arange(len(entries))
            order[first], order[first + 1] = first + 1, first
        entries = entries[order]
    return entries, assignment


def _pick_disjoint(inverted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return every other one of each run of consecutive positions: pairs that share no entry."""
    begins = np.diff(inverted, prepend=-2) > 1
    run_starts = np.maximum.accumulate(np.where(begins, inverted, 0))
    disjoint: NDArray[np.int64] = inverted[(inverted - run_starts) % 2 == 0]
    return disjoint
