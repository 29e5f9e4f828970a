"""Passes over rows of numbers in Dask arrays: ranges, totals, draws; one task a block.

Nothing here depends on how rows are cut into blocks: totals are integers, and a row is drawn by a
hash of its number among all rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from dask.delayed import delayed

from dask_quant.fit.row_totals import RowRange, RowTotals
from dask_quant.fit.rows import find_nearest
from dask_quant.graphs.sampling import splitmix64

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import dask.array as da
    from dask.delayed import Delayed
    from numpy.typing import NDArray

    from dask_quant.fit.row_totals import FixedPoint
    from dask_quant.fit.rows import Numbers

    Weights = NDArray[np.float64] | None

SPLIT_EVERY = 16
"""Results merged by one task: centres and rows drawn, kilobytes each."""

_TO_UNIT = 2.0**-53
"""What takes 53 random bits to [0, 1)."""


@dataclass(frozen=True)
class DrawnRows:
    """Rows that were drawn, the lowest keys first."""

    keys: NDArray[np.float64]
    """What they were drawn by, ascending, ``(n,)``."""
    numbers: NDArray[np.int64]
    """Their numbers among all rows, which decide equal keys, ``(n,)``."""
    rows: NDArray[np.float64]
    """``(n, n_features)``."""
    weights: NDArray[np.float64]
    """``(n,)``."""

    @classmethod
    def merge_lowest(cls, drawn: Sequence[DrawnRows], n_rows: int) -> DrawnRows:
        """Return the ``n_rows`` of lowest keys of all."""
        joined = cls(
            *(np.concatenate([each.keys for each in drawn]),),
            *(np.concatenate([each.numbers for each in drawn]),),
            *(np.concatenate([each.rows for each in drawn]),),
            *(np.concatenate([each.weights for each in drawn]),),
        )
        return joined.take(np.lexsort((joined.numbers, joined.keys))[:n_rows])

    def take(self, order: NDArray[np.int64]) -> DrawnRows:
        """Return some of them, in an order."""
        return DrawnRows(
            self.keys[order], self.numbers[order], self.rows[order], self.weights[order]
        )


@dataclass(frozen=True)
class RowBlocks:
    """The blocks of a Dask array of rows, with weights, ready for passes."""

    blocks: tuple[Delayed, ...]
    """Each ``(n, n_features)``."""
    weights: tuple[Delayed | None, ...]
    """Of each block, float64 ``(n,)``; None: 1 each."""
    sizes: tuple[int, ...]
    """Rows of each block."""

    @classmethod
    def of(cls, rows: da.Array, weights: da.Array | None) -> RowBlocks:
        """Return the blocks of ``(n, n_features)`` of known chunks. **Lazy**."""
        rows = rows.rechunk({1: -1})
        sizes = rows.chunks[0]
        given: Sequence[Delayed | None] = [None] * len(sizes)
        if weights is not None:
            given = weights.rechunk((sizes,)).to_delayed().ravel().tolist()
        return cls(tuple(rows.to_delayed().ravel().tolist()), tuple(given), sizes)

    def _iterate(self) -> Iterator[tuple[Delayed, Delayed | None, int]]:
        """Yield block, weights, and number of the first row."""
        starts = np.cumsum((0, *self.sizes[:-1])).tolist()
        yield from zip(self.blocks, self.weights, starts, strict=True)

    def survey(self, rule: DrawRule) -> list[Delayed]:
        """Return the delayed `RowRange` and `DrawnRows` of each block. **Lazy**."""
        task, given = delayed(survey_block, pure=True), delayed(rule, pure=True)
        return [task(block, weights, start, given) for block, weights, start in self._iterate()]

    def add_up(self, centers: Sequence[NDArray[np.float64]], fixed: FixedPoint) -> list[Delayed]:
        """Return the delayed totals that each set of ``centers`` wins of each block. **Lazy**."""
        task, given = delayed(add_up_block, pure=True), delayed((list(centers), fixed))
        return [task(block, weights, given) for block, weights, _ in self._iterate()]

    def draw(self, rule: DrawRule) -> list[Delayed]:
        """Return the delayed `DrawnRows` of each block. **Lazy**."""
        task, given = delayed(draw_block_rows, pure=True), delayed(rule, pure=True)
        return [task(block, weights, start, given) for block, weights, start in self._iterate()]


@dataclass(frozen=True)
class DrawRule:
    """Which rows a pass draws."""

    n_rows: int
    """How many, at most."""
    stream: int
    """Seed of the hash, 0 to 2**64 - 1."""
    centers: NDArray[np.float64] | None
    """Rows are drawn with a probability proportional to weight times squared distance to the
    nearest of these, and never on one. None: each row with a weight is as likely."""
    is_random: bool = True
    """Whether they are drawn; else those of the largest distances are taken."""


def survey_block(
    rows: Numbers, weights: Weights, first: int, rule: DrawRule
) -> tuple[RowRange, DrawnRows]:
    """Return the range of one block, and what is drawn from it. **Eager**."""
    return RowRange.of(rows, weights), draw_block_rows(rows, weights, first, rule)


def add_up_block(
    rows: Numbers, weights: Weights, given: tuple[list[NDArray[np.float64]], FixedPoint]
) -> list[RowTotals]:
    """Return what each set of centres wins of one block. **Eager**."""
    sets, fixed = given
    return [RowTotals.of(rows, weights, each, fixed) for each in sets]


def draw_block_rows(rows: Numbers, weights: Weights, first: int, rule: DrawRule) -> DrawnRows:
    """Return the rows of one block, the first of which has a number, that are drawn. **Eager**.

    Without replacement, by the method of Efraimidis and Spirakis, "Weighted random sampling with a
    reservoir", Information Processing Letters 97(5), 2006: the lowest keys of all blocks are the
    sample.
    """
    odds = np.ones(len(rows)) if weights is None else (weights > 0).astype(np.float64)
    if rule.centers is not None:
        _, distances = find_nearest(rows, rule.centers)
        scale = 1.0 if weights is None or not rule.is_random else weights
        odds = np.where(odds > 0, distances * scale, 0.0)
    can = np.flatnonzero(odds > 0)
    keys = -odds[can]
    if rule.is_random:
        bits = splitmix64(rule.stream, (can + first).astype(np.uint64)) >> np.uint64(11)
        keys = -np.log1p(-(bits * _TO_UNIT)) / odds[can]
    order = np.lexsort((can, keys))[: rule.n_rows]
    chosen = can[order]
    given = np.ones(len(chosen)) if weights is None else np.asarray(weights)[chosen]
    return DrawnRows(
        keys[order], chosen + first, np.asarray(rows)[chosen].astype(np.float64), given
    )


def merge_surveys(
    surveys: Sequence[tuple[RowRange, DrawnRows]], n_rows: int
) -> tuple[RowRange, DrawnRows]:
    """Merge the surveys of a few blocks. **Eager**."""
    ranges, drawn = zip(*surveys, strict=True)
    return RowRange.merge_all(ranges), DrawnRows.merge_lowest(drawn, n_rows)


def merge_totals(blocks: Sequence[Sequence[RowTotals]]) -> list[RowTotals]:
    """Merge the totals of a few blocks, set by set. **Eager**."""
    return [RowTotals.merge_all(each) for each in zip(*blocks, strict=True)]


def merge_drawn(drawn: Sequence[DrawnRows], n_rows: int) -> DrawnRows:
    """Merge what was drawn from a few blocks. **Eager**."""
    return DrawnRows.merge_lowest(drawn, n_rows)


def reduce_leaves(leaves: Sequence[Delayed], merge: Any, *more: Any) -> Delayed:
    """Return what ``merge`` makes of at least one leaf, `SPLIT_EVERY` at a time. **Lazy**."""
    task, level = delayed(merge, pure=True), list(leaves)
    while True:
        level = [
            task(level[begin : begin + SPLIT_EVERY], *more)
            for begin in range(0, len(level), SPLIT_EVERY)
        ]
        if len(level) == 1:
            return level[0]
