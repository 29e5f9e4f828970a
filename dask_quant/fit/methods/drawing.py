"""Pixels drawn from counted colours, as often as there are of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.fit.search import mix_seed
from dask_quant.kernels.seed import draw_block

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.fit.boxes import ColorBoxes


class PixelDraws:
    """Draws pixels by a hash of seed, restart, step and number in the step; 16 bytes a colour."""

    def __init__(self, boxes: ColorBoxes, seed: int, restart: int = 0) -> None:
        self._colors = boxes.colors
        # float64 sums of integers are exact up to 2^53 pixels.
        self._running = np.cumsum(boxes.weights).astype(np.float64)
        self._stream = int(mix_seed(seed, restart))

    def draw(self, n_pixels: int, step: int) -> NDArray[np.float64]:
        """Return the pixels of a step, 0 for the first, sRGB levels float64 ``(n_pixels, 3)``."""
        draws = draw_block(n_pixels, mix_seed(self._stream, step + 1))
        drawn = np.searchsorted(self._running, draws * self._running[-1], side="right")
        rows: NDArray[np.uint8] = self._colors[drawn.clip(max=len(self._running) - 1)]
        return rows.astype(np.float64)
