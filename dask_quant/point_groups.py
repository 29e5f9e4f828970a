"""Points of colours with transparency in groups of neighbours, as kernels want them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.kernels.alpha_points import GROUP_POINTS, GROUPS_TOGETHER, assign_points_block

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BITS_PER_BAND = 8
"""Bits of each band that decide the order: an sRGB level or two."""

_FINEST_SIDE = 1020.0
"""Side of the smallest cubes of which points are averaged: two sRGB levels."""

_COARSER = 1.25
"""By what the side of the next larger cubes is longer (arbitrary)."""

_LOWEST = -65_025.0
"""Lowest number of a band, see `dask_quant.premultiplied.place_colors`; the highest is as far."""


@dataclass(frozen=True)
class PointGroups:
    """Points, ``n`` of them, in an order in which neighbours lie close together."""

    points: NDArray[np.float64]
    """Group after group, float64 ``(n, 4)``."""
    order: NDArray[np.int64]
    """Which of the points that were given each is, int64 ``(n,)``."""
    low: NDArray[np.float64]
    """Lowest number of each band in each group."""
    high: NDArray[np.float64]
    """Highest number of each band in each group."""
    outer_low: NDArray[np.float64]
    """Lowest number of each band in each group of groups."""
    outer_high: NDArray[np.float64]
    """Highest number of each band in each group of groups."""

    @classmethod
    def from_points(cls, points: NDArray[np.float64]) -> PointGroups:
        """Group points, at least one, float64 ``(n, 4)`` as `place_colors` has them.

        O(n log n). The order is that of a Z-order curve (G. M. Morton, 1966): the bits of the bands
        one from each in turn.
        """
        order = np.argsort(_interleave_bits(points), kind="stable")
        ordered = points[order]
        starts = np.arange(0, len(points), int(GROUP_POINTS))
        low, high = (extreme.reduceat(ordered, starts) for extreme in (np.minimum, np.maximum))
        outer_starts = np.arange(0, len(low), int(GROUPS_TOGETHER))
        return cls(
            *(ordered, order, low, high),
            np.minimum.reduceat(low, outer_starts),
            np.maximum.reduceat(high, outer_starts),
        )

    def assign(
        self, centers: NDArray[np.float64]
    ) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int32]]:
        """Return the nearest of ``centers`` ``(k, 4)`` of every point, in the groups' order.

        Labels, the lowest on ties; squared distances; and how many are as near: each ``(n,)``.
        """
        n = len(self.points)
        labels, n_nearest = np.empty(n, dtype=np.int32), np.empty(n, dtype=np.int32)
        distances = np.empty(n)
        assign_points_block(
            *(self.points, self.low, self.high, self.outer_low, self.outer_high),
            *(np.ascontiguousarray(centers), labels, distances, n_nearest),
        )
        return labels, distances, n_nearest


def coarsen_points(
    points: NDArray[np.float64], weights: NDArray[np.float64], n_points: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return means of points that lie together, and their weights, for a search to look at.

    Points in one cube become one; cubes are as small as they can be for there to be at most
    ``n_points`` of them. Returned as they are where they are so few.
    """
    side = _FINEST_SIDE
    while len(points) > n_points:
        means, sums = _average_cubes(points, weights, side)
        if len(means) <= n_points:
            return means, sums
        side *= _COARSER
    return points, weights


def _average_cubes(
    points: NDArray[np.float64], weights: NDArray[np.float64], side: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the means of the points of every cube, and their weights."""
    cells = ((points - _LOWEST) / side).astype(np.uint64)
    codes = cells[:, 0]
    for band in range(1, 4):
        codes = codes << np.uint64(16) | cells[:, band]
    _, inverse = np.unique(codes, return_inverse=True)
    sums: NDArray[np.float64] = np.bincount(inverse, weights).astype(np.float64)
    means = [np.bincount(inverse, weights * band) / sums for band in points.T]
    return np.stack(means, axis=1), sums


def spread_points(points: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return ``n`` of at least as many points, evenly along their order."""
    return points[np.linspace(0, len(points) - 1, n).astype(np.int64)]


def _interleave_bits(points: NDArray[np.float64]) -> NDArray[np.uint32]:
    """Return where points stand on a Z-order curve, uint32 ``(n,)``."""
    places = np.zeros(len(points), dtype=np.uint32)
    step = 2 * -_LOWEST / (1 << _BITS_PER_BAND)
    levels = ((points - _LOWEST) / step).clip(0, (1 << _BITS_PER_BAND) - 1).astype(np.uint32)
    for bit in range(_BITS_PER_BAND):
        for band in range(4):
            value = (levels[:, band] >> np.uint32(bit)) & np.uint32(1)
            places |= value << np.uint32(4 * bit + band)
    return places
