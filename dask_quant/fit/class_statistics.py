"""What the rows of each class are like: how many, mean, standard deviation, range of every band.

Sums are fixed-point integers, as in `row_totals`: the same bits for any blocks in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant.fit.row_totals import VALUE_BITS, carry_low_parts, power_below
from dask_quant.kernels.describe_rows import describe_rows_block
from dask_quant.kernels.nearest import nearest_block

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dask_quant.fit.row_block import RowBlock
    from dask_quant.fit.row_totals import RowRange


@dataclass(frozen=True)
class StatisticsScale:
    """How numbers and their squares become integers."""

    middle: NDArray[np.float64]
    """Subtracted from each band, float64 ``(n_bands,)``."""
    scale: NDArray[np.float64]
    """Powers of two that the differences are multiplied by."""
    square_scale: NDArray[np.float64]
    """Powers of two that their squares are multiplied by."""

    @classmethod
    def from_range(cls, found: RowRange) -> StatisticsScale:
        """Return what keeps most bits in a finite range of a row or more."""
        middle = np.floor(0.5 * (found.low + found.high))
        reach = np.maximum(found.high - middle, middle - found.low)
        return cls(middle, power_below(VALUE_BITS, reach), power_below(VALUE_BITS, reach**2))


@dataclass(frozen=True)
class ClassStatistics:
    """What is known of the rows of each of ``k`` classes."""

    parts: NDArray[np.int64]
    """High and low parts of sums: int64 ``(2, k, 2 * n_bands + 1)``, see `describe_rows_block`."""
    low: NDArray[np.float64]
    """Lowest number of each band, float64 ``(k, n_bands)``; inf for a class without rows."""
    high: NDArray[np.float64]
    """Highest number of each band; -inf for a class without rows."""
    given: StatisticsScale
    """What the integers stand for."""

    @classmethod
    def empty(cls, k: int, given: StatisticsScale) -> ClassStatistics:
        """Return the statistics of no row."""
        n_bands = len(given.middle)
        low = np.full((k, n_bands), np.inf)
        return cls(np.zeros((2, k, 2 * n_bands + 1), dtype=np.int64), low, -low, given)

    @classmethod
    def of(
        cls, block: RowBlock, centers: NDArray[np.float64], given: StatisticsScale
    ) -> ClassStatistics:
        """Return those of the rows of a block, each in the class of its nearest centre.

        Distances are measured in features, statistics are those of the bands as stored. Rows have
        no weights.
        """
        assert block.weights is None, "rows are counted"
        found = cls.empty(len(centers), given)
        # Copies: memory that is read-only would be a type of its own to compile for.
        points, middle, scale, square_scale = (
            np.array(each, order="C")
            for each in (centers, given.middle, given.scale, given.square_scale)
        )
        for part, features in block.iterate():
            labels, _ = nearest_block(features, points)
            bands = np.array(block.rows[part], dtype=np.float64, order="C")
            describe_rows_block(
                bands, labels, middle, scale, square_scale, found.parts, found.low, found.high
            )
        return found

    @classmethod
    def merge_all(cls, statistics: Sequence[ClassStatistics]) -> ClassStatistics:
        """Return those of the rows of all."""
        return cls(
            carry_low_parts(np.sum([each.parts for each in statistics], axis=0)),
            np.min([each.low for each in statistics], axis=0),
            np.max([each.high for each in statistics], axis=0),
            statistics[0].given,
        )

    def take(self, order: NDArray[np.int64]) -> ClassStatistics:
        """Return those of some classes, in an order."""
        return ClassStatistics(self.parts[:, order], self.low[order], self.high[order], self.given)

    def _column(self, column: slice | int) -> Any:
        """Return some of the sums as float64."""
        high, low = self.parts[:, :, column].astype(np.float64)
        return high * 2.0**32 + low

    @property
    def counts(self) -> NDArray[np.int64]:
        """Rows of each class, int64 ``(k,)``."""
        high, low = self.parts[:, :, -1]
        counts: NDArray[np.int64] = (high << 32) + low
        return counts

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean of each band, float64 ``(k, n_bands)``; NaN for a class without rows."""
        means: NDArray[np.float64] = self._shifts() + self.given.middle
        return means

    @property
    def deviations(self) -> NDArray[np.float64]:
        """Standard deviation of each band over the rows of the class, as `means`."""
        n_bands = len(self.given.middle)
        squares = self._column(slice(n_bands, 2 * n_bands)) / self.given.square_scale
        spread = squares / self._n_rows() - self._shifts() ** 2
        deviations: NDArray[np.float64] = np.sqrt(np.maximum(spread, 0.0))  # less by rounding only
        return deviations

    def _n_rows(self) -> NDArray[np.float64]:
        """Return the rows of each class ``(k, 1)``, NaN for none."""
        counts = self.counts.astype(np.float64)[:, np.newaxis]
        return np.where(counts > 0, counts, np.nan)

    def _shifts(self) -> Any:
        """Return the means, from the middle."""
        n_bands = len(self.given.middle)
        return self._column(slice(0, n_bands)) / self.given.scale / self._n_rows()
