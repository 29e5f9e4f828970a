"""How long to search: what ``effort`` means for so many centroids and colours.

Few centroids have many local optima far apart: restarts find the best of them. Many centroids have
countless ones close together: going on from where the search stands finds more than starting
again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dask_quant.kernels.cells import CELL_SIDE

MAX_CENTROIDS = 4096
"""Centroids up to which there is a search: finding the cheapest merge takes O(k^2)."""


FEW_CENTROIDS = 32
"""Centroids up to which local optima are few and far apart (arbitrary)."""


@dataclass(frozen=True)
class SearchPlan:
    """What a search does."""

    n_init: int
    """Restarts at most, at least 1."""
    patience: int
    """Restarts that end alike, at the lowest inertia so far, after which no more are made."""
    n_trials: int
    """Draws of which each first centroid is the best."""
    n_splits: int
    """Clusters that are split in the first breath; 0: no search past Lloyd's local optimum."""
    n_rounds: int
    """Times that the best restart is disturbed."""
    n_swaps: int
    """Clusters that are split, and merged, to disturb it."""
    cube_side: int
    """Side, in levels, of the cubes of colours whose means the search looks at: 1, 4 or 8."""
    max_iter: int
    """Lloyd iterations of the last descent, over all colours."""
    tol: float
    """Centroid shift, in sRGB levels, at which it stops."""
    n_sweeps: int
    """Times at most that other levels are tried for rounded centroids, `dask_quant.fit.lattice`;
    0: each is rounded by itself."""
    least_gap: float
    """Levels between a rounded centroid and the mean from which they are."""


@dataclass(frozen=True)
class _Effort:
    """The figures behind a name."""

    max_init: int
    """Restarts of few centroids."""
    restarted: int
    """Restarts times centroids, of many: their searches take longer and differ less."""
    patience: int
    """As in `SearchPlan`."""
    n_rounds: int
    """Disturbances of many centroids; few get fewer, for restarts find more of them."""
    max_searched: int
    """Centroids up to which there is a search past Lloyd's local optimum."""
    max_points: int
    """Colours up to which the search looks at every one."""
    max_coarse: int
    """Centroids up to which it looks at the means of cells where there are more."""
    max_iter: int
    """As in `SearchPlan`; 300 is scikit-learn's."""
    tol: float
    """As in `SearchPlan`; 0.05 is a tenth of what rounding can move."""
    n_sweeps: int
    """As in `SearchPlan`."""
    least_gap: float
    """As in `SearchPlan`; half a level tries none."""


_EFFORTS = {
    "fast": _Effort(
        max_init=1,
        restarted=1,
        patience=1,
        n_rounds=0,
        max_searched=FEW_CENTROIDS,
        max_points=1 << 12,
        max_coarse=64,
        max_iter=5,
        tol=0.5,
        n_sweeps=0,
        least_gap=0.5,
    ),
    "default": _Effort(
        max_init=12,
        restarted=128,
        patience=4,
        n_rounds=8,
        max_searched=MAX_CENTROIDS,
        max_points=1 << 17,
        max_coarse=FEW_CENTROIDS,
        max_iter=300,
        tol=0.05,
        n_sweeps=1,
        least_gap=0.2,
    ),
    "best": _Effort(
        max_init=32,
        restarted=1024,
        patience=10,
        n_rounds=60,
        max_searched=MAX_CENTROIDS,
        max_points=1 << 19,
        max_coarse=FEW_CENTROIDS,
        max_iter=300,
        tol=0.05,
        n_sweeps=8,
        least_gap=0.05,
    ),
}
"""Settled on photographs; `tests/benchmarks/peers.py` measures what they give."""

_FIRST_SHARE = 4
"""A quarter of the centroids is split at first (measured: an eighth finds less)."""

_MIN_SPLITS = 5
"""Splits at first at least, as in Fritzke's paper."""

_SWAP_SHARE = 8
"""An eighth of the centroids is split to disturb them (measured: a quarter does as well)."""

_MIN_SWAPS = 2
"""Clusters split to disturb few centroids."""

_MANY_CENTROIDS = 64
"""Centroids from which there are as many rounds as an effort has."""

_COLORS_PER_CENTROID = 64
"""Colours of a centroid up to which cubes would be too coarse."""

_MAX_SWEPT = 1024
"""Centroids up to which other levels are tried: three times as many tries, a millisecond each."""

_CAREFUL_CENTROIDS = 512
"""Centroids up to which each is the best of several draws (arbitrary)."""


def plan_search(
    effort: str, n_centroids: int, n_colors: int, *, n_init: int | None = None
) -> SearchPlan:
    """Return what a search does.

    Parameters
    ----------
    effort : {"fast", "default", "best"}
        How long to search.
    n_centroids, n_colors : int
        How many to find, among how many.
    n_init : int, optional
        Restarts that are made in any case. None: what ``effort`` says, fewer if they end alike.
    """
    given = _EFFORTS[effort]
    is_searched = n_centroids <= given.max_searched
    free = min(n_centroids - 1, n_colors - n_centroids) if is_searched else 0
    n_swaps = min(free, max(_MIN_SWAPS, n_centroids // _SWAP_SHARE))
    n_rounds = -(-given.n_rounds * min(n_centroids, _MANY_CENTROIDS) // _MANY_CENTROIDS)
    return SearchPlan(
        n_init=n_init or max(1, min(given.max_init, given.restarted // n_centroids)),
        patience=n_init or given.patience,
        n_trials=_count_trials(effort, n_centroids),
        n_splits=min(free, max(_MIN_SPLITS, n_centroids // _FIRST_SHARE)),
        n_rounds=n_rounds if n_swaps else 0,
        n_swaps=n_swaps,
        cube_side=_choose_side(n_centroids, n_colors, given),
        max_iter=given.max_iter,
        tol=given.tol,
        n_sweeps=given.n_sweeps if n_centroids <= _MAX_SWEPT else 0,
        least_gap=given.least_gap,
    )


def _count_trials(effort: str, n_centroids: int) -> int:
    """Return the draws of which each first centroid is the best: as in scikit-learn, or two."""
    if effort == "fast" or n_centroids > _CAREFUL_CENTROIDS:
        return 2
    return 2 + int(math.log(n_centroids))


def _choose_side(n_centroids: int, n_colors: int, given: _Effort) -> int:
    """Return the side of the cubes to search on: far smaller than clusters, with enough of them."""
    if n_colors <= max(given.max_points, _COLORS_PER_CENTROID * n_centroids):
        return 1
    return CELL_SIDE if n_centroids <= given.max_coarse else CELL_SIDE // 2
