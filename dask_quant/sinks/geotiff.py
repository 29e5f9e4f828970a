"""Label rasters: GeoTIFF of one band with nodata, a colour table and the georeferencing.

GDAL writes a temporary file tile row by tile row. What it fails to write while it closes a file,
on a full disk say, it does not report: therefore the file is read back before it gets its name.
"""

from __future__ import annotations

import os
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant.errors import DaskQuantError, OutputError
from dask_quant.sinks.atomic import (
    check_output,
    partial_path,
    put_in_place,
    report_os_errors,
    sync_file,
)
from dask_quant.sources.gdal_state import borrow_gdal, check_rasterio, show_gdal_cause

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import DTypeLike, NDArray

    from dask_quant.georeference import GeoReference
    from dask_quant.kernels.assign import Labels

TILE_SIDE = 512
"""Largest side of a tile in pixels: what a viewer fetches (arbitrary)."""

_LEVEL = 3
"""Deflate effort. On 11 Mpx of labels of an aerial photograph, GDAL 3.10, one core:

======  ==================  ==================
level   4 colours           16 colours
======  ==================  ==================
1       1.68 MB, 145 Mpx/s  3.24 MB, 134 Mpx/s
3       1.59 MB, 104 Mpx/s  3.13 MB, 70 Mpx/s
4       1.55 MB, 75 Mpx/s   3.11 MB, 62 Mpx/s
6       1.43 MB, 25 Mpx/s   2.94 MB, 24 Mpx/s
======  ==================  ==================
"""

_TILE_STEP = 16
"""Sides of TIFF tiles are multiples of this."""

_MIN_COG_SIDE = 128
"""Smallest side of a tile that GDAL takes for a cloud-optimized GeoTIFF without a word."""

_OPAQUE = 255
_OVERVIEWS_SUFFIX = ".ovr.tmp"
"""What GDAL adds to the name of a cloud-optimized file for the overviews in the making."""


@dataclass(frozen=True)
class _LabelRaster:
    """What a label raster is made of, but for its pixels."""

    shape: tuple[int, int]
    """Rows and columns."""
    dtype: np.dtype[Any]
    """Type of the labels: uint8 or uint16."""
    nodata: int
    """Label of pixels that have none."""
    colors: NDArray[np.uint8]
    """sRGB ``(k, 3)``: the colour of each label."""
    geo: GeoReference
    """Where the pixels lie."""


def write_label_raster(
    path: Path,
    strips: Iterable[Labels],
    *,
    shape: tuple[int, int],
    dtype: DTypeLike,
    nodata: int,
    colors: NDArray[np.uint8],
    geo: GeoReference,
    overwrite: bool,
    cog: bool = False,
) -> int:
    """Write a tiled, deflated GeoTIFF that appears under its name only when it is whole.

    **Eager.** The bytes depend on the arguments and on the version of GDAL alone. What ``strips``
    raises is passed on as it is.

    Parameters
    ----------
    path : Path
        The final name. Missing parent folders are created. A symlink there is replaced itself.
    strips : iterable of ndarray
        Labels of ``dtype (rows, x)`` from top to bottom, any number of rows each.
    shape : tuple of int
        Rows and columns of the image, at least 1 each.
    dtype : numpy type
        uint8 or uint16.
    nodata : int
        Label of pixels that have none; it is shown transparent, also where ``colors`` has it.
    colors : ndarray
        uint8 sRGB ``(k, 3)``, at most as many as ``dtype`` has values: the colour table.
    geo : GeoReference
        Where the pixels lie. A GeoTIFF holds a transform or control points: the transform, if
        there are both.
    overwrite : bool
        Whether a file that exists may be replaced.
    cog : bool, default False
        Whether to write a cloud-optimized GeoTIFF: with overviews, in which a pixel is the most
        frequent of the labels that it covers, or nodata where it covers nothing else. It takes a
        second temporary file.

    Returns
    -------
    int
        Bytes of the file.

    Raises
    ------
    OutputExistsError
        When the file exists, or came to exist meanwhile, and ``overwrite`` is false.
    OutputError
        When the file cannot be written, the strips do not make up the image, type, colours or
        nodata do not go together, or rasterio is missing.

    Notes
    -----
    Peak memory: a tile row of 512 rows, one strip, and GDAL's `CACHE_BYTES`. Reading back takes
    about a tenth of the time.
    """
    check_output(path, overwrite=overwrite)
    raster = _LabelRaster(shape, np.dtype(dtype), nodata, colors, geo)
    _check_raster(raster)
    check_rasterio(OutputError, f"Cannot write {str(path)!r}")
    with report_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    # GDAL adds to the second name, which would be too long if the first has the full length.
    plain, copy = partial_path(path), partial_path(path.with_name("cog"))
    try:
        with borrow_gdal(GDAL_PAM_ENABLED="NO"):  # no .aux.xml beside it
            checksum = _write_plain(plain, strips, raster, final=path)
            if cog:
                _copy_to_cog(plain, copy, raster, final=path)
            whole = copy if cog else plain
            _check_written(whole, checksum, final=path)
        return _finish(whole, path, overwrite=overwrite)
    finally:
        for leftover in (plain, copy, copy.with_name(copy.name + _OVERVIEWS_SUFFIX)):
            with suppress(OSError):
                leftover.unlink()


def _finish(temporary: Path, path: Path, *, overwrite: bool) -> int:
    """Sync a whole file and give it its final name; return its bytes."""
    with report_os_errors(path):
        sync_file(temporary)
        n_bytes = os.stat(temporary).st_size
    put_in_place(temporary, path, overwrite=overwrite)
    return n_bytes


def _check_raster(raster: _LabelRaster) -> None:
    """Raise `OutputError` unless shape, type, nodata and colours go together."""
    if min(raster.shape) < 1:
        message = f"Got an image of shape {raster.shape}; a GeoTIFF has at least one pixel."
        raise OutputError(message)
    if raster.dtype not in (np.uint8, np.uint16):
        message = f"Got labels of type {raster.dtype}; a label raster takes uint8 or uint16."
        raise OutputError(message)
    n_values = int(np.iinfo(raster.dtype).max) + 1
    if not 0 <= raster.nodata < n_values:
        message = f"Got nodata {raster.nodata}; {raster.dtype} takes 0 to {n_values - 1}."
        raise OutputError(message)
    colors = raster.colors
    if colors.dtype != np.uint8 or colors.ndim != 2 or colors.shape[1] != 3:
        message = f"Got colours of type {colors.dtype} and shape {colors.shape}; use uint8 (k, 3)."
        raise OutputError(message)
    if len(colors) > n_values:
        message = f"Got {len(colors)} colours; {raster.dtype} holds at most {n_values}."
        raise OutputError(message)


@contextmanager
def _report_gdal_errors(path: Path) -> Iterator[None]:
    """Turn what rasterio and GDAL raise into an `OutputError` of one line that names ``path``."""
    try:
        yield
    except DaskQuantError:
        raise
    except Exception as error:  # errors of rasterio, of GDAL and of paths have no base in common
        message = f"Cannot write {str(path)!r}: {show_gdal_cause(error)}."
        raise OutputError(message) from error


def _tile_side(length: int) -> int:
    """Return the side of a tile for an image side: 512, or less where that holds it all."""
    return min(TILE_SIDE, -(-length // _TILE_STEP) * _TILE_STEP)


def _write_plain(
    temporary: Path, strips: Iterable[Labels], raster: _LabelRaster, *, final: Path
) -> int:
    """Write the GeoTIFF without overviews; return the CRC-32 of its pixels."""
    from rasterio.windows import Window

    checksum = 0
    with _create(temporary, raster, final=final) as dataset:
        for top, rows in _regroup(strips, raster):
            checksum = zlib.crc32(rows.data, checksum)
            window = Window(0, top, raster.shape[1], len(rows))
            with _report_gdal_errors(final):
                dataset.write(rows[np.newaxis], [1], window=window)  # a plane would be copied
    return checksum


@contextmanager
def _create(temporary: Path, raster: _LabelRaster, *, final: Path) -> Iterator[Any]:
    """Create the GeoTIFF with all but its pixels, and close it in the end."""
    import rasterio

    height, width = raster.shape
    with _report_gdal_errors(final):
        dataset = rasterio.open(
            os.path.abspath(temporary),
            "w",
            driver="GTiff",
            count=1,
            height=height,
            width=width,
            dtype=raster.dtype.name,
            nodata=raster.nodata,
            tiled=True,
            blockysize=_tile_side(height),
            blockxsize=_tile_side(width),
            compress="DEFLATE",
            zlevel=_LEVEL,
            predictor=1,
            bigtiff="IF_SAFER",
            **place_arguments(raster.geo),
        )
    try:
        with _report_gdal_errors(final):
            dataset.write_colormap(1, _list_colors(raster))
            if raster.geo.rpcs:
                dataset.update_tags(ns="RPC", **dict(raster.geo.rpcs))
        yield dataset
    finally:
        with _report_gdal_errors(final):
            dataset.close()


def place_arguments(geo: GeoReference) -> dict[str, Any]:
    """Return the arguments with which rasterio georeferences a new file."""
    from rasterio.control import GroundControlPoint
    from rasterio.crs import CRS
    from rasterio.transform import Affine

    if geo.transform is None and geo.gcps:
        points = [
            GroundControlPoint(row=row, col=column, x=x, y=y, z=z)
            for row, column, x, y, z in geo.gcps
        ]
        crs = None if geo.gcps_crs_wkt is None else CRS.from_wkt(geo.gcps_crs_wkt)
        return {"gcps": points, "crs": crs}
    return {
        "crs": None if geo.crs_wkt is None else CRS.from_wkt(geo.crs_wkt),
        "transform": None if geo.transform is None else Affine(*geo.transform),
    }


def _list_colors(raster: _LabelRaster) -> dict[int, tuple[int, ...]]:
    """Return red, green, blue and alpha of every label, nodata transparent."""
    table: dict[int, tuple[int, ...]] = {
        label: (*color, _OPAQUE) for label, color in enumerate(raster.colors.tolist())
    }
    return table | {raster.nodata: (0, 0, 0, 0)}


def _regroup(strips: Iterable[Labels], raster: _LabelRaster) -> Iterator[tuple[int, Labels]]:
    """Yield the first row and the labels of every tile row; they hold until the next is asked."""
    height, width = raster.shape
    rows = np.empty((min(_tile_side(height), height), width), dtype=raster.dtype)
    top = filled = 0
    for strip in strips:
        _check_strip(strip, raster, top + filled)
        taken = 0
        while taken < len(strip):
            n_rows = min(len(strip) - taken, len(rows) - filled)
            rows[filled : filled + n_rows] = strip[taken : taken + n_rows]
            taken, filled = taken + n_rows, filled + n_rows
            if filled == len(rows):
                yield top, rows
                top, filled = top + filled, 0
    if top + filled != height:
        message = f"Got strips of {top + filled} rows for an image of {height}; write it again."
        raise OutputError(message)
    if filled:
        yield top, rows[:filled]


def _check_strip(strip: Labels, raster: _LabelRaster, n_before: int) -> None:
    """Raise `OutputError` unless ``strip`` can stand below ``n_before`` rows of the image."""
    height, width = raster.shape
    if strip.dtype != raster.dtype or strip.ndim != 2 or strip.shape[1] != width:
        message = (
            f"Got labels of type {strip.dtype} and shape {strip.shape}; "
            f"this raster needs {raster.dtype} (rows, {width})."
        )
        raise OutputError(message)
    if n_before + len(strip) > height:
        message = f"Got strips of {n_before + len(strip)} rows or more for an image of {height}."
        raise OutputError(message)


def _copy_to_cog(plain: Path, copy: Path, raster: _LabelRaster, *, final: Path) -> None:
    """Copy a GeoTIFF to a cloud-optimized one, overviews included."""
    import rasterio.shutil

    with _report_gdal_errors(final):
        rasterio.shutil.copy(
            os.path.abspath(plain),
            os.path.abspath(copy),
            driver="COG",
            BLOCKSIZE=max(_MIN_COG_SIDE, _tile_side(max(raster.shape))),
            COMPRESS="DEFLATE",
            LEVEL=_LEVEL,
            PREDICTOR="NO",
            BIGTIFF="IF_SAFER",
            NUM_THREADS="1",
            OVERVIEW_RESAMPLING="MODE",  # an average of labels is no label
        )


def _check_written(temporary: Path, checksum: int, *, final: Path) -> None:
    """Raise `OutputError` unless a closed file holds the pixels and overviews that decode."""
    import rasterio

    name = os.path.abspath(temporary)
    with _report_gdal_errors(final):
        with rasterio.open(name) as dataset:
            found = _sum_pixels(dataset)
            n_overviews = len(dataset.overviews(1))
        for level in range(n_overviews):
            with rasterio.open(name, overview_level=level) as dataset:
                _sum_pixels(dataset)
    if found != checksum:
        message = f"Cannot write {str(final)!r}: it reads back differently; is the disk full?"
        raise OutputError(message)


def _sum_pixels(dataset: Any) -> int:
    """Return the CRC-32 of the pixels of an open raster, from top to bottom."""
    from rasterio.windows import Window

    step, checksum = dataset.block_shapes[0][0], 0
    buffer = np.empty((step, dataset.width), dtype=dataset.dtypes[0])
    for top in range(0, dataset.height, step):
        rows = buffer[: dataset.height - top]
        dataset.read(1, window=Window(0, top, dataset.width, len(rows)), out=rows)
        checksum = zlib.crc32(rows.data, checksum)
    return checksum
