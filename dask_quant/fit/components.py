"""Principal components of all rows: the exact covariance, and the directions of most variance.

Products are summed as fixed-point integers, as in `row_totals`: the same bits for any blocks in any
order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.fit.row_totals import VALUE_BITS, carry_low_parts, power_below
from dask_quant.kernels.components import add_products_block

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dask_quant.fit.row_block import RowBlock
    from dask_quant.fit.row_totals import RowRange


@dataclass(frozen=True)
class ProductScale:
    """How products of two features become integers."""

    middle: NDArray[np.float64]
    """Subtracted from each feature, float64 ``(f,)``."""
    scale: NDArray[np.float64]
    """Powers of two that products are multiplied by, float64 ``(f + 1, f + 1)``; the last row and
    column are those of products with 1."""

    @classmethod
    def from_range(cls, found: RowRange) -> ProductScale:
        """Return what keeps most bits in a finite range of a row or more."""
        middle = np.floor(0.5 * (found.low + found.high))
        reach = np.maximum(found.high - middle, middle - found.low)
        scale = power_below(VALUE_BITS, np.outer([*reach, 1.0], [*reach, 1.0]))
        scale[-1, -1] = 1.0  # rows are counted
        return cls(middle, scale)


@dataclass(frozen=True)
class RowProducts:
    """Sums of products of the features of rows, exactly."""

    parts: NDArray[np.int64]
    """High and low parts: int64 ``(2, f + 1, f + 1)``, see `add_products_block`."""
    given: ProductScale
    """What the integers stand for."""

    @classmethod
    def of(cls, block: RowBlock, given: ProductScale) -> RowProducts:
        """Return those of the rows of a block, which have no weights."""
        assert block.weights is None, "rows are counted"
        parts = np.zeros((2, *given.scale.shape), dtype=np.int64)
        # Copies: memory that is read-only would be a type of its own to compile for.
        middle, scale = (np.array(each, order="C") for each in (given.middle, given.scale))
        for _, features in block.iterate():
            add_products_block(features, middle, scale, parts)
        return cls(parts, given)

    @classmethod
    def merge_all(cls, products: Sequence[RowProducts]) -> RowProducts:
        """Return those of the rows of all."""
        parts = np.sum([each.parts for each in products], axis=0)
        return cls(carry_low_parts(parts), products[0].given)

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean of each feature, ``(f,)``."""
        means: NDArray[np.float64] = self._moments()[-1, :-1] + self.given.middle
        return means

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Covariance of the features, of all rows and not of a sample of more, ``(f, f)``."""
        moments = self._moments()
        shifts = moments[-1, :-1]
        lower = moments[:-1, :-1] - np.outer(shifts, shifts)
        covariance: NDArray[np.float64] = np.tril(lower) + np.tril(lower, -1).T
        return covariance

    def _moments(self) -> NDArray[np.float64]:
        """Return the means of the products, of which only those below the diagonal are known."""
        high, low = self.parts.astype(np.float64)
        sums = (high * 2.0**32 + low) / self.given.scale
        moments: NDArray[np.float64] = sums / sums[-1, -1]
        return moments


@dataclass(frozen=True)
class PrincipalComponents:
    """Orthogonal directions of falling variance."""

    directions: NDArray[np.float64]
    """Orthonormal rows, the number of the largest size above 0, float64 ``(f, f)``."""
    shares: NDArray[np.float64]
    """Part of all variance that each holds, float64 ``(f,)``."""

    @classmethod
    def from_covariance(cls, covariance: NDArray[np.float64]) -> PrincipalComponents:
        """Return all components of a covariance ``(f, f)``.

        K. Pearson, "On lines and planes of closest fit to systems of points in space",
        Philosophical Magazine 2(11), 1901.
        """
        variances, vectors = np.linalg.eigh(covariance)
        variances, directions = np.maximum(variances[::-1], 0.0), vectors.T[::-1]
        largest = np.abs(directions).argmax(axis=1)
        signs = np.sign(directions[np.arange(len(directions)), largest])
        total = float(variances.sum())
        shares = variances / total if total > 0 else np.zeros(len(variances))
        return cls(directions * signs[:, np.newaxis], shares)

    def count(self, share: float) -> int:
        """Return how many components hold at least a share of all variance, at least one.

        Examples
        --------
        >>> PrincipalComponents.from_covariance(np.diag([1.0, 8.0, 1.0])).count(0.85)
        2
        """
        reached = np.cumsum(self.shares) >= share
        return int(reached.argmax()) + 1 if reached.any() else len(self.shares)
