"""Zarr stores, versions 2 and 3: an array, an OME-Zarr image, or a group with an array ``0``.

The axes of an array go by their names, which OME-Zarr gives, or the array itself
(``dimension_names``, ``_ARRAY_DIMENSIONS``), and else by its shape.
"""

from __future__ import annotations

import base64
import json
import math
import os
import stat
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from zarr.storage import LocalStore

from dask_quant.alpha_options import REFUSE
from dask_quant.errors import OptionError, PixelFormatError, SourceError
from dask_quant.options import FIRST_PAGE
from dask_quant.pixel_grid import PixelGrid
from dask_quant.sources.arrays import check_query_planning, normalize_bands
from dask_quant.sources.bands import check_pixels, read_whole
from dask_quant.sources.header import ImageHeader, show_cause, show_path
from dask_quant.sources.pillow_state import MAX_PIXELS
from dask_quant.sources.sample_scaling import check_scalable
from dask_quant.sources.zarr_image import ZarrImage
from dask_quant.sources.zarr_nodes import find_array
from dask_quant.sources.zarr_shards import ShardedArray, can_read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import zarr
    from numpy.typing import NDArray

    from dask_quant.alpha_options import AlphaRule
    from dask_quant.options import Page
    from dask_quant.sources.axis_order import AxisOrder
    from dask_quant.sources.zarr_nodes import FoundArray


@dataclass(frozen=True)
class ZarrSource:
    """A Zarr store that was opened once, and what it says of its image."""

    image: ZarrImage
    """Its pixels, read when they are sliced."""
    header: ImageHeader
    """Its size and kind."""
    notice: str | None
    """How it is read, as `describe_reading` says it."""
    grid: PixelGrid
    """Where its pixels lie."""


def find_zarr_source(path: str | Path, *, page: Page = FIRST_PAGE) -> ZarrSource:
    """Find the image of a Zarr store and what is said of it, from metadata alone.

    Parameters and errors are those of `find_zarr_image` and `read_pixel_grid`.
    """
    found = find_array(path, page.level)
    image = _find_image(found, page.number)
    return ZarrSource(image, _read_header(path, image), _describe_reading(found), _read_grid(found))


def open_zarr_array(path: str | Path) -> zarr.Array:
    """Open the array of a store, for reading; parameters and errors are those of `find_array`."""
    return find_array(path, 0).array


def find_zarr_image(path: str | Path, *, page: Page = FIRST_PAGE) -> ZarrImage:
    """Find the image of a Zarr store, from metadata alone.

    Parameters
    ----------
    path
        As for `find_array`.
    page : Page, optional
        Level of an OME-Zarr image, and which picture of several along ``t`` and ``z``, the next of
        the last of these axes first. No number: there must be one picture.

    Raises
    ------
    SourceNotFoundError, SourceError, OptionError
        As `find_array` does; also when there is no such page.
    PixelFormatError
        When it holds labels, when neither names nor shape tell which axis is which, when there are
        several pictures and none was chosen, and when samples or bands mean no colours.
    """
    return _find_image(find_array(path, page.level), page.number)


def _find_image(found: FoundArray, number: int | None) -> ZarrImage:
    """Return the image that an array is, or raise `PixelFormatError` or `OptionError`."""
    if 0 in found.array.shape:
        message = f"Got {found.name} of shape {found.array.shape}; an image needs a pixel."
        raise PixelFormatError(message)
    order = found.order()
    image = ZarrImage(found.array, order, _choose_plane(found, order, number), found.name)
    _check_image(image, is_ome=found.scales is not None)
    return image


def _choose_plane(found: FoundArray, order: AxisOrder, number: int | None) -> tuple[int, ...]:
    """Return the place of a picture along the axes of pictures."""
    sizes = [found.array.shape[axis] for axis in order.planes]
    n_planes = math.prod(sizes)
    if number is None and n_planes > 1:
        names = [str(found.axes[axis]) for axis in order.planes]
        axes = " and ".join(f"{n} of {name}" for n, name in zip(sizes, names, strict=True) if n > 1)
        message = (
            f"Got {found.name}, which holds {n_planes} pictures ({axes}), not one; choose one with "
            f"--page 0 to {n_planes - 1}, or store it by itself."
        )
        raise PixelFormatError(message)
    if number is not None and not number < n_planes:
        message = f"Got page {number} of {found.name}, which holds {n_planes} pictures from 0."
        raise OptionError(message)
    return tuple(int(place) for place in np.unravel_index(number or 0, sizes))


def _check_image(image: ZarrImage, *, is_ome: bool) -> None:
    """Raise `PixelFormatError` unless samples and bands of an array are colours."""
    name, dtype = f"the Zarr array {image.name}", image.array.dtype
    check_scalable(dtype.newbyteorder("="), name=name)
    check_pixels(image.shape, np.uint8, name=name)
    n_bands = image.shape[2] if image.ndim == 3 else 1
    if is_ome and n_bands != 1 and (n_bands != 3 or dtype != np.uint8):
        message = (
            f"Got {name} with {n_bands} channels of {dtype}; channels of OME-Zarr are colours when "
            "they are 3 of uint8, and else signals: use segment, which takes them as they are."
        )
        raise PixelFormatError(message)


def describe_reading(path: str | Path, *, page: Page = FIRST_PAGE) -> str | None:
    """Return how a store is read, in a sentence, where nobody would expect it.

    Expected are axes as the store names them, and ``(y, x, band)`` where it names none.

    Raises
    ------
    SourceNotFoundError, SourceError, PixelFormatError, OptionError
        As `find_array` does.
    """
    return _describe_reading(find_array(path, page.level))


def _describe_reading(found: FoundArray) -> str | None:
    """Return how an array is read, where nobody would expect it."""
    order = found.order()
    if found.scales is not None and order.bands is not None:
        if found.array.shape[order.bands] == 3:
            return f"Reading the 3 channels of {found.name} as red, green and blue."
    elif order.is_guess and not order.is_plain:
        return f"Reading {found.name} as {order.describe()}: its axes have no names."
    return f"Reading {found.name}, the only image inside." if found.is_inside else None


def list_zarr_pages(
    path: str | Path, *, page: Page = FIRST_PAGE
) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Return how many pictures a store holds, and rows and columns of each level of them.

    Raises
    ------
    SourceNotFoundError, SourceError, PixelFormatError, OptionError
        As `find_array` does, and when a level cannot be opened.
    """
    found = find_array(path, page.level)
    order = found.order()
    n_pictures = math.prod(found.array.shape[axis] for axis in order.planes)
    shapes = [array.shape for array in found.levels()]
    return n_pictures, tuple((shape[order.rows], shape[order.columns]) for shape in shapes)


def read_pixel_grid(path: str | Path, *, page: Page = FIRST_PAGE) -> PixelGrid:
    """Return where the pixels of a store lie; what is no OME-Zarr image does not say.

    Raises
    ------
    SourceNotFoundError, SourceError, PixelFormatError, OptionError
        As `find_array` does, and when its transformations are damaged.
    """
    return _read_grid(find_array(path, page.level))


def _read_grid(found: FoundArray) -> PixelGrid:
    """Return where the pixels of an array lie, or raise `SourceError`."""
    if found.scales is None:
        return PixelGrid()
    try:
        return found.scales.read_grid(found.level, found.order())
    except (KeyError, TypeError, ValueError, IndexError) as error:
        message = f"Cannot read {found.name}: its scales are damaged ({show_cause(error)})."
        raise SourceError(message) from error


def read_zarr_header(path: str | Path, *, page: Page = FIRST_PAGE) -> ImageHeader:
    """Read what a Zarr store says about its image.

    Parameters and errors are those of `find_zarr_image`.
    """
    return _read_header(path, find_zarr_image(path, page=page))


def _read_header(path: str | Path, image: ZarrImage) -> ImageHeader:
    """Return what a store at ``path`` says about its image."""
    return ImageHeader(
        path=str(path),
        format="ZARR",
        mode=str(image.array.dtype.newbyteorder("=")),
        height=image.shape[0],
        width=image.shape[1],
        bands=image.shape[2] if image.ndim == 3 else 1,
        input_bytes=sum(status.st_size for status in _walk_files(image.array)),
        has_alpha=image.ndim == 3 and image.shape[2] == 4,
    )


def read_zarr_image(path: str | Path, alpha: AlphaRule = REFUSE) -> NDArray[np.uint8]:
    """Read a whole Zarr store, transparent or not as ``alpha`` says. **Eager**.

    Returns
    -------
    ndarray
        sRGB uint8 ``(y, x, 3)``, C-contiguous; RGBA ``(y, x, 4)`` where a pixel is not opaque and
        that is kept.

    Raises
    ------
    SourceNotFoundError, SourceError, PixelFormatError
        As `find_zarr_image` does; also when the store has more than `MAX_PIXELS` pixels, is
        damaged, samples are outside their range, or a pixel is not opaque.
    """
    image, name = find_zarr_image(path), show_path(str(path))
    n_pixels = image.shape[0] * image.shape[1]
    if n_pixels > MAX_PIXELS:
        message = (
            f"Cannot read {name}: it has {n_pixels} pixels, and an image of a collection may have "
            f"{MAX_PIXELS}; give it a .zarr or .png OUT of its own."
        )
        raise SourceError(message)
    try:
        pixels = image[(slice(None),) * image.ndim]
    except PixelFormatError:
        raise
    except Exception as error:  # zarr and its codecs raise almost any type for a damaged chunk
        message = f"Cannot read {name}: a part of it is damaged ({show_cause(error)})."
        raise SourceError(message) from error
    return read_whole(pixels, alpha, name=name)


def open_zarr(
    path: str | Path,
    *,
    chunks: tuple[int, int] | None = None,
    page: Page = FIRST_PAGE,
    alpha: AlphaRule = REFUSE,
) -> da.Array:
    """Open a Zarr store as an image.

    **Lazy.** One task reads one chunk; a chunk that the store lacks reads as its fill value, which
    counts like any other.

    Parameters
    ----------
    path, page
        As for `find_zarr_image`.
    chunks : tuple of int, optional
        Rows and columns per chunk; multiples of what the store reads at once, which None is, read
        every byte once.
    alpha : AlphaRule
        What becomes of pixels that are not opaque; refused by default.

    Returns
    -------
    dask array
        sRGB uint8 ``(y, x, 3)``; RGBA ``(y, x, 4)`` of four bands that are kept. Computing it
        raises `PixelFormatError` when a pixel is not opaque and that is refused or a sample is
        outside the range of its type, and what zarr raises when a chunk is damaged.

    Raises
    ------
    SourceNotFoundError, SourceError, PixelFormatError
        As `find_zarr_image` does.
    OptionError
        When there is no such level or page, or Dask's array query planning is on.
    """
    check_query_planning()
    image = find_zarr_image(path, page=page)
    chunks = chunks or image.unit
    stored = da.from_array(
        image,
        chunks=(*chunks, *image.shape[2:]),
        name=f"zarr-{_tokenize_array(image.array, chunks, image.order, image.plane)}",
        asarray=True,
        inline_array=True,
        meta=np.empty((0,) * image.ndim, dtype=np.uint8),
    )
    return normalize_bands(stored, alpha)


def open_zarr_samples(
    path: str | Path,
) -> tuple[da.Array, float | None, int]:
    """Open a Zarr store of samples of any type and any number of bands.

    **Lazy.**

    Returns
    -------
    samples : dask array
        ``(y, x)`` or ``(y, x, band)``, in chunks of what the store reads at once. Axes that the
        store names are brought into this order.
    nodata : float or None
        The attribute ``_FillValue`` or ``nodata``, where the array has one. The fill value of
        missing chunks is no such statement: it is 0 where nobody chose one.
    input_bytes : int
        Bytes as stored.

    Raises
    ------
    SourceNotFoundError, SourceError, PixelFormatError
        As `find_array` does; also when it holds several pictures along further axes.
    """
    found = find_array(path, 0)
    array = found.array
    stored = array.shards or array.chunks
    samples = da.from_array(
        ShardedArray(array) if can_read(array) else array,
        chunks=stored,
        name=f"zarr-{_tokenize_array(array, stored)}",
        asarray=True,
        inline_array=True,
        meta=np.empty((0,) * array.ndim, dtype=array.dtype),
    )
    input_bytes = sum(status.st_size for status in _walk_files(array))
    return _arrange_samples(samples, found), _read_nodata(array), input_bytes


def _arrange_samples(samples: da.Array, found: FoundArray) -> da.Array:
    """Return samples with their axes in the order y, x, band, as far as the store names them."""
    if len(found.axes) != samples.ndim:
        return samples
    order = _prefer_bands(found.order(), samples.shape)
    if order.is_guess:
        return samples
    plane = dict(zip(order.planes, _choose_plane(found, order, None), strict=True))
    places = [order.rows, order.columns, *([] if order.bands is None else [order.bands])]
    picked = samples[tuple(plane.get(axis, slice(None)) for axis in range(samples.ndim))]
    return picked.transpose([sorted(places).index(axis) for axis in places])


def _prefer_bands(order: AxisOrder, shape: tuple[int, ...]) -> AxisOrder:
    """Return an order in which pictures, at several times say, are bands where there are none."""
    if order.bands is not None or not order.planes:
        return order
    bands = max(order.planes, key=lambda axis: shape[axis])
    return replace(order, bands=bands, planes=tuple(a for a in order.planes if a != bands))


def _read_nodata(array: zarr.Array) -> float | None:
    """Return what the attributes of an array say stands for "nothing here"."""
    value = array.attrs.get("_FillValue", array.attrs.get("nodata"))
    if isinstance(value, str):  # xarray writes a float to version 3 as its bytes in base64
        try:
            (value,) = struct.unpack("<d", base64.b64decode(value, validate=True))
        except (ValueError, struct.error):
            return None
    try:
        return float(value) if isinstance(value, (int, float)) else None
    except OverflowError:  # an integer of hundreds of digits
        return None


def _folder(array: zarr.Array) -> str:
    """Return the folder of an array."""
    return str(os.path.join(array.store.root, array.path))


def _walk_files(array: zarr.Array) -> Iterator[os.stat_result]:
    """Yield the status of each stored file of an array; none of one far away."""
    if not isinstance(array.store, LocalStore):
        return
    for folder, _, names in os.walk(_folder(array)):
        for name in names:
            status = os.lstat(os.path.join(folder, name))
            if stat.S_ISREG(status.st_mode):
                yield status


def _tokenize_array(array: zarr.Array, *more: Any) -> str:
    """Return a token of where an array lies, what its metadata say and when they were written."""
    if not isinstance(array.store, LocalStore):
        place = (str(array.store), array.path, json.dumps(array.metadata.to_dict(), default=str))
        return str(tokenize(place, more))
    folder = os.path.realpath(_folder(array))
    written = [
        os.stat(os.path.join(folder, name)).st_mtime_ns
        for name in ("zarr.json", ".zarray")
        if os.path.exists(os.path.join(folder, name))
    ]
    token: str = tokenize(os.fsencode(folder), array.shape, str(array.dtype), written, more)
    return token
