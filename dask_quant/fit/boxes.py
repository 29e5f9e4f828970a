"""Weighted colours sorted into boxes of colour space, each with its moments.

Built once per fit; every Lloyd step and every assignment reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.histogram import ColorHistogram
from dask_quant.kernels.assign import assign_block, tie_block
from dask_quant.kernels.cells import N_CELLS, box_cells_block, sort_codes_by_bin_block
from dask_quant.kernels.count_block import pack_colors
from dask_quant.kernels.lloyd import group_cells, lloyd_step_block

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Layout = tuple[
        NDArray[np.uint8],
        NDArray[np.int64],
        NDArray[np.float64],
        NDArray[np.float64],
        NDArray[np.int64],
        NDArray[np.float64],
        NDArray[np.float64],
    ]

_COLORS_PER_PAIR = 8
"""Room for one pair of a tie for as many colours: enough but for strange palettes (arbitrary)."""


@dataclass(frozen=True)
class ColorBoxes:
    """The colours of a histogram, cell after cell, ``n`` colours in ``m`` cells."""

    points: NDArray[np.uint8]
    """Distinct sRGB colours uint8 ``(n, 3)``."""
    weights: NDArray[np.int64]
    """Pixels of each, int64 ``(n,)``."""
    order: NDArray[np.int64]
    """Position of each in the histogram, int64 ``(n,)``."""
    starts: NDArray[np.int64]
    """Where each cell begins, int64 ``(m + 1,)``."""
    low: NDArray[np.float64]
    """Lowest level of each band in each cell, ``(m, 3)``."""
    high: NDArray[np.float64]
    """Highest level of each band in each cell, ``(m, 3)``."""
    cell_weights: NDArray[np.int64]
    """Pixels of each cell, int64 ``(m,)``."""
    cell_sums: NDArray[np.int64]
    """Sum over the pixels of each cell of each band, int64 ``(m, 3)``."""
    block_starts: NDArray[np.int64]
    """Where each block of cells begins among the cells, int64."""
    block_low: NDArray[np.float64]
    """Lowest level of each band in each block of cells."""
    block_high: NDArray[np.float64]
    """Highest level of each band in each block of cells."""
    sum_squares: int
    """Sum over all pixels and bands of the squared level."""

    @classmethod
    def from_histogram(cls, histogram: ColorHistogram) -> ColorBoxes:
        """Sort the colours of a histogram of at least one pixel. O(colours)."""
        order = np.empty(len(histogram), dtype=np.int64)
        all_starts = np.empty(N_CELLS + 1, dtype=np.int64)
        sort_codes_by_bin_block(histogram.codes, order, all_starts)
        cells = np.flatnonzero(np.diff(all_starts))
        starts = np.append(all_starts[cells], len(order))
        points = np.empty((len(order), 3), dtype=np.uint8)
        weights = np.empty(len(order), dtype=np.int64)
        low, high = np.empty((2, len(cells), 3), dtype=np.float64)
        cell_weights = np.empty(len(cells), dtype=np.int64)
        cell_sums = np.empty((len(cells), 3), dtype=np.int64)
        colors = (histogram.codes, histogram.counts, order, starts)
        moments = (cell_weights, cell_sums)
        squares = box_cells_block(*colors, points, weights, low, high, *moments)
        block_starts = group_cells(cells)
        return cls(
            points=points,
            weights=weights,
            order=order,
            starts=starts,
            low=low,
            high=high,
            cell_weights=cell_weights,
            cell_sums=cell_sums,
            block_starts=block_starts,
            block_low=np.minimum.reduceat(low, block_starts[:-1]),
            block_high=np.maximum.reduceat(high, block_starts[:-1]),
            sum_squares=sum(squares.tolist()),
        )

    def coarsen(self) -> ColorBoxes:
        """Return the boxes of far fewer points: the mean of each cube of 4 x 4 x 4 colours."""
        cubes = pack_colors(self.points & np.uint8(0xFC))
        order = np.argsort(cubes, kind="stable")
        begins = np.flatnonzero(np.diff(cubes[order], prepend=np.uint32(0xFFFFFFFF)))
        weights = np.add.reduceat(self.weights[order], begins)
        means = np.empty((len(begins), 3), dtype=np.uint8)
        for band in range(3):
            moment = self.weights * self.points[:, band]
            means[:, band] = np.rint(np.add.reduceat(moment[order], begins) / weights)
        return ColorBoxes.from_histogram(ColorHistogram.from_colors(means, weights))

    def step(self, centroids: NDArray[np.float64]) -> Moments:
        """Assign every colour to the nearest of ``centroids`` ``(k, 3)``: one Lloyd step."""
        weights, sums = lloyd_step_block(
            self.points,
            self.weights,
            self.starts,
            self.low,
            self.high,
            self.cell_weights,
            self.cell_sums,
            self.block_starts,
            self.block_low,
            self.block_high,
            centroids,
        )
        return Moments(weights, sums)

    @property
    def _layout(self) -> Layout:
        """Points and boxes, as the kernels that assign take them."""
        return (
            self.points,
            self.starts,
            self.low,
            self.high,
            self.block_starts,
            self.block_low,
            self.block_high,
        )

    def assign(self, palette: NDArray[np.uint8 | np.float64]) -> Assignment:
        """Find the nearest entry of ``palette``, sRGB levels ``(k, 3)``, of every colour."""
        labels, distances = assign_block(*self._layout, palette.astype(np.float64))
        return Assignment(self.weights, labels, distances)

    def find_ties(self, palette: NDArray[np.uint8], assignment: Assignment) -> Ties:
        """Find the colours with several nearest entries of ``palette``, given its assignment."""
        boxes = (*self._layout, palette.astype(np.float64), assignment.distances)
        room = len(self.points) // _COLORS_PER_PAIR
        while True:
            colors, entries = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int32)
            n = tie_block(*boxes, colors, entries)
            if n <= room:
                return Ties(colors[:n], entries[:n])
            room = n


@dataclass(frozen=True)
class Moments:
    """What each of ``k`` centroids won in one assignment."""

    weights: NDArray[np.int64]
    """Pixels, int64 ``(k,)``."""
    sums: NDArray[np.int64]
    """Sums of each band over those pixels, int64 ``(k, 3)``."""

    def means(self, centroids: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean of what each centroid won, itself where it won nothing, ``(k, 3)``."""
        means = self.sums / np.maximum(self.weights, 1)[:, np.newaxis]
        return np.where(self.weights[:, np.newaxis] > 0, means, centroids)

    def inertia(self, centroids: NDArray[np.float64], sum_squares: int) -> float:
        """Return the sum of squared distances of all pixels to ``centroids`` ``(k, 3)``.

        First to the centroids rounded, in integers, then what is between: the difference of large
        floating-point sums would be mere rounding error for billions of pixels.
        """
        rounded = np.rint(centroids).astype(np.int64)
        offsets = centroids - rounded
        residues = self.sums - self.weights[:, np.newaxis] * rounded
        exact = sum_squares - int((rounded * (self.sums + residues)).sum())
        shifted = self.weights * (offsets * offsets).sum(axis=1)
        return exact + float((shifted - 2.0 * (offsets * residues).sum(axis=1)).sum())


@dataclass(frozen=True)
class Assignment:
    """The nearest palette entry of each of ``n`` colours."""

    weights: NDArray[np.int64]
    """Pixels of each colour, int64 ``(n,)``."""
    labels: NDArray[np.uint16]
    """Index of the nearest entry, the lowest on ties, uint16 ``(n,)``."""
    distances: NDArray[np.int32]
    """Squared distance to it, int32 ``(n,)``."""

    def count(self, n_entries: int) -> NDArray[np.int64]:
        """Return the pixels that each of ``n_entries`` palette entries won, int64."""
        # float64 sums of integers are exact up to 2^53 pixels.
        return np.bincount(self.labels, self.weights, n_entries).astype(np.int64)

    @property
    def errors(self) -> NDArray[np.int64]:
        """Squared error that each colour contributes, weight times distance, int64 ``(n,)``."""
        return self.weights * self.distances

    @property
    def squared_error(self) -> int:
        """Squared error over all pixels, summed over the bands."""
        return int(self.errors.sum())


@dataclass(frozen=True)
class Ties:
    """Pairs of a colour and one of its nearest entries, for colours that have several."""

    colors: NDArray[np.int64]
    """Positions of the colours in the boxes, ascending, int64 ``(n_pairs,)``."""
    entries: NDArray[np.int32]
    """Positions of the entries, ascending within each colour, int32 ``(n_pairs,)``."""
