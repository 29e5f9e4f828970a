"""Centroids moved by the colours of a mini-batch, one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.kernels.jit import compile_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray


@compile_kernel
def move_centroids_block(
    centroids: NDArray[np.float64],
    counts: NDArray[np.int64],
    rows: NDArray[np.float64],
    labels: NDArray[np.int32],
) -> float:
    """Move each centroid towards the rows that it won, by a rate of one over all it ever won.

    Parameters
    ----------
    centroids, counts : ndarray
        Centroids float64 ``(k, 3)`` and rows ever won, int64 ``(k,)``; changed in place.
    rows, labels : ndarray
        Colours float64 ``(n, 3)`` and the centroid that won each, int32 ``(n,)``.

    Returns
    -------
    float
        Largest shift of a centroid.
    """
    stood = centroids.copy()
    for i in range(rows.shape[0]):
        winner = labels[i]
        counts[winner] += 1
        rate = 1.0 / counts[winner]
        for band in range(3):
            centroids[winner, band] += rate * (rows[i, band] - centroids[winner, band])
    largest = 0.0
    for winner in range(centroids.shape[0]):
        square = 0.0
        for band in range(3):
            shift = centroids[winner, band] - stood[winner, band]
            square += shift * shift
        largest = max(largest, square)
    return float(np.sqrt(largest))
