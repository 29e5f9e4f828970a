"""Zarr stores, versions 2 and 3: an array, or a group that holds its full resolution as ``0``."""

from __future__ import annotations

import base64
import os
import stat
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import dask.array as da
import numpy as np
import zarr
from dask.base import tokenize

from dask_quant.alpha_options import REFUSE
from dask_quant.errors import PixelFormatError, SourceError, SourceNotFoundError
from dask_quant.premultiplied import as_opaque
from dask_quant.sources.arrays import check_query_planning, normalize_bands
from dask_quant.sources.bands import check_pixels, read_bands
from dask_quant.sources.header import ImageHeader, show_cause, show_path
from dask_quant.sources.pillow_state import MAX_PIXELS
from dask_quant.sources.zarr_shards import ShardedArray, can_read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dask_quant.alpha_options import AlphaRule

FULL_RESOLUTION = "0"
"""Name of the array in a group that is the image, as in OME-Zarr."""

_LABEL_ATTRIBUTE = "dask_quant"
"""Name of the attribute in which a label store holds its palette."""

_BAND_NAMES = ("b", "band", "bands", "c", "channel", "channels")


def open_zarr_array(path: str | Path) -> zarr.Array:
    """Open the array of a store, for reading.

    Parameters
    ----------
    path : str or Path
        A local store that is an array, or a group that holds the array ``0``.

    Raises
    ------
    SourceNotFoundError
        When there is no such folder.
    SourceError
        When it is no such store, or not a local one.
    PixelFormatError
        When it is a label store of dask_quant.
    """
    name = show_path(str(path))
    if "://" in str(path):
        message = f"Got the address {name}; only local Zarr stores are supported so far."
        raise SourceError(message)
    if not os.path.exists(path):
        message = f"Cannot read {name}: there is no such Zarr store."
        raise SourceNotFoundError(message)
    try:
        node = zarr.open(os.fspath(path), mode="r")
        has_labels = _has_palette(node)
        if isinstance(node, zarr.Group) and FULL_RESOLUTION in node:
            node = node[FULL_RESOLUTION]
    except Exception as error:  # zarr raises almost any type for damaged metadata
        message = f"Cannot read {name}: it is not a Zarr store that opens ({show_cause(error)})."
        raise SourceError(message) from error
    if has_labels:
        message = (
            f"Got {name}, which holds labels, not pixels; use its palette with apply, or render it "
            "to pixels first."
        )
        raise PixelFormatError(message)
    if not isinstance(node, zarr.Array):
        message = f"Cannot read {name}: it is a Zarr group without an array {FULL_RESOLUTION!r}."
        raise SourceError(message)
    return node


def _has_palette(node: zarr.Array | zarr.Group) -> bool:
    """Return whether a node's attributes are those of a label store, colours for its values."""
    ours = node.attrs.get(_LABEL_ATTRIBUTE)
    return isinstance(ours, dict) and "palette" in ours


def read_zarr_header(path: str | Path) -> ImageHeader:
    """Read what a Zarr store says about its image.

    Raises
    ------
    SourceNotFoundError, SourceError
        As `open_zarr_array` does.
    PixelFormatError
        When the array is no uint8 image ``(y, x)`` or ``(y, x, band)`` with 1, 3 or 4 bands.
    """
    array = open_zarr_array(path)
    _check_array(array, path)
    return ImageHeader(
        path=str(path),
        format="ZARR",
        mode=str(array.dtype),
        height=array.shape[0],
        width=array.shape[1],
        bands=array.shape[2] if array.ndim == 3 else 1,
        input_bytes=sum(status.st_size for status in _walk_files(path, array)),
        has_alpha=array.ndim == 3 and array.shape[2] == 4,
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
        As `read_zarr_header` does; also when the store has more than `MAX_PIXELS` pixels, is
        damaged, or a pixel is not opaque.
    """
    array, name = open_zarr_array(path), show_path(str(path))
    _check_array(array, path)
    n_pixels = array.shape[0] * array.shape[1]
    if n_pixels > MAX_PIXELS:
        message = (
            f"Cannot read {name}: it has {n_pixels} pixels, and an image of a collection may have "
            f"{MAX_PIXELS}; give it a .zarr or .png OUT of its own."
        )
        raise SourceError(message)
    try:
        stored = np.asarray(array[...])
    except Exception as error:  # zarr and its codecs raise almost any type for a damaged chunk
        message = f"Cannot read {name}: a part of it is damaged ({show_cause(error)})."
        raise SourceError(message) from error
    pixels = read_bands(stored, alpha, name=name)
    opaque = as_opaque(pixels)
    return pixels if opaque is None else opaque


def read_unit(array: zarr.Array) -> tuple[int, int]:
    """Return rows and columns of what a store reads at once: its shard, or else its chunk."""
    rows, columns = (array.shards or array.chunks)[:2]
    return rows, columns


def decode_unit(array: zarr.Array) -> tuple[int, int]:
    """Return rows and columns of the least that a store decodes: its chunk, within a shard or not.

    Parts of a shard cost no more to read than the whole.
    """
    rows, columns = array.chunks[:2]
    return rows, columns


def open_zarr(path: str | Path, *, chunks: tuple[int, int], alpha: AlphaRule = REFUSE) -> da.Array:
    """Open a Zarr store as an image.

    **Lazy.** One task reads one chunk; a chunk that the store lacks reads as its fill value.

    Parameters
    ----------
    path : str or Path
        As for `open_zarr_array`.
    chunks : tuple of int
        Rows and columns per chunk; multiples of `read_unit` read every byte once.
    alpha : AlphaRule
        What becomes of pixels that are not opaque; refused by default.

    Returns
    -------
    dask array
        sRGB uint8 ``(y, x, 3)``; RGBA ``(y, x, 4)`` of four bands that are kept. Computing it
        raises `PixelFormatError` when a pixel is not opaque and that is refused, and what zarr
        raises when a chunk is damaged.

    Raises
    ------
    SourceNotFoundError, SourceError, PixelFormatError
        As `read_zarr_header` does.
    OptionError
        When Dask's array query planning is on.
    """
    check_query_planning()
    array = open_zarr_array(os.path.abspath(path))  # workers may have another working folder
    _check_array(array, path)
    stored = da.from_array(
        ShardedArray(array) if can_read(array) else array,
        chunks=(*chunks, *array.shape[2:]),
        name=f"zarr-{_tokenize_array(array, path, chunks)}",
        asarray=True,
        inline_array=True,
        meta=np.empty((0,) * array.ndim, dtype=np.uint8),
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
        The attribute ``_FillValue`` or ``nodata``, where the array has one.
    input_bytes : int
        Bytes as stored.

    Raises
    ------
    SourceNotFoundError, SourceError, PixelFormatError
        As `open_zarr_array` does.
    """
    array = open_zarr_array(os.path.abspath(path))  # workers may have another working folder
    stored = array.shards or array.chunks
    samples = da.from_array(
        ShardedArray(array) if can_read(array) else array,
        chunks=stored,
        name=f"zarr-{_tokenize_array(array, path, stored[:2])}",
        asarray=True,
        inline_array=True,
        meta=np.empty((0,) * array.ndim, dtype=array.dtype),
    )
    input_bytes = sum(status.st_size for status in _walk_files(path, array))
    return samples.transpose(_order_axes(array)), _read_nodata(array), input_bytes


def _order_axes(array: zarr.Array) -> list[int]:
    """Return the axes of an array in the order y, x, others, as far as the store names them."""
    axes = [str(axis).lower() for axis in _read_axes(array)]
    if len(axes) == array.ndim and "y" in axes and "x" in axes:
        first = [axes.index("y"), axes.index("x")]
        return first + [axis for axis in range(array.ndim) if axis not in first]
    if array.ndim == 3 and axes[:1] and axes[0] in _BAND_NAMES:
        return [1, 2, 0]
    return list(range(array.ndim))


def _read_nodata(array: zarr.Array) -> float | None:
    """Return what the attributes of an array say stands for "nothing here"."""
    value = array.attrs.get("_FillValue", array.attrs.get("nodata"))
    if isinstance(value, str):  # xarray writes a float to version 3 as its bytes in base64
        try:
            (value,) = struct.unpack("<d", base64.b64decode(value, validate=True))
        except (ValueError, struct.error):
            return None
    return float(value) if isinstance(value, (int, float)) else None


def _check_array(array: zarr.Array, path: str | Path) -> None:
    """Raise `PixelFormatError` unless the array is an image with its bands last."""
    name = f"the Zarr array {show_path(str(path))}"
    axes = [str(axis).lower() for axis in _read_axes(array)]
    misplaced = any(axis in _BAND_NAMES for axis in axes[:2])
    if misplaced or ("y" in axes and "x" in axes and axes[:2] != ["y", "x"]):
        message = (
            f"Got {name} with axes ({', '.join(axes)}); only (y, x) and (y, x, band) are supported "
            "so far, so transpose it first."
        )
        raise PixelFormatError(message)
    check_pixels(array.shape, array.dtype, name=name)


def _read_axes(array: zarr.Array) -> tuple[str | None, ...]:
    """Return the names of the axes where the store has them, else nothing."""
    names = getattr(array.metadata, "dimension_names", None)
    return tuple(names or array.attrs.get("_ARRAY_DIMENSIONS", ()))


def _walk_files(path: str | Path, array: zarr.Array) -> Iterator[os.stat_result]:
    """Yield the status of each stored file of an array."""
    for folder, _, names in os.walk(Path(path, array.path)):
        for name in names:
            status = os.lstat(os.path.join(folder, name))
            if stat.S_ISREG(status.st_mode):
                yield status


def _tokenize_array(array: zarr.Array, path: str | Path, chunks: tuple[int, int]) -> str:
    """Return a token of where an array lies, what its metadata say and when they were written."""
    folder = os.path.realpath(Path(path, array.path))
    written = [
        os.stat(os.path.join(folder, name)).st_mtime_ns
        for name in ("zarr.json", ".zarray")
        if os.path.exists(os.path.join(folder, name))
    ]
    return str(tokenize(os.fsencode(folder), array.shape, str(array.dtype), written, chunks))
