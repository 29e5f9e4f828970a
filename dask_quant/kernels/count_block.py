"""Count the colours of pixels, exactly.

Two ways that give the same sorted, sparse result, packed colours and their counts:

- a dense table of 2^24 bins, for blocks of some million pixels and more. Bins are 8 bits wide, so
  that the table fits into the last level of cache; a bin that wraps around carries into a second,
  32-bit table, which only colours of 256 pixels and more ever touch;
- sorting, for blocks so small that scanning 2^24 bins would cost more than the pixels.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dask_quant.kernels.cells import (
    BLUE_BINS,
    CELL_BITS,
    CELL_COLORS,
    GREEN_BINS,
    N_CELLS,
    N_CODES,
    RED_BINS,
)
from dask_quant.kernels.jit import compile_kernel, inline_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

DENSE_MIN_PIXELS: Final = 1 << 21
"""Pixels from which the dense table is quicker than sorting (measured, flat around the optimum)."""

SCRATCH_BYTES: Final = 5 * N_CODES + N_CELLS
"""Bytes of dense tables, once every colour was common (80 MiB)."""

CELL_SHIFT: Final = np.uint64(CELL_BITS)

CELL_WORDS: Final = CELL_COLORS // 8
"""Words of eight bins in a cell."""

BYTE: Final = np.uint32(255)
BITS_8: Final = np.uint32(8)
BITS_16: Final = np.uint32(16)
BITS_24: Final = np.uint32(24)

_scratch = threading.local()


class CountTables(NamedTuple):
    """Counts of all 2^24 colours: what pixels are added to, block after block."""

    low: NDArray[np.uint8]
    """Low bits of the bins, uint8 ``(2^24,)``."""
    high: NDArray[np.uint32]
    """What they carried, uint32 ``(2^24,)``: together they count to 2^40."""
    carried: NDArray[np.uint8]
    """Whether any bin of a cell carried, uint8 ``(N_CELLS,)``."""

    @classmethod
    def zeros(cls) -> CountTables:
        """Return tables of no pixel; their memory is taken as it is used."""
        return cls(
            np.zeros(N_CODES, dtype=np.uint8),
            np.zeros(N_CODES, dtype=np.uint32),
            np.zeros(N_CELLS, dtype=np.uint8),
        )


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
    One pass, O(pixels). Peak bytes beside the input: 16 to 80 MiB that the thread keeps, and 12
    per distinct colour; when sorting, 4 per pixel and 12 per distinct colour.
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
    """Count ``(n, 3)`` rows in this thread's tables, and leave them zeroed."""
    tables = _borrow_tables()
    add_block(rows, tables)
    counted = collect_tables(tables)
    _scratch.tables = tables
    return counted


def _borrow_tables() -> CountTables:
    """Take this thread's zeroed tables; whoever borrows them puts them back zeroed.

    A count that is interrupted keeps what it borrowed, so that no other finds its remains.
    """
    tables: CountTables | None = vars(_scratch).pop("tables", None)
    return tables or CountTables.zeros()


def add_block(pixels: NDArray[np.uint8], tables: CountTables) -> None:
    """Count the pixels of a block, uint8 ``(..., 3)``, into tables. O(pixels)."""
    head, words, tail = split_words(np.ascontiguousarray(pixels).reshape(-1, 3))
    for ends in (head, tail):
        _add_rows(ends, *tables, RED_BINS, GREEN_BINS, BLUE_BINS)
    _add_words(words, *tables, RED_BINS, GREEN_BINS, BLUE_BINS)


def collect_tables(tables: CountTables) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return what tables counted, as `count_block` does, and zero them."""
    return _collect(*tables, RED_BINS, GREEN_BINS, BLUE_BINS)


def split_words(
    rows: NDArray[np.uint8],
) -> tuple[NDArray[np.uint8], NDArray[np.uint32], NDArray[np.uint8]]:
    """Return C-contiguous ``(n, 3)`` rows as a few rows, 32-bit words, and a few rows.

    Three words hold four pixels, lowest byte first, so the words are whole groups of three, at
    aligned addresses. On machines with the highest byte first all is left to rows.
    """
    n_head = rows.ctypes.data % 4  # 3 bytes a pixel: each takes the address one back, modulo 4
    n_words = max(0, (len(rows) - n_head) // 4) if sys.byteorder == "little" else 0
    middle = slice(n_head, n_head + 4 * n_words)
    return rows[:n_head], rows[middle].reshape(-1).view(np.uint32), rows[middle.stop :]


def pack_colors(colors: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return ``red << 16 | green << 8 | blue`` of uint8 ``(n, 3)`` rows, uint32 ``(n,)``.

    Of rows ``(n, 4)`` the highest byte is 255 less the alpha: opaque ones have the same code.
    """
    codes = colors[:, 0].astype(np.uint32)
    for band in (1, 2):
        codes <<= np.uint32(8)
        codes |= colors[:, band]
    if colors.shape[1] == 4:
        codes |= (255 - colors[:, 3]).astype(np.uint32) << BITS_24
    return codes


def unpack_colors(codes: NDArray[np.uint32], n_bands: int = 3) -> NDArray[np.uint8]:
    """Return the uint8 ``(n, n_bands)`` rows of packed colours, the fourth band being alpha."""
    colors = np.empty((len(codes), n_bands), dtype=np.uint8)
    for band, shift in zip(range(n_bands), (16, 8, 0, 24), strict=False):
        colors[:, band] = codes >> np.uint32(shift)  # the cast keeps the low 8 bits
    np.subtract(255, colors[:, 3:], out=colors[:, 3:])
    return colors


@inline_kernel
def _bump(
    low: NDArray[np.uint8], high: NDArray[np.uint32], carried: NDArray[np.uint8], bin_: np.uint64
) -> None:
    """Add a pixel to a bin."""
    count = np.uint8(low[bin_] + np.uint8(1))
    low[bin_] = count
    if count == 0:
        high[bin_] += np.uint32(1)
        carried[bin_ >> CELL_SHIFT] = 1


@compile_kernel
def _add_rows(
    rows: NDArray[np.uint8],
    low: NDArray[np.uint8],
    high: NDArray[np.uint32],
    carried: NDArray[np.uint8],
    red: NDArray[np.uint32],
    green: NDArray[np.uint32],
    blue: NDArray[np.uint32],
) -> None:
    """Add uint8 ``(n, 3)`` rows to the bins."""
    for i in range(rows.shape[0]):
        _bump(low, high, carried, np.uint64(red[rows[i, 0]] | green[rows[i, 1]] | blue[rows[i, 2]]))


@compile_kernel
def _add_words(
    words: NDArray[np.uint32],
    low: NDArray[np.uint8],
    high: NDArray[np.uint32],
    carried: NDArray[np.uint8],
    red: NDArray[np.uint32],
    green: NDArray[np.uint32],
    blue: NDArray[np.uint32],
) -> None:
    """Add pixels to the bins, four from three words; see `split_words`."""
    for i in range(np.uint64(words.shape[0] // 3)):
        j = np.uint64(3) * i  # unsigned indices spare the test for negative ones
        a, b, c = words[j], words[j + np.uint64(1)], words[j + np.uint64(2)]
        bin_0 = red[a & BYTE] | green[(a >> BITS_8) & BYTE] | blue[(a >> BITS_16) & BYTE]
        bin_1 = red[a >> BITS_24] | green[b & BYTE] | blue[(b >> BITS_8) & BYTE]
        bin_2 = red[(b >> BITS_16) & BYTE] | green[b >> BITS_24] | blue[c & BYTE]
        bin_3 = red[(c >> BITS_8) & BYTE] | green[(c >> BITS_16) & BYTE] | blue[c >> BITS_24]
        _bump(low, high, carried, np.uint64(bin_0))
        _bump(low, high, carried, np.uint64(bin_1))
        _bump(low, high, carried, np.uint64(bin_2))
        _bump(low, high, carried, np.uint64(bin_3))


@compile_kernel
def _count_bins(
    low: NDArray[np.uint8], high: NDArray[np.uint32], carried: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """Return how many bins above 0 each cell holds, int64 ``(N_CELLS,)``."""
    words = low.view(np.uint64)
    n_bins = np.zeros(N_CELLS, dtype=np.int64)
    for cell in range(N_CELLS):
        own_words = words[cell * CELL_WORDS : (cell + 1) * CELL_WORDS]
        any_bit = np.uint64(carried[cell])
        for i in range(CELL_WORDS):  # most cells are empty: look at words first
            any_bit |= own_words[i]
        if any_bit == 0:
            continue
        n = 0
        first = cell * CELL_COLORS
        if carried[cell]:
            for bin_ in range(first, first + CELL_COLORS):
                n += (low[bin_] != 0) | (high[bin_] != 0)
        else:
            for bin_ in range(first, first + CELL_COLORS):
                n += low[bin_] != 0
        n_bins[cell] = n
    return n_bins


@compile_kernel
def _collect(
    low: NDArray[np.uint8],
    high: NDArray[np.uint32],
    carried: NDArray[np.uint8],
    red: NDArray[np.uint32],
    green: NDArray[np.uint32],
    blue: NDArray[np.uint32],
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return codes, ascending, and counts of the bins above 0, and zero the tables."""
    words = low.view(np.uint64)
    n_bins = _count_bins(low, high, carried)
    n = n_bins.sum()
    codes = np.empty(n, dtype=np.uint32)
    counts = np.empty(n, dtype=np.int64)
    occupied = np.empty(32, dtype=np.int64)  # levels of blue at which a cell in use begins
    position = 0
    for r in range(256):
        for g in range(256):
            row = red[r] | green[g]
            if g % 8 == 0:
                n_occupied = 0
                for b in range(0, 256, 8):
                    if n_bins[(row | blue[b]) >> CELL_SHIFT] != 0:
                        occupied[n_occupied] = b
                        n_occupied += 1
            for i in range(n_occupied):
                b = occupied[i]
                first = row | blue[b]  # eight levels of blue that differ in their low bits only
                has_carries = carried[first >> CELL_SHIFT]
                if words[first >> 3] == 0 and not has_carries:
                    continue
                for step in range(8):
                    bin_ = first + step
                    count = np.int64(low[bin_])
                    if has_carries:
                        count += np.int64(high[bin_]) << 8
                        high[bin_] = 0
                    if count != 0:
                        codes[position] = (r << 16) | (g << 8) | (b + step)
                        counts[position] = count
                        position += 1
                words[first >> 3] = 0
    carried[:] = 0
    return codes, counts


@compile_kernel
def merge_tables_block(
    low: NDArray[np.uint8],
    high: NDArray[np.uint32],
    carried: NDArray[np.uint8],
    other_low: NDArray[np.uint8],
    other_high: NDArray[np.uint32],
    other_carried: NDArray[np.uint8],
) -> None:
    """Add other tables to tables, cell by cell; the arrays are those of `CountTables`."""
    for cell in range(N_CELLS):
        first = cell * CELL_COLORS
        for bin_ in range(first, first + CELL_COLORS):
            both = np.uint32(low[bin_]) + np.uint32(other_low[bin_])
            low[bin_] = both & BYTE
            if both > BYTE:
                high[bin_] += np.uint32(1)
                carried[cell] = 1
        if other_carried[cell]:
            carried[cell] = 1
            for bin_ in range(first, first + CELL_COLORS):
                high[bin_] += other_high[bin_]


@compile_kernel
def merge_counts_block(
    codes_a: NDArray[np.uint32],
    counts_a: NDArray[np.int64],
    codes_b: NDArray[np.uint32],
    counts_b: NDArray[np.int64],
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Merge two sparse counts, codes ascending in each; counts of equal codes are added.

    Which comes next is no more foreseeable than a coin, so nothing branches on it: a difference
    shifted by 63 bits is -1, all bits set, where it is negative, and 0 elsewhere. The arrays are
    views of as many as both have together, of which nothing behind them was ever touched.
    """
    n_a, n_b = np.uint64(codes_a.shape[0]), np.uint64(codes_b.shape[0])
    codes = np.empty(n_a + n_b, dtype=np.uint32)
    counts = np.empty(n_a + n_b, dtype=np.int64)
    i = j = n = np.uint64(0)  # unsigned indices spare the test for negative ones
    while i < n_a and j < n_b:
        code_a, code_b = np.int64(codes_a[i]), np.int64(codes_b[j])
        a_is_more, b_is_more = (code_b - code_a) >> 63, (code_a - code_b) >> 63
        codes[n] = code_b + ((code_a - code_b) & b_is_more)
        counts[n] = (counts_a[i] & ~a_is_more) + (counts_b[j] & ~b_is_more)
        i += np.uint64(1 + a_is_more)
        j += np.uint64(1 + b_is_more)
        n += np.uint64(1)
    for rest in range(i, n_a):
        codes[n], counts[n] = codes_a[rest], counts_a[rest]
        n += np.uint64(1)
    for rest in range(j, n_b):
        codes[n], counts[n] = codes_b[rest], counts_b[rest]
        n += np.uint64(1)
    return codes[:n], counts[:n]
