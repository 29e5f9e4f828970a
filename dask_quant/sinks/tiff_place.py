"""Where the labels of an image lie on the earth, as tags of a TIFF: those of its source."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from dask_quant.errors import PixelFormatError
from dask_quant.sinks.geotiff import place_arguments
from dask_quant.sources.gdal_state import borrow_gdal
from dask_quant.sources.named_arrays import as_one_array, find_dimensions, is_named, read_place
from dask_quant.sources.reading import Origin, read_geo_tags

if TYPE_CHECKING:
    from dask_quant.georeference import GeoReference
    from dask_quant.sources.geotiff_tags import GeoTags


def find_geo_tags(origin: Origin, shape: tuple[int, int]) -> GeoTags | None:
    """Return the tags that say where the pixels of a source lie. **Eager**.

    Parameters
    ----------
    origin : Origin
        Whatever an image is read from; a TIFF or an array of named dimensions may have a place.
    shape : tuple of int
        Rows and columns of the image.

    Returns
    -------
    GeoTags or None
        None where there are none; or where rasterio, which knows the numbers of reference
        systems, is not installed, for an array.
    """
    if not is_named(origin.source):
        return read_geo_tags(origin, shape)
    data = as_one_array(origin.source)
    try:
        dimensions = find_dimensions(data)[:2]
    except PixelFormatError:  # which rows are is told by the shape alone: they lie nowhere
        return None
    return encode_place(read_place(data, dimensions))


def encode_place(geo: GeoReference) -> GeoTags | None:
    """Return georeferencing as tags of a TIFF: those that GDAL writes to a file of one pixel."""
    if geo.crs_wkt is None:
        return None
    try:
        import rasterio
    except ImportError:
        return None
    with tempfile.TemporaryDirectory() as folder, borrow_gdal():
        path = Path(folder, "place.tif")
        one = {"driver": "GTiff", "width": 1, "height": 1, "count": 1, "dtype": "uint8"}
        with rasterio.open(path, "w", **one, **place_arguments(geo)):
            pass
        return read_geo_tags(Origin(path), (1, 1))
