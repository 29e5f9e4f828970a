"""Features: what distances are measured in, made of the bands of a pixel.

Bands are shifted and stretched; a feature depends on its own row alone, bit for bit, so that rows
may come in any blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.floating | np.integer]


@dataclass(frozen=True, eq=False)  # arrays compare number by number
class FeatureMap:
    """Bands to features: ``(band - offset) * factor``."""

    offset: NDArray[np.float64]
    """Subtracted from each band, in its units, float64 ``(n_bands,)``."""
    factor: NDArray[np.float64]
    """What the difference is multiplied by, above 0, float64 ``(n_bands,)``."""

    @classmethod
    def plain(cls, n_bands: int) -> FeatureMap:
        """Return what takes bands as they are."""
        return cls(np.zeros(n_bands), np.ones(n_bands))

    @property
    def is_plain(self) -> bool:
        """Whether bands are taken as they are."""
        return not self.offset.any() and bool((self.factor == 1.0).all())

    def apply(self, rows: Numbers) -> NDArray[np.float64]:
        """Return the features of rows, both ``(n, n_bands)``; a C-contiguous copy always.

        Examples
        --------
        >>> features = FeatureMap(np.array([1.0, 0.0]), np.array([0.5, 1.0]))
        >>> features.apply(np.array([[9, 7]], dtype=np.uint8)).tolist()
        [[4.0, 7.0]]
        """
        features = np.array(rows, dtype=np.float64, order="C")
        if not self.is_plain:
            features -= self.offset
            features *= self.factor
        return features

    def undo(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the bands, in their units, that have these features, both ``(n, n_bands)``."""
        bands: NDArray[np.float64] = features / self.factor + self.offset
        return bands
