"""Features: what distances are measured in, made of the bands of a pixel.

Bands are shifted and stretched, and may then be projected; a feature depends on its own row alone,
bit for bit, so that rows may come in any blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.kernels.components import project_rows_block

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.floating | np.integer]


@dataclass(frozen=True, eq=False)  # arrays compare number by number
class FeatureMap:
    """Bands to features: ``(band - offset) * factor``, and components of that."""

    offset: NDArray[np.float64]
    """Subtracted from each band, in its units, float64 ``(n_bands,)``."""
    factor: NDArray[np.float64]
    """What the difference is multiplied by, above 0, float64 ``(n_bands,)``."""
    components: NDArray[np.float64] | None = None
    """Directions that are features, orthonormal rows, float64 ``(n_features, n_bands)``; None: each
    band is one."""

    @classmethod
    def plain(cls, n_bands: int) -> FeatureMap:
        """Return what takes bands as they are."""
        return cls(np.zeros(n_bands), np.ones(n_bands))

    @property
    def n_features(self) -> int:
        """Features of a row."""
        return len(self.factor if self.components is None else self.components)

    def apply(self, rows: Numbers) -> NDArray[np.float64]:
        """Return the features of rows ``(n, n_bands)``, a C-contiguous copy ``(n, n_features)``.

        Examples
        --------
        >>> features = FeatureMap(np.array([1.0, 0.0]), np.array([0.5, 1.0]))
        >>> features.apply(np.array([[9, 7]], dtype=np.uint8)).tolist()
        [[4.0, 7.0]]
        """
        scaled = self._bring_to_scale(rows)
        if self.components is None:
            return scaled
        projected = np.empty((len(scaled), self.n_features))
        project_rows_block(scaled, np.array(self.components.T, order="C"), projected)
        return projected

    def bound(
        self, low: NDArray[np.float64], high: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return bounds of the features of all rows that lie between two, each ``(n_bands,)``.

        They are made by the very operations that make those of the rows, so that no row lies
        outside, not even in its last bit.
        """
        lowest, highest = self._bring_to_scale(np.stack([low, high]))
        if self.components is None:
            return lowest, highest
        below = above = np.zeros(self.n_features)
        for weights, least, most in zip(self.components.T, lowest, highest, strict=True):
            below = below + np.minimum(weights * least, weights * most)
            above = above + np.maximum(weights * least, weights * most)
        return below, above

    def undo(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return bands, in their units, that have these features ``(n, n_features)``.

        Of all that have them, those nearest to ``offset``.
        """
        scaled = features if self.components is None else features @ self.components
        bands: NDArray[np.float64] = scaled / self.factor + self.offset
        return bands

    def _bring_to_scale(self, rows: Numbers) -> NDArray[np.float64]:
        """Return rows shifted and stretched, a copy."""
        scaled = np.array(rows, dtype=np.float64, order="C")
        if self.offset.any() or (self.factor != 1.0).any():
            scaled -= self.offset
            scaled *= self.factor
        return scaled
