"""Clusters of weighted points of four bands, as a search works on them.

What `dask_quant.fit.clusters.Clusters` is to counted sRGB colours, for those with transparency: the
same moves, on points of `dask_quant.premultiplied`. Sums are of floating-point numbers, in the
order of the points, which follows from the colours alone; not by BLAS, whose threads split them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.kernels.alpha_points import scatter_points_block, sum_points_block
from dask_quant.kernels.split_merge import longest_axis_block, merge_block
from dask_quant.premultiplied import (
    BAND_WEIGHTS,
    OPAQUE,
    find_colors,
    scale_points,
    unscale_points,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.point_groups import PointGroups

_SCALE = np.sqrt(BAND_WEIGHTS)
"""What each band is multiplied with, so that distances are plain Euclidean."""

_PINNED_WEIGHT = 2.0**100
"""Weight of a pinned cluster in a merge, which no weight of pixels changes."""


@dataclass(frozen=True)
class PointState:
    """Clusters as they are at some time; arrays are replaced, never changed in place."""

    centroids: NDArray[np.float64]
    """float64 ``(k, 4)``."""
    labels: NDArray[np.int32]
    """Nearest of the centroids of each point, int32 ``(n,)``."""
    sums: NDArray[np.float64]
    """Weight, and weighted sum of each band, of what each won, float64 ``(k, 5)``."""
    inertia: float
    """Weighted squared distances of all points to the centroids."""


class PointClusters:
    """The clusters of weighted points.

    Parameters
    ----------
    groups : PointGroups
        The points.
    weights : ndarray
        Their weights, in the order of the groups, above 0, float64 ``(n,)``.
    n_pinned : int, default 0
        The first clusters, as many as this, keep the centroids that `start` gives them.
    """

    level = 2.0 * OPAQUE
    """Steps of the points in an sRGB level."""

    def __init__(
        self, groups: PointGroups, weights: NDArray[np.float64], n_pinned: int = 0
    ) -> None:
        self._groups, self._weights, self._n_pinned = groups, weights, n_pinned
        self._put(groups.points[:1])

    def start(self, centroids: NDArray[np.float64]) -> None:
        """Forget everything, and put clusters at points scaled to levels, float64 ``(k, 4)``."""
        self._put(unscale_points(centroids))

    def _put(self, centroids: NDArray[np.float64]) -> None:
        """Give every point to the nearest of ``centroids``."""
        labels, distances, _ = self._groups.assign(centroids)
        sums = np.zeros((len(centroids), 5))
        sum_points_block(self._groups.points, self._weights, labels, sums)
        inertia = float((self._weights * distances).sum())
        self._state = PointState(centroids, labels, sums, inertia)

    def descend(self, max_iter: int, tol: float) -> int:
        """Move centroids by Lloyd's algorithm until none is over ``tol`` steps from its mean.

        Returns the iterations made, at most ``max_iter``.
        """
        for n_iter in range(max_iter):
            means = self.means
            shifts = np.square((means - self._state.centroids) * _SCALE).sum(axis=1)
            if (shifts <= tol * tol).all():
                return n_iter
            self._put(means)
        return max_iter

    def snapshot(self) -> PointState:
        """Return the clusters as they are."""
        return self._state

    def restore(self, saved: PointState) -> None:
        """Make the clusters what they were when ``saved`` was taken."""
        self._state = saved

    @property
    def centroids(self) -> NDArray[np.float64]:
        """Where the centroids stand, float64 ``(k, 4)``."""
        return self._state.centroids

    @property
    def weights(self) -> NDArray[np.float64]:
        """Weight that each cluster won, float64 ``(k,)``."""
        return self._state.sums[:, 0]

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean of what each cluster won, or its centroid if nothing or if pinned, ``(k, 4)``."""
        weights = self.weights.copy()
        weights[: self._n_pinned] = 0.0
        won = weights > 0
        means = self._state.centroids.copy()
        means[won] = self._state.sums[won, 1:] / weights[won, np.newaxis]
        return means

    @property
    def levels(self) -> NDArray[np.float64]:
        """The means, scaled to sRGB levels, float64 ``(k, 4)``."""
        return scale_points(self.means)

    @property
    def inertia(self) -> float:
        """Weighted squared distances of all points to the means of their clusters."""
        state = self._state
        gaps = np.square((self.means - state.centroids) * _SCALE).sum(axis=1)
        return state.inertia - float((self.weights * gaps).sum())

    @property
    def colors(self) -> NDArray[np.uint8]:
        """The RGBA colours nearest to the means, those of most weight first, uint8 ``(k, 4)``."""
        order = np.argsort(-self.weights, kind="stable")
        colors: NDArray[np.uint8] = find_colors(self.levels[order])
        return colors

    def find_axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return how far, and whereto, each cluster is longest.

        Returns
        -------
        errors : ndarray
            Weighted squared distances of its points from its mean along the axis, float64 ``(k,)``.
        axes : ndarray
            Unit vectors of scaled bands, float64 ``(k, 4)``.
        """
        scatter = np.zeros((len(self.centroids), 4, 4))
        scatter_points_block(
            self._groups.points, self._weights, self._state.labels, self.means, scatter
        )
        errors, axes = longest_axis_block(scatter * np.outer(_SCALE, _SCALE))
        return np.maximum(errors, 0.0), axes

    def split(
        self, chosen: NDArray[np.int64], errors: NDArray[np.float64], axes: NDArray[np.float64]
    ) -> None:
        """Split clusters in two along their longest axes; a pinned centroid stays where it is.

        ``chosen`` are positions among the clusters, ``errors`` and ``axes`` are from `find_axes`.
        """
        means = self.means
        deviations = np.sqrt(errors[chosen] / np.maximum(self.weights[chosen], 1e-300))
        offsets = axes[chosen] * deviations[:, np.newaxis] / _SCALE
        stays = chosen < self._n_pinned
        lean = self._state.sums[chosen, 1:] - self.weights[chosen, np.newaxis] * means[chosen]
        offsets[stays & ((offsets * _SCALE**2 * lean).sum(axis=1) < 0)] *= -1.0
        fresh = means[chosen] + offsets
        means[chosen[~stays]] -= offsets[~stays]
        self._put(np.concatenate([means, fresh]))

    def merge(self, n_merges: int) -> None:
        """Merge two clusters ``n_merges`` times, each time those whose union costs least."""
        weights, means = self.weights.copy(), self.means * _SCALE
        weights[: self._n_pinned] = _PINNED_WEIGHT
        left = merge_block(weights, means, n_merges)
        pins = self.centroids[: self._n_pinned]
        self._put(np.concatenate([pins, (means / _SCALE)[left][self._n_pinned :]]))
