"""Weighted k-means on counted colours: the objective of k-means over all pixels, exactly.

A search (`dask_quant.fit.search`) finds good centroids, on every colour or, where there are plenty,
on means of neighbouring ones; Lloyd's algorithm moves them to their final rest over all colours.
Every random draw is a hash of the seed, the round and the number of the draw; every sum is of
integers or in a fixed order: the same histogram and seed give the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.events import ignore_event
from dask_quant.fit.effort import plan_search
from dask_quant.fit.lloyd import CentroidFit, iterate_lloyd
from dask_quant.fit.search import search_centroids

if TYPE_CHECKING:
    from dask_quant.events import Listener
    from dask_quant.fit.boxes import ColorBoxes


def fit_centroids(
    boxes: ColorBoxes,
    *,
    n_centroids: int,
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
        The colours, at least ``n_centroids`` of them.
    n_centroids : int
        How many to fit.
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
        The best that was found; ``n_iter`` counts all Lloyd iterations.
    """
    plan = plan_search(effort, n_centroids, len(boxes.points), n_init=n_init)
    searched = boxes.coarsen(plan.cube_side) if plan.cube_side > 1 else boxes
    if len(searched.points) < n_centroids:  # a few dense clumps of colours
        searched = boxes
    found, n_iter = search_centroids(
        searched, plan, n_centroids=n_centroids, seed=seed, listener=listener
    )
    last = iterate_lloyd(
        boxes,
        found,
        max_iter=max_iter or plan.max_iter,
        tol=plan.tol if tol is None else tol,
    )
    return CentroidFit(last.centroids, last.inertia, n_iter + last.n_iter)
