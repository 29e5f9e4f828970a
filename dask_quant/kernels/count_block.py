"""Count the colours of pixels, exactly.

Two ways that give the same sorted, sparse result, packed colours and their counts:

- a dense table of 2^24 bins, for blocks of some million pixels and more. Bins are 16 bits wide,
  which halves the memory traffic; each time that one wraps around is noted in a short list;
- sorting, for blocks so small that scanning 2^24 bins would cost more than the pixels.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import numpy as np

from dask_quant.kernels.cells import BLUE_BINS, GREEN_BINS, N_CODES, RED_BINS
from dask_quant.kernels.jit import compile_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

DENSE_MIN_PIXELS: Final = 1 << 21
"""Pixels from which the dense table is quicker than sorting (measured, flat around the optimum)."""

SCRATCH_BYTES: Final = 2 * N_CODES
"""Bytes of the dense table that each thread keeps."""

_WRAP: Final = 1 << 16
"""Pixels after which a 16-bit bin is back at 0."""

_SEGMENT_PIXELS: Final = 1 << 30
"""Pixels counted before carries are folded in, so that their list stays small (arbitrary)."""

_scratch = threading.local()


def count_block(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Count the distinct colours of a block.

    Parameters
    ----------
    pixels : ndarray
        sRGB uint8 ``(..., 3)``.

    Returns
    -------
    codes : ndarray
        Distinct colours, packed ``red << 16 | green << 8 | blue``, uint32 ``(n,)``, ascending.
    counts : ndarray
        Pixels of each, int64 ``(n,)``.

    Notes
    -----
    One pass, O(pixels). Peak bytes beside the input: 32 MiB that the thread keeps, and 12 per
    distinct colour; when sorting, 4 per pixel and 12 per distinct colour.
    """
    rows = np.ascontiguousarray(pixels).reshape(-1, 3)
    if len(rows) < DENSE_MIN_PIXELS:
        return _count_by_sorting(rows)
    return _count_densely(rows)


def _count_by_sorting(rows: NDArray[np.uint8]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Count ``(n, 3)`` rows by sorting their codes."""
    codes = pack_colors(rows)
    codes.sort()
    is_first = np.empty(len(codes), dtype=bool)
    is_first[:1] = True
    np.not_equal(codes[1:], codes[:-1], out=is_first[1:])
    starts = np.flatnonzero(is_first)
    return codes[starts], np.diff(starts, append=len(codes))


def _count_densely(rows: NDArray[np.uint8]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Count ``(n, 3)`` rows in this thread's table of 2^24 bins, and leave the table zeroed."""
    table = _borrow_table()
    carries: list[NDArray[np.uint32]] = []
    for begin in range(0, len(rows), _SEGMENT_PIXELS):
        segment = rows[begin : begin + _SEGMENT_PIXELS]
        carry = np.empty(len(segment) // _WRAP + 1, dtype=np.uint32)
        n_carries = _add_pixels(segment, table, carry, RED_BINS, GREEN_BINS, BLUE_BINS)
        carries.append(carry[:n_carries])
    wrapped, times = np.unique(np.concatenate(carries), return_counts=True)
    at_zero = wrapped[table[wrapped] == 0]
    table[at_zero] = 1  # seen by the collection, and taken off again below
    codes, counts, bins = _collect(table, RED_BINS, GREEN_BINS, BLUE_BINS)
    if len(wrapped):
        order = np.argsort(bins)
        counts[order[np.searchsorted(bins, wrapped, sorter=order)]] += times * _WRAP
        counts[order[np.searchsorted(bins, at_zero, sorter=order)]] -= 1
    return codes, counts


def _borrow_table() -> NDArray[np.uint16]:
    """Return this thread's zeroed table of 2^24 bins; whoever borrows it zeroes it again."""
    table: NDArray[np.uint16] | None = getattr(_scratch, "table", None)
    if table is None:
        table = np.zeros(N_CODES, dtype=np.uint16)
        _scratch.table = table
    return table


def pack_colors(colors: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return ``red << 16 | green << 8 | blue`` of uint8 ``(n, 3)`` rows, uint32 ``(n,)``."""
    codes = colors[:, 0].astype(np.uint32)
    for band in (1, 2):
        codes <<= np.uint32(8)
        codes |= colors[:, band]
    return codes


def unpack_colors(codes: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Return the uint8 ``(n, 3)`` rows of packed colours."""
    colors = np.empty((len(codes), 3), dtype=np.uint8)
    for band, shift in enumerate((16, 8, 0)):
        colors[:, band] = codes >> np.uint32(shift)  # the cast keeps the low 8 bits
    return colors


@compile_kernel
def _add_pixels(
    rows: NDArray[np.uint8],
    table: NDArray[np.uint16],
    carry: NDArray[np.uint32],
    red: NDArray[np.uint32],
    green: NDArray[np.uint32],
    blue: NDArray[np.uint32],
) -> int:
    """Add uint8 ``(n, 3)`` rows to the bins; list every bin that wraps around to 0."""
    n_carries = 0
    # Unsigned indices spare the test for negative ones, a fifth of the time.
    for i in range(np.uint64(rows.shape[0])):
        bin_ = np.uint64(
            red[rows[i, np.uint64(0)]] | green[rows[i, np.uint64(1)]] | blue[rows[i, np.uint64(2)]]
        )
        count = np.uint16(table[bin_] + np.uint16(1))
        table[bin_] = count
        if count == 0:
            carry[n_carries] = bin_
            n_carries += 1
    return n_carries


@compile_kernel
def _collect(
    table: NDArray[np.uint16],
    red: NDArray[np.uint32],
    green: NDArray[np.uint32],
    blue: NDArray[np.uint32],
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.uint32]]:
    """Return codes (ascending), counts and bins of the bins above 0, and zero the table."""
    words = table.view(np.uint64)  # four bins at a time: most of the table is empty
    n = 0
    for i in range(words.shape[0]):
        if words[i] != 0:
            for bin_ in range(4 * i, 4 * i + 4):
                n += table[bin_] != 0
    codes = np.empty(n, dtype=np.uint32)
    counts = np.empty(n, dtype=np.int64)
    bins = np.empty(n, dtype=np.uint32)
    position = 0
    for r in range(256):
        for g in range(256):
            row = red[r] | green[g]
            for b in range(0, 256, 8):
                first = row | blue[b]  # eight levels of blue that differ in their low bits only
                word = first >> 2
                if words[word] == 0 and words[word + 1] == 0:
                    continue
                for low in range(8):
                    count = table[first + low]
                    if count != 0:
                        codes[position] = (r << 16) | (g << 8) | (b + low)
                        counts[position] = count
                        bins[position] = first + low
                        position += 1
                words[word] = 0
                words[word + 1] = 0
    return codes, counts, bins


@compile_kernel
def merge_counts_block(
    codes_a: NDArray[np.uint32],
    counts_a: NDArray[np.int64],
    codes_b: NDArray[np.uint32],
    counts_b: NDArray[np.int64],
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Merge two sparse counts, codes ascending in each; counts of equal codes are added."""
    n_a, n_b = codes_a.shape[0], codes_b.shape[0]
    n, i, j = 0, 0, 0
    while i < n_a and j < n_b:
        code_a, code_b = codes_a[i], codes_b[j]
        i += code_a <= code_b
        j += code_b <= code_a
        n += 1
    n += (n_a - i) + (n_b - j)
    codes = np.empty(n, dtype=np.uint32)
    counts = np.empty(n, dtype=np.int64)
    i, j = 0, 0
    for position in range(n):
        take_a = j == n_b or (i < n_a and codes_a[i] <= codes_b[j])
        take_b = i == n_a or (j < n_b and codes_b[j] <= codes_a[i])
        count = np.int64(0)
        if take_a:
            codes[position] = codes_a[i]
            count += counts_a[i]
            i += 1
        if take_b:
            codes[position] = codes_b[j]
            count += counts_b[j]
            j += 1
        counts[position] = count
    return codes, counts
