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

import numpy as np

from dask_quant.events import Event, ignore_event
from dask_quant.fit.boxes import NO_PINS
from dask_quant.fit.clusters import Clusters
from dask_quant.fit.effort import plan_search
from dask_quant.fit.lattice import round_clusters, round_means
from dask_quant.fit.lloyd import iterate_lloyd
from dask_quant.fit.plain_lloyd import descend_from_starts
from dask_quant.fit.search import POINTS_PER_CENTROID, search_centroids
from dask_quant.method_options import DEFAULT_INIT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.events import Listener
    from dask_quant.fit.boxes import ColorBoxes
    from dask_quant.fit.starts import Init


@dataclass(frozen=True)
class CentroidFit:
    """Where k-means came to rest."""

    centroids: NDArray[np.float64]
    """sRGB levels, float64 ``(k, 3)``."""
    rounded: NDArray[np.uint8]
    """Whole levels near them with the least error that was found, uint8 ``(k, 3)``."""
    inertia: float
    """Sum over all pixels of the squared distance to the nearest, in steps of the space."""
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
    init: Init = DEFAULT_INIT,
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
        Of the last descent, as in `dask_quant.fit_options.FitOptions`, but in steps of the
        working space. None: what ``effort`` says.
    init : {"k-means++", "random"} or tuple, default "k-means++"
        As in `dask_quant.fit_options.FitOptions`; with another one there is no search, `max_iter`
        and `tol` are of every start, and each centroid is rounded by itself.
    listener : callable, optional
        Told of each round of the search that ends, and of the error that comes of all of it.

    Returns
    -------
    CentroidFit
        The best that was found, pins first; ``n_iter`` counts all Lloyd iterations.
    """
    plan = plan_search(effort, n_centroids, boxes.count_colors(pins), n_init=n_init)
    max_iter = max_iter or plan.max_iter
    tol = plan.tol * boxes.space.level if tol is None else tol
    if init != DEFAULT_INIT:
        centroids, inertia, n_iter = descend_from_starts(
            boxes,
            n_centroids=n_centroids,
            init=init,
            seed=seed,
            n_init=n_init,
            max_iter=max_iter,
            tol=tol,
            listener=listener,
        )
        return CentroidFit(centroids, np.rint(centroids).astype(np.uint8), inertia, n_iter)
    searched = boxes.coarsen(plan.cube_side) if plan.cube_side > 1 else boxes
    if len(searched.points) < POINTS_PER_CENTROID * n_centroids:  # dense clumps of colours
        searched = boxes
    clusters, n_iter = search_centroids(
        searched,
        plan,
        pins=boxes.space.place(pins),
        n_centroids=n_centroids,
        seed=seed,
        listener=listener,
    )
    if searched is not boxes:
        found = clusters.means
        clusters = Clusters(boxes, n_centroids, n_pinned=len(pins))
        clusters.start(found)
    n_iter += iterate_lloyd(boxes, clusters, max_iter=max_iter, tol=tol)
    centroids = clusters.centroids
    inertia = clusters.measure_inertia(centroids)
    n_rounds, error = plan.n_init + plan.n_rounds, inertia / boxes.weights.sum() / clusters.level**2
    listener(Event("fit", n_rounds, n_rounds, "rounds", float(error)))
    if boxes.space.is_srgb:
        rounded = round_clusters(clusters, n_sweeps=plan.n_sweeps, least_gap=plan.least_gap)
    else:
        free = round_means(boxes.space, clusters.means[len(pins) :])
        rounded = np.concatenate([pins, free])
    return CentroidFit(boxes.space.find_levels(centroids), rounded, inertia, n_iter)
