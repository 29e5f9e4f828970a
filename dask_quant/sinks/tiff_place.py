"""Where the labels of an image lie on the earth, as tags of a TIFF: those of its source."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from dask_quant.sinks.geotiff import place_arguments
from dask_quant.sources.gdal_state import borrow_gdal
from dask_quant.sources.geo_tags import read_geo_tags
from dask_quant.sources.named_arrays import as_one_array, find_dimensions, is_named, read_place

if TYPE_CHECKING:
    from dask_quant.georeference import GeoReference
    from dask_quant.sources.geo_tags import GeoTag


def find_geo_tags(source: object, shape: tuple[int, int]) -> tuple[GeoTag, ...]:
    """Return the tags that say where the pixels of a source lie. **Eager**.

    Parameters
    ----------
    source : object
        Whatever an image is read from; the path of a ``.tif`` file or an array of named dimensions
        may have a place.
    shape : tuple of int
        Rows and columns of the image.

    Returns
    -------
    tuple of GeoTag
        None where there are none; or where rasterio, which knows the numbers of reference
        systems, is not installed, for an array.
    """
    if not is_named(source):
        return read_geo_tags(source, shape)
    data = as_one_array(source)
    return encode_place(read_place(data, find_dimensions(data)[:2]))


def encode_place(geo: GeoReference) -> tuple[GeoTag, ...]:
    """Return georeferencing as tags of a TIFF: those that GDAL writes to a file of one pixel."""
    if geo.crs_wkt is None:
        return ()
    try:
        import rasterio
    except ImportError:
        return ()
    with tempfile.TemporaryDirectory() as folder, borrow_gdal():
        path = Path(folder, "place.tif")
        one = {"driver": "GTiff", "width": 1, "height": 1, "count": 1, "dtype": "uint8"}
        with rasterio.open(path, "w", **one, **place_arguments(geo)):
            pass
        return read_geo_tags(path, (1, 1))
