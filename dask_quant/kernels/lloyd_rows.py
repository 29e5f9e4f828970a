"""Lloyd steps for rows of any number of features.

Sums are integers (see `dask_quant.fit.row_totals`): what is added is a fixed-point number below
2^62, kept as its high and its low 32 bits, each with 31 bits of room. Rows may come in any blocks
and any order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.kernels.jit import compile_kernel, inline_kernel
from dask_quant.kernels.nearest import PANEL_ROWS, compare_panel

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_PLAIN_ROWS = 1 << 22
"""Rows of weight 1 in a call at most: their numbers are summed in 64 bits first."""

N_EXTRA = 3
"""Totals beside those of the features: weights, squared distances, distances."""


@inline_kernel
def _add_fixed(totals: NDArray[np.int64], cluster: int, column: int, value: np.int64) -> None:
    """Add a fixed-point number to one of the totals."""
    totals[0, cluster, column] += value >> 32
    totals[1, cluster, column] += value & 0xFFFFFFFF


@compile_kernel
def add_rows_block(
    rows: NDArray[np.float64],
    weights: NDArray[np.int64],
    centers: NDArray[np.float64],
    middle: NDArray[np.float64],
    scale: NDArray[np.float64],
    error_scale: float,
    distance_scale: float,
    totals: NDArray[np.int64],
) -> None:
    """Add every row to the totals of its nearest centre, the first on ties.

    Parameters
    ----------
    rows : ndarray
        float64 ``(n, n_features)``; NaN only where the weight is 0. At most `MAX_PLAIN_ROWS`.
    weights : ndarray
        Fixed-point weights, below 2^22, int64 ``(n,)``; empty: 1 each. Rows of 0 are left out.
    centers : ndarray
        float64 ``(k, n_features)``.
    middle, scale : ndarray
        A number ``x`` is added as ``(x - middle) * scale`` rounded, below 2^40, float64
        ``(n_features,)``.
    error_scale, distance_scale : float
        A squared distance, and a distance, is added times this, rounded.
    totals : ndarray
        In and out: int64 ``(2, k, n_features + 3)``, high and low parts of the sums of each
        feature, of the weights, of the squared distances and of the distances.

    Notes
    -----
    O(n * n_features * k).
    """
    n, n_features = rows.shape
    k, n_columns = totals.shape[1:]
    is_plain = weights.shape[0] == 0
    sums = np.zeros((k, n_columns), dtype=np.int64)
    fixed = np.empty(n_columns, dtype=np.int64)
    panel, scratch = np.empty((n_features, PANEL_ROWS)), np.empty(PANEL_ROWS)
    best, least = np.empty(PANEL_ROWS, dtype=np.int64), np.empty(PANEL_ROWS)
    fixed[n_features] = 1
    for begin in range(0, n, PANEL_ROWS):
        end = min(begin + PANEL_ROWS, n)
        compare_panel(rows[begin:end], centers, panel, scratch, best, least)
        for i in range(begin, end):
            if not is_plain and weights[i] == 0:
                continue
            error = least[i - begin]
            for j in range(n_features):
                fixed[j] = np.int64(np.rint((rows[i, j] - middle[j]) * scale[j]))
            fixed[n_features + 1] = np.int64(np.rint(error * error_scale))
            fixed[n_features + 2] = np.int64(np.rint(np.sqrt(error) * distance_scale))
            cluster = best[i - begin]
            if is_plain:
                for j in range(n_columns):
                    sums[cluster, j] += fixed[j]
            else:
                for j in range(n_columns):
                    _add_fixed(totals, cluster, j, weights[i] * fixed[j])
    if is_plain:
        for cluster in range(k):
            for j in range(n_columns):
                _add_fixed(totals, cluster, j, sums[cluster, j])
