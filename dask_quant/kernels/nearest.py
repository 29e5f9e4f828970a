"""Nearest centre of rows of any number of features, by comparison with every centre.

Distances are sums of squared differences, feature after feature: a row's nearest centre depends on
nothing but the row and the centres, so rows may come in any blocks. A matrix product would be
quicker for many features, but its last bits depend on the rows beside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.kernels.jit import compile_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray


@compile_kernel
def nearest_block(
    rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Find the nearest centre of every row.

    Parameters
    ----------
    rows : ndarray
        float64 ``(n, n_features)``.
    columns : ndarray
        The centres, transposed so that one feature of all of them lies together: float64
        ``(n_features, k)``, ``k`` at least 1.

    Returns
    -------
    labels : ndarray
        Index of the nearest centre, the lowest on ties, int32 ``(n,)``.
    distances : ndarray
        Squared distance to it, float64 ``(n,)``.

    Notes
    -----
    O(n * n_features * k).
    """
    n, n_features = rows.shape
    k = columns.shape[1]
    labels = np.empty(n, dtype=np.int32)
    distances = np.empty(n, dtype=np.float64)
    sums = np.empty(k, dtype=np.float64)
    for i in range(n):
        sums[:] = 0.0
        for feature in range(n_features):
            value = rows[i, feature]
            for j in range(k):
                difference = value - columns[feature, j]
                sums[j] += difference * difference
        best = 0
        for j in range(1, k):
            if sums[j] < sums[best]:
                best = j
        labels[i] = best
        distances[i] = sums[best]
    return labels, distances
