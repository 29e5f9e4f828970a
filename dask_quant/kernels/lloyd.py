"""One exact Lloyd step over weighted colours, pruned by boxes of colour space.

Colours come sorted into cells (see `cells`), each with its bounding box and its moments (weight and
weighted colour sums, integers). For each block of cells, then for each cell, the centroids that
cannot be nearest to any colour in the box are dropped, by the test of Kanungo et al. [1]_: with
``b`` the centroid nearest to the middle of the box, a centroid ``c`` loses everywhere in the box if
it loses at the corner that lies furthest in the direction from ``b`` to ``c``. A cell that is left
with one centroid is added as one moment; otherwise its colours are compared with what is left.

The result is that of comparing every colour with every centroid, bit for bit: distances are summed
in a fixed order, ties go to the lower index, centroids are dropped only when they lose by more than
the rounding error, and the sums are integers.

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
from dask_quant.kernels.jit import compile_kernel

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
def lloyd_step_block(
    points: NDArray[np.uint8],
    weights: NDArray[np.int64],
    starts: NDArray[np.int64],
    cell_low: NDArray[np.float64],
    cell_high: NDArray[np.float64],
    cell_weights: NDArray[np.int64],
    cell_sums: NDArray[np.int64],
    block_starts: NDArray[np.int64],
    block_low: NDArray[np.float64],
    block_high: NDArray[np.float64],
    centroids: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Assign every colour to its nearest centroid and return the moments of each centroid.

    Parameters
    ----------
    points, weights : ndarray
        Colours uint8 ``(n, 3)``, cell after cell, and their weights int64 ``(n,)``.
    starts : ndarray
        Where each non-empty cell begins in ``points``, int64 ``(n_cells + 1,)``.
    cell_low, cell_high : ndarray
        Bounding boxes of the cells' colours, float64 ``(n_cells, 3)``.
    cell_weights, cell_sums : ndarray
        Weight and weighted colour sums of each cell, int64 ``(n_cells,)`` and ``(n_cells, 3)``.
    block_starts, block_low, block_high : ndarray
        The same for blocks of cells: int64 ``(n_blocks + 1,)``, float64 ``(n_blocks, 3)``.
    centroids : ndarray
        float64 ``(k, 3)``.

    Returns
    -------
    weights : ndarray
        Weight that each centroid won, int64 ``(k,)``.
    sums : ndarray
        Weighted colour sums of it, int64 ``(k, 3)``.
    """
    k = centroids.shape[0]
    won_weights = np.zeros(k, dtype=np.int64)
    won_sums = np.zeros((k, 3), dtype=np.int64)
    everyone = list_everyone(k)
    in_block = np.empty(k, dtype=np.int32)
    in_cell = np.empty(k, dtype=np.int32)
    near = np.empty((k, 3), dtype=np.float64)
    for block in range(block_starts.shape[0] - 1):
        n_block = prune_block(block_low[block], block_high[block], centroids, everyone, k, in_block)
        for cell in range(block_starts[block], block_starts[block + 1]):
            n_cell = prune_block(
                cell_low[cell], cell_high[cell], centroids, in_block, n_block, in_cell
            )
            if n_cell == 1:
                c = in_cell[0]
                won_weights[c] += cell_weights[cell]
                for band in range(3):
                    won_sums[c, band] += cell_sums[cell, band]
                continue
            for j in range(n_cell):
                for band in range(3):
                    near[j, band] = centroids[in_cell[j], band]
            for i in range(starts[cell], starts[cell + 1]):
                p0, p1, p2 = points[i, 0], points[i, 1], points[i, 2]
                best = 0
                best_distance = np.inf
                for j in range(n_cell):
                    d0 = near[j, 0] - p0
                    d1 = near[j, 1] - p1
                    d2 = near[j, 2] - p2
                    distance = d0 * d0 + d1 * d1 + d2 * d2
                    if distance < best_distance:
                        best_distance = distance
                        best = j
                c = in_cell[best]
                weight = weights[i]
                won_weights[c] += weight
                won_sums[c, 0] += weight * p0
                won_sums[c, 1] += weight * p1
                won_sums[c, 2] += weight * p2
    return won_weights, won_sums


def group_cells(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each block of cells begins among ascending ``cells``, ``(n_blocks + 1,)``."""
    blocks = cells // CELLS_PER_BLOCK
    return np.concatenate([np.flatnonzero(np.diff(blocks, prepend=-1)), [len(cells)]]).astype(
        np.int64
    )
