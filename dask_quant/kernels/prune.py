"""Which centroids can be nearest to some colour of a box of colour space.

The test of Kanungo et al. [1]_: with ``b`` the centroid nearest to the middle of the box, a
centroid ``c`` loses everywhere in the box if it loses at the corner that lies furthest in the
direction from ``b`` to ``c``. Centroids are dropped only when they lose by more than the rounding
error, so that a comparison with those that are left equals one with all of them.

References
----------
.. [1] T. Kanungo, D. M. Mount, N. S. Netanyahu, C. D. Piatko, R. Silverman, A. Y. Wu, "An efficient
   k-means clustering algorithm: analysis and implementation", IEEE Transactions on Pattern Analysis
   and Machine Intelligence 24(7), 2002, doi:10.1109/TPAMI.2002.1017616.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dask_quant.kernels.cells import CELLS_PER_BLOCK
from dask_quant.kernels.jit import compile_kernel, inline_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARGIN: Final = 1e-6
"""Squared distance by which a centroid must lose to be dropped: far above the rounding error of
float64 (1e-10 at 255 levels), far below the 1 by which integer palettes differ at least."""


@compile_kernel
def prune_block(
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    centroids: NDArray[np.float64],
    candidates: NDArray[np.int32],
    n_candidates: int,
    kept: NDArray[np.int32],
) -> int:
    """Keep the centroids that can be nearest to some point of a box, in their order.

    Parameters
    ----------
    low, high : ndarray
        Opposite corners of the box, float64 ``(3,)``.
    centroids : ndarray
        float64 ``(k, 3)``.
    candidates : ndarray
        Indices of the centroids to look at, int32, of which the first ``n_candidates`` count.
    kept : ndarray
        Out: indices kept, int32, as long as ``candidates``; may not be the same array.

    Returns
    -------
    int
        How many were kept, at least 1.
    """
    middle_0 = 0.5 * (low[0] + high[0])
    middle_1 = 0.5 * (low[1] + high[1])
    middle_2 = 0.5 * (low[2] + high[2])
    best = candidates[0]
    best_distance = np.inf
    for i in range(n_candidates):
        c = candidates[i]
        d0 = centroids[c, 0] - middle_0
        d1 = centroids[c, 1] - middle_1
        d2 = centroids[c, 2] - middle_2
        distance = d0 * d0 + d1 * d1 + d2 * d2
        if distance < best_distance:
            best_distance = distance
            best = c
    b0, b1, b2 = centroids[best, 0], centroids[best, 1], centroids[best, 2]
    n_kept = 0
    for i in range(n_candidates):
        c = candidates[i]
        c0, c1, c2 = centroids[c, 0], centroids[c, 1], centroids[c, 2]
        corner_0 = high[0] if c0 > b0 else low[0]
        corner_1 = high[1] if c1 > b1 else low[1]
        corner_2 = high[2] if c2 > b2 else low[2]
        loss = (
            (c0 - b0) * (c0 + b0 - 2.0 * corner_0)
            + (c1 - b1) * (c1 + b1 - 2.0 * corner_1)
            + (c2 - b2) * (c2 + b2 - 2.0 * corner_2)
        )
        if loss <= MARGIN:
            kept[n_kept] = c
            n_kept += 1
    return n_kept


@compile_kernel
def list_everyone(k: int) -> NDArray[np.int32]:
    """Return 0 to ``k - 1``: all centroids as candidates, int32 ``(k,)``."""
    everyone = np.empty(k, dtype=np.int32)
    for i in range(k):
        everyone[i] = i
    return everyone


@compile_kernel
def prune_bands_block(
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    box: int,
    given: NDArray[np.float64],
    given_slots: NDArray[np.int32],
    n_given: int,
    kept: NDArray[np.float64],
    kept_slots: NDArray[np.int32],
    scratch: NDArray[np.float64],
) -> int:
    """Keep the centroids that can be nearest to some point of a box, in order; return how many.

    ``given`` and ``kept`` are ``(3, s)``, the bands apart, so that loops vectorise. The same test,
    and so the same answer, as `prune_block`.
    """
    low_0, low_1, low_2 = low[box, 0], low[box, 1], low[box, 2]
    high_0, high_1, high_2 = high[box, 0], high[box, 1], high[box, 2]
    middle_0 = 0.5 * (low_0 + high_0)
    middle_1 = 0.5 * (low_1 + high_1)
    middle_2 = 0.5 * (low_2 + high_2)
    for j in range(n_given):
        d0, d1, d2 = given[0, j] - middle_0, given[1, j] - middle_1, given[2, j] - middle_2
        scratch[j] = d0 * d0 + d1 * d1 + d2 * d2
    best = 0
    best_distance = scratch[0]
    for j in range(1, n_given):
        if scratch[j] < best_distance:
            best_distance = scratch[j]
            best = j
    b0, b1, b2 = given[0, best], given[1, best], given[2, best]
    for j in range(n_given):
        c0, c1, c2 = given[0, j], given[1, j], given[2, j]
        corner_0 = high_0 if c0 > b0 else low_0
        corner_1 = high_1 if c1 > b1 else low_1
        corner_2 = high_2 if c2 > b2 else low_2
        scratch[j] = (
            (c0 - b0) * (c0 + b0 - 2.0 * corner_0)
            + (c1 - b1) * (c1 + b1 - 2.0 * corner_1)
            + (c2 - b2) * (c2 + b2 - 2.0 * corner_2)
        )
    n_kept = 0
    for j in range(n_given):
        if scratch[j] <= MARGIN:
            kept[0, n_kept] = given[0, j]
            kept[1, n_kept] = given[1, j]
            kept[2, n_kept] = given[2, j]
            kept_slots[n_kept] = given_slots[j]
            n_kept += 1
    return n_kept


@inline_kernel
def box_distance(
    low: NDArray[np.float64], high: NDArray[np.float64], box: int, x: float, y: float, z: float
) -> float:
    """Return the squared distance from a point to the nearest point of a box."""
    gap_0 = max(low[box, 0] - x, x - high[box, 0], 0.0)
    gap_1 = max(low[box, 1] - y, y - high[box, 1], 0.0)
    gap_2 = max(low[box, 2] - z, z - high[box, 2], 0.0)
    return float(gap_0 * gap_0 + gap_1 * gap_1 + gap_2 * gap_2)


@inline_kernel
def farthest_distance(
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    box: int,
    centroids: NDArray[np.float64],
    slot: int,
) -> float:
    """Return the squared distance from a centroid to the farthest corner of a box."""
    x, y, z = centroids[slot, 0], centroids[slot, 1], centroids[slot, 2]
    reach_0 = max(x - low[box, 0], high[box, 0] - x)
    reach_1 = max(y - low[box, 1], high[box, 1] - y)
    reach_2 = max(z - low[box, 2], high[box, 2] - z)
    return float(reach_0 * reach_0 + reach_1 * reach_1 + reach_2 * reach_2)


def group_cells(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each block of cells begins among ascending ``cells``, ``(n_blocks + 1,)``."""
    blocks = cells // CELLS_PER_BLOCK
    return np.concatenate([np.flatnonzero(np.diff(blocks, prepend=-1)), [len(cells)]]).astype(
        np.int64
    )
