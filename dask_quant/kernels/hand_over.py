"""Cells and colours handed over from one cluster to another, with their moments.

Moments are integers: what one cluster loses, another gains, and no order can show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dask_quant.kernels.jit import compile_kernel, inline_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_MOMENTS: Final = 10
"""Moments of a cluster: weight, sums of the bands, of their squares, and of red * green,
red * blue, green * blue."""

MIXED: Final = -1
"""Label of a cell whose colours belong to several clusters."""


@compile_kernel
def sum_cells_block(
    points: NDArray[np.uint8], weights: NDArray[np.int64], starts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the moments of every cell, int64 ``(m, N_MOMENTS)``."""
    moments = np.zeros((starts.shape[0] - 1, N_MOMENTS), dtype=np.int64)
    for cell in range(moments.shape[0]):
        for i in range(starts[cell], starts[cell + 1]):
            _add_color(moments, cell, weights[i], points[i, 0], points[i, 1], points[i, 2])
    return moments


@inline_kernel
def _add_color(
    moments: NDArray[np.int64], row: int, weight: np.int64, r: np.uint8, g: np.uint8, b: np.uint8
) -> None:
    """Add a colour, ``weight`` times, to a row of moments."""
    p0, p1, p2 = np.int64(r), np.int64(g), np.int64(b)
    w0, w1, w2 = weight * p0, weight * p1, weight * p2
    moments[row, 0] += weight
    moments[row, 1] += w0
    moments[row, 2] += w1
    moments[row, 3] += w2
    moments[row, 4] += w0 * p0
    moments[row, 5] += w1 * p1
    moments[row, 6] += w2 * p2
    moments[row, 7] += w0 * p1
    moments[row, 8] += w0 * p2
    moments[row, 9] += w1 * p2


@compile_kernel
def give_cell(
    points: NDArray[np.uint8],
    weights: NDArray[np.int64],
    begin: int,
    end: int,
    cell_moments: NDArray[np.int64],
    cell: int,
    labels: NDArray[np.int32],
    label: int,
    slot: int,
    moments: NDArray[np.int64],
) -> None:
    """Give all of a cell, its colours ``begin`` to ``end``, to the cluster in ``slot``."""
    if label != MIXED:
        for moment in range(N_MOMENTS):
            moments[label, moment] -= cell_moments[cell, moment]
            moments[slot, moment] += cell_moments[cell, moment]
        return
    for i in range(begin, end):
        old = labels[i]
        if old != slot:
            _add_color(moments, old, -weights[i], points[i, 0], points[i, 1], points[i, 2])
            _add_color(moments, slot, weights[i], points[i, 0], points[i, 1], points[i, 2])


@compile_kernel
def share_cell(
    points: NDArray[np.uint8],
    weights: NDArray[np.int64],
    begin: int,
    end: int,
    labels: NDArray[np.int32],
    label: int,
    given: NDArray[np.float64],
    given_slots: NDArray[np.int32],
    n_given: int,
    moments: NDArray[np.int64],
) -> tuple[int, float]:
    """Give each colour of a cell to the nearest of a few centroids.

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
            d0, d1, d2 = given[0, j] - p0, given[1, j] - p1, given[2, j] - p2
            distance = d0 * d0 + d1 * d1 + d2 * d2
            if distance < best_distance:
                best_distance = distance
                best = j
        slot = given_slots[best]
        old = labels[i] if label == MIXED else label
        if old != slot:
            _add_color(moments, old, -weights[i], p0, p1, p2)
            _add_color(moments, slot, weights[i], p0, p1, p2)
        labels[i] = slot
        far = max(far, best_distance)
        if first == -1:
            first = slot
        is_mixed |= slot != first
    return (MIXED if is_mixed else first), far
