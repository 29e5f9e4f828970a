"""What a store of classes says of itself, and reading it strip by strip."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import zarr

from dask_quant.palette import as_palette
from dask_quant.sinks.store_marker import ATTRIBUTE, VERSION
from dask_quant.sinks.zarr_store import ARRAY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dask_quant.class_model import ClassModel
    from dask_quant.georeference import GeoReference
    from dask_quant.kernels.assign import Labels


def class_attributes(model: ClassModel, geo: GeoReference) -> dict[str, Any]:
    """Return the attributes of the group of a store of classes, ready for JSON.

    The coordinate reference system and the transform stand under the names of the GeoZarr
    conventions ``proj`` and ``spatial``.
    """
    marker = {
        "version": VERSION,
        "palette": as_palette(model.colors).hex,
        "nodata": model.nodata,
        "model": json.loads(model.to_json()),
    }
    return {ATTRIBUTE: marker} | geo_attributes(geo)


def geo_attributes(geo: GeoReference) -> dict[str, Any]:
    """Return what a group says of where its pixels lie, as far as that is known."""
    attributes: dict[str, Any] = {}
    if geo.crs_wkt is not None:
        attributes["proj:wkt2"] = geo.crs_wkt
    if geo.transform is not None:
        attributes["spatial:transform"] = list(geo.transform)
        attributes["spatial:dimensions"] = ["y", "x"]
    return attributes


def read_strips(store: Path) -> tuple[Iterator[Labels], tuple[int, int]]:
    """Return the labels of a store in strips of whole chunks, from top to bottom, and its shape.

    **Eager**, a strip at a time.
    """
    array = zarr.open_array(store / ARRAY_NAME, mode="r")
    rows = array.chunks[0]
    strips = (array[row : row + rows] for row in range(0, array.shape[0], rows))
    return strips, array.shape
