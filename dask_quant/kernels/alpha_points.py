"""Nearest of some centres for points of colours with transparency, and what the centres win.

Points have four bands, see `dask_quant.premultiplied`; the squared difference of the last one
counts three times. They come in an order in which neighbours lie close together, in groups, and
groups of groups, each with its bounding box: a centre that loses everywhere in a box to the one
that is nearest to its middle is not compared with the points in it (Kanungo et al. [1]_). What is
pruned loses by more than the rounding error, so that labels are those of all comparisons; between
whole numbers there is none.

References
----------
.. [1] T. Kanungo, D. M. Mount, N. S. Netanyahu, C. D. Piatko, R. Silverman, A. Y. Wu, "An efficient
   k-means clustering algorithm: analysis and implementation", IEEE Transactions on Pattern Analysis
   and Machine Intelligence 24(7), 2002, doi:10.1109/TPAMI.2002.1017616.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dask_quant.kernels.jit import compile_helper, compile_kernel, plain_int

if TYPE_CHECKING:
    from numpy.typing import NDArray

GROUP_POINTS: Final = plain_int(32)
"""Points of a group (measured: 16 to 64 are about as quick)."""

GROUPS_TOGETHER: Final = plain_int(16)
"""Groups of a group of groups."""

ALPHA_WEIGHT: Final = 3.0
"""What the squared difference of the last band counts."""

ROUNDING: Final = 1e-9
"""Share of the squared extent of the space by which a centre must lose to be pruned."""

EXTENT: Final = 6.0 * 131_072.0**2
"""More than any squared distance between points."""

ALL: Final = plain_int(0)
"""List of all centres; 1 is what is left of them for a group of groups, 2 for a group."""


@compile_helper
def _prune(
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    box: int,
    centers: NDArray[np.float64],
    lists: NDArray[np.int64],
    level: int,
    n_listed: int,
) -> int:
    """List at ``level + 1`` which centres of list ``level`` may win in a box; return how many."""
    x, y = low[box, 0] + high[box, 0], low[box, 1] + high[box, 1]
    z, w = low[box, 2] + high[box, 2], low[box, 3] + high[box, 3]
    best, least = lists[level, 0], np.inf
    for j in range(n_listed):
        c = lists[level, j]
        dx, dy = 2.0 * centers[c, 0] - x, 2.0 * centers[c, 1] - y
        dz, dw = 2.0 * centers[c, 2] - z, 2.0 * centers[c, 3] - w
        distance = dx * dx + dy * dy + dz * dz + ALPHA_WEIGHT * (dw * dw)
        if distance < least:
            least = distance
            best = c
    n = 0
    for j in range(n_listed):
        c = lists[level, j]
        # How much further than the best the centre is from the corner where it is least so.
        excess = 0.0
        for band in range(4):
            here, there = centers[best, band], centers[c, band]
            corner = high[box, band] if there > here else low[box, band]
            weight = ALPHA_WEIGHT if band == 3 else 1.0
            excess += weight * (there - here) * (there + here - 2.0 * corner)
        if excess <= ROUNDING * EXTENT:
            lists[level + 1, n] = c
            n += 1
    return n


@compile_kernel
def assign_points_block(
    points: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    outer_low: NDArray[np.float64],
    outer_high: NDArray[np.float64],
    centers: NDArray[np.float64],
    labels: NDArray[np.int32],
    distances: NDArray[np.float64],
    n_nearest: NDArray[np.int32],
) -> None:
    """Find the nearest centre of every point.

    Parameters
    ----------
    points : ndarray
        Group after group of `GROUP_POINTS`, float64 ``(n, 4)``.
    low, high : ndarray
        Bounding box of each group, float64 ``(n_groups, 4)``.
    outer_low, outer_high : ndarray
        Bounding box of every `GROUPS_TOGETHER` groups.
    centers : ndarray
        float64 ``(k, 4)``, ``k`` at least 1.
    labels, distances, n_nearest : ndarray
        Out: the nearest centre, the lowest on ties; the squared distance to it; how many centres
        are as near: int32, float64 and int32 ``(n,)``.

    Notes
    -----
    O(n * k) at worst.
    """
    n, k = points.shape[0], centers.shape[0]
    lists = np.empty((3, k), dtype=np.int64)
    for c in range(k):
        lists[ALL, c] = c
    panel, found = np.zeros((4, GROUP_POINTS)), np.empty(GROUP_POINTS)
    least, best = np.empty(GROUP_POINTS), np.empty(GROUP_POINTS, dtype=np.int64)
    n_alike = np.empty(GROUP_POINTS, dtype=np.int64)
    n_outer = k
    for group in range(low.shape[0]):
        if group % GROUPS_TOGETHER == 0:
            outer = group // GROUPS_TOGETHER
            n_outer = _prune(outer_low, outer_high, outer, centers, lists, ALL, k)
        n_left = n_outer
        if n_outer > 1:
            n_left = _prune(low, high, group, centers, lists, ALL + 1, n_outer)
        begin, end = group * GROUP_POINTS, min(n, (group + 1) * GROUP_POINTS)
        for i in range(begin, end):
            for band in range(4):
                panel[band, i - begin] = points[i, band]
            least[i - begin], best[i - begin], n_alike[i - begin] = np.inf, 0, 0
        level = 2 if n_outer > 1 else 1
        for j in range(n_left):
            c = lists[level, j]
            x, y, z, w = centers[c, 0], centers[c, 1], centers[c, 2], centers[c, 3]
            for i in range(GROUP_POINTS):  # all of a panel: loops of one length vectorise
                dx, dy, dz, dw = panel[0, i] - x, panel[1, i] - y, panel[2, i] - z, panel[3, i] - w
                found[i] = dx * dx + dy * dy + dz * dz + ALPHA_WEIGHT * (dw * dw)
            for i in range(GROUP_POINTS):
                is_closer = found[i] < least[i]
                n_alike[i] = 1 if is_closer else n_alike[i] + (found[i] == least[i])
                best[i] = c if is_closer else best[i]
                least[i] = found[i] if is_closer else least[i]
        for i in range(begin, end):
            labels[i] = best[i - begin]
            distances[i] = least[i - begin]
            n_nearest[i] = n_alike[i - begin]


@compile_kernel
def sum_points_block(
    points: NDArray[np.float64],
    weights: NDArray[np.float64],
    labels: NDArray[np.int32],
    sums: NDArray[np.float64],
) -> None:
    """Add every point to the sums of its centre.

    Parameters
    ----------
    points, weights : ndarray
        float64 ``(n, 4)`` and ``(n,)``.
    labels : ndarray
        int32 ``(n,)``.
    sums : ndarray
        In and out: weight and weighted sum of each band of each centre, float64 ``(k, 5)``.
    """
    for i in range(points.shape[0]):
        c, weight = labels[i], weights[i]
        sums[c, 0] += weight
        for band in range(4):
            sums[c, band + 1] += weight * points[i, band]


@compile_kernel
def scatter_points_block(
    points: NDArray[np.float64],
    weights: NDArray[np.float64],
    labels: NDArray[np.int32],
    centers: NDArray[np.float64],
    scatter: NDArray[np.float64],
) -> None:
    """Add the products of every point's offsets from its centre to those of the centre.

    ``scatter`` is float64 ``(k, 4, 4)``, in and out; the other parameters are those of
    `sum_points_block` and `assign_points_block`.
    """
    for i in range(points.shape[0]):
        c, weight = labels[i], weights[i]
        for p in range(4):
            offset = weight * (points[i, p] - centers[c, p])
            for q in range(4):
                scatter[c, p, q] += offset * (points[i, q] - centers[c, q])
