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
from dask_quant.kernels.jit import compile_helper, inline_kernel, plain_int

if TYPE_CHECKING:
    from numpy.typing import NDArray

EVERYONE: Final = plain_int(0)
"""Level of candidates: all centroids."""

IN_BLOCK: Final = plain_int(1)
"""What a block of cells leaves of them."""

IN_CELL: Final = plain_int(2)
"""What a cell leaves of those."""

N_LEVELS: Final = 3
"""Levels of candidates."""

MARGIN: Final = 1e-6
"""Squared distance by which a centroid must lose to be dropped: above the rounding error of float64
(1e-10 at 255 levels, 7e-7 at 2^14 steps), far below the 1 by which integer palettes differ at
least."""


@inline_kernel
def list_everyone(
    palette: NDArray[np.float64], candidates: NDArray[np.float64], slots: NDArray[np.int64]
) -> None:
    """Make all of a palette ``(k, 3)`` candidates."""
    for c in range(palette.shape[0]):
        for band in range(3):
            candidates[EVERYONE, band, c] = palette[c, band]
        slots[EVERYONE, c] = c


@compile_helper
def prune_block(
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    box: int,
    candidates: NDArray[np.float64],
    slots: NDArray[np.int64],
    level: int,
    n_given: int,
    scratch: NDArray[np.float64],
) -> int:
    """Keep the centroids that can be nearest to some point of a box, in order; return how many.

    ``low`` and ``high`` hold opposite corners of boxes, float64 ``(m, 3)``. Centroids are kept from
    a ``level`` of ``candidates`` ``(levels, 3, s)``, and of their ``slots`` ``(levels, s)``, to the
    next; the bands lie apart, so that loops vectorise.
    """
    low_0, low_1, low_2 = low[box, 0], low[box, 1], low[box, 2]
    high_0, high_1, high_2 = high[box, 0], high[box, 1], high[box, 2]
    middle_0 = 0.5 * (low_0 + high_0)
    middle_1 = 0.5 * (low_1 + high_1)
    middle_2 = 0.5 * (low_2 + high_2)
    for j in range(n_given):
        d0, d1, d2 = (
            candidates[level, 0, j] - middle_0,
            candidates[level, 1, j] - middle_1,
            candidates[level, 2, j] - middle_2,
        )
        scratch[j] = d0 * d0 + d1 * d1 + d2 * d2
    best = 0
    best_distance = scratch[0]
    for j in range(1, n_given):
        if scratch[j] < best_distance:
            best_distance = scratch[j]
            best = j
    b0, b1, b2 = candidates[level, 0, best], candidates[level, 1, best], candidates[level, 2, best]
    for j in range(n_given):
        c0, c1, c2 = candidates[level, 0, j], candidates[level, 1, j], candidates[level, 2, j]
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
            candidates[level + 1, 0, n_kept] = candidates[level, 0, j]
            candidates[level + 1, 1, n_kept] = candidates[level, 1, j]
            candidates[level + 1, 2, n_kept] = candidates[level, 2, j]
            slots[level + 1, n_kept] = slots[level, j]
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
