"""Rasters of any bands: blocks of pixels, and where they mean something.

A file that GDAL reads, a Zarr array, a NumPy or a Dask array, ``(y, x)`` or ``(y, x, band)``, of
integers or floats.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask.delayed import delayed

from dask_quant.errors import OptionError, PixelFormatError
from dask_quant.georeference import GeoReference
from dask_quant.sources.arrays import check_query_planning
from dask_quant.sources.band_indices import (
    PlacedIndex,
    append_indices,
    index_dtype,
    place_indices,
)
from dask_quant.sources.discover import is_zarr_store
from dask_quant.sources.header import show_path
from dask_quant.sources.named_arrays import is_named, read_named_samples
from dask_quant.sources.raster_file import (
    RasterHeader,
    find_valid,
    measure_pixel_area,
    read_raster_block,
    read_raster_header,
)
from dask_quant.sources.zarr_store import open_zarr_samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dask.delayed import Delayed
    from numpy.typing import NDArray

    from dask_quant.segment_options import Band, BandIndex, BandOptions

    Pixels = tuple[NDArray[Any], NDArray[np.bool_]]


@dataclass(frozen=True)
class Raster:
    """One raster, of which nothing was read but what it says about itself."""

    name: str
    """How messages and reports name it."""
    samples: RasterHeader | da.Array
    """The file, or the samples ``(y, x, band)`` in chunks that hold all bands."""
    band_names: tuple[str, ...]
    """A name for each band that is used, and each that is made of them."""
    nodata: tuple[float | None, ...]
    """Sample that stands for "nothing here" in each band that is read, or None."""
    unit: tuple[int, int]
    """Rows and columns that storage reads as a whole."""
    input_bytes: int
    """Bytes as stored."""
    geo: GeoReference = field(default_factory=GeoReference)
    """Where the pixels lie."""
    pixel_area_m2: float | None = None
    """Area of a pixel in square metres, where that is known."""
    mask: RasterHeader | None = None
    """Another file whose pixels of 0 are left out."""
    indices: tuple[PlacedIndex, ...] = ()
    """What is made of the bands; the last of ``band_names`` are theirs."""
    is_marked: bool = False
    """Whether the samples have one band more, which is 1 where they mean something: nodata and mask
    have done their part."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of pixels."""
        if isinstance(self.samples, RasterHeader):
            return self.samples.height, self.samples.width
        rows, columns = self.samples.shape[:2]
        return rows, columns

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the samples, those of indices among them."""
        dtype: np.dtype[Any] = self.samples.dtype
        return index_dtype(dtype) if self.indices else dtype

    @property
    def pixel_bytes(self) -> int:
        """Bytes of a pixel as it is read."""
        return self.dtype.itemsize * (len(self.band_names) + self.is_marked)


@dataclass(frozen=True)
class RasterPart:
    """A block of a raster."""

    row: int
    """Row of its first pixel."""
    column: int
    """Column of its first pixel."""
    shape: tuple[int, int]
    """Rows and columns."""
    pixels: Delayed
    """Samples ``(y, x, band)`` and where they mean something, bool ``(y, x)``."""


def open_raster(source: Any, options: BandOptions) -> Raster:
    """Open a raster. **Lazy**: only headers are read.

    Parameters
    ----------
    source : str, Path, ndarray, dask array, DataArray or Dataset
        A raster file, a Zarr store, samples ``(y, x)`` or ``(y, x, band)``, or those of xarray.
    options : BandOptions
        What of it is used.

    Raises
    ------
    SourceError, PixelFormatError
        When the header shows that it cannot be read.
    OptionError
        When it has no such band, or the mask is of another size.
    """
    check_query_planning()
    is_stored = isinstance(source, (str, Path))
    raster = _open_stored(source) if is_stored else raster_from_array(source)
    raster = _choose_bands(raster, options.bands)
    if options.nodata is not None:
        raster = _set_nodata(raster, (options.nodata,) * len(raster.band_names))
    if options.mask is not None:
        raster = _add_mask(raster, options.mask)
    return _add_indices(raster, options.indices)


def raster_from_array(
    array: Any,
    *,
    name: str = "an array",
    band_names: Sequence[str] | None = None,
    nodata: float | None = None,
    geo: GeoReference | None = None,
    pixel_area_m2: float | None = None,
) -> Raster:
    """Return samples ``(y, x)`` or ``(y, x, band)``, NumPy or Dask, as a raster. **Lazy**.

    What xarray's arrays and data sets say of themselves is taken for the other parameters.
    """
    if is_named(array):
        return _raster_from_named(array)
    if not (hasattr(array, "shape") and hasattr(array, "dtype")):
        message = f"Got {type(array).__name__} for a raster; use a path, or a NumPy or Dask array."
        raise OptionError(message)
    if isinstance(array, np.ma.MaskedArray):
        message = f"Got {name} with a mask of its own; give array.filled(VALUE) and nodata=VALUE."
        raise PixelFormatError(message)
    check_samples(array.shape, array.dtype, name)
    if not isinstance(array, da.Array):
        array = da.from_array(np.asarray(array), chunks=-1, name=False)
    cube = array[:, :, np.newaxis] if array.ndim == 2 else array.rechunk({2: -1}, method="tasks")
    if cube.dtype.kind == "b":
        cube = cube.astype(np.uint8)  # has a range, as all other types
    names = band_names or [f"band {number}" for number in range(1, cube.shape[2] + 1)]
    rows, columns = cube.chunksize[:2]
    return Raster(
        name=name,
        samples=cube,
        band_names=tuple(names),
        nodata=(nodata,) * cube.shape[2],
        unit=(rows, columns),
        input_bytes=int(cube.nbytes),
        geo=geo or GeoReference(),
        pixel_area_m2=pixel_area_m2,
    )


def _raster_from_named(source: Any) -> Raster:
    """Return an array of named dimensions, or a data set, as a raster with what it says."""
    named = read_named_samples(source)
    raster = raster_from_array(named.samples, band_names=named.band_names, geo=named.geo)
    raster = replace(raster, nodata=named.nodata)
    with suppress(ImportError):  # arrays are segmented without rasterio, which knows units
        raster = replace(raster, pixel_area_m2=measure_pixel_area(named.geo))
    return raster


def check_samples(shape: tuple[int, ...], dtype: Any, name: str) -> None:
    """Raise `PixelFormatError` unless samples of this kind can be measured."""
    dtype = np.dtype(dtype)
    got = f"Got {name} of shape {shape} and type {dtype}"
    if dtype.kind not in "biuf":
        message = f"{got}; samples must be integers or floats."
        raise PixelFormatError(message)
    if len(shape) not in (2, 3):
        message = f"{got}; the shape must be (y, x) or (y, x, band)."
        raise PixelFormatError(message)
    if not all(size >= 1 for size in shape):  # False for an unknown size, NaN, as well
        message = f"{got}; known sizes of at least 1 are needed (Dask: compute_chunk_sizes())."
        raise PixelFormatError(message)


def _open_stored(path: str | Path) -> Raster:
    """Open a file or a store."""
    if is_zarr_store(path):
        array, nodata, input_bytes = open_zarr_samples(path)
        check_samples(array.shape, array.dtype, f"the Zarr array {show_path(str(path))}")
        raster = raster_from_array(array, name=str(path), nodata=nodata)
        return replace(raster, input_bytes=input_bytes)
    header = read_raster_header(path)
    # Workers may have another working folder.
    header = replace(header, path=os.path.abspath(path))
    return Raster(
        name=str(path),
        samples=header,
        band_names=header.band_names,
        nodata=header.nodata,
        unit=header.unit,
        input_bytes=header.input_bytes,
        geo=header.geo,
        pixel_area_m2=header.pixel_area_m2,
    )


def _choose_bands(raster: Raster, bands: tuple[Band, ...] | None) -> Raster:
    """Return a raster of some bands, or raise `OptionError`."""
    if bands is None:
        return raster
    numbers = range(1, len(raster.band_names) + 1)
    if isinstance(raster.samples, RasterHeader):
        numbers = raster.samples.band_numbers  # type: ignore[assignment]
    places = [_find_band(raster, band, list(numbers)) for band in bands]
    if len(set(places)) < len(places):
        message = f"Got bands {list(bands)} for {show_path(raster.name)}; name each of them once."
        raise OptionError(message)
    names = tuple(raster.band_names[place] for place in places)
    nodata = tuple(raster.nodata[place] for place in places)
    samples = raster.samples
    if isinstance(samples, RasterHeader):
        chosen = tuple(samples.band_numbers[place] for place in places)
        samples = replace(samples, band_names=names, band_numbers=chosen, nodata=nodata)
    else:
        samples = samples[:, :, places]
    return replace(raster, samples=samples, band_names=names, nodata=nodata)


def _find_band(raster: Raster, band: Band, numbers: list[int]) -> int:
    """Return the place of a band that a user named."""
    if band in raster.band_names:
        return raster.band_names.index(band)
    if band in numbers:
        return numbers.index(band)
    known = ", ".join(
        f"{number} ({name})" for number, name in zip(numbers, raster.band_names, strict=True)
    )
    message = f"Got the band {band!r} for {show_path(raster.name)}, which has {known}."
    raise OptionError(message)


def _set_nodata(raster: Raster, nodata: tuple[float, ...]) -> Raster:
    """Return a raster with another value for "nothing here" in each band."""
    samples = raster.samples
    if isinstance(samples, RasterHeader):
        samples = replace(samples, nodata=nodata)
    return replace(raster, samples=samples, nodata=nodata)


def _add_mask(raster: Raster, path: Path) -> Raster:
    """Return a raster whose pixels are also left out where a mask file is 0."""
    mask = read_raster_header(path)
    if (mask.height, mask.width) != raster.shape:
        message = (
            f"Got the mask {show_path(str(path))} of {(mask.height, mask.width)} pixels for "
            f"{show_path(raster.name)} of {raster.shape}; both must be of one size."
        )
        raise OptionError(message)
    return replace(raster, mask=replace(mask, path=os.path.abspath(path)))


def _add_indices(raster: Raster, indices: tuple[BandIndex, ...]) -> Raster:
    """Return a raster with a band for each index behind, or raise `OptionError`."""
    placed = place_indices(indices, raster.band_names, show_path(raster.name))
    names = tuple(index.name for index in placed)
    taken = [name for name in names if name in raster.band_names]
    if taken:
        message = f"Got the index {taken[0]!r}, but a band of {raster.name!r} is called so."
        raise OptionError(message)
    return replace(raster, indices=placed, band_names=(*raster.band_names, *names))


def split_raster(raster: Raster, chunks: tuple[int, int]) -> list[RasterPart]:
    """Return a raster in blocks of at most ``chunks`` rows and columns. **Lazy**.

    They come row by row of blocks; the samples of a block that is read are not kept.
    """
    if isinstance(raster.samples, RasterHeader):
        parts = _split_file(raster, raster.samples, chunks)
    else:
        parts = _split_array(raster, raster.samples, chunks)
    if not raster.indices:
        return parts
    append = delayed(append_indices, pure=True)
    return [replace(part, pixels=append(part.pixels, raster.indices)) for part in parts]


def _split_file(raster: Raster, header: RasterHeader, chunks: tuple[int, int]) -> list[RasterPart]:
    """Return the blocks of a file: a task for each."""
    read = delayed(read_file_pixels, pure=True)
    shared = delayed((header, raster.mask), pure=True)
    return [
        RasterPart(row, column, shape, read(shared, row, column, shape))
        for row, column, shape in _cut(raster.shape, chunks)
    ]


def _split_array(raster: Raster, array: da.Array, chunks: tuple[int, int]) -> list[RasterPart]:
    """Return the blocks of an array: a task for each, beside those that make it."""
    array = array.rechunk((*chunks, -1), method="tasks")
    blocks = array.to_delayed().ravel()
    if raster.is_marked:
        split = delayed(split_marked_pixels, pure=True)
        pixels = [split(block) for block in blocks]
        return [
            RasterPart(*place, each)
            for place, each in zip(_cut(raster.shape, chunks), pixels, strict=True)
        ]
    take = delayed(take_array_pixels, pure=True)
    shared = delayed((raster.nodata, raster.mask), pure=True)
    return [
        RasterPart(row, column, shape, take(block, shared, row, column))
        for block, (row, column, shape) in zip(blocks, _cut(raster.shape, chunks), strict=True)
    ]


def _cut(shape: tuple[int, int], chunks: tuple[int, int]) -> list[tuple[int, int, tuple[int, int]]]:
    """Return row, column and shape of each block."""
    height, width = shape
    return [
        (row, column, (min(chunks[0], height - row), min(chunks[1], width - column)))
        for row in range(0, height, chunks[0])
        for column in range(0, width, chunks[1])
    ]


def read_file_pixels(
    files: tuple[RasterHeader, RasterHeader | None], row: int, column: int, shape: tuple[int, int]
) -> Pixels:
    """Read one block of a file, and of its mask. **Eager**."""
    header, mask = files
    window = (slice(row, row + shape[0]), slice(column, column + shape[1]))
    pixels, valid = read_raster_block(header, *window)
    return pixels, _apply_mask(valid, mask, window)


def take_array_pixels(
    block: NDArray[Any],
    given: tuple[tuple[float | None, ...], RasterHeader | None],
    row: int,
    column: int,
) -> Pixels:
    """Return one block of an array, and where it means something. **Eager**."""
    nodata, mask = given
    pixels = np.ascontiguousarray(block)
    window = (slice(row, row + block.shape[0]), slice(column, column + block.shape[1]))
    return pixels, _apply_mask(find_valid(pixels, nodata), mask, window)


def split_marked_pixels(block: NDArray[Any]) -> Pixels:
    """Return the samples of one block, and where its last band is not 0. **Eager**."""
    return np.ascontiguousarray(block[..., :-1]), block[..., -1] != 0


def _apply_mask(
    valid: NDArray[np.bool_], mask: RasterHeader | None, window: tuple[slice, slice]
) -> NDArray[np.bool_]:
    """Return where pixels mean something and the mask, where there is one, has no 0."""
    if mask is None:
        return valid
    shown, known = read_raster_block(mask, *window)
    both: NDArray[np.bool_] = valid & known & (shown != 0).any(axis=2)
    return both
