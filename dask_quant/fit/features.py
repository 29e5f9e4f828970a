"""Features: what distances are measured in, made of the bands of a pixel row by row.

Bands are chosen, shifted and stretched; each feature depends on its own row alone, bit for bit, so
that rows may come in any blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Numbers = NDArray[np.floating | np.integer]


@dataclass(frozen=True)
class FeatureMap:
    """Bands of a row to features: ``(band - offset) * factor``, for some bands."""

    bands: tuple[int, ...]
    """Positions of the bands to use, from 0."""
    offset: NDArray[np.float64]
    """Subtracted from each of them, in units of the band, float64 ``(n_features,)``."""
    factor: NDArray[np.float64]
    """What the difference is multiplied by, above 0, float64 ``(n_features,)``."""

    @classmethod
    def choose(cls, bands: Sequence[int]) -> FeatureMap:
        """Return what takes bands as they are."""
        return cls(tuple(bands), np.zeros(len(bands)), np.ones(len(bands)))

    def rescale(self, offset: NDArray[np.float64], factor: NDArray[np.float64]) -> FeatureMap:
        """Return what takes the same bands with another offset and factor."""
        return FeatureMap(self.bands, offset, factor)

    @property
    def is_plain(self) -> bool:
        """Whether bands are taken as they are."""
        return not self.offset.any() and bool((self.factor == 1.0).all())

    def apply(self, rows: Numbers) -> NDArray[np.float64]:
        """Return the features, C-contiguous float64 ``(n, n_features)``, of rows ``(n, n_bands)``.

        A copy always.

        Examples
        --------
        >>> features = FeatureMap((2, 0), np.array([1.0, 0.0]), np.array([0.5, 1.0]))
        >>> features.apply(np.array([[7, 8, 9]], dtype=np.uint8)).tolist()
        [[4.0, 7.0]]
        """
        if self.bands == tuple(range(rows.shape[1])):
            features = np.array(rows, dtype=np.float64, order="C")
        else:
            features = np.array(rows[:, self.bands], dtype=np.float64, order="C")
        if not self.is_plain:
            features -= self.offset
            features *= self.factor
        return features

    def undo(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the chosen bands, in their units, that have these features ``(n, n_features)``."""
        bands: NDArray[np.float64] = features / self.factor + self.offset
        return bands
