"""Dithered labels of a block, through the table over all colours; and what they cost.

Ordered dithering adds to each pixel an offset that its place in the image decides, and takes the
entry nearest to the sum. Error diffusion adds what the pixels before could not show. Both in whole
levels and sixteenths, so that a block has the same labels wherever an image is cut.

References
----------
R. W. Floyd and L. Steinberg, "An adaptive algorithm for spatial grey scale", Proc. Society for
Information Display 17 (2), 1976.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dask_quant.kernels.cells import BLUE_BINS, GREEN_BINS, RED_BINS
from dask_quant.kernels.count_block import pack_colors
from dask_quant.kernels.jit import compile_kernel, inline_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.kernels.assign import Labels

    Errors = tuple[np.int32, np.int32, np.int32]
    Pending = tuple[Errors, Errors, Errors]

MAX_OFFSET: Final = 256
"""Offsets of ordered dithering are smaller than this, in levels, either way."""

_ONE: Final = np.uint64(1)
_LAG: Final = np.uint64(2)
"""How many pixels the lower of two rows stays behind: the error of the pixel above and right of
its own is then known."""

_NONE: Final = np.int32(0)
_FULL: Final = np.int32(255)
_HALF: Final = np.int32(8)
_SIXTEENTH: Final = np.int32(4)
"""Bits of the fraction of an error that is summed in sixteenths, and a half of it."""


def _widen_bins(bins: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the bins of levels -256 to 511, clipped to 0 to 255, uint32 ``(768,)``."""
    return bins[np.clip(np.arange(-MAX_OFFSET, 256 + MAX_OFFSET), 0, 255)]


_WIDE_BINS: Final = tuple(_widen_bins(bins) for bins in (RED_BINS, GREEN_BINS, BLUE_BINS))


@compile_kernel
def _label_with_offsets(
    pixels: NDArray[np.uint8],
    offsets: NDArray[np.uint64],
    table: Labels,
    codes: NDArray[np.uint32],
    labels: Labels,
    red: NDArray[np.uint32],
    green: NDArray[np.uint32],
    blue: NDArray[np.uint32],
) -> None:
    """Label ``(rows, columns, 3)``; ``offsets`` ``(side, side, 3)`` start at its first pixel.

    ``offsets`` are 256 too large, so that they index the wide bins; ``side`` is a power of 2.
    ``codes`` are the packed entries: a pixel that is one of them keeps it.
    """
    mask = np.uint64(offsets.shape[0] - 1)
    start = np.uint64(MAX_OFFSET)
    for y in range(np.uint64(pixels.shape[0])):
        row, row_offsets, row_labels = pixels[y], offsets[y & mask], labels[y]
        for x in range(np.uint64(pixels.shape[1])):
            r, g, b = np.uint64(row[x, 0]), np.uint64(row[x, 1]), np.uint64(row[x, 2])
            at = row_offsets[x & mask]
            own = table[np.uint64(red[start + r] | green[start + g] | blue[start + b])]
            moved = table[np.uint64(red[at[0] + r] | green[at[1] + g] | blue[at[2] + b])]
            code = (r << np.uint64(16)) | (g << np.uint64(8)) | b
            row_labels[x] = own if np.uint64(codes[np.uint64(own)]) == code else moved


@inline_kernel
def _diffuse_pixel(
    row: NDArray[np.uint8],
    x: np.uint64,
    above: NDArray[np.int16],
    below: NDArray[np.int16],
    table: Labels,
    entries: NDArray[np.int32],
    row_labels: Labels,
    red: NDArray[np.uint32],
    green: NDArray[np.uint32],
    blue: NDArray[np.uint32],
    pending: Pending,
) -> Pending:
    """Label one pixel and hand on its error; return what its right neighbour has to know.

    ``pending`` holds seven of the left neighbour's error and a half, then what the pixel below and
    left has so far, then the left neighbour's error, which the pixel below gets one of.
    """
    (a0, a1, a2), (b0, b1, b2), (c0, c1, c2) = pending
    v0 = np.int32(row[x, 0]) + ((above[x + _ONE, 0] + a0) >> _SIXTEENTH)
    v1 = np.int32(row[x, 1]) + ((above[x + _ONE, 1] + a1) >> _SIXTEENTH)
    v2 = np.int32(row[x, 2]) + ((above[x + _ONE, 2] + a2) >> _SIXTEENTH)
    # Else errors that no entry can make up for would grow without end.
    v0, v1, v2 = min(max(v0, _NONE), _FULL), min(max(v1, _NONE), _FULL), min(max(v2, _NONE), _FULL)
    label = table[np.uint64(red[np.uint64(v0)] | green[np.uint64(v1)] | blue[np.uint64(v2)])]
    row_labels[x] = label
    entry = np.uint64(label)
    e0, e1, e2 = v0 - entries[entry, 0], v1 - entries[entry, 1], v2 - entries[entry, 2]
    below[x, 0], below[x, 1], below[x, 2] = b0 + 3 * e0, b1 + 3 * e1, b2 + 3 * e2
    return (
        (np.int32(7 * e0 + _HALF), np.int32(7 * e1 + _HALF), np.int32(7 * e2 + _HALF)),
        (np.int32(c0 + 5 * e0), np.int32(c1 + 5 * e1), np.int32(c2 + 5 * e2)),
        (np.int32(e0), np.int32(e1), np.int32(e2)),
    )


@compile_kernel
def _diffuse_rows(
    pixels: NDArray[np.uint8],
    table: Labels,
    entries: NDArray[np.int32],
    carry: NDArray[np.int16],
    labels: Labels,
    red: NDArray[np.uint32],
    green: NDArray[np.uint32],
    blue: NDArray[np.uint32],
) -> None:
    """Label ``(rows, columns, 3)``, two rows at a time, and bring ``carry`` below the last.

    Each pixel waits for the one before it. Two rows, the lower one a little behind, give a core
    something to do meanwhile: 1.6 times as fast, with the same labels.
    """
    n_rows, width = np.uint64(pixels.shape[0]), np.uint64(pixels.shape[1])
    between = np.empty_like(carry)
    zero = (_NONE, _NONE, _NONE)
    start = ((_HALF, _HALF, _HALF), zero, zero)
    for pair in range((n_rows + _ONE) >> _ONE):
        y = np.uint64(pair) << _ONE
        is_pair = y + _ONE < n_rows
        lower_y = y + _ONE if is_pair else y
        row, row_labels, lower, lower_labels = (
            pixels[y],
            labels[y],
            pixels[lower_y],
            labels[lower_y],
        )
        upper_pending, pending = start, start
        for step in range(width + _LAG):
            x = np.uint64(step)
            if x < width:
                upper_pending = _diffuse_pixel(
                    row, x, carry, between, table, entries, row_labels, red, green, blue,
                    upper_pending,
                )  # fmt: skip
                if x + _ONE == width:
                    last = upper_pending[1]
                    between[width, 0], between[width, 1], between[width, 2] = last
            if is_pair and x >= _LAG:
                pending = _diffuse_pixel(
                    lower, x - _LAG, between, carry, table, entries, lower_labels, red, green, blue,
                    pending,
                )  # fmt: skip
        if is_pair:
            carry[width, 0], carry[width, 1], carry[width, 2] = pending[1]
        else:
            carry[:] = between


@compile_kernel
def _tally(
    pixels: NDArray[np.uint8],
    labels: Labels,
    entries: NDArray[np.int32],
    counts: NDArray[np.int64],
) -> int:
    """Add the pixels of each label to ``counts``, and return their squared error."""
    total = 0
    for i in range(np.uint64(labels.shape[0])):
        entry = np.uint64(labels[i])
        counts[entry] += 1
        d0 = np.int32(pixels[i, 0]) - entries[entry, 0]
        d1 = np.int32(pixels[i, 1]) - entries[entry, 1]
        d2 = np.int32(pixels[i, 2]) - entries[entry, 2]
        total += d0 * d0 + d1 * d1 + d2 * d2
    return total


@compile_kernel
def measure_gaps_block(colors: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the squared distance of each colour to the nearest of the others.

    Parameters
    ----------
    colors : ndarray
        Distinct levels, uint8 ``(k, 3)``, the first band ascending; ``k`` at least 2.

    Returns
    -------
    ndarray
        int64 ``(k,)``.

    Notes
    -----
    Looks along the first band until that alone is farther than the best so far.
    """
    n = colors.shape[0]
    gaps = np.empty(n, dtype=np.int64)
    for i in range(n):
        best = np.int64(3 * 256 * 256)
        for step in (-1, 1):
            j = i + step
            while 0 <= j < n:
                d0 = np.int64(colors[i, 0]) - np.int64(colors[j, 0])
                if d0 * d0 >= best:
                    break
                d1 = np.int64(colors[i, 1]) - np.int64(colors[j, 1])
                d2 = np.int64(colors[i, 2]) - np.int64(colors[j, 2])
                best = min(best, d0 * d0 + d1 * d1 + d2 * d2)
                j += step
        gaps[i] = best
    return gaps


def offset_block(
    pixels: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    table: Labels,
    palette: NDArray[np.uint8],
) -> Labels:
    """Label the pixels of a block, each moved by an offset and clipped to 0 to 255.

    A pixel whose very colour the palette holds keeps it.

    Parameters
    ----------
    pixels : ndarray
        sRGB uint8 ``(rows, columns, 3)``.
    offsets : ndarray
        Levels to add, above -256 and below 256, int64 ``(side, side, 3)``, ``side`` a power of 2;
        they repeat, and the first is that of the first pixel.
    table : ndarray
        From `dask_quant.kernels.assign.build_table`, of ``palette``.
    palette : ndarray
        sRGB uint8 ``(k, 3)``.

    Returns
    -------
    ndarray
        Labels ``(rows, columns)`` of the table's dtype.
    """
    labels: Labels = np.empty(pixels.shape[:2], dtype=table.dtype)
    wide = (offsets + MAX_OFFSET).astype(np.uint64)
    rows = np.ascontiguousarray(pixels)
    _label_with_offsets(rows, wide, table, pack_colors(palette), labels, *_WIDE_BINS)
    return labels


def diffuse_block(
    pixels: NDArray[np.uint8],
    table: Labels,
    palette: NDArray[np.uint8],
    carry: NDArray[np.int16],
) -> tuple[Labels, NDArray[np.int16]]:
    """Label whole rows of an image by error diffusion.

    Row by row, each from left to right. The error of a pixel, against its colour with the errors
    that it got, clipped to 0 to 255, goes on in sixteenths: 7 to the right, 3, 5 and 1 to the three
    pixels below.

    Parameters
    ----------
    pixels : ndarray
        sRGB uint8 ``(rows, columns, 3)``.
    table : ndarray
        From `dask_quant.kernels.assign.build_table`, of ``palette``.
    palette : ndarray
        sRGB uint8 ``(k, 3)``.
    carry : ndarray
        Errors that the row above handed down, in sixteenths of a level, int16 ``(columns + 1, 3)``:
        row ``i + 1`` is column ``i``'s. Zeros above the first row.

    Returns
    -------
    labels : ndarray
        ``(rows, columns)`` of the table's dtype.
    carry : ndarray
        The same for the row below the last.
    """
    labels: Labels = np.empty(pixels.shape[:2], dtype=table.dtype)
    entries, handed = palette.astype(np.int32), carry.copy()
    rows = np.ascontiguousarray(pixels)
    _diffuse_rows(rows, table, entries, handed, labels, RED_BINS, GREEN_BINS, BLUE_BINS)
    handed[0] = 0  # what fell off the left edge
    return labels, handed


def start_carry(width: int) -> NDArray[np.int16]:
    """Return what the first row of an image gets from above: nothing, int16 ``(width + 1, 3)``."""
    return np.zeros((width + 1, 3), dtype=np.int16)


def tally_block(
    pixels: NDArray[np.uint8], labels: Labels, palette: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], int]:
    """Count the pixels of each label and sum their squared error.

    Parameters
    ----------
    pixels, labels : ndarray
        sRGB uint8 ``(..., 3)`` and labels ``(...)``.
    palette : ndarray
        sRGB uint8 ``(k, 3)``.

    Returns
    -------
    counts : ndarray
        int64 ``(k,)``.
    squared_error : int
        Squared sRGB error over all pixels, summed over the bands.
    """
    counts = np.zeros(len(palette), dtype=np.int64)
    rows = np.ascontiguousarray(pixels).reshape(-1, 3)
    error = _tally(rows, labels.reshape(-1), palette.astype(np.int32), counts)
    return counts, int(error)
