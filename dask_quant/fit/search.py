"""The search for good centroids: restarts, breaths and disturbances, on every colour or on means.

Greedy k-means++ chooses first centroids (`dask_quant.kernels.seed`), Lloyd's algorithm moves them
until they rest, clusters are split and merged (`breathe`); the best of a few restarts is disturbed
a few times for what else there is to find.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.events import Event, ignore_event
from dask_quant.fit.breathe import SEARCH_TOL, breathe, disturb
from dask_quant.fit.clusters import Clusters
from dask_quant.kernels.seed import seed_block
from dask_quant.palette import show_color

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.events import Listener
    from dask_quant.fit.boxes import ColorBoxes
    from dask_quant.fit.breathe import Searched
    from dask_quant.fit.effort import SearchPlan

_MAX_FIRST_ITER = 30
"""Lloyd iterations between seeding and breathing; the search goes on with them."""

_SAME = 1e-4
"""Share of the inertia by which restarts that end alike differ at most."""

POINTS_PER_CENTROID = 8
"""Means that stand for colours, per centroid, with which a search is content (arbitrary)."""


def search_centroids(
    boxes: ColorBoxes,
    plan: SearchPlan,
    *,
    pins: NDArray[np.uint8 | np.uint16],
    n_centroids: int,
    seed: int,
    listener: Listener,
) -> tuple[Clusters, int]:
    """Search for ``n_centroids`` of low inertia, as ``plan`` says.

    Parameters
    ----------
    boxes : ColorBoxes
        What the search looks at, at least ``n_centroids`` points.
    plan : SearchPlan
        How long to search.
    pins : ndarray
        Centroids that stay where they are, sRGB levels, uint8 ``(p, 3)``, ``p < n_centroids``.
    n_centroids : int
        How many there are to be, pins and all.
    seed : int
        Seed of every random draw.
    listener : callable
        Told of each restart and each disturbance that ends.

    Returns
    -------
    clusters : Clusters
        The best that were found, pins first, with slots to spare.
    n_iter : int
        Lloyd iterations made, of all restarts.
    """
    # As many free slots as are ever split at a time.
    n_free = max(plan.n_splits, plan.n_swaps)
    clusters = Clusters(boxes, n_centroids + n_free, n_pinned=len(pins))
    columns, weights = seeding_points(boxes, n_centroids)
    n_iter = search_clusters(
        *(clusters, columns, weights, plan),
        pins=pins,
        n_centroids=n_centroids,
        seed=seed,
        listener=listener,
        within=boxes.within,
    )
    return clusters, n_iter


def search_clusters(
    clusters: Searched,
    columns: NDArray[np.float64],
    weights: NDArray[np.float64],
    plan: SearchPlan,
    *,
    pins: NDArray[np.uint8 | np.uint16 | np.float64],
    n_centroids: int,
    seed: int,
    listener: Listener,
    within: float = 0.0,
) -> int:
    """Leave ``clusters`` at the best that a search finds; return all Lloyd iterations.

    Parameters
    ----------
    clusters : Searched
        Of whatever points; its first clusters are pinned, as many as there are ``pins``.
    columns, weights : ndarray
        Bands of the points to seed from, float64 ``(n_bands, n)``, and their weights ``(n,)``.
    plan, n_centroids, seed, listener
        As in `search_centroids`.
    pins : ndarray
        Centroids that stay where they are, ``(p, n_bands)``, ``p < n_centroids``.
    within : float, default 0.0
        What the error that is told has beside that of the points, see `ColorBoxes.within`.
    """
    telling = _Telling(listener, plan.n_init + plan.n_rounds, float(weights.sum()), within)
    n_iter = _restart(clusters, columns, weights, plan, pins, n_centroids, seed, telling)
    for i in range(plan.n_rounds):
        n_iter += disturb(clusters, plan.n_swaps, mix_seed(seed, plan.n_init + i))
        telling.tell(plan.n_init + i + 1, clusters)
    return n_iter


class _Telling:
    """Tells a listener of rounds: how many are done, and what is the best so far."""

    def __init__(
        self, listener: Listener, n_rounds: int, total_weight: float, within: float
    ) -> None:
        self._listener, self._n_rounds = listener, n_rounds
        self._total_weight, self._within = total_weight, within
        self._lowest = math.inf
        self._palette: tuple[str, ...] | None = None

    def tell(self, n_done: int, clusters: Searched) -> None:
        """Tell of a round that left ``clusters`` as they are."""
        if self._listener is ignore_event:
            return
        error = (clusters.inertia + self._within) / (self._total_weight * clusters.level**2)
        if error < self._lowest:
            self._lowest = error
            self._palette = tuple(show_color(bytes(color)) for color in clusters.colors)
        event = Event("fit", n_done, self._n_rounds, "rounds", self._lowest, self._palette)
        self._listener(event)


def _restart(
    clusters: Searched,
    columns: NDArray[np.float64],
    weights: NDArray[np.float64],
    plan: SearchPlan,
    pins: NDArray[np.uint8 | np.uint16 | np.float64],
    n_centroids: int,
    seed: int,
    telling: _Telling,
) -> int:
    """Leave ``clusters`` at the best of a few restarts; return all Lloyd iterations."""
    n_iter, n_alike = 0, 0
    lowest, best = math.inf, None
    given_cost = measure_cost(columns, pins)
    for restart in range(plan.n_init):
        stream = mix_seed(seed, restart)
        first = seed_block(
            columns, weights, given_cost, n_centroids - len(pins), plan.n_trials, stream
        )
        clusters.start(np.concatenate([pins, columns[:, first].T]))
        n_iter += clusters.descend(_MAX_FIRST_ITER, SEARCH_TOL * clusters.level)
        n_iter += breathe(clusters, plan.n_splits)
        inertia = clusters.inertia
        telling.tell(restart + 1, clusters)
        if inertia < lowest * (1 - _SAME):
            n_alike = 0
        n_alike += inertia <= lowest * (1 + _SAME)
        if inertia < lowest:
            lowest, best = inertia, clusters.snapshot()
        if n_alike >= plan.patience:
            break
    assert best is not None, "there is at least one restart"
    clusters.restore(best)
    return n_iter


def seeding_points(
    boxes: ColorBoxes, n_centroids: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the bands of the points to seed from, ``(3, n)``, and their weights ``(n,)``.

    The means of the cells, where there are plenty: the seeding is then as quick for 2^24 colours
    as for a photograph, and a cell is far smaller than a cluster. Else the colours themselves.
    """
    if len(boxes.cell_weights) >= POINTS_PER_CENTROID * n_centroids:
        columns = (boxes.cell_sums / boxes.cell_weights[:, np.newaxis]).T
        weights = boxes.cell_weights
    else:
        columns, weights = boxes.points.astype(np.float64).T, boxes.weights
    return np.ascontiguousarray(columns), weights.astype(np.float64)


def measure_cost(
    columns: NDArray[np.float64], pins: NDArray[np.uint8 | np.uint16 | np.float64]
) -> NDArray[np.float64]:
    """Return the squared distances of points ``(n_bands, n)`` to the nearest pin; or nothing."""
    if len(pins) == 0:
        return np.empty(0)
    cost = np.full(columns.shape[1], np.inf)
    for pin in pins.astype(np.float64):
        np.minimum(cost, ((columns - pin[:, np.newaxis]) ** 2).sum(axis=0), out=cost)
    return cost


def mix_seed(seed: int, number: int) -> np.uint64:
    """Return the stream of random draws of one round: a hash, so that streams do not overlap."""
    mask = 2**64 - 1
    z = (seed * 0xD1342543DE82EF95 + number * 0x9E3779B97F4A7C15 + 1) & mask
    z = ((z ^ (z >> 32)) * 0xD6E8FEB86659FD93) & mask
    return np.uint64(z ^ (z >> 32))
