"""Passes over blocks of rows of numbers: ranges, totals, draws; one task a block.

Nothing here depends on how rows are cut into blocks: totals are integers, and a row is drawn by a
hash of its number among all rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
from dask.delayed import delayed

from dask_quant.fit.class_statistics import ClassStatistics
from dask_quant.fit.components import RowProducts
from dask_quant.fit.row_block import RowBlock, RowNumbers
from dask_quant.fit.row_totals import RowRange, RowTotals
from dask_quant.graphs.sampling import splitmix64
from dask_quant.kernels.nearest import nearest_block

if TYPE_CHECKING:
    from collections.abc import Sequence

    import dask.array as da
    from dask.delayed import Delayed
    from numpy.typing import NDArray

    from dask_quant.fit.class_statistics import StatisticsScale
    from dask_quant.fit.components import ProductScale
    from dask_quant.fit.features import FeatureMap
    from dask_quant.fit.row_totals import FixedPoint

SPLIT_EVERY = 16
"""Results merged by one task: centres and rows drawn, kilobytes each."""

_SPARE_DEVIATIONS = 8
"""Standard deviations that are drawn too many: fewer than asked for come once in 10^15 times."""

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

    def __sizeof__(self) -> int:
        """Return the bytes of the arrays as well, by which Dask chooses what to move and spill."""
        arrays = (self.keys, self.numbers, self.rows, self.weights)
        return object.__sizeof__(self) + sum(array.nbytes for array in arrays)

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
    """All rows, in blocks that are made when they are needed; ready for passes."""

    blocks: tuple[Delayed, ...]
    """Each a `RowBlock`, numbered throughout."""
    sizes: tuple[int, ...]
    """Rows of each block, as far as is known beforehand."""
    features: FeatureMap | None = None
    """How features are made of all of them; None: they are the bands."""
    unit: str = "rows"
    """What progress counts."""

    @classmethod
    def of(cls, rows: da.Array, weights: da.Array | None) -> RowBlocks:
        """Return the blocks of ``(n, n_features)`` of known chunks. **Lazy**.

        ``weights`` are float64 ``(n,)`` in the same chunks.
        """
        arrays = [rows.rechunk({1: -1})] if weights is None else [rows.rechunk({1: -1}), weights]
        # Together and unfused, or each would read for itself what both are made of.
        with dask.config.set({"optimization.fuse.active": False}):
            arrays = dask.optimize(*arrays)
        parts, *others = (
            array.to_delayed(optimize_graph=False).ravel().tolist() for array in arrays
        )
        sizes = rows.chunks[0]
        (given,) = others or [[None] * len(sizes)]
        task = delayed(make_row_block, pure=True)
        starts = np.cumsum((0, *sizes[:-1])).tolist()
        blocks = [task(*each) for each in zip(parts, given, starts, strict=True)]
        return cls(tuple(blocks), sizes)

    @classmethod
    def of_image(cls, image: da.Array) -> RowBlocks:
        """Return the pixels of ``(y, x, n_bands)`` of known chunks, block by block. **Lazy**.

        A pixel has the number that it has in the whole image, row after row.
        """
        image, width = image.rechunk({2: -1}), image.shape[1]
        heights, widths = image.chunks[:2]
        tops, lefts = (np.cumsum((0, *sizes[:-1])).tolist() for sizes in image.chunks[:2])
        task = delayed(make_pixel_block, pure=True)
        blocks = [
            task(pixels, top * width + left, width)
            for pixels, (top, left) in zip(
                image.to_delayed().ravel().tolist(), product(tops, lefts), strict=True
            )
        ]
        sizes = tuple(rows * columns for rows, columns in product(heights, widths))
        return cls(tuple(blocks), sizes, unit="px")

    def with_features(self, features: FeatureMap) -> RowBlocks:
        """Return the same rows, with features. **Lazy**."""
        return replace(self, features=features)

    def survey(self, rule: DrawRule) -> list[Delayed]:
        """Return the delayed `RowRange` and `DrawnRows` of each block. **Lazy**."""
        return self._map(survey_block, rule)

    def find_range(self) -> list[Delayed]:
        """Return the delayed `RowRange` of each block. **Lazy**."""
        return self._map(find_block_range, None)

    def add_up(self, centers: Sequence[NDArray[np.float64]], fixed: FixedPoint) -> list[Delayed]:
        """Return the delayed totals that each set of ``centers`` wins of each block. **Lazy**."""
        return self._map(add_up_block, (list(centers), fixed))

    def draw(self, rule: DrawRule) -> list[Delayed]:
        """Return the delayed `DrawnRows` of each block. **Lazy**."""
        return self._map(draw_block_rows, rule)

    def describe(self, centers: NDArray[np.float64], given: StatisticsScale) -> list[Delayed]:
        """Return the delayed `ClassStatistics` of each block, of its bands. **Lazy**."""
        return self._map(describe_block, (centers, given))

    def multiply(self, given: ProductScale) -> list[Delayed]:
        """Return the delayed `RowProducts` of each block. **Lazy**."""
        return self._map(multiply_block, given)

    def _map(self, function: Any, given: Any) -> list[Delayed]:
        """Return a task for every block, of which each gets the same delayed ``given``."""
        task, shared = delayed(function, pure=True), delayed((given, self.features), pure=True)
        return [task(block, shared) for block in self.blocks]


def make_row_block(rows: NDArray[Any], weights: NDArray[np.float64] | None, first: int) -> RowBlock:
    """Return rows ``(n, n_features)`` that follow one another. **Eager**."""
    return RowBlock(rows, weights, RowNumbers(first))


def make_pixel_block(
    pixels: NDArray[Any], first: int, stride: int, valid: NDArray[np.bool_] | None = None
) -> RowBlock:
    """Return a block ``(y, x, n_bands)`` of an image as rows of bands. **Eager**.

    ``first`` is the number of its first pixel, ``stride`` the width of the image. Pixels that are
    not ``valid`` ``(y, x)`` are left out.
    """
    _, width, n_bands = pixels.shape
    rows, kept = pixels.reshape(-1, n_bands), None
    if valid is not None and not valid.all():
        kept = np.flatnonzero(valid)
        rows = rows[kept]
    numbers = RowNumbers(first, width=max(1, width), stride=stride, kept=kept)
    return RowBlock(rows, numbers=numbers)


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
    n_of: int | None = None
    """All rows, where each is as likely: blocks then leave out at once what will hardly be drawn.
    Of rows that are fewer, fewer are drawn."""

    @property
    def highest_key(self) -> float:
        """Keys above this are left out at once: so many are below that they are enough."""
        if self.n_of is None:
            return math.inf
        return (self.n_rows + _SPARE_DEVIATIONS * math.sqrt(self.n_rows)) / max(1, self.n_of)


def survey_block(
    block: RowBlock, given: tuple[DrawRule, FeatureMap | None]
) -> tuple[RowRange, DrawnRows]:
    """Return the range of one block, and what is drawn from it. **Eager**."""
    return RowRange.of(_prepare(block, given[1])), draw_block_rows(block, given)


def find_block_range(block: RowBlock, given: tuple[None, FeatureMap | None]) -> RowRange:
    """Return the range of one block. **Eager**."""
    return RowRange.of(_prepare(block, given[1]))


def add_up_block(
    block: RowBlock,
    given: tuple[tuple[list[NDArray[np.float64]], FixedPoint], FeatureMap | None],
) -> list[RowTotals]:
    """Return what each set of centres wins of one block. **Eager**."""
    (sets, fixed), features = given
    prepared = _prepare(block, features)
    return [RowTotals.of(prepared, each, fixed) for each in sets]


def describe_block(
    block: RowBlock,
    given: tuple[tuple[NDArray[np.float64], StatisticsScale], FeatureMap | None],
) -> ClassStatistics:
    """Return what the rows of each class of one block are like. **Eager**."""
    (centers, scale), features = given
    return ClassStatistics.of(_prepare(block, features), centers, scale)


def multiply_block(block: RowBlock, given: tuple[ProductScale, FeatureMap | None]) -> RowProducts:
    """Return the sums of products of the features of one block. **Eager**."""
    return RowProducts.of(_prepare(block, given[1]), given[0])


def draw_block_rows(block: RowBlock, given: tuple[DrawRule, FeatureMap | None]) -> DrawnRows:
    """Return the rows of one block that are drawn. **Eager**.

    Without replacement, by the method of Efraimidis and Spirakis, "Weighted random sampling with a
    reservoir", Information Processing Letters 97(5), 2006: the lowest keys of all blocks are the
    sample.
    """
    rule, features = given
    block = _prepare(block, features)
    keys, chosen = [np.empty(0)], [np.empty(0, dtype=np.int64)]
    for part, rows in block.iterate():
        begin, stop, _ = part.indices(len(block))
        odds = _find_odds(rows, None if block.weights is None else block.weights[part], rule)
        can = np.arange(begin, stop) if odds is None else begin + np.flatnonzero(odds > 0)
        found = _draw_keys(block.numbers.find(can), None if odds is None else odds[odds > 0], rule)
        lowest = _find_lowest(found, rule)
        keys.append(found[lowest])
        chosen.append(can[lowest])
    all_keys, positions = np.concatenate(keys), np.concatenate(chosen)
    order = np.lexsort((positions, all_keys))[: rule.n_rows]
    positions = positions[order]
    weights = np.ones(len(order)) if block.weights is None else block.weights[positions]
    numbers = block.numbers.find(positions)
    return DrawnRows(all_keys[order], numbers, block.take(positions), weights)


def _prepare(block: RowBlock, features: FeatureMap | None) -> RowBlock:
    """Return the block with the features that all blocks have."""
    return block if features is None else replace(block, features=features)


def _find_odds(
    rows: NDArray[np.float64], weights: NDArray[np.float64] | None, rule: DrawRule
) -> NDArray[np.float64] | None:
    """Return what the odds of each row are proportional to; None: all are as likely.

    Without centres, rows of any weight are as likely: it is used where they are weighed.
    """
    if rule.centers is None:
        return None if weights is None else (weights > 0).astype(np.float64)
    _, distances = nearest_block(rows, np.array(rule.centers, order="C"))
    if weights is None:
        return distances
    distances[weights <= 0] = 0.0  # and not infinity, where a number is NaN
    return distances * weights if rule.is_random else distances


def _draw_keys(
    numbers: NDArray[np.int64], odds: NDArray[np.float64] | None, rule: DrawRule
) -> NDArray[np.float64]:
    """Return the keys of rows by their numbers among all rows: the lowest are drawn."""
    if not rule.is_random:
        assert odds is not None, "rows are taken by their distances"
        return -odds
    bits = splitmix64(rule.stream, numbers.astype(np.uint64)) >> np.uint64(11)
    uniform = bits.astype(np.float64) * _TO_UNIT
    return uniform if odds is None or rule.centers is None else -np.log1p(-uniform) / odds


def _find_lowest(keys: NDArray[np.float64], rule: DrawRule) -> NDArray[np.int64]:
    """Return the positions of keys that may be among the lowest of all, in any order."""
    if len(keys) <= rule.n_rows:
        return np.flatnonzero(keys <= rule.highest_key)
    bound = min(rule.highest_key, np.partition(keys, rule.n_rows - 1)[rule.n_rows - 1])
    return np.flatnonzero(keys <= bound)


def merge_surveys(
    surveys: Sequence[tuple[RowRange, DrawnRows]], n_rows: int
) -> tuple[RowRange, DrawnRows]:
    """Merge the surveys of a few blocks. **Eager**."""
    ranges, drawn = zip(*surveys, strict=True)
    return RowRange.merge_all(ranges), DrawnRows.merge_lowest(drawn, n_rows)


def merge_ranges(ranges: Sequence[RowRange]) -> RowRange:
    """Merge the ranges of a few blocks. **Eager**."""
    return RowRange.merge_all(ranges)


def merge_totals(blocks: Sequence[Sequence[RowTotals]]) -> list[RowTotals]:
    """Merge the totals of a few blocks, set by set. **Eager**."""
    return [RowTotals.merge_all(each) for each in zip(*blocks, strict=True)]


def merge_drawn(drawn: Sequence[DrawnRows], n_rows: int) -> DrawnRows:
    """Merge what was drawn from a few blocks. **Eager**."""
    return DrawnRows.merge_lowest(drawn, n_rows)


def merge_statistics(statistics: Sequence[ClassStatistics]) -> ClassStatistics:
    """Merge the statistics of a few blocks. **Eager**."""
    return ClassStatistics.merge_all(statistics)


def merge_products(products: Sequence[RowProducts]) -> RowProducts:
    """Merge the sums of products of a few blocks. **Eager**."""
    return RowProducts.merge_all(products)
