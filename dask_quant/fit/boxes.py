"""Weighted colours sorted into boxes of colour space, each with its moments.

Built once per fit; the clusters and every assignment read it. Cells are cubes of sRGB levels; in
another working space they are whatever shape they are, and their bounding boxes do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant.color_spaces import ColorSpace, find_space
from dask_quant.kernels.assign import assign_block
from dask_quant.kernels.cells import (
    CELL_SIDE,
    N_CELLS,
    coarsen_cells_block,
    measure_cells_block,
    sort_by_cell_block,
)
from dask_quant.kernels.count_block import pack_colors
from dask_quant.kernels.moments import N_MOMENTS
from dask_quant.kernels.prune import group_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from dask_quant.histogram import ColorHistogram

NO_PINS = np.empty((0, 3), dtype=np.uint8)
"""What is pinned where nothing is."""

_SLICE = 1 << 20
"""Colours looked at together where that takes temporary arrays."""

_MAX_MOMENT = 1 << 62
"""Largest sum of squares that a fit may meet: int64 holds twice as much."""

_POWER_TOTAL = 1 << 32
"""What weights of a power add up to: large enough for whole numbers to be fine steps."""

_COLORS_PER_PAIR = 8
"""Room for one pair of a tie for as many colours: enough but for strange palettes (arbitrary)."""


@dataclass(frozen=True)
class ColorBoxes:
    """The colours of a histogram, cell after cell, ``n`` colours in ``m`` cells."""

    space: ColorSpace
    """The working space."""
    colors: NDArray[np.uint8]
    """Distinct sRGB colours uint8 ``(n, 3)``; of means of cubes, there are none."""
    points: NDArray[np.uint8 | np.uint16]
    """Where they lie in the working space ``(n, 3)``, see `ColorSpace.place`."""
    weights: NDArray[np.int64]
    """Pixels of each, int64 ``(n,)``."""
    starts: NDArray[np.int64]
    """Where each cell begins, int64 ``(m + 1,)``."""
    low: NDArray[np.float64]
    """Lowest number of each band of the points in each cell, ``(m, 3)``."""
    high: NDArray[np.float64]
    """Highest number of each band of the points in each cell, ``(m, 3)``."""
    cell_moments: NDArray[np.int64]
    """Moments of each cell, see `dask_quant.kernels.moments`, int64 ``(m, N_MOMENTS)``."""
    block_starts: NDArray[np.int64]
    """Where each block of cells begins among the cells, int64."""
    block_low: NDArray[np.float64]
    """Lowest number of each band in each block of cells."""
    block_high: NDArray[np.float64]
    """Highest number of each band in each block of cells."""
    within: float = 0.0
    """Where points are means of colours: squared distances of these to them, over all pixels."""

    @classmethod
    def from_histogram(cls, histogram: ColorHistogram, space: str = "srgb") -> ColorBoxes:
        """Sort the colours of a histogram of at least one pixel. O(colours).

        Takes 11 bytes a colour, 17 in another space than sRGB, and nothing more for a while.
        """
        colors = np.empty((len(histogram), 3), dtype=np.uint8)
        weights = np.empty(len(histogram), dtype=np.int64)
        all_starts = np.empty(N_CELLS + 1, dtype=np.int64)
        sort_by_cell_block(histogram.codes, histogram.counts, colors, weights, all_starts)
        cells = np.flatnonzero(np.diff(all_starts))
        starts = np.append(all_starts[cells], len(colors))
        found = find_space(space)
        return cls._from_cells(
            found, colors, found.place(colors), weights, starts, group_cells(cells)
        )

    @classmethod
    def _from_cells(
        cls,
        space: ColorSpace,
        colors: NDArray[np.uint8],
        points: NDArray[np.uint8 | np.uint16],
        weights: NDArray[np.int64],
        starts: NDArray[np.int64],
        block_starts: NDArray[np.int64],
    ) -> ColorBoxes:
        """Measure cells and blocks of colours that lie cell after cell."""
        n_cells = len(starts) - 1
        low, high = (np.empty((n_cells, 3)) for _ in range(2))
        cell_moments = np.zeros((n_cells, N_MOMENTS), dtype=np.int64)
        measure_cells_block(points, weights, starts, low, high, cell_moments)
        return cls(
            space=space,
            colors=colors,
            points=points,
            weights=weights,
            starts=starts,
            low=low,
            high=high,
            cell_moments=cell_moments,
            block_starts=block_starts,
            block_low=np.minimum.reduceat(low, block_starts[:-1]),
            block_high=np.maximum.reduceat(high, block_starts[:-1]),
        )

    @property
    def cell_weights(self) -> NDArray[np.int64]:
        """Pixels of each cell, int64 ``(m,)``."""
        return self.cell_moments[:, 0]

    @property
    def cell_sums(self) -> NDArray[np.int64]:
        """Sum over the pixels of each cell of each band, int64 ``(m, 3)``."""
        return self.cell_moments[:, 1:4]

    @property
    def sum_squares(self) -> int:
        """Sum over all pixels and bands of the squared level."""
        return int(self.cell_moments[:, 4:7].sum())

    def count_colors(self, others: NDArray[np.uint8]) -> int:
        """Return how many distinct colours there are with ``others``, distinct, ``(p, 3)``."""
        codes, n_known = np.sort(pack_colors(others)), 0
        for part in slice_colors(len(self.colors) if len(codes) else 0):
            own = pack_colors(self.colors[part])
            places = np.searchsorted(codes, own).clip(max=len(codes) - 1)
            n_known += int((codes[places] == own).sum())
        return len(self.points) + len(codes) - n_known

    def coarsen(self, side: int) -> ColorBoxes:
        """Return the boxes of fewer points: the means of cubes of ``side`` levels, 1, 2, 4 or 8."""
        n_bits = CELL_SIDE.bit_length() - side.bit_length()
        room = min(len(self.points), len(self.low) << (3 * n_bits))
        means = np.empty((room, 3), dtype=self.points.dtype)
        weights = np.empty(room, dtype=np.int64)
        starts = np.empty_like(self.starts)
        n, squares = coarsen_cells_block(
            *(self.colors, self.points, self.weights, self.starts, n_bits),
            *(means, weights, starts),
        )
        # Copies, so that the room for as many points as there were is free again.
        means, weights = means[:n].copy(), weights[:n].copy()
        coarse = self._from_cells(
            self.space, self.colors[:0], means, weights, starts, self.block_starts
        )
        return replace(coarse, within=max(0.0, self.sum_squares - squares))

    def weigh(self, power: float) -> ColorBoxes:
        """Return the boxes as a fit weighs them: by counts to a power, and not beyond int64.

        At a power of 1 these are the counts themselves, but where sums of squares could overflow:
        from 23 terapixels in sRGB, 5 gigapixels in Oklab. Then, and at another power, weights are
        rounded to whole shares of a fixed sum, and at least 1. Takes 16 bytes a colour.
        """
        most = _MAX_MOMENT // (3 * int(self.points.max()) ** 2 + 1)
        total = int(self.weights.sum())
        if power == 1 and total <= most:
            return self
        weights = self.weights.astype(np.float64)
        np.power(weights, power, out=weights)
        weights *= min(_POWER_TOTAL, most) / weights.sum()
        shares = np.rint(weights, out=weights).astype(np.int64).clip(min=1)
        return self._from_cells(
            self.space, self.colors, self.points, shares, self.starts, self.block_starts
        )

    def assign(self, points: NDArray[np.floating | np.integer]) -> Assignment:
        """Find the nearest of some points of the working space ``(k, 3)`` of every colour.

        Distances to points between whole numbers are cut to integers.
        """
        assignment, _, _ = self._assign(points, room=0)
        return assignment

    def assign_entries(self, palette: NDArray[np.uint8]) -> Assignment:
        """Find the nearest entry of ``palette``, sRGB uint8 ``(k, 3)``, of every colour."""
        return self.assign(self.space.place(palette))

    def assign_with_ties(self, palette: NDArray[np.uint8]) -> tuple[Assignment, Ties]:
        """Find the nearest entry of every colour, and all of them where there are several."""
        room, points = len(self.points) // _COLORS_PER_PAIR, self.space.place(palette)
        while True:
            assignment, ties, n_pairs = self._assign(points, room)
            if n_pairs <= room:
                return assignment, ties
            room = n_pairs

    def _assign(
        self, points: NDArray[np.floating | np.integer], room: int
    ) -> tuple[Assignment, Ties, int]:
        """Find nearest entries, as many pairs of ties as there is room for, and how many are."""
        colors, entries = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int32)
        labels, distances, n_pairs = assign_block(
            *(self.points, self.starts, self.low, self.high),
            *(self.block_starts, self.block_low, self.block_high),
            *(points.astype(np.float64), colors, entries),
        )
        ties = Ties(colors[:n_pairs], entries[:n_pairs])
        return Assignment(self.weights, labels, distances), ties, n_pairs


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
        counts = np.zeros(n_entries)
        for part in slice_colors(len(self.weights)):
            # float64 sums of integers are exact up to 2^53 pixels.
            counts += np.bincount(self.labels[part], self.weights[part], n_entries)
        return counts.astype(np.int64)

    @property
    def squared_error(self) -> int:
        """Squared distances over all pixels, in steps of the working space."""
        return sum(int(self._errors(part).sum()) for part in slice_colors(len(self.weights)))

    def find_worst(self, n_colors: int) -> NDArray[np.int64]:
        """Return the colours that contribute most to the error, at most ``n_colors``, int64.

        The largest first, of equals the first; none that contributes nothing.
        """
        worst, errors = find_largest(len(self.weights), n_colors, self._errors)
        return worst[errors > 0]

    def _errors(self, part: slice) -> NDArray[np.int64]:
        """Return the squared error that each colour of a part contributes, int64."""
        return self.weights[part] * self.distances[part]


def slice_colors(n: int) -> Iterator[slice]:
    """Yield parts of ``n`` colours, few enough for temporary arrays to be small."""
    for begin in range(0, n, _SLICE):
        yield slice(begin, min(begin + _SLICE, n))


def find_largest(
    n: int, n_wanted: int, values_of: Callable[[slice], NDArray[Any]]
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return the positions of the largest of ``n`` values, the first of equals first, and them.

    ``values_of`` gives the values of a part; those of all are never held together.
    """
    positions, values = np.empty(0, dtype=np.int64), values_of(slice(0, 0))
    for part in slice_colors(n):
        values = np.concatenate([values, values_of(part)])
        positions = np.concatenate([positions, np.arange(part.start, part.stop)])
        order = np.argsort(-values, kind="stable")[:n_wanted]
        positions, values = positions[order], values[order]
    return positions, values


@dataclass(frozen=True)
class Ties:
    """Pairs of a colour and one of its nearest entries, for colours that have several."""

    colors: NDArray[np.int64]
    """Positions of the colours in the boxes, ascending, int64 ``(n_pairs,)``."""
    entries: NDArray[np.int32]
    """Positions of the entries, ascending within each colour, int32 ``(n_pairs,)``."""
