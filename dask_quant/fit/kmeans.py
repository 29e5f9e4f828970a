"""Weighted k-means on counted colours: the objective of k-means over all pixels, exactly.

Greedy k-means++ chooses first centroids, Lloyd's algorithm [1]_ moves them until they rest, and the
best of a few restarts wins. Every random draw is a hash of the seed, the restart and the number of
the draw; every sum is of integers or in a fixed order: the same histogram and seed give the same
bytes.

References
----------
.. [1] S. P. Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory
   28(2), 1982, doi:10.1109/TIT.1982.1056489.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.events import Event, ignore_event
from dask_quant.kernels.seed import seed_block

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.events import Listener
    from dask_quant.fit.boxes import ColorBoxes, Moments

DEFAULT_N_INIT = 4
"""Restarts when nothing else is said: most of the gain of ten at under half of the time."""

DEFAULT_MAX_ITER = 300
"""Lloyd iterations per restart when nothing else is said, as in scikit-learn."""

DEFAULT_TOL = 0.05
"""Centroid shift, in sRGB levels, at which Lloyd stops: a tenth of what rounding can move."""

_POINTS_PER_SEED = 8
"""Points to choose from, per centroid, when seeding from cells rather than colours (arbitrary)."""


@dataclass(frozen=True)
class CentroidFit:
    """Where k-means came to rest."""

    centroids: NDArray[np.float64]
    """sRGB levels, float64 ``(k, 3)``."""
    inertia: float
    """Sum over all pixels of the squared distance to the nearest centroid."""
    n_iter: int
    """Lloyd iterations made."""


def fit_centroids(
    boxes: ColorBoxes,
    *,
    n_centroids: int,
    seed: int = 0,
    n_init: int = DEFAULT_N_INIT,
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
    points, weights = _seeding_points(boxes, n_centroids)
    best: CentroidFit | None = None
    for restart in range(n_init):
        first = _seed_centroids(points, weights, n_centroids, _mix(seed, restart))
        fit = iterate_lloyd(boxes, first, max_iter=max_iter, tol=tol)
        if best is None or fit.inertia < best.inertia:
            best = fit
        listener(Event("fit", restart + 1, n_init, "restarts"))
    assert best is not None, "n_init is at least 1"
    return best


def iterate_lloyd(
    boxes: ColorBoxes, centroids: NDArray[np.float64], *, max_iter: int, tol: float
) -> CentroidFit:
    """Move ``centroids`` ``(k, 3)`` to the means of what they win until none moves by over ``tol``.

    A centroid that wins nothing goes to the colour with the largest error, so none is ever empty.
    """
    n_iter = 0
    shift = math.inf
    while n_iter < max_iter and shift > tol:
        moved = _move_centroids(boxes, boxes.step(centroids), centroids)
        shift = float(np.sqrt(((moved - centroids) ** 2).sum(axis=1)).max())
        centroids = moved
        n_iter += 1
    inertia = boxes.step(centroids).inertia(centroids, boxes.sum_squares)
    return CentroidFit(centroids, inertia, n_iter)


def _move_centroids(
    boxes: ColorBoxes, moments: Moments, centroids: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the means of what each centroid won, empty ones on the colours with most error."""
    empty = np.flatnonzero(moments.weights == 0)
    moved = moments.sums / np.maximum(moments.weights, 1)[:, np.newaxis]
    if len(empty):
        error = boxes.weights * _nearest_distance(boxes.points, np.delete(centroids, empty, axis=0))
        worst = np.argsort(-error, kind="stable")[: len(empty)]
        moved[empty] = boxes.points[worst]
    return moved


def _nearest_distance(
    points: NDArray[np.uint8], centroids: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the squared distance of each ``(n, 3)`` point to its nearest centroid, ``(n,)``."""
    nearest = np.full(len(points), np.inf)
    for centroid in centroids:
        np.minimum(nearest, ((points - centroid) ** 2).sum(axis=1), out=nearest)
    return nearest


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
    n_trials = 2 + int(math.log(n_centroids))  # as in scikit-learn
    return points[seed_block(points, weights, n_centroids, n_trials, seed)]


def _mix(seed: int, restart: int) -> np.uint64:
    """Return the stream of random draws of one restart: a hash, so that streams do not overlap."""
    mask = 2**64 - 1
    z = (seed * 0xD1342543DE82EF95 + restart * 0x9E3779B97F4A7C15 + 1) & mask
    z = ((z ^ (z >> 32)) * 0xD6E8FEB86659FD93) & mask
    return np.uint64(z ^ (z >> 32))
