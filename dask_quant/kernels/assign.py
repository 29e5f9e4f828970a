"""Nearest palette entry: for weighted colours, for every colour there is, for pixels.

Distances to whole levels are integers (float64 holds them exactly up to 2^53), ties go to the
lower index, so labels are those of a comparison with every entry. Boxes of colour space prune the
entries exactly (see `prune`).

Pixels are labelled through a table over all 2^24 colours: one gather each, whatever the palette.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dask_quant.kernels.cells import (
    BLUE_BINS,
    CELL_BITS,
    CELL_COLORS,
    CELLS_PER_BLOCK,
    GREEN_BINS,
    N_CELLS,
    N_CODES,
    RED_BINS,
)
from dask_quant.kernels.count_block import BITS_8, BITS_16, BITS_24, BYTE, split_words
from dask_quant.kernels.jit import compile_kernel, plain_int
from dask_quant.kernels.prune import (
    EVERYONE,
    IN_BLOCK,
    IN_CELL,
    N_LEVELS,
    list_everyone,
    prune_block,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Labels = NDArray[np.uint8] | NDArray[np.uint16]
    LabelDtype = np.dtype[np.uint8] | np.dtype[np.uint16]

ONLY_BOX: Final = plain_int(0)
"""Index of a box that is pruned for alone."""


@compile_kernel
def assign_block(
    points: NDArray[np.uint8 | np.uint16],
    starts: NDArray[np.int64],
    cell_low: NDArray[np.float64],
    cell_high: NDArray[np.float64],
    block_starts: NDArray[np.int64],
    block_low: NDArray[np.float64],
    block_high: NDArray[np.float64],
    palette: NDArray[np.float64],
    tied_colors: NDArray[np.int64],
    tied_entries: NDArray[np.int32],
) -> tuple[NDArray[np.uint16], NDArray[np.int32], int]:
    """Find the nearest palette entry of every colour, and all of them where there are several.

    Parameters
    ----------
    points, starts, cell_low, cell_high, block_starts, block_low, block_high
        Colours in boxes, as `dask_quant.kernels.clusters.Layout` describes them.
    palette : ndarray
        Points of the same space, float64 ``(k, 3)``, ``k <= 65536``.
    tied_colors, tied_entries : ndarray
        Out: pairs of a colour with several nearest entries and one of these, int64 and int32, both
        ascending, as far as there is room.

    Returns
    -------
    labels : ndarray
        Index of the nearest entry, the lowest on ties, uint16 ``(n,)``.
    distances : ndarray
        Squared distance to it, cut to int32 ``(n,)``.
    n_pairs : int
        How many pairs there are, in the room or not.
    """
    k = palette.shape[0]
    n = points.shape[0]
    labels = np.empty(n, dtype=np.uint16)
    distances = np.empty(n, dtype=np.int32)
    candidates, slots = np.empty((N_LEVELS, 3, k)), np.empty((N_LEVELS, k), dtype=np.int64)
    scratch = np.empty(k)
    list_everyone(palette, candidates, slots)
    n_pairs = 0
    for block in range(block_starts.shape[0] - 1):
        n_block = prune_block(block_low, block_high, block, candidates, slots, EVERYONE, k, scratch)
        for cell in range(block_starts[block], block_starts[block + 1]):
            n_cell = prune_block(
                cell_low, cell_high, cell, candidates, slots, IN_BLOCK, n_block, scratch
            )
            for i in range(starts[cell], starts[cell + 1]):
                p0, p1, p2 = points[i, 0], points[i, 1], points[i, 2]
                best = 0
                best_distance = np.inf
                n_best = 0
                for j in range(n_cell):
                    d0 = candidates[IN_CELL, 0, j] - p0
                    d1 = candidates[IN_CELL, 1, j] - p1
                    d2 = candidates[IN_CELL, 2, j] - p2
                    distance = d0 * d0 + d1 * d1 + d2 * d2
                    scratch[j] = distance
                    if distance < best_distance:
                        best_distance = distance
                        best = j
                        n_best = 1
                    elif distance == best_distance:
                        n_best += 1
                labels[i] = slots[IN_CELL, best]
                distances[i] = best_distance
                if n_best == 1:
                    continue
                for j in range(n_cell):
                    if scratch[j] == best_distance:
                        if n_pairs < tied_colors.shape[0]:
                            tied_colors[n_pairs] = i
                            tied_entries[n_pairs] = slots[IN_CELL, j]
                        n_pairs += 1
    return labels, distances, n_pairs


@compile_kernel
def _fill_table(
    palette: NDArray[np.float64],
    bins_low: NDArray[np.uint8],
    table: Labels,
) -> None:
    """Write the label of every colour into ``table``, cell after cell.

    ``bins_low`` uint8 ``(512, 3)`` holds the offsets of the colours in a cell; ``table`` is uint8
    or uint16 ``(2^24,)``.
    """
    k = palette.shape[0]
    candidates, slots = np.empty((N_LEVELS, 3, k)), np.empty((N_LEVELS, k), dtype=np.int64)
    scratch = np.empty(k)
    list_everyone(palette, candidates, slots)
    low, high = np.empty((1, 3)), np.empty((1, 3))
    box = ONLY_BOX
    for block in range(N_CELLS // CELLS_PER_BLOCK):
        for band in range(3):
            low[box, band] = ((block >> (3 * (2 - band))) & 7) * 32
            high[box, band] = low[box, band] + 31
        n_block = prune_block(low, high, box, candidates, slots, EVERYONE, k, scratch)
        for cell in range(block * CELLS_PER_BLOCK, (block + 1) * CELLS_PER_BLOCK):
            for band in range(3):
                coarse = ((block >> (3 * (2 - band))) & 7) * 32
                low[box, band] = coarse + ((cell >> (2 * (2 - band))) & 3) * 8
                high[box, band] = low[box, band] + 7
            n_cell = prune_block(low, high, box, candidates, slots, IN_BLOCK, n_block, scratch)
            first = cell << CELL_BITS
            if n_cell == 1:
                table[first : first + CELL_COLORS] = slots[IN_CELL, 0]
                continue
            for j in range(n_cell):
                for band in range(3):
                    candidates[IN_CELL, band, j] -= low[box, band]
            for i in range(CELL_COLORS):
                p0, p1, p2 = bins_low[i, 0], bins_low[i, 1], bins_low[i, 2]
                best = 0
                best_distance = np.inf
                for j in range(n_cell):
                    d0 = candidates[IN_CELL, 0, j] - p0
                    d1 = candidates[IN_CELL, 1, j] - p1
                    d2 = candidates[IN_CELL, 2, j] - p2
                    distance = d0 * d0 + d1 * d1 + d2 * d2
                    if distance < best_distance:
                        best_distance = distance
                        best = j
                table[first + i] = slots[IN_CELL, best]


@compile_kernel
def _gather_rows(
    rows: NDArray[np.uint8],
    table: Labels,
    labels: Labels,
    red: NDArray[np.uint32],
    green: NDArray[np.uint32],
    blue: NDArray[np.uint32],
) -> None:
    """Label uint8 ``(n, 3)`` rows through a table over all bins."""
    for i in range(rows.shape[0]):
        labels[i] = table[red[rows[i, 0]] | green[rows[i, 1]] | blue[rows[i, 2]]]


@compile_kernel
def _gather_words(
    words: NDArray[np.uint32],
    table: Labels,
    labels: Labels,
    red: NDArray[np.uint32],
    green: NDArray[np.uint32],
    blue: NDArray[np.uint32],
) -> None:
    """Label pixels through a table over all bins, four from three words; see `split_words`."""
    for i in range(np.uint64(words.shape[0] // 3)):
        j = np.uint64(3) * i  # unsigned indices spare the test for negative ones
        a, b, c = words[j], words[j + np.uint64(1)], words[j + np.uint64(2)]
        bin_0 = red[a & BYTE] | green[(a >> BITS_8) & BYTE] | blue[(a >> BITS_16) & BYTE]
        bin_1 = red[a >> BITS_24] | green[b & BYTE] | blue[(b >> BITS_8) & BYTE]
        bin_2 = red[(b >> BITS_16) & BYTE] | green[b >> BITS_24] | blue[c & BYTE]
        bin_3 = red[(c >> BITS_8) & BYTE] | green[(c >> BITS_16) & BYTE] | blue[c >> BITS_24]
        first = np.uint64(4) * i
        labels[first] = table[np.uint64(bin_0)]
        labels[first + np.uint64(1)] = table[np.uint64(bin_1)]
        labels[first + np.uint64(2)] = table[np.uint64(bin_2)]
        labels[first + np.uint64(3)] = table[np.uint64(bin_3)]


@compile_kernel
def _scatter(
    points: NDArray[np.uint8],
    labels: NDArray[np.uint16],
    table: Labels,
    red: NDArray[np.uint32],
    green: NDArray[np.uint32],
    blue: NDArray[np.uint32],
) -> None:
    """Write the labels of uint8 ``(n, 3)`` colours into a table over all bins."""
    for i in range(points.shape[0]):
        table[red[points[i, 0]] | green[points[i, 1]] | blue[points[i, 2]]] = labels[i]


def build_table(palette: NDArray[np.uint8], dtype: LabelDtype) -> Labels:
    """Return the nearest entry of every 8-bit colour.

    Parameters
    ----------
    palette : ndarray
        sRGB uint8 ``(k, 3)``.
    dtype : dtype
        uint8 for up to 256 entries, or uint16.

    Returns
    -------
    ndarray
        Labels by bin (see `cells`), ``(2^24,)`` of ``dtype``: 16 or 32 MiB.
    """
    table: Labels = np.empty(N_CODES, dtype=dtype)
    in_cell = np.arange(CELL_COLORS)
    offsets = np.stack([(in_cell >> 6) & 7, (in_cell >> 3) & 7, in_cell & 7], axis=1)
    _fill_table(palette.astype(np.float64), offsets.astype(np.uint8), table)
    return table


def table_of_colors(
    colors: NDArray[np.uint8], labels: NDArray[np.uint16], dtype: LabelDtype
) -> Labels:
    """Return a table that holds the labels of the given colours only; the rest is undefined.

    Far quicker than `build_table` for the colours of one image: pages of the table that no colour
    falls into are never touched.

    Parameters
    ----------
    colors, labels : ndarray
        Every colour that will be looked up, uint8 ``(n, 3)``, and its label ``(n,)``.
    dtype : dtype
        uint8 or uint16.
    """
    table: Labels = np.empty(N_CODES, dtype=dtype)
    _scatter(colors, labels, table, RED_BINS, GREEN_BINS, BLUE_BINS)
    return table


def label_block(pixels: NDArray[np.uint8], table: Labels) -> Labels:
    """Label the pixels of a block: one gather each.

    Parameters
    ----------
    pixels : ndarray
        sRGB uint8 ``(..., 3)``.
    table : ndarray
        From `build_table` or `table_of_colors`.

    Returns
    -------
    ndarray
        Labels ``(...)`` of the table's dtype.
    """
    rows = np.ascontiguousarray(pixels).reshape(-1, 3)
    labels: Labels = np.empty(len(rows), dtype=table.dtype)
    head, words, tail = split_words(rows)
    first, last = len(head), len(rows) - len(tail)
    _gather_rows(head, table, labels[:first], RED_BINS, GREEN_BINS, BLUE_BINS)
    _gather_words(words, table, labels[first:last], RED_BINS, GREEN_BINS, BLUE_BINS)
    _gather_rows(tail, table, labels[last:], RED_BINS, GREEN_BINS, BLUE_BINS)
    return labels.reshape(pixels.shape[:-1])
