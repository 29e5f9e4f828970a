"""The order of palette entries by the pixels that they win in it.

A colour as near to two entries goes to the one that comes first, so what an entry wins depends on
who stands before it. See `order_block`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dask_quant.kernels.jit import compile_helper, compile_kernel, plain_int

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOT: Final = plain_int(0)
"""Top of the heap."""


@compile_helper
def _stands_before(
    first: int, second: int, estimates: NDArray[np.int64], codes: NDArray[np.uint32]
) -> bool:
    """Return whether the heap holds one entry above another: more to win, or a lower code."""
    if estimates[first] != estimates[second]:
        return bool(estimates[first] > estimates[second])
    return bool(codes[first] < codes[second])


@compile_helper
def _sift_down(
    heap: NDArray[np.int64],
    size: int,
    place: int,
    estimates: NDArray[np.int64],
    codes: NDArray[np.uint32],
) -> None:
    """Move the entry at ``place`` of a binary heap down to where it belongs."""
    entry = heap[place]
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size and _stands_before(heap[child + 1], heap[child], estimates, codes):
            child += 1
        if not _stands_before(heap[child], entry, estimates, codes):
            break
        heap[place] = heap[child]
        place = child
    heap[place] = entry


@compile_kernel
def order_block(
    winnable: NDArray[np.int64],
    codes: NDArray[np.uint32],
    tied_colors: NDArray[np.int64],
    tied_entries: NDArray[np.int32],
    weights: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Order entries so that each wins most of what those before it leave.

    Parameters
    ----------
    winnable : ndarray
        Weight that each entry wins when every tie is its own, int64 ``(k,)``; changed in place.
    codes : ndarray
        Packed colours of the entries, uint32 ``(k,)``; the lower stands first on equal weights.
    tied_colors, tied_entries : ndarray
        Pairs of a colour and one of its nearest entries, for colours that have several: int64 and
        int32 ``(n_pairs,)``, by ascending colour.
    weights : ndarray
        Weight of each colour, int64 ``(n,)``.

    Returns
    -------
    ndarray
        Positions of the entries, int64 ``(k,)``.

    Notes
    -----
    O((k + n_pairs) log k) for most data, 32 bytes an entry and 17 a pair. The heap is ordered by
    estimates: what an entry can win only shrinks, so one that is up to date on top is the best.
    """
    k, n_pairs = winnable.shape[0], tied_colors.shape[0]
    group_starts = np.empty(n_pairs, dtype=np.int64)  # of each pair: the first of its colour
    pair_starts = np.zeros(k + 2, dtype=np.int64)
    for pair in range(n_pairs):
        is_first = pair == 0 or tied_colors[pair] != tied_colors[pair - 1]
        group_starts[pair] = pair if is_first else group_starts[pair - 1]
        pair_starts[tied_entries[pair] + 2] += 1
    for entry in range(k):
        pair_starts[entry + 2] += pair_starts[entry + 1]
    pairs = np.empty(n_pairs, dtype=np.int64)  # entry after entry: a counting sort
    for pair in range(n_pairs):
        entry = tied_entries[pair]
        pairs[pair_starts[entry + 1]] = pair
        pair_starts[entry + 1] += 1
    is_claimed = np.zeros(n_pairs, dtype=np.bool_)  # at the first pair of a colour
    estimates = winnable.copy()
    heap = np.empty(k, dtype=np.int64)
    for place in range(k):
        heap[place] = place
    for place in range(k // 2 - 1, -1, -1):
        _sift_down(heap, k, place, estimates, codes)
    order = np.empty(k, dtype=np.int64)
    size = k
    while size:
        best = heap[0]
        if estimates[best] != winnable[best]:
            estimates[best] = winnable[best]
            _sift_down(heap, size, ROOT, estimates, codes)
            continue
        order[k - size] = best
        size -= 1
        heap[0] = heap[size]
        _sift_down(heap, size, ROOT, estimates, codes)
        for i in range(pair_starts[best], pair_starts[best + 1]):
            pair = group_starts[pairs[i]]
            if is_claimed[pair]:
                continue
            is_claimed[pair] = True
            color = tied_colors[pair]
            while pair < n_pairs and tied_colors[pair] == color:
                if tied_entries[pair] != best:
                    winnable[tied_entries[pair]] -= weights[color]
                pair += 1
    return order
