"""Sums over rows of numbers that do not depend on the order of the rows: fixed-point integers.

Floating-point sums change in their last bits with the order of the terms, and with them, in time,
labels. Here every term is rounded once, to a multiple of a power of two that follows from the range
of its feature alone; what is added up are integers. Numbers of integer types are exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant.kernels.describe_rows import range_rows_block
from dask_quant.kernels.lloyd_rows import N_EXTRA, add_rows_block

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dask_quant.fit.row_block import RowBlock

VALUE_BITS = 39
"""Bits of a term: 12 more than float32 has, and two for integers of 32 bits and their sign."""

_WEIGHT_BITS = 22
"""Bits of a weight: with a term it stays below 2^62."""

_LOW_BITS = 32
"""Bits of the low part of a total."""


@dataclass(frozen=True)
class RowRange:
    """Where rows lie."""

    low: NDArray[np.float64]
    """Lowest number of each feature, float64 ``(n_features,)``; inf where there is no row."""
    high: NDArray[np.float64]
    """Highest number of each feature; -inf where there is no row."""
    n_rows: int
    """Rows with a weight above 0."""
    is_finite: bool
    """Whether there is neither NaN nor infinity among them."""
    min_weight: float
    """The smallest weight; NaN where there is one."""
    max_weight: float
    """The largest weight; NaN where there is one."""
    weights_are_whole: bool
    """Whether all weights are whole numbers."""

    @classmethod
    def of(cls, block: RowBlock) -> RowRange:
        """Return the range of the features of a block, of rows with a weight above 0."""
        weights = block.weights
        low = np.full(block.n_features, np.inf)
        high, n_rows, is_finite = -low, 0, True
        for part, features in block.iterate():
            if weights is not None:
                features = features[weights[part] > 0]
            is_finite &= range_rows_block(features, low, high)
            n_rows += len(features)
        return cls(
            low=low,
            high=high,
            n_rows=n_rows,
            is_finite=is_finite,
            min_weight=1.0 if weights is None else float(weights.min(initial=np.inf)),
            max_weight=1.0 if weights is None else float(weights.max(initial=-np.inf)),
            weights_are_whole=weights is None or bool((weights == np.rint(weights)).all()),
        )

    @classmethod
    def merge_all(cls, ranges: Sequence[RowRange]) -> RowRange:
        """Return the range of the rows of all."""
        return cls(
            np.min([each.low for each in ranges], axis=0),
            np.max([each.high for each in ranges], axis=0),
            sum(each.n_rows for each in ranges),
            all(each.is_finite for each in ranges),
            float(np.min([each.min_weight for each in ranges])),
            float(np.max([each.max_weight for each in ranges])),
            all(each.weights_are_whole for each in ranges),
        )

    def include(self, centers: NDArray[np.float64]) -> RowRange:
        """Return a range that ``centers`` ``(k, n_features)`` lie in as well."""
        return replace(
            self,
            low=np.minimum(self.low, centers.min(axis=0)),
            high=np.maximum(self.high, centers.max(axis=0)),
        )


@dataclass(frozen=True)
class FixedPoint:
    """How numbers, weights and squared distances become integers."""

    middle: NDArray[np.float64]
    """Subtracted from each feature, float64 ``(n_features,)``."""
    scale: NDArray[np.float64]
    """Powers of two that each feature is then multiplied by."""
    weight_scale: float
    """Power of two that weights are multiplied by."""
    error_scale: float
    """Power of two that squared distances are multiplied by."""
    distance_scale: float
    """Power of two that distances are multiplied by."""

    @classmethod
    def from_range(cls, found: RowRange) -> FixedPoint:
        """Return what keeps most bits in a finite range of a row or more, and exact what is whole.

        The range is that of the rows and of all centres that they will be compared with.
        """
        middle = np.floor(0.5 * (found.low + found.high))
        reach = np.maximum(found.high - middle, middle - found.low)
        is_small = found.weights_are_whole and found.max_weight < 2.0**_WEIGHT_BITS
        diagonal = float((np.square(found.high - found.low)).sum())
        return cls(
            middle=middle,
            scale=power_below(VALUE_BITS, reach),
            weight_scale=1.0 if is_small else float(power_below(_WEIGHT_BITS, found.max_weight)),
            error_scale=float(power_below(VALUE_BITS, diagonal)),
            distance_scale=float(power_below(VALUE_BITS, math.sqrt(diagonal))),
        )

    def fix_weights(self, weights: NDArray[np.floating[Any]] | None) -> NDArray[np.int64]:
        """Return integer weights, at least 1 for each above 0; empty for None."""
        if weights is None:
            return np.empty(0, dtype=np.int64)
        fixed = np.rint(weights * self.weight_scale).astype(np.int64)
        integers: NDArray[np.int64] = np.maximum(fixed, weights > 0)
        return integers


def power_below(bits: int, reach: Any) -> NDArray[np.float64]:
    """Return the power of two that takes ``reach`` below ``2^bits``; where it is 0, 1."""
    _, exponents = np.frexp(reach)  # reach < 2^exponents
    return np.where(np.asarray(reach) > 0, np.ldexp(1.0, bits - exponents), 1.0)


def carry_low_parts(parts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return totals ``(2, ...)`` whose low parts are below 2^32 again, so that they keep room."""
    high, low = parts
    carry = low >> _LOW_BITS
    return np.stack([high + carry, low - (carry << _LOW_BITS)])


@dataclass(frozen=True)
class RowTotals:
    """What each of ``k`` centres won of rows of ``f`` features, exactly."""

    parts: NDArray[np.int64]
    """High and low parts: int64 ``(2, k, f + 3)``, see `add_rows_block`."""
    fixed: FixedPoint
    """What the integers stand for."""

    @classmethod
    def of(cls, block: RowBlock, centers: NDArray[np.float64], fixed: FixedPoint) -> RowTotals:
        """Return what ``centers`` ``(k, f)`` win of the rows of a block."""
        k, n_features = centers.shape
        parts = np.zeros((2, k, n_features + N_EXTRA), dtype=np.int64)
        weights = fixed.fix_weights(block.weights)
        # Copies: memory that is read-only would be a type of its own to compile for.
        points, middle, scale = (
            np.array(each, order="C") for each in (centers, fixed.middle, fixed.scale)
        )
        for part, features in block.iterate():
            add_rows_block(
                *(features, weights[part], points, middle, scale),
                *(fixed.error_scale, fixed.distance_scale, parts),
            )
        return cls.merge_all([cls(parts, fixed)])

    @classmethod
    def merge_all(cls, totals: Sequence[RowTotals]) -> RowTotals:
        """Return the sum of totals of the same centres."""
        parts = np.sum([each.parts for each in totals], axis=0)
        return cls(carry_low_parts(parts), totals[0].fixed)

    def _column(self, column: slice | int) -> NDArray[np.float64]:
        """Return some of the totals as float64."""
        high, low = self.parts[:, :, column].astype(np.float64)
        value: NDArray[np.float64] = high * 2.0**_LOW_BITS + low
        return value

    @property
    def weights(self) -> NDArray[np.float64]:
        """Weight that each centre won, ``(k,)``."""
        return self._column(-3) / self.fixed.weight_scale

    @property
    def errors(self) -> NDArray[np.float64]:
        """Weighted squared distances of what each centre won, ``(k,)``."""
        return self._column(-2) / (self.fixed.weight_scale * self.fixed.error_scale)

    @property
    def distances(self) -> NDArray[np.float64]:
        """Weighted distances, not squared, of what each centre won, ``(k,)``."""
        return self._column(-1) / (self.fixed.weight_scale * self.fixed.distance_scale)

    @property
    def inertia(self) -> float:
        """Sum over all rows of weight times squared distance to the nearest centre."""
        return float(self.errors.sum())

    def measure_total(self, centers: NDArray[np.float64]) -> float:
        """Return what the inertia would be with one centre for all, at their mean.

        ``centers`` ``(k, f)`` are those that won: where they are not the means of what they won,
        the inertia is that much above the spread about the means.
        """
        won = self.weights
        means = self.move(centers)
        middle = won @ means / max(1.0, won.sum())
        between = np.square(means - middle).sum(axis=1) - np.square(means - centers).sum(axis=1)
        return float(self.inertia + won @ between)

    def move(self, centers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the means of what each centre won, and a centre that won nothing where it was."""
        won = self._column(-3)[:, np.newaxis]
        sums = self._column(slice(0, -3)) / self.fixed.scale
        return np.where(won > 0, sums / np.maximum(won, 1.0) + self.fixed.middle, centers)
