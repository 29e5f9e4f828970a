"""Uniform quantization: the colour cube cut evenly, whatever the picture.

Every band is cut into equal parts, as many as leave the least error in colours that are spread
evenly over the cube, and each box is painted in its centre: the fixed palettes of early displays.
Pixels decide nothing but which of the entries are used; see `dask_quant.fit.methods` for the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.fit.boxes import ColorBoxes

N_LEVELS = 256
"""Levels of a band."""


def find_uniform(boxes: ColorBoxes, n_colors: int) -> NDArray[np.float64]:
    """Return the centres of at most ``n_colors`` equal boxes, sRGB levels float64 ``(n, 3)``.

    ``boxes`` is not looked at.
    """
    bands = [(np.arange(n) + 0.5) * (N_LEVELS / n) - 0.5 for n in choose_levels(n_colors)]
    return np.stack(np.meshgrid(*bands, indexing="ij"), axis=-1).reshape(-1, 3)


def choose_levels(n_colors: int) -> tuple[int, int, int]:
    """Return levels of red, green and blue, ``n_colors`` at most when multiplied.

    The squared error of a band of n even levels is as 1 / n^2; of equal sums, more green is better,
    then more red, as eyes see it.

    Examples
    --------
    >>> choose_levels(256), choose_levels(16), choose_levels(2)
    ((6, 7, 6), (2, 4, 2), (1, 2, 1))
    """
    candidates = (
        (red, green, min(N_LEVELS, n_colors // (red * green)))
        for red in range(1, min(N_LEVELS, n_colors) + 1)
        for green in range(1, min(N_LEVELS, n_colors // red) + 1)
    )
    return min(candidates, key=_badness)


def _badness(levels: tuple[int, int, int]) -> tuple[float, int, int]:
    """Return the error of levels, rounded so that equal sums are equal, and what breaks ties."""
    red, green, _ = levels
    return round(sum(1 / n**2 for n in levels), 12), -green, -red
