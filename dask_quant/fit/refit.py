"""A palette fitted anew from an old one, whose entries keep their indices.

For images that come later: files that were labelled with the old palette keep their labels, and
the colours that these stand for move a little. Lloyd's algorithm begins at the old colours, over
all counted colours; entry ``i`` of the new palette is what entry ``i`` has become, so it is not
sorted. Further entries, where more are asked for, are seeded by greedy k-means++ against the old
ones (`dask_quant.kernels.seed`), move with them, and come after them.

An old entry that wins no pixel is not taken away, for files may use it: it keeps its colour, and
its count is 0. So there can be entries without pixels beside colours that are not shown exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.events import Event
from dask_quant.fit.clusters import Clusters
from dask_quant.fit.distinct import round_apart
from dask_quant.fit.effort import plan_search
from dask_quant.fit.lattice import round_clusters, round_means
from dask_quant.fit.palette_fit import PaletteFit
from dask_quant.fit.refine import FinishedPalette
from dask_quant.fit.search import measure_cost, mix_seed, seeding_points
from dask_quant.kernels.count_block import pack_colors, unpack_colors
from dask_quant.kernels.seed import seed_block
from dask_quant.palette import Palette

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.events import Listener
    from dask_quant.fit.boxes import Assignment, ColorBoxes
    from dask_quant.fit.effort import SearchPlan
    from dask_quant.fit_options import FitOptions

_REFILL_SHARE = 8
"""An eighth of the missing entries is refilled at a time, so that they spread (arbitrary)."""


def refit_palette(boxes: ColorBoxes, options: FitOptions, listener: Listener) -> PaletteFit:
    """Fit a palette from an old one, index by index. **Eager**.

    Parameters
    ----------
    boxes : ColorBoxes
        The weighted colours to fit to, in the working space.
    options : FitOptions
        With the colours of the old palette in ``refit``, at most ``n_colors`` of them; of the rest
        ``max_iter``, ``tol`` and ``seed`` are looked at.
    listener : callable
        Told when it is done.

    Returns
    -------
    PaletteFit
        The old entries in their order, then further ones; all are distinct. Its error is at most
        that of the old palette. Where old and counted colours together are at most ``n_colors``,
        no entry moves, and all counted colours are entries. There are fewer than ``n_colors``
        entries only where there is no error left.

    Notes
    -----
    As of plain k-means: a Lloyd iteration is at most O(colours * n_colors).
    """
    old = np.array(options.refit, dtype=np.uint8)
    found: NDArray[np.floating | np.uint8]
    if boxes.count_colors(old) <= options.n_colors:
        found, n_iter = _add_colors(boxes, old), 0
        finished = _finish(boxes, found)
    else:
        means, rounded, n_iter = _move_entries(boxes, old, options)
        finished = _settle(boxes, old, means, rounded, options.n_colors)
        found = boxes.space.find_levels(means)
        if len(old) == options.n_colors:
            finished = _choose_better(finished, _finish(boxes, old))
    listener(Event("fit", 1, 1, "rounds"))
    return PaletteFit(finished, boxes, "histogram", n_iter, found)


def _choose_better(found: FinishedPalette, old: FinishedPalette) -> FinishedPalette:
    """Return what was found if its error is below that of the old palette, which else stays."""
    return found if found.assignment.squared_error < old.assignment.squared_error else old


def _add_colors(boxes: ColorBoxes, old: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return old entries and, after them by value, the colours that are none, uint8 ``(k, 3)``."""
    codes = np.setdiff1d(pack_colors(boxes.colors), pack_colors(old))
    return np.concatenate([old, unpack_colors(codes)])


def _finish(boxes: ColorBoxes, entries: NDArray[np.uint8]) -> FinishedPalette:
    """Return the palette of distinct entries in their order, with counts and labels."""
    return _with_counts(entries, boxes.assign_entries(entries))


def _with_counts(entries: NDArray[np.uint8], assignment: Assignment) -> FinishedPalette:
    """Return the palette of entries that an assignment is to."""
    return FinishedPalette(Palette(entries, assignment.count(len(entries))), assignment)


def _move_entries(
    boxes: ColorBoxes, old: NDArray[np.uint8], options: FitOptions
) -> tuple[NDArray[np.float64], NDArray[np.uint8], int]:
    """Move old and further entries to rest.

    Returns
    -------
    means : ndarray
        Where they come to rest, in the working space, float64 ``(k, 3)``, old ones first. One that
        won no pixel in the end is back where it began.
    rounded : ndarray
        sRGB colours near them, uint8 ``(k, 3)``, not always distinct.
    n_iter : int
        Lloyd iterations.
    """
    plan = plan_search("default", options.n_colors, len(boxes.colors))
    tol = plan.tol * boxes.space.level if options.tol is None else options.tol * boxes.space.scale
    first = _seed_further(boxes, old, options, plan)
    clusters = Clusters(boxes, len(first))
    clusters.start(first)
    n_iter = clusters.descend(options.max_iter or plan.max_iter, tol)
    clusters.settle()
    empty = np.flatnonzero(clusters.weights == 0)
    clusters.place(empty, first[empty])
    clusters.assign()
    means = clusters.means
    if boxes.space.is_srgb:
        rounded = round_clusters(clusters, n_sweeps=plan.n_sweeps, least_gap=plan.least_gap)
    else:
        rounded = round_means(boxes.space, means)
    return means, rounded, n_iter


def _seed_further(
    boxes: ColorBoxes, old: NDArray[np.uint8], options: FitOptions, plan: SearchPlan
) -> NDArray[np.float64]:
    """Return old entries and as many seeds as are missing, in the working space, ``(k, 3)``."""
    placed = boxes.space.place(old)
    n_missing = options.n_colors - len(old)
    if n_missing == 0:
        return placed.astype(np.float64)
    columns, weights = seeding_points(boxes, options.n_colors)
    cost, stream = measure_cost(columns, placed), mix_seed(options.seed, 0)
    chosen = seed_block(columns, weights, cost, n_missing, plan.n_trials, stream)
    return np.concatenate([placed, columns[:, chosen].T])


def _settle(
    boxes: ColorBoxes,
    old: NDArray[np.uint8],
    means: NDArray[np.float64],
    rounded: NDArray[np.uint8],
    n_colors: int,
) -> FinishedPalette:
    """Return distinct entries of which old ones without a pixel are as they were.

    Further ones without a pixel are given to the colours with the largest error. Either lowers the
    error, or is done at most once for an entry, so there is an end.
    """
    keeps = np.zeros(len(old), dtype=bool)
    while True:
        rounded[: len(old)][keeps] = old[keeps]
        entries = round_apart(boxes.space, means, rounded, np.flatnonzero(keeps))
        assignment = boxes.assign_entries(entries)
        used = assignment.count(len(entries)) > 0
        lost = ~used[: len(old)] & ~keeps
        if lost.any():
            keeps |= lost
            continue
        stays = used | (np.arange(len(entries)) < len(old))
        n_missing = n_colors - int(stays.sum())
        worst = assignment.find_worst(-(-n_missing // _REFILL_SHARE))
        if stays.all() and len(worst) == 0:
            return _with_counts(entries, assignment)
        added = boxes.colors[worst]
        rounded = np.concatenate([entries[stays], added])
        means = np.concatenate([means[stays], boxes.space.place(added).astype(np.float64)])
