"""Weighted k-means on counted colours: the objective of k-means over all pixels, exactly.

A search (`dask_quant.fit.search`) finds good centroids, on every colour or, where there are plenty,
on means of neighbouring ones; Lloyd's algorithm moves them to their final rest over all colours,
and what is written is rounded with care (`dask_quant.fit.lattice`).
Every random draw is a hash of the seed, the round and the number of the draw; every sum is of
integers or in a fixed order: the same histogram and seed give the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dask_quant.events import ignore_event
from dask_quant.fit.boxes import NO_PINS
from dask_quant.fit.clusters import Clusters
from dask_quant.fit.effort import plan_search
from dask_quant.fit.lattice import round_clusters
from dask_quant.fit.lloyd import iterate_lloyd
from dask_quant.fit.search import POINTS_PER_CENTROID, search_centroids

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dask_quant.events import Listener
    from dask_quant.fit.boxes import ColorBoxes


@dataclass(frozen=True)
class CentroidFit:
    """Where k-means came to rest."""

    centroids: NDArray[np.float64]
    """sRGB levels, float64 ``(k, 3)``."""
    rounded: NDArray[np.uint8]
    """Whole levels near them with the least error that was found, uint8 ``(k, 3)``."""
    inertia: float
    """Sum over all pixels of the squared distance to the nearest of ``centroids``."""
    n_iter: int
    """Lloyd iterations made."""


def fit_centroids(
    boxes: ColorBoxes,
    *,
    n_centroids: int,
    pins: NDArray[np.uint8] = NO_PINS,
    effort: str = "default",
    seed: int = 0,
    n_init: int | None = None,
    max_iter: int | None = None,
    tol: float | None = None,
    listener: Listener = ignore_event,
) -> CentroidFit:
    """Fit ``n_centroids`` to weighted colours.

    Parameters
    ----------
    boxes : ColorBoxes
        The colours; at least as many of them are no pins as there are free centroids.
    n_centroids : int
        How many to fit, pins and all.
    pins : ndarray
        Centroids that never move, distinct sRGB levels, uint8 ``(p, 3)``, ``p < n_centroids``. The
        others are fitted around them: pins win the colours that are nearest to them.
    effort : {"fast", "default", "best"}, default "default"
        How long to search, see `dask_quant.fit.effort`.
    seed : int, default 0
        Seed of every random draw.
    n_init : int, optional
        Restarts of the search. None: what ``effort`` says.
    max_iter, tol : optional
        Of the last descent, as in `dask_quant.options.FitOptions`. None: what ``effort`` says.
    listener : callable, optional
        Told of each round of the search that ends.

    Returns
    -------
    CentroidFit
        The best that was found, pins first; ``n_iter`` counts all Lloyd iterations.
    """
    n_colors = boxes.count_colors(pins)
    plan = plan_search(effort, n_centroids, n_colors, n_init=n_init)
    searched = boxes.coarsen(plan.cube_side) if plan.cube_side > 1 else boxes
    if len(searched.points) < POINTS_PER_CENTROID * n_centroids:  # dense clumps of colours
        searched = boxes
    clusters, n_iter = search_centroids(
        searched, plan, pins=pins, n_centroids=n_centroids, seed=seed, listener=listener
    )
    if searched is not boxes:
        found = clusters.means
        clusters = Clusters(boxes, n_centroids, n_pinned=len(pins))
        clusters.start(found)
    n_iter += iterate_lloyd(
        boxes,
        clusters,
        max_iter=max_iter or plan.max_iter,
        tol=plan.tol if tol is None else tol,
    )
    centroids = clusters.centroids
    inertia = clusters.measure_inertia(centroids)
    rounded = round_clusters(clusters, n_sweeps=plan.n_sweeps, least_gap=plan.least_gap)
    return CentroidFit(centroids, rounded, inertia, n_iter)
