"""Levels of one RGB space as levels of sRGB: curves, a matrix, a curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.kernels.jit import compile_kernel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@compile_kernel
def convert_levels_block(
    levels: NDArray[np.uint8],
    curves: NDArray[np.float64],
    matrix: NDArray[np.float64],
    encoded: NDArray[np.uint8],
    converted: NDArray[np.uint8],
) -> None:
    """Convert colours through linear light; what is outside of sRGB is clipped band by band.

    Parameters
    ----------
    levels : ndarray
        uint8 ``(n, 3)``.
    curves : ndarray
        Linear light of every level of each band, float64 ``(3, 256)``.
    matrix : ndarray
        From that light to the light of linear sRGB, float64 ``(3, 3)``.
    encoded : ndarray
        sRGB level of light from 0 to 1 in even steps, uint8 ``(n_steps,)``.
    converted : ndarray
        Out: sRGB uint8 ``(n, 3)``.

    Notes
    -----
    O(n). Each colour for itself, so that the result depends on no neighbour.
    """
    last = len(encoded) - 1
    for i in range(levels.shape[0]):
        r, g, b = curves[0, levels[i, 0]], curves[1, levels[i, 1]], curves[2, levels[i, 2]]
        for j in range(3):
            light = matrix[j, 0] * r + matrix[j, 1] * g + matrix[j, 2] * b
            light = min(max(light, 0.0), 1.0)
            converted[i, j] = encoded[int(light * last + 0.5)]
