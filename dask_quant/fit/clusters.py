"""Clusters of weighted colours, as a search works on them: moved, split, merged, kept and put back.

A split puts two centroids on the longest axis of a cluster, one standard deviation from its mean
on either side; a merge joins the two clusters whose union costs least (Ward's criterion). Both
follow from the moments of the clusters alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant.kernels.clusters import Layout, State, descend_block
from dask_quant.kernels.hand_over import N_SUMS
from dask_quant.kernels.moments import sum_clusters_block
from dask_quant.kernels.split_merge import longest_axis_block, merge_block

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.fit.boxes import ColorBoxes

_PRODUCTS = np.array([[4, 7, 8], [7, 5, 9], [8, 9, 6]])
"""Which moment is the sum of the products of two bands."""


_PINNED_WEIGHT = 2.0**100
"""Weight of a pinned cluster in a merge: a power of two so large that no weight of pixels changes
it, and no union its mean. To merge it costs what the other cluster's pixels lose, to the last bit;
to merge two of them costs more than anything."""


class Clusters:
    """The clusters of the colours of some boxes, in at most ``n_slots`` slots.

    Parameters
    ----------
    boxes : ColorBoxes
        The weighted colours.
    n_slots : int
        The most clusters that there will be at a time.
    n_pinned : int, default 0
        The first clusters, as many as this, are pinned: their centroids stay where `start` puts
        them, and win what is nearest to them.

    Notes
    -----
    4 bytes a colour, and as much again for each kept state.
    """

    def __init__(self, boxes: ColorBoxes, n_slots: int, n_pinned: int = 0) -> None:
        self._n_pinned = n_pinned
        self._layout = Layout(
            *(boxes.points, boxes.weights, boxes.starts, boxes.low, boxes.high),
            *(boxes.cell_moments, boxes.block_starts, boxes.block_low, boxes.block_high),
        )
        self._sum_squares = boxes.sum_squares
        self._space, self.level = boxes.space, boxes.space.level
        n_cells, n_blocks = len(boxes.low), len(boxes.block_low)
        self._state = State(
            centroids=np.zeros((n_slots, 3)),
            alive=np.zeros(n_slots, dtype=bool),
            moved=np.zeros(n_slots + 1, dtype=bool),
            labels=np.zeros(len(boxes.points), dtype=np.int32),
            cell_labels=np.zeros(n_cells, dtype=np.int32),
            cell_far=np.zeros(n_cells),
            block_far=np.zeros(n_blocks),
            sums=np.zeros((n_slots + 1, N_SUMS), dtype=np.int64),
        )

    def start(self, centroids: NDArray[np.float64]) -> None:
        """Forget everything, and put clusters at ``centroids`` ``(k, 3)``, k at most the slots."""
        state = self._state
        n_slots, k = len(state.centroids), len(centroids)
        state.centroids[:k] = centroids
        state.alive[:] = np.arange(n_slots) < k
        state.moved[:] = True
        state.cell_labels[:] = n_slots  # the slot of what was never assigned
        state.sums[:] = 0
        state.sums[-1] = self._layout.moments[:, :N_SUMS].sum(axis=0)

    def descend(self, max_iter: int, tol: float) -> int:
        """Move centroids by Lloyd's algorithm until none is over ``tol`` steps from its mean.

        Returns the iterations made, at most ``max_iter``.
        """
        n_iter: int = descend_block(*self._layout, *self._state, self._n_pinned, max_iter, tol)
        return n_iter

    def settle(self) -> None:
        """Move every centroid to its mean and assign all colours once more."""
        state, slots = self._state, self._slots
        state.moved[slots] |= (state.centroids[slots] != self.means).any(axis=1)
        state.centroids[slots] = self.means
        self.assign()

    def assign(self) -> None:
        """Give all colours to the centroids where they stand."""
        descend_block(*self._layout, *self._state, self._n_pinned, 0, 0.0)

    def snapshot(self) -> State:
        """Return a copy of the clusters as they are."""
        copies: list[NDArray[Any]] = [array.copy() for array in self._state]
        return State(*copies)

    def restore(self, saved: State) -> None:
        """Make the clusters what they were when ``saved`` was taken."""
        arrays: zip[tuple[NDArray[Any], NDArray[Any]]] = zip(self._state, saved, strict=True)
        for array, old in arrays:
            array[...] = old

    @property
    def _slots(self) -> NDArray[np.int64]:
        """Slots of the clusters, ascending, int64 ``(k,)``."""
        return np.flatnonzero(self._state.alive)

    @property
    def centroids(self) -> NDArray[np.float64]:
        """Where the centroids stand, in the working space, ``(k, 3)``."""
        return self._state.centroids[self._slots]

    @property
    def weights(self) -> NDArray[np.int64]:
        """Pixels that each cluster won, int64 ``(k,)``."""
        weights: NDArray[np.int64] = self._state.sums[self._slots, 0]
        return weights

    @property
    def sums(self) -> NDArray[np.int64]:
        """Sums of each band over those pixels, int64 ``(k, 3)``."""
        return self._state.sums[self._slots, 1:]

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean of what each cluster won, or its centroid if nothing or if pinned, ``(k, 3)``.

        That is, the best place for a centroid among those that it may take.
        """
        sums = self._state.sums[self._slots]
        weights = sums[:, :1].copy()
        weights[: self._n_pinned] = 0
        return np.where(weights > 0, sums[:, 1:] / np.maximum(weights, 1), self.centroids)

    @property
    def empty(self) -> NDArray[np.int64]:
        """The clusters that won nothing, but for the pinned ones, int64, ascending."""
        found = np.flatnonzero(self.weights == 0)
        return found[found >= self._n_pinned]

    def find_gap(self, cluster: int) -> NDArray[np.float64]:
        """Return how far the mean of one cluster is from its centroid, ``(3,)``; 0 if pinned."""
        slot = self._slots[cluster]
        weight, *sums = self._state.sums[slot].tolist()
        if weight == 0 or cluster < self._n_pinned:
            return np.zeros(3)
        gap: NDArray[np.float64] = np.array(sums) / weight - self._state.centroids[slot]
        return gap

    def measure_inertia(self, centroids: NDArray[np.float64]) -> float:
        """Return the squared distances of all pixels to ``centroids`` ``(k, 3)`` of their clusters.

        First to the centroids rounded, in integers, then what is between: the difference of large
        floating-point sums would be mere rounding error for billions of pixels.
        """
        weights, sums = self.weights, self.sums
        rounded = np.rint(centroids).astype(np.int64)
        offsets = centroids - rounded
        residues = sums - weights[:, np.newaxis] * rounded
        exact = self._sum_squares - int((rounded * (sums + residues)).sum())
        shifted = weights * (offsets * offsets).sum(axis=1)
        return exact + float((shifted - 2.0 * (offsets * residues).sum(axis=1)).sum())

    @property
    def inertia(self) -> float:
        """Squared distances of all pixels to the means of their clusters."""
        return self.measure_inertia(self.means)

    @property
    def colors(self) -> NDArray[np.uint8]:
        """The sRGB colours nearest to the means, those of most pixels first, uint8 ``(k, 3)``."""
        levels = np.rint(self._space.find_levels(self.means)).astype(np.uint8)
        colors: NDArray[np.uint8] = levels[np.argsort(-self.weights, kind="stable")]
        return colors

    def find_axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return how far, and whereto, each cluster is longest.

        Returns
        -------
        errors : ndarray
            Squared distances of its pixels from its mean along the axis, float64 ``(k,)``; from
            the centroid of a pinned cluster.
        axes : ndarray
            Unit vectors, float64 ``(k, 3)``.
        """
        layout, state = self._layout, self._state
        moments = sum_clusters_block(
            *(layout.points, layout.weights, layout.starts, layout.moments),
            *(state.labels, state.cell_labels, len(state.sums)),
        )[self._slots]
        sums = moments[:, 1:4]
        means = sums / np.maximum(moments[:, :1], 1)
        scatter = moments[:, _PRODUCTS] - sums[:, :, np.newaxis] * means[:, np.newaxis, :]
        pinned = slice(self._n_pinned)
        offsets = means[pinned] - self.centroids[pinned]
        products = offsets[:, :, np.newaxis] * offsets[:, np.newaxis, :]
        scatter[pinned] += moments[pinned, :1, np.newaxis] * products
        errors, axes = longest_axis_block(scatter)
        return np.maximum(errors, 0.0), axes

    def split(
        self, chosen: NDArray[np.int64], errors: NDArray[np.float64], axes: NDArray[np.float64]
    ) -> None:
        """Split clusters in two along their longest axes; there must be slots for it.

        A pinned centroid stays where it is, and the new one comes on the side where its pixels are.

        Parameters
        ----------
        chosen : ndarray
            Positions among the clusters, int64 ``(n,)``.
        errors, axes : ndarray
            From `find_axes`.
        """
        state, slots, means = self._state, self._slots[chosen], self.means[chosen]
        deviations = np.sqrt(errors[chosen] / np.maximum(self.weights[chosen], 1))
        offsets = axes[chosen] * deviations[:, np.newaxis]
        free = np.flatnonzero(~state.alive)[: len(chosen)]
        stays = chosen < self._n_pinned
        lean = self.sums[chosen] - self.weights[chosen, np.newaxis] * means
        offsets[stays & ((offsets * lean).sum(axis=1) < 0)] *= -1.0
        state.centroids[free] = means + offsets
        state.centroids[slots[~stays]] = (means - offsets)[~stays]
        state.alive[free] = True
        state.moved[slots] = state.moved[free] = True

    def merge(self, n_merges: int) -> None:
        """Merge two clusters ``n_merges`` times, each time those whose union costs least.

        What is merged with a pinned cluster goes to its centroid, and pinned ones are not merged.
        """
        state, slots = self._state, self._slots
        weights, means = self.weights.astype(np.float64), self.means
        weights[: self._n_pinned] = _PINNED_WEIGHT
        # Clusters without a pixel cost nothing to drop, and would all be merged with one another.
        empty = self.empty[:n_merges]
        self._drop(slots[empty])
        slots = np.delete(slots, empty)
        weights, means = np.delete(weights, empty), np.delete(means, empty, axis=0)
        if len(empty) == n_merges:
            return
        before = weights.copy()
        left = merge_block(weights, means, n_merges - len(empty))
        self._drop(slots[~left])
        grown = left & (weights != before)
        state.centroids[slots[grown]] = means[grown]
        state.moved[slots[grown]] = True

    def _drop(self, slots: NDArray[np.int64]) -> None:
        """Remove the clusters in ``slots``; their colours are assigned anew at the next descent."""
        self._state.alive[slots] = False
        self._state.moved[slots] = True

    def place(self, chosen: NDArray[np.int64], points: NDArray[np.floating | np.integer]) -> None:
        """Put the centroids of the clusters ``chosen`` at ``points`` ``(n, 3)``."""
        slots = self._slots[chosen]
        self._state.centroids[slots] = points
        self._state.moved[slots] = True
