"""Weighted k-means on counted colours: the objective of k-means over all pixels, exactly.

Greedy k-means++ chooses first centroids (`dask_quant.kernels.seed`), Lloyd's algorithm moves them
until they rest (`lloyd`), a search goes on from there (`breathe`), and the best of a few restarts
is moved to its final rest. Every random draw is a hash of the seed, the restart and the number of
the draw; every sum is of integers or in a fixed order: the same histogram and seed give the same
bytes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.events import Event, ignore_event
from dask_quant.fit.breathe import SEARCH_TOL, breathe
from dask_quant.fit.lloyd import CentroidFit, iterate_lloyd
from dask_quant.kernels.seed import seed_block

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.events import Listener
    from dask_quant.fit.boxes import ColorBoxes

DEFAULT_MAX_ITER = 300
"""Lloyd iterations of the last descent when nothing else is said, as in scikit-learn."""

DEFAULT_TOL = 0.05
"""Centroid shift, in sRGB levels, at which Lloyd stops: a tenth of what rounding can move."""

_MOST_RESTARTS = 8
"""Restarts at most by default (arbitrary)."""

_RESTARTED_CENTROIDS = 128
"""Restarts times centroids by default, so that the time of a fit hardly depends on k."""

_MAX_SEARCH_ITER = 30
"""Lloyd iterations between seeding and search; the search goes on with them."""

_MAX_SEARCH_POINTS = 1 << 19
"""Colours up to which the search looks at every one; of more, at means of 4 x 4 x 4 colours. The
last descent is over all colours in either case."""

_SEARCH_POINTS_PER_CENTROID = 1 << 11
"""The same limit for few centroids, whose clusters are far larger than 4 x 4 x 4 colours."""

_CAREFUL_CENTROIDS = 512
"""Centroids up to which each is the best of several draws (arbitrary)."""

_POINTS_PER_SEED = 8
"""Points to choose from, per centroid, when seeding from cells rather than colours (arbitrary)."""


def fit_centroids(
    boxes: ColorBoxes,
    *,
    n_centroids: int,
    seed: int = 0,
    n_init: int = 1,
    max_iter: int = DEFAULT_MAX_ITER,
    tol: float = DEFAULT_TOL,
    listener: Listener = ignore_event,
) -> CentroidFit:
    """Fit ``n_centroids`` to weighted colours, the best of ``n_init`` restarts.

    Parameters
    ----------
    boxes : ColorBoxes
        The colours, at least ``n_centroids`` of them.
    n_centroids : int
        How many to fit.
    seed : int, default 0
        Seed of every random draw.
    n_init, max_iter, tol
        As in `dask_quant.options.FitOptions`.
    listener : callable, optional
        Told of each restart that ends.

    Returns
    -------
    CentroidFit
        Of the restart with the lowest inertia, the first of equals.
    """
    searched = _choose_search_points(boxes, n_centroids)
    points, weights = _seeding_points(searched, n_centroids)
    best: CentroidFit | None = None
    for restart in range(n_init):
        first = _seed_centroids(points, weights, n_centroids, _mix(seed, restart))
        fit = iterate_lloyd(searched, first, max_iter=_MAX_SEARCH_ITER, tol=SEARCH_TOL)
        fit = breathe(searched, fit)
        if best is None or fit.inertia < best.inertia:
            best = fit
        listener(Event("fit", restart + 1, n_init, "restarts"))
    assert best is not None, "n_init is at least 1"
    last = iterate_lloyd(boxes, best.centroids, max_iter=max_iter, tol=tol)
    return CentroidFit(last.centroids, last.inertia, best.n_iter + last.n_iter)


def _choose_search_points(boxes: ColorBoxes, n_centroids: int) -> ColorBoxes:
    """Return what the search looks at: every colour, or fewer points where there are plenty."""
    limit = min(_MAX_SEARCH_POINTS, _SEARCH_POINTS_PER_CENTROID * n_centroids)
    if len(boxes.points) <= limit:
        return boxes
    coarse = boxes.coarsen()
    return coarse if len(coarse.points) >= _POINTS_PER_SEED * n_centroids else boxes


def choose_n_init(n_centroids: int) -> int:
    """Return the restarts when nothing else is said: many for few centroids, which are quick.

    With many centroids one search finds nearly all that more would.
    """
    return max(1, min(_MOST_RESTARTS, _RESTARTED_CENTROIDS // n_centroids))


def _seeding_points(
    boxes: ColorBoxes, n_centroids: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the points to seed from, ``(n, 3)``, and their weights ``(n,)``.

    The means of the cells, where there are plenty: the seeding is then as quick for 2^24 colours
    as for a photograph, and a cell is far smaller than a cluster. Else the colours themselves.
    """
    if len(boxes.cell_weights) >= _POINTS_PER_SEED * n_centroids:
        means = boxes.cell_sums / boxes.cell_weights[:, np.newaxis]
        return means, boxes.cell_weights.astype(np.float64)
    return boxes.points.astype(np.float64), boxes.weights.astype(np.float64)


def _seed_centroids(
    points: NDArray[np.float64], weights: NDArray[np.float64], n_centroids: int, seed: np.uint64
) -> NDArray[np.float64]:
    """Return ``n_centroids`` of the points by greedy k-means++, ``(n_centroids, 3)``."""
    # As in scikit-learn; of many centroids, each matters little, and the draws take the time.
    n_trials = 2 + int(math.log(n_centroids)) if n_centroids <= _CAREFUL_CENTROIDS else 2
    return points[seed_block(points, weights, n_centroids, n_trials, seed)]


def _mix(seed: int, restart: int) -> np.uint64:
    """Return the stream of random draws of one restart: a hash, so that streams do not overlap."""
    mask = 2**64 - 1
    z = (seed * 0xD1342543DE82EF95 + restart * 0x9E3779B97F4A7C15 + 1) & mask
    z = ((z ^ (z >> 32)) * 0xD6E8FEB86659FD93) & mask
    return np.uint64(z ^ (z >> 32))
