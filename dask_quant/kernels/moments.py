"""Moments of cells and clusters: all that their splits and their errors follow from.

Integers, so that no order of summing can show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dask_quant.kernels.hand_over import MIXED
from dask_quant.kernels.jit import compile_kernel, inline_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_MOMENTS: Final = 10
"""Weight, sums of the bands, of their squares, and of red * green, red * blue, green * blue."""


@inline_kernel
def add_color(
    moments: NDArray[np.int64], row: int, weight: np.int64, r: int, g: int, b: int
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
def sum_clusters_block(
    points: NDArray[np.uint8 | np.uint16],
    weights: NDArray[np.int64],
    starts: NDArray[np.int64],
    cell_moments: NDArray[np.int64],
    labels: NDArray[np.int32],
    cell_labels: NDArray[np.int32],
    n_slots: int,
) -> NDArray[np.int64]:
    """Return the moments of every cluster, int64 ``(n_slots, N_MOMENTS)``, given who won what."""
    moments = np.zeros((n_slots, N_MOMENTS), dtype=np.int64)
    for cell in range(cell_labels.shape[0]):
        label = cell_labels[cell]
        if label != MIXED:
            for moment in range(N_MOMENTS):
                moments[label, moment] += cell_moments[cell, moment]
            continue
        for i in range(starts[cell], starts[cell + 1]):
            add_color(moments, labels[i], weights[i], points[i, 0], points[i, 1], points[i, 2])
    return moments
