"""The popularity algorithm [1]_: the colours of the most pixels, and no thought for the others.

As in the paper, colours are counted in cubes, 32 to a band; the cubes of the most pixels are
painted in their means. Good for drawings of few colours; a photograph gets many shades of its sky.

References
----------
.. [1] P. Heckbert, "Color image quantization for frame buffer display", SIGGRAPH 1982,
   doi:10.1145/800064.801294.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.fit.boxes import ColorBoxes


def find_popular(boxes: ColorBoxes, n_colors: int) -> NDArray[np.float64]:
    """Return the means of the ``n_colors`` fullest cells, or of all where there are fewer.

    sRGB levels float64 ``(n, 3)``; of cells that are as full, the first in the order of the boxes.
    """
    fullest = np.argsort(-boxes.cell_weights, kind="stable")[:n_colors]
    means: NDArray[np.float64] = boxes.cell_sums[fullest] / boxes.cell_weights[fullest, np.newaxis]
    return means
