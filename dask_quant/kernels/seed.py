"""Greedy k-means++: first centroids drawn far from one another.

Each new centroid is drawn among the points with a probability proportional to weight times squared
distance to the nearest centroid so far [1]_; of a few such draws the one that lowers the total most
is taken (the "greedy" variant of [1]_, section 5; analysed in [2]_).

References
----------
.. [1] D. Arthur, S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
.. [2] A. Bhattacharya, J. Eube, H. Roeglin, M. Schmidt, "Noisy, greedy and not so greedy
   k-means++", ESA 2020, doi:10.4230/LIPIcs.ESA.2020.18.
.. [3] G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators",
   OOPSLA 2014, doi:10.1145/2660193.2660195 (the generator, splitmix64).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.kernels.jit import compile_helper, compile_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray


@compile_kernel
def _draw(seed: np.uint64, number: np.uint64) -> float:
    """Return draw ``number`` of the stream ``seed``, uniform in [0, 1): splitmix64."""
    z = seed + (number + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)) * 2.0**-53


@compile_kernel
def draw_block(n: int, seed: np.uint64) -> NDArray[np.float64]:
    """Return the first ``n`` draws of the stream ``seed``, uniform in [0, 1), float64 ``(n,)``."""
    draws = np.empty(n)
    for number in range(n):
        draws[number] = _draw(seed, np.uint64(number))
    return draws


@compile_helper
def _find_after(running: NDArray[np.float64], value: float) -> int:
    """Return the first position whose ascending ``running`` sum is above ``value``, or the last."""
    low = 0
    high = running.shape[0] - 1
    while low < high:
        middle = (low + high) // 2
        if running[middle] > value:
            high = middle
        else:
            low = middle + 1
    return low


@compile_kernel
def seed_block(
    columns: NDArray[np.float64],
    weights: NDArray[np.float64],
    given_cost: NDArray[np.float64],
    n_centroids: int,
    n_trials: int,
    seed: np.uint64,
) -> NDArray[np.int64]:
    """Choose ``n_centroids`` of the points, all different in place.

    Parameters
    ----------
    columns : ndarray
        Points of any number of bands, the bands apart so that loops vectorise: float64
        ``(n_bands, n)``, ``n >= n_centroids``.
    weights : ndarray
        Their weights, at least 0 and not all 0, float64 ``(n,)``.
    given_cost : ndarray
        Squared distance of each point to the nearest of the centroids that there are already,
        float64 ``(n,)``, not all 0; float64 ``(0,)`` where there are none.
    n_centroids : int
        How many to choose.
    n_trials : int
        Draws per centroid, of which the best is kept; at least 1.
    seed : uint64
        Stream of the random draws.

    Returns
    -------
    ndarray
        Positions of the chosen points, in the order chosen, int64 ``(n_centroids,)``; fewer where
        there are fewer distinct points that are no given centroid.

    Notes
    -----
    O(n * n_bands * n_centroids * n_trials), 32 bytes a point.
    """
    n_bands, n = columns.shape
    chosen = np.empty(n_centroids, dtype=np.int64)
    cost = np.empty(n)  # squared distance to the nearest centroid
    running, trial_cost, best_cost = np.empty(n), np.empty(n), np.empty(n)
    is_first = given_cost.shape[0] == 0
    for i in range(n):
        cost[i] = 1.0 if is_first else given_cost[i]  # the first of all is drawn by weight alone
    number = np.uint64(0)
    for position in range(n_centroids):
        total = 0.0
        for i in range(n):
            total += weights[i] * cost[i]
            running[i] = total
        if total == 0.0:
            return chosen[:position]
        best_total = np.inf
        for _ in range(1 if is_first else n_trials):
            drawn = _find_after(running, _draw(seed, number) * total)
            number += np.uint64(1)
            while weights[drawn] * cost[drawn] == 0.0:  # by rounding only: never a centroid twice
                drawn = drawn - 1 if drawn else n - 1
            trial_cost[:] = 0.0
            for band in range(n_bands):
                level = columns[band, drawn]
                for i in range(n):
                    difference = columns[band, i] - level
                    trial_cost[i] += difference * difference
            trial_total = 0.0
            for i in range(n):
                if not is_first:
                    trial_cost[i] = min(trial_cost[i], cost[i])
                trial_total += weights[i] * trial_cost[i]
            if trial_total < best_total:
                best_total = trial_total
                chosen[position] = drawn
                best_cost, trial_cost = trial_cost, best_cost
        cost, best_cost = best_cost, cost
        is_first = False
    return chosen
