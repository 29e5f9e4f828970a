"""Wu's method [1]_ [2]_: boxes are cut where the squared error falls most.

The box with the largest squared error about its mean is cut by the plane, across any of the three
bands, that leaves the least error in its two parts; each box is painted in its mean. Wu's program
sums the moments of a grid of 33^3; here they are those of the colours themselves, of any of 256
levels.

References
----------
.. [1] X. Wu, "Efficient statistical computations for optimal color quantization", Graphics Gems
   II, 1991, doi:10.1016/B978-0-08-050754-5.50035-9.
.. [2] X. Wu, "Color quantization by dynamic programming and principal analysis", ACM Transactions
   on Graphics 11(4), 1992, doi:10.1145/146443.146475.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.fit.methods.splitting import split_boxes
from dask_quant.kernels.split_boxes import cut_at_variance_block

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dask_quant.fit.boxes import ColorBoxes


def find_wu(boxes: ColorBoxes, n_colors: int) -> NDArray[np.float64]:
    """Return the means of ``n_colors`` boxes, sRGB levels float64 ``(n_colors, 3)``."""
    return split_boxes(boxes, n_colors, cut_at_variance_block)
