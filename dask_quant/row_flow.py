"""k-means on rows of numbers that are spread over blocks: survey, seed, iterate, in passes.

The rows may be those of a Dask array or the pixels of rasters; a pass reads each block once, and
what comes back is a few kilobytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant.fit.row_block import RowBlock
from dask_quant.fit.row_lloyd import HeldRows, choose_best, iterate_rows, seed_rows
from dask_quant.fit.row_swap import SWAP_STEPS, swap_centers
from dask_quant.fit.row_totals import FixedPoint
from dask_quant.fit.search import mix_seed
from dask_quant.graphs.layers import reduce_tree
from dask_quant.graphs.rows import (
    SPLIT_EVERY,
    DrawRule,
    merge_drawn,
    merge_products,
    merge_ranges,
    merge_statistics,
    merge_surveys,
    merge_totals,
)
from dask_quant.waves import Wave

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dask.delayed import Delayed
    from numpy.typing import NDArray

    from dask_quant.execute import Executor
    from dask_quant.fit.class_statistics import ClassStatistics, StatisticsScale
    from dask_quant.fit.components import ProductScale, RowProducts
    from dask_quant.fit.features import FeatureMap
    from dask_quant.fit.row_lloyd import CentersFit
    from dask_quant.fit.row_totals import RowRange, RowTotals
    from dask_quant.graphs.rows import DrawnRows, RowBlocks

SAMPLE_NUMBERS = 1 << 22
"""Numbers of the sample that a fit begins on, 32 MiB (arbitrary: less than a second a fit, and so
near to all rows that a few passes over them are left)."""

_FIRST_ROWS = 1 << 14
"""Rows of the sample that restarts and swaps are tried on at least (arbitrary)."""

_FIRST_ROWS_PER_CLUSTER = 256
"""The same for each cluster, as faiss finds enough."""

_ROUNDS = 5
"""Rounds of k-means||, as its paper finds enough."""

_SAMPLE_RESTARTS = 8
"""Restarts on the sample when nothing else is said (arbitrary)."""

_ROUGHER = 10
"""How much larger the tolerance is while sets are only compared (arbitrary)."""

_MORE_ROWS = 8
"""How many times as many rows the second round has (arbitrary)."""

_FINALISTS = 3
"""Restarts that it takes beside what the swaps ended at (arbitrary)."""

_PATIENCE = 30
"""Swaps in vain, one after the other, after which there are no more (arbitrary)."""

_MAX_DISTANCES = 1 << 28
"""Distances that restarts, and swaps in vain, may cost: fewer of both where centres are many
(arbitrary: a second or so; the more centres, the less one start differs from another)."""

_DESCENT_STEPS = 20
"""Lloyd steps that a restart takes, about."""

_SAMPLE_ROW_BYTES = 200
"""Bytes of a row of the sample while blocks are merged (measured 152, of three features)."""

_PASS_BYTES = 16 * 2**20
"""What a thread holds beside its block in a pass, generously: a few parts that fit the cache."""


@dataclass(frozen=True, kw_only=True)
class RowFitOptions:
    """How centres are fitted to rows; each parameter as `ScalableKMeans` explains it."""

    n_clusters: int
    """Centres, at least 1."""
    init: str | NDArray[np.float64] = "k-means++"
    """``k-means||``, ``k-means++`` or where to begin, ``(n_clusters, n_features)``."""
    oversampling_factor: float = 2.0
    """Candidates drawn per pass of k-means||, per cluster."""
    max_iter: int = 300
    """Times at most that centres are moved."""
    tol: float = 1e-4
    """Sum of squared shifts at which they are at rest, in mean variances of a feature."""
    max_shift: float | None = None
    """Shift that no centre exceeds when they are at rest, in units of the rows; ``tol`` is not
    looked at then."""
    seed: int = 0
    """Seed of every random draw."""
    n_rounds: int = _ROUNDS
    """Passes of k-means|| that draw."""
    n_init: int | None = None
    """Restarts, the best of which is kept; None: up to 8 on the sample of ``k-means++``, else 1."""
    dtype: type[np.floating[Any]] = np.float64
    """Type that centres are rounded to whenever they have moved."""


@dataclass
class SpreadRows:
    """Rows in blocks, somewhere; counts the passes over them."""

    blocks: RowBlocks
    """The rows."""
    executor: Executor
    """What computes."""
    fixed: FixedPoint | None = None
    """How they are summed, once their range is known."""
    n_passes: int = 0
    """Passes so far."""
    stage: str | None = None
    """What listeners are told that a pass is; None: its number."""

    def add_up(self, centers: Sequence[NDArray[np.float64]]) -> list[RowTotals]:
        """See `dask_quant.fit.row_lloyd.RowSource`."""
        assert self.fixed is not None, "the range was found"
        totals: list[RowTotals] = self._pass(self.blocks.add_up(centers, self.fixed), merge_totals)
        return totals

    def find_far(self, centers: NDArray[np.float64], n_rows: int) -> NDArray[np.float64]:
        """See `dask_quant.fit.row_lloyd.RowSource`."""
        return self.draw(DrawRule(n_rows, 0, centers, is_random=False)).rows

    def draw(self, rule: DrawRule) -> DrawnRows:
        """Return rows drawn by a rule, in one pass."""
        drawn: DrawnRows = self._pass(
            self.blocks.draw(rule), partial(merge_drawn, n_rows=rule.n_rows)
        )
        return drawn

    def survey(self, seed: int, n_features: int) -> RowSurvey:
        """Look at all rows in one pass, and draw a sample; in two, where most rows are left out."""
        n_rows = max(1, SAMPLE_NUMBERS // n_features)
        rule = DrawRule(n_rows, int(mix_seed(seed, 0)), None, n_of=sum(self.blocks.sizes))
        found: RowRange
        found, sample = self._pass(
            self.blocks.survey(rule), partial(merge_surveys, n_rows=rule.n_rows)
        )
        if len(sample.rows) < min(n_rows, found.n_rows) // 2:
            sample = self.draw(replace(rule, n_of=found.n_rows))
        return RowSurvey(found, sample)

    def find_range(self) -> RowRange:
        """Return where all rows lie, in one pass."""
        found: RowRange = self._pass(self.blocks.find_range(), merge_ranges)
        return found

    def describe(self, centers: NDArray[np.float64], given: StatisticsScale) -> ClassStatistics:
        """Return what the rows of each class are like, in one pass."""
        found: ClassStatistics
        found = self._pass(self.blocks.describe(centers, given), merge_statistics)
        return found

    def multiply(self, given: ProductScale) -> RowProducts:
        """Return the sums of products of the features of all rows, in one pass."""
        products: RowProducts = self._pass(self.blocks.multiply(given), merge_products)
        return products

    def _pass(self, leaves: list[Delayed], merge: Any) -> Any:
        """Compute leaves, a bounded number of them at a time, and merge what they return."""
        self.n_passes += 1
        sizes = self.blocks.sizes
        waves = (
            Wave(reduce_tree(merge, leaves[part], SPLIT_EVERY), leaves[part], sizes[part])
            for part in self.executor.split_tasks(len(leaves))
        )
        parts: list[Any] = []
        stage = self.stage or f"pass {self.n_passes}"
        self.executor.compute_waves(
            waves, parts.append, stage=stage, total=sum(sizes), unit=self.blocks.unit
        )
        return merge(parts)


@dataclass(frozen=True)
class RowSurvey:
    """What a first pass over all rows finds."""

    found: RowRange
    """Where they lie."""
    sample: DrawnRows
    """Some of them, drawn by their numbers."""

    def apply(self, features: FeatureMap) -> RowSurvey:
        """Return the same of features that are made of these, which are the bands themselves."""
        low, high = features.bound(self.found.low, self.found.high)
        rows = features.apply(self.sample.rows)
        return RowSurvey(replace(self.found, low=low, high=high), replace(self.sample, rows=rows))


def fit_rows(source: SpreadRows, survey: RowSurvey, options: RowFitOptions) -> CentersFit:
    """Fit centres to rows that were surveyed. **Eager**.

    The centres are ``options.n_clusters``; where fewer rows are distinct, the last again and again.
    """
    tol = _find_tolerance(survey, options)
    starts = [
        _pad(start, options.n_clusters).astype(options.dtype).astype(np.float64)
        for start in _choose_starts(source, survey, options, tol)
    ]
    source.fixed = FixedPoint.from_range(survey.found.include(np.concatenate(starts)))
    fits = iterate_rows(source, starts, max_iter=options.max_iter, tol=tol, dtype=options.dtype)
    return choose_best(fits)


def fit_each(
    source: SpreadRows, survey: RowSurvey, each: Sequence[RowFitOptions]
) -> list[CentersFit]:
    """Fit several numbers of centres side by side: a pass serves all of them. **Eager**.

    Each begins at its fit to the sample, and is moved at most as often as the first allows.
    """
    tol = _find_tolerance(survey, each[0])
    starts = [fit_sample(survey, options, tol).centers for options in each]
    source.fixed = FixedPoint.from_range(survey.found.include(np.concatenate(starts)))
    return iterate_rows(source, starts, max_iter=each[0].max_iter, tol=tol, dtype=each[0].dtype)


def measure_variance(survey: RowSurvey) -> float:
    """Return the mean variance of a feature, of the sample."""
    return float(np.var(survey.sample.rows, axis=0).mean())


def _find_tolerance(survey: RowSurvey, options: RowFitOptions) -> float:
    """Return the sum of squared shifts at which centres are at rest."""
    if options.max_shift is None:
        return options.tol * measure_variance(survey)
    return options.max_shift * options.max_shift  # no shift is above the root of their sum


def _choose_starts(
    source: SpreadRows, survey: RowSurvey, options: RowFitOptions, tol: float
) -> list[NDArray[np.float64]]:
    """Return sets of first centres, each of at most ``n_clusters``."""
    if not isinstance(options.init, str):
        return [options.init]
    fixed = FixedPoint.from_range(survey.found)
    if options.init == "k-means++":
        return [fit_sample(survey, options, tol).centers]
    source.fixed = fixed
    candidates, weights = _draw_candidates(source, survey.sample, options)
    return _seed(candidates, weights, options, options.n_init or 1)


def fit_sample(survey: RowSurvey, options: RowFitOptions, tol: float) -> CentersFit:
    """Fit centres to the sample alone, in three rounds, each of more rows and fewer sets.

    Restarts and swaps on a small part; those that did best there once more on a larger one, for
    what is best of few rows may not be of many; then the one that is left on the whole sample.
    """
    n_rows = max(_FIRST_ROWS, _FIRST_ROWS_PER_CLUSTER * options.n_clusters)
    n_steps = _MAX_DISTANCES // (n_rows * options.n_clusters)
    n_init = options.n_init or min(max(n_steps // _DESCENT_STEPS, 1), _SAMPLE_RESTARTS)
    patience = min(max(n_steps // SWAP_STEPS, 1), _PATIENCE)
    small, large, whole = (
        _hold(survey, size) for size in (n_rows, _MORE_ROWS * n_rows, len(survey.sample.rows))
    )
    iterate = partial(iterate_rows, max_iter=options.max_iter, dtype=np.float64)
    starts = _seed(small.block.take(slice(None)), small.block.weights, options, n_init)
    fits = iterate(small, starts, tol=tol * _ROUGHER)
    fits.sort(key=lambda fit: fit.totals.inertia)
    stream = mix_seed(options.seed, n_init)
    fits = [swap_centers(small, fits[0], patience=patience, seed=stream), *fits[:_FINALISTS]]
    best = choose_best(iterate(large, [fit.centers for fit in fits], tol=tol * _ROUGHER))
    (fit,) = iterate(whole, [best.centers], tol=tol)
    return fit


def _hold(survey: RowSurvey, n_rows: int) -> HeldRows:
    """Return the first rows of the sample, which are a sample themselves."""
    block = RowBlock(survey.sample.rows[:n_rows], survey.sample.weights[:n_rows])
    return HeldRows(block, FixedPoint.from_range(survey.found))


def _draw_candidates(
    source: SpreadRows, sample: DrawnRows, options: RowFitOptions
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return candidates drawn by k-means||, and the weight that each wins of all rows."""
    centers = sample.rows[:1]
    n_rows = max(1, round(options.oversampling_factor * options.n_clusters))
    for number in range(options.n_rounds):
        drawn = source.draw(DrawRule(n_rows, int(mix_seed(options.seed, 1 + number)), centers))
        if len(drawn.rows) == 0:
            break
        centers = np.concatenate([centers, drawn.rows])
    (totals,) = source.add_up([centers])
    return centers, totals.weights


def _seed(
    rows: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    options: RowFitOptions,
    n_init: int,
) -> list[NDArray[np.float64]]:
    """Return ``n_init`` sets of first centres among rows in memory."""
    return [
        seed_rows(rows, weights, n_clusters=options.n_clusters, seed=options.seed, restart=restart)
        for restart in range(n_init)
    ]


def _pad(centers: NDArray[np.float64], n_clusters: int) -> NDArray[np.float64]:
    """Return ``n_clusters`` centres, the last again and again where there are fewer."""
    return np.pad(centers, ((0, n_clusters - len(centers)), (0, 0)), mode="edge")


def plan_fit_bytes(n_rows: int, *, n_processes: int, n_threads: int) -> int:
    """Return an upper bound of what `fit_rows` and its survey hold beside the blocks they read.

    Parameters
    ----------
    n_rows : int
        Rows of three features.
    n_processes : int
        Worker processes; 0 for threads of this one. What a worker has merged travels to the driver.
    n_threads : int
        Blocks that are worked on side by side.
    """
    n_copies = 2 if n_processes else 1
    n_sampled = min(n_rows, SAMPLE_NUMBERS // 3)
    return n_copies * n_sampled * _SAMPLE_ROW_BYTES + n_threads * _PASS_BYTES
