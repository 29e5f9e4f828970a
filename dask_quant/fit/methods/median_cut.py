"""Median cut [1]_: every palette entry stands for about as many pixels.

The box of the most pixels, drawn tight about its colours, is cut across its longest side at the
weighted median, until there are as many boxes as entries; each is painted in its mean. Quick, and
good where pixels are; rare colours far from the others are lost.

References
----------
.. [1] P. Heckbert, "Color image quantization for frame buffer display", SIGGRAPH 1982,
   doi:10.1145/800064.801294.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.fit.methods.splitting import split_boxes
from dask_quant.kernels.split_boxes import cut_at_median_block

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dask_quant.fit.boxes import ColorBoxes


def find_median_cut(boxes: ColorBoxes, n_colors: int) -> NDArray[np.float64]:
    """Return the means of ``n_colors`` boxes, sRGB levels float64 ``(n_colors, 3)``.

    The cut is where it halves the pixels best, between two levels: colours of one level stay
    together. Boxes of one colour are not cut.
    """
    return split_boxes(boxes, n_colors, cut_at_median_block)
