"""Palettes of ascending numbers of colours, each made of the one before.

Clusters are split where they are longest, moved, and breathe (`dask_quant.fit.breathe`), on means
of neighbouring colours where there are plenty: a fit of its own for every number would find a
little less error, and take many times as long. What is measured are whole palettes, as they would
be written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.events import Event, ignore_event
from dask_quant.fit.boxes import NO_PINS
from dask_quant.fit.breathe import SEARCH_TOL, breathe
from dask_quant.fit.clusters import Clusters
from dask_quant.fit.effort import MAX_CENTROIDS, plan_search
from dask_quant.fit.lattice import round_means
from dask_quant.fit.refine import finish_palette, measure_error
from dask_quant.fit.search import POINTS_PER_CENTROID, search_centroids

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from dask_quant.events import Listener
    from dask_quant.fit.boxes import ColorBoxes
    from dask_quant.palette import Palette

_SPLIT_SHARE = 4
"""A quarter of the clusters is split in the first breath after each number (arbitrary)."""

_MIN_SPLITS = 5
"""Clusters that are split in it at least."""

_MAX_POINTS = 1 << 15
"""Colours up to which the search looks at every one: a number takes some 20 ms (arbitrary)."""

_CUBE_SIDE = 4
"""Side, in levels, of the cubes of colours whose means it looks at where there are more."""

_STEPS = 30
"""Lloyd iterations after clusters were split, at most."""


def trace_palettes(
    boxes: ColorBoxes, numbers: Sequence[int], *, seed: int, listener: Listener = ignore_event
) -> Iterator[tuple[Palette, int]]:
    """Yield a palette for each of some numbers of colours, and its error, which never rises.

    Parameters
    ----------
    boxes : ColorBoxes
        The weighted colours.
    numbers : sequence of int
        Ascending numbers of colours, each at least 1.
    seed : int
        Seed of every random draw.
    listener : callable, optional
        Told of each number that is done.

    Yields
    ------
    palette : Palette
        Of ``min(number, distinct colours)`` distinct colours, each in use, with counts.
    error : int
        Squared sRGB error over all pixels, summed over the bands.
    """
    searched = _find_searched(boxes.weigh(1), max(numbers))
    growing = [number for number in numbers if number < len(boxes.points)]
    clusters = Clusters(searched, max(growing, default=1) + _count_splits(max(growing, default=1)))
    last: tuple[Palette, int] | None = None
    for position, number in enumerate(numbers):
        if number in growing:
            _grow(searched, clusters, number, seed, is_first=position == 0)
            colors = round_means(boxes.space, clusters.means)
        else:
            colors = boxes.colors  # there are no more
        found = _finish(boxes, colors, number)
        if last is not None and found[1] > last[1]:
            found = _finish(boxes, last[0].colors, number)
        yield found
        last = found
        listener(Event("fit", position + 1, len(numbers), "palettes"))


def _find_searched(boxes: ColorBoxes, n_centroids: int) -> ColorBoxes:
    """Return what the search looks at: means of neighbouring colours where there are plenty."""
    coarse = boxes.coarsen(_CUBE_SIDE) if len(boxes.points) > _MAX_POINTS else boxes
    return coarse if len(coarse.points) >= POINTS_PER_CENTROID * n_centroids else boxes


def _grow(boxes: ColorBoxes, clusters: Clusters, number: int, seed: int, *, is_first: bool) -> None:
    """Make as many clusters of what there are, or begin with them."""
    if is_first:
        plan = plan_search("default", number, len(boxes.points))
        found, _ = search_centroids(
            boxes,
            plan,
            pins=NO_PINS,
            n_centroids=number,
            seed=seed,
            listener=ignore_event,
        )
        clusters.start(found.means)
        clusters.assign()
        return
    while (missing := number - len(clusters.centroids)) > 0:
        errors, axes = clusters.find_axes()
        chosen = np.argsort(-errors, kind="stable")[:missing]
        chosen = chosen[errors[chosen] > 0]
        if len(chosen) == 0:  # every cluster is a single colour
            return
        clusters.split(chosen, errors, axes)
        clusters.descend(_STEPS, SEARCH_TOL * clusters.level)
    breathe(clusters, _count_splits(number))


def _count_splits(number: int) -> int:
    """Return how many clusters are split in the first breath of so many."""
    if not 1 < number <= MAX_CENTROIDS:
        return 0
    return min(number, max(_MIN_SPLITS, number // _SPLIT_SHARE))


def _finish(
    boxes: ColorBoxes, colors: NDArray[np.floating | np.uint8], number: int
) -> tuple[Palette, int]:
    """Return the palette of so many entries that colours lead to, and its error."""
    finished = finish_palette(boxes, colors, number)
    return finished.palette, measure_error(boxes, finished.assignment, finished.palette)
