"""A part of all rows, as it is stored: what passes over rows are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.kernels.nearest import nearest_block

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dask_quant.fit.features import FeatureMap

    Numbers = NDArray[np.floating | np.integer]

_BLOCK_NUMBERS = 1 << 18
"""Numbers that are worked on at a time, 2 MiB of float64 (arbitrary)."""


@dataclass(frozen=True)
class RowNumbers:
    """Numbers of the rows of a block among all rows, whatever the blocks are.

    Of a block of an image they go along its rows of pixels, ``stride`` from one to the next.
    """

    first: int = 0
    """Number of the first."""
    width: int = 1
    """Rows that follow one another."""
    stride: int = 1
    """From the first of those to the first of the next."""
    kept: NDArray[np.int64] | None = None
    """Positions of the rows that are in the block, where some are left out; None: all."""

    def find(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers of rows by their positions in the block.

        Examples
        --------
        >>> RowNumbers(20, width=3, stride=10).find(np.arange(5)).tolist()
        [20, 21, 22, 30, 31]
        """
        if self.kept is not None:
            positions = self.kept[positions]
        numbers: NDArray[np.int64] = (
            self.first + positions // self.width * self.stride + positions % self.width
        )
        return numbers


@dataclass(frozen=True)
class RowBlock:
    """Rows as they are stored, and how features are made of them.

    Features are made of a few rows at a time: there is never a float64 copy of the block.
    """

    rows: Numbers
    """``(n, n_bands)`` of any real type."""
    weights: NDArray[np.float64] | None = None
    """Of each row, at least 0, ``(n,)``; None: 1 each. Rows of 0 may hold NaN."""
    numbers: RowNumbers = RowNumbers()
    """Their numbers among all rows."""
    features: FeatureMap | None = None
    """How features are made of bands; None: they are the bands."""

    def __len__(self) -> int:
        return len(self.rows)

    def __sizeof__(self) -> int:
        """Return the bytes of the arrays as well, by which Dask chooses what to move and spill."""
        n_bytes = object.__sizeof__(self) + self.rows.nbytes
        return n_bytes if self.weights is None else n_bytes + self.weights.nbytes

    @property
    def n_features(self) -> int:
        """Features of a row."""
        n_bands: int = self.rows.shape[1]
        return n_bands if self.features is None else self.features.n_features

    def take(self, which: slice | NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the features of some rows, a C-contiguous copy, float64 ``(m, n_features)``."""
        if self.features is not None:
            return self.features.apply(self.rows[which])
        # A copy always: memory that is read-only would be a type of its own to compile for.
        return np.array(self.rows[which], dtype=np.float64, order="C")

    def iterate(self) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Yield parts of the block that stay in the cache: which, and their features."""
        for part in split_rows(len(self), self.rows.shape[1]):
            yield part, self.take(part)

    def find_nearest(self, centers: Numbers) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Find the nearest of ``centers`` ``(k, n_features)`` of every row, see `find_nearest`."""
        points = np.array(centers, dtype=np.float64, order="C")
        labels = np.empty(len(self), dtype=np.int32)
        distances = np.empty(len(self), dtype=np.float64)
        for part, features in self.iterate():
            labels[part], distances[part] = nearest_block(features, points)
        return labels, distances


def find_nearest(
    samples: Numbers, centers: Numbers
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Find the nearest of ``centers`` ``(k, n_features)`` of every sample, part by part.

    Parameters
    ----------
    samples : ndarray
        Real numbers ``(n, n_features)``.
    centers : ndarray
        ``(k, n_features)``, ``k`` at least 1.

    Returns
    -------
    labels : ndarray
        Index of the nearest centre, the lowest on ties, int32 ``(n,)``.
    distances : ndarray
        Squared distance to it, float64 ``(n,)``.
    """
    return RowBlock(samples).find_nearest(centers)


def split_rows(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Yield blocks of rows of about `_BLOCK_NUMBERS` numbers: copies of them stay in the cache."""
    size = max(1, _BLOCK_NUMBERS // n_columns)
    return (slice(begin, begin + size) for begin in range(0, n_rows, size))
