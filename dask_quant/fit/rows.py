"""Weighted rows of any numbers and features: the distinct ones, and what centres win of them.

Rows are brought into one order and equal ones are added up before anything is fitted, so that
neither the order of samples nor their repetition can show in a fit: a sample of weight 3 is three
samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant.color_spaces import find_space
from dask_quant.fit.row_block import find_nearest, split_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.floating | np.integer]


@dataclass(frozen=True)
class WeightedRows:
    """Distinct rows and how much each of them weighs."""

    rows: Numbers
    """Distinct rows, ascending by their first feature, then the next, ``(n, n_features)``."""
    weights: NDArray[np.float64]
    """Weight of each, above 0, ``(n,)``."""

    @classmethod
    def from_samples(
        cls, samples: Numbers, weights: NDArray[np.float64] | None = None
    ) -> WeightedRows:
        """Return the distinct rows of samples.

        Parameters
        ----------
        samples : ndarray
            Finite numbers ``(n, n_features)``.
        weights : ndarray, optional
            Of each sample, at least 0, ``(n,)``; samples of 0 are left out. None: 1 each.

        Notes
        -----
        O(n log n); peak bytes: the samples twice, and 24 per sample.
        """
        if weights is None:
            weights = np.ones(len(samples))
        elif not weights.all():
            samples, weights = samples[weights > 0], weights[weights > 0]
        # By weight last, so that equal rows are added up in one order as well.
        order = np.lexsort((weights, *samples.T[::-1]))
        rows = samples[order]
        is_first = np.ones(len(rows), dtype=bool)
        np.any(rows[1:] != rows[:-1], axis=1, out=is_first[1:])
        begins = np.flatnonzero(is_first)
        return cls(rows[begins], np.add.reduceat(weights[order], begins))

    def __len__(self) -> int:
        return len(self.rows)

    def move(self, centers: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the means of what ``centers`` ``(k, n_features)`` win, without those of nothing.

        Whatever fitted the centres, maybe in threads that add up in any order: the sums are made
        here in one order.
        """
        labels, _ = find_nearest(self.rows, centers)
        won = np.bincount(labels, self.weights)
        sums = [np.bincount(labels, self.weights * column) for column in self.rows.T]
        used = won > 0
        means: NDArray[np.floating] = np.stack(sums, axis=1)[used] / won[used, np.newaxis]
        return means.astype(centers.dtype)

    def rank(self, centers: Numbers, told: Numbers | None = None) -> RankedCenters:
        """Order ``centers`` ``(k, n_features)`` by the weight that they win, and measure them.

        ``told`` are the same ones in the units that users are told them in; None: in these.
        """
        labels, distances = find_nearest(self.rows, centers)
        won = np.bincount(labels, self.weights, len(centers))
        told = centers if told is None else told
        ranked = told[np.lexsort((*told.T[::-1], -won))]
        return RankedCenters(ranked, float((self.weights * distances).sum()))


@dataclass(frozen=True)
class RankedCenters:
    """Centres in order, and how far the rows are from them."""

    centers: Numbers
    """By descending weight of what each won before they were ordered, which decides rows as near to
    two; equal ones by value, ``(k, n_features)``."""
    inertia: float
    """Sum over the rows of weight times squared distance to the nearest centre."""


def float_type(dtype: np.dtype[Any]) -> np.dtype[np.floating[Any]]:
    """Return the type of what is computed of samples: float32 stays, all others get float64."""
    return np.dtype(np.float32 if dtype == np.float32 else np.float64)


def place_rows(rows: Numbers, space: str) -> Numbers:
    """Return rows in a colour space: as they are in sRGB, else of sRGB levels, float64 ``(n, 3)``.

    Parameters
    ----------
    rows : ndarray
        Real numbers ``(n, n_features)``.
    space : str
        One of `dask_quant.fit_options.SPACES`.
    """
    working = find_space(space)
    if working.is_srgb:
        return rows
    points = np.empty(rows.shape)
    for block in split_rows(*rows.shape):
        points[block] = working.from_srgb(rows[block].astype(np.float64))
    return points


def measure_distances(
    samples: Numbers,
    centers: Numbers,
    dtype: np.dtype[np.floating],
) -> NDArray[np.floating]:
    """Return the distance of every sample to every centre, ``(n, k)``.

    Parameters
    ----------
    samples : ndarray
        Real numbers ``(n, n_features)``.
    centers : ndarray
        ``(k, n_features)``.
    dtype : dtype
        Type of the distances.
    """
    columns = centers.T.astype(np.float64)
    distances = np.empty((len(samples), len(centers)), dtype=dtype)
    for block in split_rows(len(samples), len(centers)):
        rows = samples[block].astype(np.float64)
        squares = np.zeros((len(rows), len(centers)))
        for feature, column in enumerate(columns):
            squares += np.square(rows[:, feature, np.newaxis] - column)
        distances[block] = np.sqrt(squares)
    return distances
