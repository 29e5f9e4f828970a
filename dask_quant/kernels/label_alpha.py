"""Labels of pixels with transparency, by way of their distinct colours.

There are 2^32 colours, too many for a table of labels. A hash table gives every distinct colour of
some pixels a number; whoever knows the palette labels the colours, and each pixel takes the label
of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.kernels.count_alpha import (
    HASH_FACTOR,
    choose_bits,
    view_words,
)
from dask_quant.kernels.jit import compile_kernel

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dask_quant.kernels.assign import LabelDtype, Labels

_PART_PIXELS = 1 << 20
"""Pixels whose numbers are held at a time: 4 MiB."""


def label_alpha_block(
    pixels: NDArray[np.uint8],
    find_labels: Callable[[NDArray[np.uint8]], NDArray[np.integer]],
    dtype: LabelDtype,
) -> Labels:
    """Return the label of every pixel.

    Parameters
    ----------
    pixels : ndarray
        RGBA uint8 ``(..., 4)``.
    find_labels : callable
        Labels distinct colours, RGBA uint8 ``(n, 4)``; what is fully transparent is black.
    dtype : dtype
        Of the labels.

    Returns
    -------
    ndarray
        Labels ``(...)``.

    Notes
    -----
    Peak bytes beside input and output: 8 MiB, and what ``find_labels`` takes for 2^18 colours.
    """
    words = view_words(pixels)
    labels: Labels = np.empty(pixels.shape[:-1], dtype=dtype)
    flat = labels.reshape(-1)
    n_bits = choose_bits(len(words))
    slots, keys = np.empty(1 << n_bits, np.int32), np.empty(1 << n_bits, np.uint32)
    listed = np.empty(1 << (n_bits - 1), dtype=np.uint32)
    numbers = np.empty(min(_PART_PIXELS, len(words)), dtype=np.int32)
    begin = n_known = 0
    known = np.empty(0, dtype=dtype)
    while begin < len(words):
        n_before = n_known
        part = words[begin : begin + _PART_PIXELS]
        n_done, n_known = _number_words(
            *(part, slots, keys, np.uint32(32 - n_bits)), listed, n_before, numbers
        )
        if n_known > n_before:
            fresh = listed[n_before:n_known].astype("<u4").view(np.uint8).reshape(-1, 4)
            known = np.concatenate([known[:n_before], find_labels(fresh).astype(dtype)])
        np.take(known, numbers[:n_done], out=flat[begin : begin + n_done])
        begin += n_done
        if n_done < len(part):  # the table is full: begin it anew
            n_known = 0
    return labels


@compile_kernel
def _number_words(
    words: NDArray[np.uint32],
    slots: NDArray[np.int32],
    keys: NDArray[np.uint32],
    shift: np.uint32,
    listed: NDArray[np.uint32],
    n_listed: int,
    numbers: NDArray[np.int32],
) -> tuple[int, int]:
    """Give words numbers by when they first came, until the table is half full.

    ``slots`` and ``keys`` are the table: the number of a word and the word; ``listed`` the words by
    number. Tables begin anew where ``n_listed`` is 0. Returns how many words got their ``numbers``,
    and how many are listed.
    """
    mask = np.uint32(slots.shape[0] - 1)
    if n_listed == 0:
        slots[:] = -1
    number = 0
    last = np.uint32(0)
    for i in range(words.shape[0]):
        word = words[i]
        if word < np.uint32(1 << 24):  # alpha 0: its colour shows nowhere
            word = np.uint32(0)
        if i == 0 or word != last:
            slot = np.uint32(word * HASH_FACTOR) >> shift
            while slots[slot] >= 0 and keys[slot] != word:
                slot = (slot + np.uint32(1)) & mask
            if slots[slot] < 0:
                if n_listed == listed.shape[0]:
                    return i, n_listed
                slots[slot] = n_listed
                keys[slot] = word
                listed[n_listed] = word
                n_listed += 1
            number = slots[slot]
            last = word
        numbers[i] = number
    return words.shape[0], n_listed
