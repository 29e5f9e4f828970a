"""Rasters labelled with classes, and these written: by tasks, to a store or a GeoTIFF."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from dask.delayed import delayed

from dask_quant.array_flow import align_blocks, check_label_output, fill_store
from dask_quant.graphs.pixels import label_parts
from dask_quant.sinks.atomic import partial_folder, put_in_place
from dask_quant.sinks.class_store import class_attributes, read_strips
from dask_quant.sinks.geotiff import write_label_raster
from dask_quant.sinks.ome_labels import describe_labels
from dask_quant.sinks.sieve import sieve_labels
from dask_quant.sinks.store_layout import label_shards
from dask_quant.sinks.store_start import start_class_store

if TYPE_CHECKING:
    from pathlib import Path

    import dask.array as da

    from dask_quant.class_model import ClassModel
    from dask_quant.execute import Executor
    from dask_quant.georeference import GeoReference
    from dask_quant.raster_flow import CutRaster

_JOINED_NAME = "joined.tif"
"""File that labels are joined to, before it gets its final name."""


def label_raster(cut: CutRaster, model: ClassModel) -> da.Array:
    """Return the class of every pixel ``(y, x)``. **Lazy**."""
    return label_parts(cut.parts, model)


def write_classes(
    cut: CutRaster,
    model: ClassModel,
    out: Path,
    executor: Executor,
    *,
    overwrite: bool,
    cog: bool = False,
    sieve: int = 0,
) -> int:
    """Label one raster and write its classes to a ``.tif`` or ``.zarr``. **Eager**.

    Tasks label blocks and write them to a store; a GeoTIFF is made of that by one more task, so
    that its bytes do not depend on who was first. Patches of fewer than ``sieve`` pixels are given
    to their neighbours there.

    Returns
    -------
    int
        Bytes written.
    """
    check_label_output(out, overwrite=overwrite)
    out = out.absolute()  # workers may have another working folder
    labels, geo = label_raster(cut, model), cut.raster.geo
    if out.suffix.lower() == ".zarr":
        return _write_store(labels, model, geo, out, executor, overwrite=overwrite)
    with partial_folder(out) as folder:
        joined, store = folder / _JOINED_NAME, folder / "labels.zarr"
        _write_store(labels, model, geo, store, executor, overwrite=False)
        join = delayed(join_labels, pure=False)(joined, store, model, geo, cog=cog, sieve=sieve)
        n_bytes: int = executor.compute(join, stage="write", leaves=[join])
        put_in_place(joined, out, overwrite=overwrite)
        return n_bytes


def _write_store(
    labels: da.Array,
    model: ClassModel,
    geo: GeoReference,
    out: Path,
    executor: Executor,
    *,
    overwrite: bool,
) -> int:
    """Write labels to a store of classes."""
    aligned = align_blocks(labels, label_shards(labels.shape))
    attributes = class_attributes(model, geo)
    label = describe_labels(model.colors, nodata=model.nodata)
    store = start_class_store(
        *(out, labels.shape, model.label_dtype, attributes, label), overwrite=overwrite
    )
    return fill_store(aligned, store, out, executor, overwrite=overwrite, stage="label")


def join_labels(
    path: Path, store: Path, model: ClassModel, geo: GeoReference, *, cog: bool, sieve: int
) -> int:
    """Make a GeoTIFF of a store of classes, and return its bytes. **Eager**.

    Not under its final name: run again, its worker having died, this would find that taken.
    """
    strips, shape = read_strips(store)
    if sieve > 1:
        strips = iter([sieve_labels(np.concatenate(list(strips)), sieve, nodata=model.nodata)])
    return write_label_raster(
        path,
        strips,
        shape=shape,
        dtype=model.label_dtype,
        nodata=model.nodata,
        colors=model.colors,
        geo=geo,
        overwrite=True,
        cog=cog,
    )
