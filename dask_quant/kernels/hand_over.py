"""Cells and colours handed over from one cluster to another, with their sums.

Sums are integers: what one cluster loses, another gains, and no order can show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dask_quant.kernels.jit import inline_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_SUMS: Final = 4
"""Sums of a cluster that move its centroid: weight, and the sum of each band."""

MIXED: Final = -1
"""Label of a cell whose colours belong to several clusters."""


@inline_kernel
def _move_color(
    sums: NDArray[np.int64],
    old: int,
    new: int,
    weight: np.int64,
    r: int,
    g: int,
    b: int,
) -> None:
    """Take a colour, ``weight`` times, from one row of sums and add it to another."""
    w0, w1, w2 = weight * np.int64(r), weight * np.int64(g), weight * np.int64(b)
    sums[old, 0] -= weight
    sums[old, 1] -= w0
    sums[old, 2] -= w1
    sums[old, 3] -= w2
    sums[new, 0] += weight
    sums[new, 1] += w0
    sums[new, 2] += w1
    sums[new, 3] += w2


@inline_kernel
def give_cell(
    points: NDArray[np.uint8 | np.uint16],
    weights: NDArray[np.int64],
    begin: int,
    end: int,
    cell_moments: NDArray[np.int64],
    cell: int,
    labels: NDArray[np.int32],
    label: int,
    slot: int,
    sums: NDArray[np.int64],
) -> None:
    """Give all of a cell, its colours ``begin`` to ``end``, to the cluster in ``slot``."""
    if label != MIXED:
        for j in range(N_SUMS):
            sums[label, j] -= cell_moments[cell, j]
            sums[slot, j] += cell_moments[cell, j]
    else:
        for i in range(begin, end):
            _move_color(sums, labels[i], slot, weights[i], points[i, 0], points[i, 1], points[i, 2])


@inline_kernel
def share_cell(
    points: NDArray[np.uint8 | np.uint16],
    weights: NDArray[np.int64],
    begin: int,
    end: int,
    labels: NDArray[np.int32],
    label: int,
    candidates: NDArray[np.float64],
    slots: NDArray[np.int64],
    level: int,
    n_given: int,
    sums: NDArray[np.int64],
) -> tuple[int, float]:
    """Give each colour of a cell to the nearest of a few centroids, a level of ``candidates``.

    Returns the slot that won them all, or `MIXED`, and the largest squared distance.
    """
    first = -1
    is_mixed = False
    far = 0.0
    for i in range(begin, end):
        p0, p1, p2 = points[i, 0], points[i, 1], points[i, 2]
        best = 0
        best_distance = np.inf
        for j in range(n_given):
            d0, d1, d2 = (
                candidates[level, 0, j] - p0,
                candidates[level, 1, j] - p1,
                candidates[level, 2, j] - p2,
            )
            distance = d0 * d0 + d1 * d1 + d2 * d2
            if distance < best_distance:
                best_distance = distance
                best = j
        slot = slots[level, best]
        old = labels[i] if label == MIXED else label
        if old != slot:
            _move_color(sums, old, slot, weights[i], p0, p1, p2)
        labels[i] = slot
        far = max(far, best_distance)
        if first == -1:
            first = slot
        is_mixed |= slot != first
    return (MIXED if is_mixed else first), far
