"""Lloyd steps and seeding for rows of any number of features.

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
from dask_quant.kernels.seed import draw, find_after

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


@compile_kernel
def seed_rows_block(
    rows: NDArray[np.float64],
    weights: NDArray[np.float64],
    n_centers: int,
    n_trials: int,
    seed: np.uint64,
) -> NDArray[np.int64]:
    """Choose first centres among rows by greedy k-means++, as `dask_quant.kernels.seed` does.

    Parameters
    ----------
    rows : ndarray
        float64 ``(n, n_features)``.
    weights : ndarray
        Their weights, at least 0 and not all 0, float64 ``(n,)``.
    n_centers : int
        How many to choose, at most n.
    n_trials : int
        Draws per centre, of which the best is kept; at least 1.
    seed : uint64
        Stream of the random draws.

    Returns
    -------
    ndarray
        Positions of the chosen rows, in the order chosen, int64; fewer than ``n_centers`` where
        there are fewer distinct rows.

    Notes
    -----
    O(n * n_features * n_centers * n_trials), 32 bytes a row.
    """
    n, n_features = rows.shape
    chosen = np.empty(n_centers, dtype=np.int64)
    cost, running, trial_cost, best_cost = np.ones(n), np.empty(n), np.empty(n), np.empty(n)
    number = np.uint64(0)
    for position in range(n_centers):
        total = 0.0
        for i in range(n):
            total += weights[i] * cost[i]
            running[i] = total
        if total == 0.0:
            return chosen[:position]
        best_total = np.inf
        for _ in range(n_trials if position else 1):
            drawn = find_after(running, draw(seed, number) * total)
            number += np.uint64(1)
            while weights[drawn] * cost[drawn] == 0.0:  # by rounding only
                drawn = drawn - 1 if drawn else n - 1
            trial_total = 0.0
            for i in range(n):
                distance = 0.0
                for j in range(n_features):
                    difference = rows[i, j] - rows[drawn, j]
                    distance += difference * difference
                if position:
                    distance = min(distance, cost[i])
                trial_cost[i] = distance
                trial_total += weights[i] * distance
            if trial_total < best_total:
                best_total = trial_total
                chosen[position] = drawn
                best_cost, trial_cost = trial_cost, best_cost
        cost, best_cost = best_cost, cost
    return chosen
