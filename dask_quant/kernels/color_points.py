"""sRGB colours as points of a lattice in another colour space, each for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.kernels.jit import compile_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray


@compile_kernel
def place_colors_block(
    colors: NDArray[np.uint8],
    linear: NDArray[np.float64],
    inner: NDArray[np.float64],
    root_above: float,
    line: tuple[float, float],
    outer: NDArray[np.float64],
    offset: NDArray[np.float64],
    points: NDArray[np.uint16],
) -> None:
    """Find the points of colours: linear light, a matrix, a bend, a matrix, rounded.

    Parameters
    ----------
    colors : ndarray
        sRGB uint8 ``(n, 3)``.
    linear : ndarray
        Linear light of every level, float64 ``(256,)``.
    inner, outer : ndarray
        Matrices, float64 ``(3, 3)``.
    root_above, line
        Values above the one become their cube root, others ``slope * value + offset``.
    offset : ndarray
        Added in the end, float64 ``(3,)``.
    points : ndarray
        Out: uint16 ``(n, 3)``.

    Notes
    -----
    O(n). A matrix product of BLAS sums in an order that depends on its shape.
    """
    bent = np.empty(3)
    for i in range(colors.shape[0]):
        r, g, b = linear[colors[i, 0]], linear[colors[i, 1]], linear[colors[i, 2]]
        for j in range(3):
            value = inner[j, 0] * r + inner[j, 1] * g + inner[j, 2] * b
            bent[j] = np.cbrt(value) if value > root_above else line[0] * value + line[1]
        for j in range(3):
            value = outer[j, 0] * bent[0] + outer[j, 1] * bent[1] + outer[j, 2] * bent[2]
            points[i, j] = np.uint16(np.rint(value + offset[j]))
