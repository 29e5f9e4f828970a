"""A picture of borders beside labels that were written: read back, marked, written by tasks.

The source is not decoded again, and borders are those of what was written, sieved classes included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from dask.delayed import delayed

from dask_quant.array_flow import align_blocks, check_label_output, fill_store, write_labels
from dask_quant.borders import LINE_COLORS, PAPER
from dask_quant.chunking import COPIES_IN_TASK, PROCESS_BYTES, WAITING_BLOCKS, plan_chunks
from dask_quant.graphs.borders import line_blocks
from dask_quant.raster_plan import RASTER_CACHE_BYTES
from dask_quant.sinks.atomic import partial_folder, put_in_place
from dask_quant.sinks.class_store import geo_attributes, read_strips
from dask_quant.sinks.geotiff import write_label_raster
from dask_quant.sinks.ome_labels import describe_labels
from dask_quant.sinks.png import strip_rows
from dask_quant.sinks.store_layout import label_chunks, label_shards
from dask_quant.sinks.store_marker import store_attributes
from dask_quant.sinks.store_start import start_class_store
from dask_quant.sources.written_labels import (
    open_label_png,
    open_label_raster,
    open_label_store,
)

if TYPE_CHECKING:
    from pathlib import Path

    import dask.array as da

    from dask_quant.execute import Executor
    from dask_quant.georeference import GeoReference

RASTER_SUFFIXES = (".tif", ".tiff")
"""Suffixes of GeoTIFFs."""

_JOINED_NAME = "joined.tif"
"""File that borders are joined to, before it gets its final name."""


@dataclass(frozen=True)
class WrittenLabels:
    """Labels that were written to a file or a store."""

    path: Path
    """Where they are."""
    shape: tuple[int, int]
    """Rows and columns."""
    dtype: np.dtype[Any]
    """Type of the labels: uint8 or uint16."""

    def open(self, outline: Path) -> da.Array:
        """Return them ``(y, x)`` in chunks that ``outline`` is made of at little cost. **Lazy**."""
        chunks = read_chunks(self.path, self.shape, outline)
        suffix = self.path.suffix.lower()
        if suffix == ".png":
            return open_label_png(self.path, self.shape, chunks[0])
        if suffix in RASTER_SUFFIXES:
            return open_label_raster(self.path, self.shape, self.dtype, chunks)
        return open_label_store(self.path, chunks)


def read_chunks(labels: Path, shape: tuple[int, int], outline: Path) -> tuple[int, int]:
    """Return rows and columns of the blocks in which labels are read back.

    They follow from the shape of the image and the two suffixes. A PNG is read by its strips; all
    else, for a PNG, in bands of whole rows, which it is cut from, or else by shards.
    """
    if labels.suffix.lower() == ".png":
        return min(strip_rows(shape[1]), shape[0]), shape[1]
    if outline.suffix.lower() != ".png":
        return label_shards(shape)
    rows = label_chunks(shape)[0]
    return plan_chunks(shape, (rows, shape[1]), target_pixels=strip_rows(shape[1]) * shape[1])


def plan_outline_bytes(
    labels: Path,
    shape: tuple[int, int],
    outline: Path,
    *,
    label_bytes: int,
    n_processes: int,
    n_threads: int,
) -> int:
    """Return an upper bound of the memory for drawing borders, of driver and workers together.

    Parameters
    ----------
    labels, shape, outline
        As in `read_chunks`.
    label_bytes : int
        Bytes of a label: 1 or 2.
    n_processes : int
        Worker processes beside this one.
    n_threads : int
        Tasks that run side by side, in all processes.
    """
    rows, columns = read_chunks(labels, shape, outline)
    unit_rows, unit_columns = _write_unit(outline, shape)
    is_cut = columns > unit_columns  # strips of a PNG, for a store
    most = unit_rows * unit_columns if is_cut else (rows + unit_rows) * columns
    blocks = COPIES_IN_TASK * label_bytes * rows * columns
    blocks += (COPIES_IN_TASK + WAITING_BLOCKS) * most
    # Strips that are cut up wait until there is a row of shards.
    waiting = (label_bytes + 1) * (rows + unit_rows) * columns if is_cut else 0
    processes = (1 + n_processes) * (PROCESS_BYTES + RASTER_CACHE_BYTES)
    return processes + n_threads * blocks + waiting


def _write_unit(outline: Path, shape: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of what is written as a whole; a GeoTIFF is made of a store."""
    if outline.suffix.lower() == ".png":
        return strip_rows(shape[1]), shape[1]
    return label_shards(shape)


def write_outline(
    labels: WrittenLabels,
    out: Path,
    executor: Executor,
    *,
    overwrite: bool,
    geo: GeoReference | None = None,
    cog: bool = False,
) -> int:
    """Draw the borders of labels, black on white, to a ``.png``, ``.zarr`` or ``.tif``. **Eager**.

    Parameters
    ----------
    labels : WrittenLabels
        What was written.
    out : Path
        Where to. A GeoTIFF, and a store, keep where pixels lie; in a GeoTIFF, paper is nodata, so
        that lines can be laid over any map.
    executor : Executor
        Computes the tasks.
    overwrite : bool
        Whether ``out`` may be replaced.
    geo : GeoReference, optional
        Where the pixels lie; needed for a ``.tif``.
    cog : bool, default False
        Whether a GeoTIFF is cloud-optimized.

    Returns
    -------
    int
        Bytes written.
    """
    check_label_output(out, overwrite=overwrite)
    lines = line_blocks(labels.open(out))
    out = out.absolute()  # workers may have another working folder
    suffix = out.suffix.lower()
    if suffix == ".png":
        return write_labels(lines, LINE_COLORS, out, executor, overwrite=overwrite)
    if suffix == ".zarr":
        return _write_store(lines, geo, out, executor, overwrite=overwrite)
    assert geo is not None, "a GeoTIFF is made of a raster"
    with partial_folder(out) as folder:
        joined, store = folder / _JOINED_NAME, folder / "lines.zarr"
        _write_store(lines, geo, store, executor, overwrite=False)
        join = delayed(join_lines, pure=False)(joined, store, geo, cog=cog)
        n_bytes: int = executor.compute(join, stage="write", leaves=[join])
        put_in_place(joined, out, overwrite=overwrite)
        return n_bytes


def _write_store(
    lines: da.Array, geo: GeoReference | None, out: Path, executor: Executor, *, overwrite: bool
) -> int:
    """Write a picture of borders to a store."""
    unit = label_shards(lines.shape)
    if lines.chunksize[1] > unit[1]:  # strips: shards as wide as they are would take much more
        lines = lines.rechunk(unit, method="tasks")
    attributes = store_attributes(LINE_COLORS)
    if geo is not None:
        attributes |= geo_attributes(geo)
    given = (out, lines.shape, LINE_COLORS.label_dtype, attributes)
    store = start_class_store(*given, describe_labels(LINE_COLORS.colors), overwrite=overwrite)
    aligned = align_blocks(lines, unit)
    return fill_store(aligned, store, out, executor, overwrite=overwrite, stage="outline")


def join_lines(path: Path, store: Path, geo: GeoReference, *, cog: bool) -> int:
    """Make a GeoTIFF of a store of borders, and return its bytes. **Eager**.

    Not under its final name: run again, its worker having died, this would find that taken.
    """
    strips, shape = read_strips(store)
    return write_label_raster(
        path,
        strips,
        shape=shape,
        dtype=np.uint8,
        nodata=PAPER,
        colors=LINE_COLORS.colors,
        geo=geo,
        overwrite=True,
        cog=cog,
    )
