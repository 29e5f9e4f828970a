"""Count the colours of pixels that may be transparent, exactly, in a hash table.

There are 2^32 of them, too many for a table of all. A small table is filled until it is half full,
is emptied into a sorted list, and the lists are merged: what is held follows the colours, not the
pixels. A picture has long runs of one colour, which are counted without a look into the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dask_quant.kernels.count_block import merge_counts_block
from dask_quant.kernels.jit import compile_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Counted = tuple[NDArray[np.uint32], NDArray[np.int64]]

TABLE_BITS: Final = 19
"""Bits of a slot's number at most: 4 MiB of keys and counts, which a cache holds (arbitrary)."""

MOST_KEYS: Final = 1 << (TABLE_BITS - 1)
"""Colours at which such a table is emptied: half full, where a search is still short."""

HASH_FACTOR: Final = np.uint32(2_654_435_769)
"""2^32 divided by the golden ratio: multiplicative hashing, Knuth, TAOCP volume 3, 6.4."""

SCRATCH_BYTES: Final = (8 << TABLE_BITS) + 8 * MOST_KEYS
"""Bytes of a table and of the list that it is emptied into."""

_MOST_PIXELS = 1 << 31
"""Pixels that are counted in one go: a slot counts in 32 bits."""


def count_alpha_block(pixels: NDArray[np.uint8]) -> Counted:
    """Count the distinct colours of a block with transparency.

    Parameters
    ----------
    pixels : ndarray
        RGBA uint8 ``(..., 4)``.

    Returns
    -------
    codes : ndarray
        Distinct colours, packed ``(255 - alpha) << 24 | red << 16 | green << 8 | blue``, uint32
        ``(n,)``, ascending: opaque ones first. All fully transparent pixels are black.
    counts : ndarray
        Pixels of each, int64 ``(n,)``.

    Notes
    -----
    One pass, O(pixels) but for the merges of lists of 2^18 colours. Peak bytes beside the input:
    `SCRATCH_BYTES`, and 24 per distinct colour.
    """
    words = view_words(pixels)
    n_bits = choose_bits(len(words))
    keys, counts = np.zeros(1 << n_bits, np.uint32), np.zeros(1 << n_bits, np.uint32)
    parts: list[Counted] = []
    begin = 0
    while begin < len(words):
        part = words[begin : begin + _MOST_PIXELS]
        n_done, n_keys = _fill_table(part, keys, counts, np.uint32(32 - n_bits))
        begin += n_done
        parts.append(_empty_table(keys, counts, n_keys))
        # As the digits of a binary counter: what is merged is of about one length.
        while len(parts) > 1 and (begin == len(words) or len(parts[-2][0]) <= len(parts[-1][0])):
            parts.append(merge_counts_block(*parts.pop(), *parts.pop()))
    return parts[0] if parts else (np.empty(0, np.uint32), np.empty(0, np.int64))


def choose_bits(n_pixels: int) -> int:
    """Return the bits of a slot's number of a table that all of a few pixels fit into."""
    return min(TABLE_BITS, max(1, n_pixels).bit_length() + 1)


def view_words(pixels: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return RGBA pixels ``(..., 4)`` as words ``alpha << 24 | blue << 16 | green << 8 | red``."""
    rows = np.ascontiguousarray(pixels).reshape(-1, 4)
    words = rows.view("<u4").reshape(-1)
    return words.astype(np.uint32, copy=False)  # a copy where the highest byte comes first


def _empty_table(keys: NDArray[np.uint32], counts: NDArray[np.uint32], n_keys: int) -> Counted:
    """Return what a table of ``n_keys`` words counted, by ascending code, and zero it."""
    entries = np.empty(n_keys, dtype=np.uint64)
    _list_entries(keys, counts, entries)
    entries.sort()
    counted = (entries & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return (entries >> np.uint64(32)).astype(np.uint32), counted


@compile_kernel
def _fill_table(
    words: NDArray[np.uint32],
    keys: NDArray[np.uint32],
    counts: NDArray[np.uint32],
    shift: np.uint32,
) -> tuple[int, int]:
    """Count words until the table is half full; return how many words and colours that are."""
    n = words.shape[0]
    mask = np.uint32(keys.shape[0] - 1)
    n_keys = 0
    slot = np.uint32(0)
    last = np.uint32(0)
    for i in range(n):
        word = words[i]
        if word < np.uint32(1 << 24):  # alpha 0: its colour shows nowhere
            word = np.uint32(0)
        if i > 0 and word == last:
            counts[slot] += np.uint32(1)
            continue
        slot = np.uint32(word * HASH_FACTOR) >> shift
        while counts[slot] != 0 and keys[slot] != word:
            slot = (slot + np.uint32(1)) & mask
        if counts[slot] == 0:
            if 2 * n_keys == keys.shape[0]:
                return i, n_keys
            keys[slot] = word
            n_keys += 1
        counts[slot] += np.uint32(1)
        last = word
    return n, n_keys


@compile_kernel
def _list_entries(
    keys: NDArray[np.uint32], counts: NDArray[np.uint32], entries: NDArray[np.uint64]
) -> None:
    """List ``code << 32 | count`` of the words of a table, and zero it."""
    position = 0
    for slot in range(keys.shape[0]):
        if counts[slot] != 0:
            word = np.uint64(keys[slot])
            code = (np.uint64(255) - (word >> np.uint64(24))) << np.uint64(24)
            code |= (word & np.uint64(255)) << np.uint64(16)
            code |= word & np.uint64(255 << 8)
            code |= (word >> np.uint64(16)) & np.uint64(255)
            entries[position] = code << np.uint64(32) | np.uint64(counts[slot])
            position += 1
            counts[slot] = 0
