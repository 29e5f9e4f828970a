"""Weighted k-means on counted colours with transparency: exact, by the search of the opaque way.

The distance is that of `dask_quant.premultiplied`. Pixels that are fully transparent keep an entry
that is so, too: it is pinned, as soon as there is more than one entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.errors import PixelFormatError
from dask_quant.events import Event
from dask_quant.fit.alpha_colors import NO_ALPHA_PINS, AlphaColors
from dask_quant.fit.effort import MAX_CENTROIDS, plan_search
from dask_quant.fit.palette_fit import PaletteFit
from dask_quant.fit.point_clusters import PointClusters
from dask_quant.fit.refine import finish_palette
from dask_quant.fit.search import POINTS_PER_CENTROID, search_clusters
from dask_quant.method_options import DEFAULT_INIT, KMEANS
from dask_quant.point_groups import PointGroups, coarsen_points, spread_points
from dask_quant.premultiplied import find_colors, place_colors, scale_points

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.events import Listener
    from dask_quant.fit.effort import SearchPlan
    from dask_quant.fit_options import FitOptions

_SEARCHED_POINTS = {"fast": 1 << 13, "default": 1 << 15, "best": 1 << 17}
"""Points that a search looks at, about: means of cubes of colours, where there are more."""

WAY_OUT = "use alpha drop, or matte with a colour, or leave it out"
"""What to do where transparency does not go with an option."""


def fit_alpha(colors: AlphaColors, options: FitOptions, listener: Listener) -> PaletteFit:
    """Fit a palette to weighted colours with transparency. **Eager**.

    Raises
    ------
    PixelFormatError
        When an option is given that knows opaque colours only.
    """
    check_alpha_options(options)
    pins = colors.clear if options.n_colors > 1 else NO_ALPHA_PINS
    if len(colors.colors) <= options.n_colors:
        listener(Event("fit", 1, 1, "rounds"))
        found, n_iter = colors.colors, 0
    else:
        found, n_iter = _fit_entries(colors, pins, options, listener)
    finished = finish_palette(colors, found, options.n_colors, pins=pins)
    return PaletteFit(finished, colors, "histogram", n_iter, found)


def check_alpha_options(options: FitOptions) -> None:
    """Raise `PixelFormatError` for options that know opaque colours only."""
    target = "" if options.target is None else options.target.kind
    for is_given, name in (
        (options.fits_pixels, f"the {options.engine} engine"),
        (options.method != KMEANS, f"method {options.method}"),
        (options.space != "srgb", f"space {options.space}"),
        (options.init != DEFAULT_INIT, "init"),
        (bool(options.keep), "keep"),
        (bool(options.refit), "refit"),
        (bool(options.recolor), "recolor"),
        (target == "delta_e", "target_delta_e"),
    ):
        if is_given:
            message = f"Got pixels that are not opaque with {name}; {WAY_OUT}."
            raise PixelFormatError(message)


def _fit_entries(
    colors: AlphaColors, pins: NDArray[np.uint8], options: FitOptions, listener: Listener
) -> tuple[NDArray[np.uint8], int]:
    """Return entries ``(n_colors, 4)``, pins first, and the Lloyd iterations made."""
    groups, weights = colors.groups, colors.weights.astype(np.float64) ** options.weight_power
    plan = plan_search(options.effort, options.n_colors, len(weights), n_init=options.n_init)
    placed = scale_points(place_colors(pins))
    if options.n_colors > MAX_CENTROIDS:  # there is no search, and to draw as many takes O(n k)
        free = spread_points(groups.points, options.n_colors - len(pins))
        start, n_iter = np.concatenate([placed, scale_points(free)]), 0
    else:
        start, n_iter = _search(groups, weights, placed, plan, options, listener)
    clusters = PointClusters(groups, weights, len(pins))
    clusters.start(start)
    tol = (plan.tol if options.tol is None else options.tol) * clusters.level
    n_iter += clusters.descend(options.max_iter or plan.max_iter, tol)
    return np.concatenate([pins, find_colors(clusters.levels[len(pins) :])]), n_iter


def _search(
    groups: PointGroups,
    weights: NDArray[np.float64],
    pins: NDArray[np.float64],
    plan: SearchPlan,
    options: FitOptions,
    listener: Listener,
) -> tuple[NDArray[np.float64], int]:
    """Return centroids scaled to levels, and the iterations of the search, on means of colours."""
    n_points = max(_SEARCHED_POINTS[options.effort], POINTS_PER_CENTROID * options.n_colors)
    points, shares = coarsen_points(groups.points, weights, n_points)
    searched = PointGroups.from_points(points)
    points, shares = searched.points, shares[searched.order]
    clusters = PointClusters(searched, shares, len(pins))
    n_iter = search_clusters(
        *(clusters, np.ascontiguousarray(scale_points(points).T), shares, plan),
        pins=pins,
        n_centroids=options.n_colors,
        seed=options.seed,
        listener=listener,
    )
    return clusters.levels, n_iter
