"""Lloyd steps for rows of any number of features.

Distances are sums of squared differences, feature after feature, as in `nearest`: a row's nearest
centre depends on nothing but the row and the centres.

Sums are integers (see `dask_quant.fit.row_totals`): what is added is a fixed-point number below
2^62, kept as its high and its low 32 bits, each with 31 bits of room. Rows may come in any blocks
and any order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.kernels.jit import compile_kernel, inline_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray


@inline_kernel
def _add_fixed(totals: NDArray[np.int64], cluster: int, column: int, value: np.int64) -> None:
    """Add a fixed-point number to one of the totals."""
    totals[0, cluster, column] += value >> 32
    totals[1, cluster, column] += value & 0xFFFFFFFF


@compile_kernel
def add_rows_block(
    rows: NDArray[np.float64],
    weights: NDArray[np.int64],
    columns: NDArray[np.float64],
    middle: NDArray[np.float64],
    scale: NDArray[np.float64],
    error_scale: float,
    totals: NDArray[np.int64],
) -> None:
    """Add every row to the totals of its nearest centre, the first on ties.

    Parameters
    ----------
    rows : ndarray
        float64 ``(n, n_features)``; NaN only where the weight is 0.
    weights : ndarray
        Fixed-point weights, below 2^22, int64 ``(n,)``; empty: 1 each. Rows of 0 are left out.
    columns : ndarray
        The centres, transposed: float64 ``(n_features, k)``.
    middle, scale : ndarray
        A number ``x`` is added as ``(x - middle) * scale`` rounded, float64 ``(n_features,)``.
    error_scale : float
        A squared distance is added times this, rounded.
    totals : ndarray
        In and out: int64 ``(2, k, n_features + 2)``, high and low parts of the sums of each
        feature, of the weights and of the squared distances.

    Notes
    -----
    O(n * n_features * k).
    """
    n, n_features = rows.shape
    k = columns.shape[1]
    distances = np.empty(k)
    for i in range(n):
        weight = np.int64(1)
        if weights.shape[0] > 0:
            weight = weights[i]
            if weight == 0:
                continue
        for c in range(k):
            distances[c] = 0.0
        for j in range(n_features):
            x = rows[i, j]
            for c in range(k):
                difference = x - columns[j, c]
                distances[c] += difference * difference
        best = 0
        for c in range(1, k):
            if distances[c] < distances[best]:
                best = c
        for j in range(n_features):
            fixed = np.int64(np.rint((rows[i, j] - middle[j]) * scale[j]))
            _add_fixed(totals, best, j, weight * fixed)
        _add_fixed(totals, best, n_features, weight)
        error = np.int64(np.rint(distances[best] * error_scale))
        _add_fixed(totals, best, n_features + 1, weight * error)
