"""Small patches of classes, given to their largest neighbour: GDAL's sieve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.errors import OutputError
from dask_quant.sources.gdal_state import borrow_gdal, check_rasterio

if TYPE_CHECKING:
    from dask_quant.kernels.assign import Labels

SIEVE_BYTES = 32
"""Bytes per pixel of a raster that is sieved: it is held whole (measured 27 where every pixel is a
patch, 7 where nine pixels are)."""


def sieve_labels(labels: Labels, n_pixels: int, *, nodata: int) -> Labels:
    """Return labels ``(y, x)`` in which small patches have the label of their largest neighbour.

    A patch is what hangs together by the sides of pixels. **Eager**; the whole raster at once, so
    that a patch is never cut by a block.

    Parameters
    ----------
    labels : ndarray
        uint8 or uint16.
    n_pixels : int
        Patches of fewer pixels go.
    nodata : int
        Label of pixels that have none: these stay, and nothing is given to them.

    Raises
    ------
    OutputError
        When rasterio is missing.
    """
    check_rasterio(OutputError, "Cannot sieve labels")
    from rasterio.features import sieve

    size = min(n_pixels, labels.size - 1)  # as large as rasterio allows
    if size < 2:
        return labels
    known = (labels != nodata).astype(np.uint8)
    with borrow_gdal():
        sieved: Labels = sieve(labels, size, mask=known, connectivity=4)
    return sieved
