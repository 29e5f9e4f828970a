"""Counted colours with transparency, and the nearest palette entry of each.

What `dask_quant.fit.boxes.ColorBoxes` is to sRGB colours: the two answer the same questions of
`dask_quant.fit.refine`, so that palettes are rounded, refilled and ordered in one way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.color_spaces import find_space
from dask_quant.fit.boxes import Assignment, Ties, slice_colors
from dask_quant.kernels.count_block import pack_colors
from dask_quant.point_groups import PointGroups
from dask_quant.premultiplied import BAND_WEIGHTS, STEPS_PER_SQUARE, add_alpha, place_colors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.color_spaces import ColorSpace
    from dask_quant.histogram import ColorHistogram

NO_ALPHA_PINS = np.empty((0, 4), dtype=np.uint8)
"""What is pinned where nothing is."""

_HALF_BITS = 20
"""Bits of a distance that are added up apart from the others, so that sums are exact."""

_TIED_AT_ONCE = 1 << 20
"""Distances of tied colours that are compared at a time."""


@dataclass(frozen=True)
class AlphaAssignment(Assignment):
    """The nearest entry of each colour; distances are in steps, int64, see `STEPS_PER_SQUARE`."""

    @property
    def squared_error(self) -> int:
        """Squared distances over all pixels, in squared steps, exactly."""
        low, high = 0, 0
        for part in slice_colors(len(self.weights)):
            weights, distances = self.weights[part], self.distances[part].astype(np.int64)
            high += int((weights * (distances >> _HALF_BITS)).sum())
            low += int((weights * (distances & ((1 << _HALF_BITS) - 1))).sum())
        return (high << _HALF_BITS) + low

    def _errors(self, part: slice) -> NDArray[np.int64]:
        """Return the squared error that each colour of a part contributes, in whole levels."""
        errors = self.weights[part] * (self.distances[part] / STEPS_PER_SQUARE)
        return np.ceil(errors).astype(np.int64)  # what is not 0 must not come to nothing


@dataclass(frozen=True)
class AlphaColors:
    """The colours of a histogram with transparency, neighbours together, ``n`` of them."""

    colors: NDArray[np.uint8]
    """Distinct RGBA colours uint8 ``(n, 4)``."""
    weights: NDArray[np.int64]
    """Pixels of each, int64 ``(n,)``."""
    groups: PointGroups
    """Where they lie, in the same order."""

    @property
    def space(self) -> ColorSpace:
        """Where distances are measured: of opaque colours they are those of sRGB."""
        return find_space("srgb")

    @classmethod
    def from_histogram(cls, histogram: ColorHistogram) -> AlphaColors:
        """Take the colours of a histogram of at least one pixel. O(n log n), 100 bytes a colour."""
        colors = add_alpha(histogram.colors)
        groups = PointGroups.from_points(place_colors(colors))
        return cls(colors[groups.order], histogram.counts[groups.order], groups)

    @property
    def clear(self) -> NDArray[np.uint8]:
        """The colour that is fully transparent, where there is one, uint8 ``(0 or 1, 4)``."""
        clear: NDArray[np.uint8] = self.colors[self.colors[:, 3] == 0]
        return clear

    def count_colors(self, others: NDArray[np.uint8]) -> int:
        """Return how many distinct colours there are with ``others``, distinct, ``(p, 4)``."""
        n_known = int(np.isin(pack_colors(others), pack_colors(self.colors)).sum())
        return len(self.colors) + len(others) - n_known

    def assign_entries(self, palette: NDArray[np.uint8]) -> AlphaAssignment:
        """Find the nearest entry of ``palette``, ``(k, 3)`` or ``(k, 4)``, of every colour."""
        return self._assign(palette)[0]

    def assign_with_ties(self, palette: NDArray[np.uint8]) -> tuple[AlphaAssignment, Ties]:
        """Find the nearest entry of every colour, and all of them where there are several."""
        assignment, n_nearest = self._assign(palette)
        return assignment, self._list_ties(palette, assignment, np.flatnonzero(n_nearest > 1))

    def _assign(self, palette: NDArray[np.uint8]) -> tuple[AlphaAssignment, NDArray[np.int32]]:
        """Find nearest entries, and how many are as near."""
        labels, distances, n_nearest = self.groups.assign(place_colors(add_alpha(palette)))
        found = AlphaAssignment(self.weights, labels.astype(np.uint16), distances.astype(np.int64))
        return found, n_nearest

    def _list_ties(
        self, palette: NDArray[np.uint8], assignment: Assignment, tied: NDArray[np.int64]
    ) -> Ties:
        """Return all nearest entries of the colours ``tied``."""
        entries = place_colors(add_alpha(palette))
        pairs = [np.empty((0, 2), dtype=np.int64)]
        step = max(1, _TIED_AT_ONCE // len(entries))
        for begin in range(0, len(tied), step):
            own = tied[begin : begin + step]
            distances = np.zeros((len(own), len(entries)))
            for band, weight in enumerate(BAND_WEIGHTS):
                levels = self.groups.points[own, band, np.newaxis]
                distances += weight * np.square(levels - entries[:, band])
            rows, columns = np.nonzero(distances == assignment.distances[own, np.newaxis])
            pairs.append(np.stack([own[rows], columns], axis=1))
        colors, numbers = np.concatenate(pairs).T
        return Ties(colors.copy(), numbers.astype(np.int32))
