"""Clusters of weighted colours that remember what they won: exact Lloyd steps, ever cheaper.

Colours come sorted into cells, cells into blocks of cells (see `cells`), each with its bounding
box. Every cell keeps the cluster that won it whole, or the clusters of its colours, and an upper
bound of the distance from its colours to their centroids. When some centroids have moved, a cell is
looked at again only if one of its own clusters moved, or if a centroid that moved is now as near as
that bound: any other comparison would come out as before. In the spirit of the triangle-inequality
bounds of Elkan [1]_ and Hamerly [2]_, but per cell, with boxes in the place of the triangle.

A cell that is looked at is pruned as Kanungo et al. [3]_ do: with ``b`` the centroid nearest to the
middle of a box, a centroid ``c`` loses everywhere in the box if it loses at the corner that lies
furthest in the direction from ``b`` to ``c``. First the centroids are pruned for the block, then
what is left for the cell. A cell that is left with one centroid is won whole, in one sum.

The sums of the clusters are integers, moved from the old cluster to the new one when a colour or
a cell changes hands. So the result is that of comparing every colour with every centroid, bit for
bit, whatever the path: distances are summed in a fixed order, ties go to the lower index, and
centroids are dropped only when they lose by more than the rounding error.

References
----------
.. [1] C. Elkan, "Using the triangle inequality to accelerate k-means", ICML 2003.
.. [2] G. Hamerly, "Making k-means even faster", SIAM International Conference on Data Mining 2010,
   doi:10.1137/1.9781611972801.12.
.. [3] T. Kanungo, D. M. Mount, N. S. Netanyahu, C. D. Piatko, R. Silverman, A. Y. Wu, "An efficient
   k-means clustering algorithm: analysis and implementation", IEEE Transactions on Pattern Analysis
   and Machine Intelligence 24(7), 2002, doi:10.1109/TPAMI.2002.1017616.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dask_quant.kernels.hand_over import MIXED, give_cell, share_cell
from dask_quant.kernels.jit import compile_helper, compile_kernel, inline_kernel, plain_int
from dask_quant.kernels.prune import (
    EVERYONE,
    IN_BLOCK,
    IN_CELL,
    MARGIN,
    N_LEVELS,
    box_distance,
    farthest_distance,
    prune_block,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEW_COLORS: Final = 2
"""Colours of a cell up to which it is quicker to compare them than to prune for the cell."""

NONE: Final = plain_int(0)
"""Centroids listed when a list begins."""


class Layout(NamedTuple):
    """Colours in boxes: ``n`` colours, ``m`` cells. Kernels take it unpacked.

    (Numba counts references to the arrays of a tuple at every access, at several times the cost.)
    """

    points: NDArray[np.uint8 | np.uint16]
    """Colours, cell after cell, as points of the working space, uint8 or uint16 ``(n, 3)``."""
    weights: NDArray[np.int64]
    """Their weights, int64 ``(n,)``."""
    starts: NDArray[np.int64]
    """Where each cell begins, int64 ``(m + 1,)``."""
    low: NDArray[np.float64]
    """Lowest level of each band in each cell, float64 ``(m, 3)``."""
    high: NDArray[np.float64]
    """Highest level of each band in each cell, float64 ``(m, 3)``."""
    moments: NDArray[np.int64]
    """Moments of each cell, int64 ``(m, N_MOMENTS)``."""
    block_starts: NDArray[np.int64]
    """Where each block begins among the cells, int64."""
    block_low: NDArray[np.float64]
    """Lowest level of each band in each block."""
    block_high: NDArray[np.float64]
    """Highest level of each band in each block."""


class State(NamedTuple):
    """What is remembered of the clusters, which live in ``s`` slots. Kernels change it in place.

    Slot ``s`` is no cluster: it holds what was never assigned.
    """

    centroids: NDArray[np.float64]
    """sRGB levels, float64 ``(s, 3)``."""
    alive: NDArray[np.bool_]
    """Whether there is a cluster in the slot, bool ``(s,)``."""
    moved: NDArray[np.bool_]
    """Whether the centroid moved, came or went since colours were last assigned, ``(s + 1,)``."""
    labels: NDArray[np.int32]
    """Slot of each colour of the mixed cells, int32 ``(n,)``; of others undefined."""
    cell_labels: NDArray[np.int32]
    """Slot that won each cell, or `MIXED`, int32 ``(m,)``."""
    cell_far: NDArray[np.float64]
    """At least the squared distance of each colour of a cell to its centroid, float64 ``(m,)``."""
    block_far: NDArray[np.float64]
    """The largest ``cell_far`` of each block."""
    sums: NDArray[np.int64]
    """Weight and sum of each band of each slot, int64 ``(s + 1, N_SUMS)``."""


@inline_kernel
def _list_centroids(
    centroids: NDArray[np.float64],
    alive: NDArray[np.bool_],
    moved: NDArray[np.bool_],
    candidates: NDArray[np.float64],
    slots: NDArray[np.int64],
    movers: NDArray[np.float64],
) -> tuple[int, int]:
    """List the living centroids and those that moved; return how many they are."""
    n_everyone, n_movers = NONE, NONE
    for slot in range(centroids.shape[0]):
        if not alive[slot]:
            continue
        for band in range(3):
            candidates[EVERYONE, band, n_everyone] = centroids[slot, band]
            movers[band, n_movers] = centroids[slot, band]  # kept if it moved
        slots[EVERYONE, n_everyone] = slot
        n_everyone += 1
        n_movers += moved[slot]
    return n_everyone, n_movers


@inline_kernel
def _list_near(
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    box: int,
    movers: NDArray[np.float64],
    n_movers: int,
    limit: float,
    near: NDArray[np.float64],
) -> int:
    """List the centroids that moved and are within ``limit`` of a box; return how many they are."""
    n_near = 0
    for j in range(n_movers):
        x, y, z = movers[0, j], movers[1, j], movers[2, j]
        if box_distance(low, high, box, x, y, z) <= limit:
            near[0, n_near], near[1, n_near], near[2, n_near] = x, y, z
            n_near += 1
    return n_near


@compile_helper
def _assign(
    points: NDArray[np.uint8 | np.uint16],
    weights: NDArray[np.int64],
    starts: NDArray[np.int64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    cell_moments: NDArray[np.int64],
    block_starts: NDArray[np.int64],
    block_low: NDArray[np.float64],
    block_high: NDArray[np.float64],
    centroids: NDArray[np.float64],
    alive: NDArray[np.bool_],
    moved: NDArray[np.bool_],
    labels: NDArray[np.int32],
    cell_labels: NDArray[np.int32],
    cell_far: NDArray[np.float64],
    block_far: NDArray[np.float64],
    sums: NDArray[np.int64],
) -> None:
    """Give every colour to the nearest living centroid, the lowest slot on ties.

    Takes a `Layout` and a `State`, unpacked; reads ``moved`` and clears it.
    """
    n_slots = centroids.shape[0]
    candidates, slots = np.empty((N_LEVELS, 3, n_slots)), np.empty((N_LEVELS, n_slots), np.int64)
    movers, near, scratch = np.empty((3, n_slots)), np.empty((3, n_slots)), np.empty(n_slots)
    n_everyone, n_movers = _list_centroids(centroids, alive, moved, candidates, slots, movers)
    for block in range(block_starts.shape[0] - 1):
        limit = block_far[block] + MARGIN
        n_near = _list_near(block_low, block_high, block, movers, n_movers, limit, near)
        n_block = 0
        far = 0.0
        for cell in range(block_starts[block], block_starts[block + 1]):
            begin, end = starts[cell], starts[cell + 1]
            label = cell_labels[cell]
            # Not a helper: handing it arrays for every cell would take longer than what it does.
            is_touched = label != MIXED and moved[label]
            if label == MIXED:
                for i in range(begin, end):
                    if moved[labels[i]]:
                        is_touched = True
                        break
            if not is_touched:
                limit = cell_far[cell] + MARGIN
                for j in range(n_near):
                    if box_distance(low, high, cell, near[0, j], near[1, j], near[2, j]) <= limit:
                        is_touched = True
                        break
            if is_touched:
                if n_block == 0:
                    n_block = prune_block(
                        *(block_low, block_high, block, candidates, slots),
                        *(EVERYONE, n_everyone, scratch),
                    )
                level, n_left = IN_BLOCK, n_block
                if n_block > 1 and end - begin > FEW_COLORS:
                    level = IN_CELL
                    n_left = prune_block(
                        low, high, cell, candidates, slots, IN_BLOCK, n_block, scratch
                    )
                if n_left > 1:
                    cell_labels[cell], cell_far[cell] = share_cell(
                        points,
                        weights,
                        begin,
                        end,
                        labels,
                        label,
                        candidates,
                        slots,
                        level,
                        n_left,
                        sums,
                    )
                else:
                    winner = slots[level, 0]
                    if label != winner:
                        give_cell(
                            points,
                            weights,
                            begin,
                            end,
                            cell_moments,
                            cell,
                            labels,
                            label,
                            winner,
                            sums,
                        )
                        cell_labels[cell] = winner
                    cell_far[cell] = farthest_distance(low, high, cell, centroids, winner)
            far = max(far, cell_far[cell])
        block_far[block] = far
    moved[:] = False


@compile_kernel
def descend_block(
    points: NDArray[np.uint8 | np.uint16],
    weights: NDArray[np.int64],
    starts: NDArray[np.int64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    cell_moments: NDArray[np.int64],
    block_starts: NDArray[np.int64],
    block_low: NDArray[np.float64],
    block_high: NDArray[np.float64],
    centroids: NDArray[np.float64],
    alive: NDArray[np.bool_],
    moved: NDArray[np.bool_],
    labels: NDArray[np.int32],
    cell_labels: NDArray[np.int32],
    cell_far: NDArray[np.float64],
    block_far: NDArray[np.float64],
    sums: NDArray[np.int64],
    n_pinned: int,
    max_iter: int,
    tol: float,
) -> int:
    """Assign, then move centroids to their means, until none is further than ``tol`` from it.

    Takes a `Layout` and a `State`, unpacked. A centroid that is nearer than that stays where it
    is, and so does one that won nothing, and those in the first ``n_pinned`` slots. Colours are
    assigned to the centroids as they end.

    Returns
    -------
    int
        How often centroids were moved, at most ``max_iter``.
    """
    n_iter = 0
    while True:
        _assign(
            points,
            weights,
            starts,
            low,
            high,
            cell_moments,
            block_starts,
            block_low,
            block_high,
            centroids,
            alive,
            moved,
            labels,
            cell_labels,
            cell_far,
            block_far,
            sums,
        )
        if n_iter == max_iter:
            return n_iter
        n_moved = 0
        for slot in range(n_pinned, centroids.shape[0]):
            weight = sums[slot, 0]
            if not alive[slot] or weight == 0:
                continue
            m0, m1, m2 = (
                sums[slot, 1] / weight,
                sums[slot, 2] / weight,
                sums[slot, 3] / weight,
            )
            d0, d1, d2 = (
                m0 - centroids[slot, 0],
                m1 - centroids[slot, 1],
                m2 - centroids[slot, 2],
            )
            if d0 * d0 + d1 * d1 + d2 * d2 > tol * tol:
                centroids[slot, 0], centroids[slot, 1], centroids[slot, 2] = m0, m1, m2
                moved[slot] = True
                n_moved += 1
        if n_moved == 0:
            return n_iter
        n_iter += 1
