"""NumPy and Dask arrays as images."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask.base import tokenize

from dask_quant.alpha_options import REFUSE
from dask_quant.errors import OptionError, PixelFormatError
from dask_quant.sources.axis_order import order_axes
from dask_quant.sources.bands import check_pixels, read_bands
from dask_quant.sources.named_arrays import as_one_array, is_named

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.alpha_options import AlphaRule

_META = np.empty((0, 0, 3), dtype=np.uint8)


def as_image(
    array: NDArray[np.uint8] | da.Array | Any,
    *,
    chunks: tuple[int, int] | None = None,
    alpha: AlphaRule = REFUSE,
) -> da.Array:
    """Take an array as an image.

    **Lazy.** A NumPy array is not copied: leave it unchanged until the result is computed.

    Parameters
    ----------
    array : ndarray, dask array or xarray.DataArray
        sRGB uint8 ``(y, x)``, ``(y, x, 1)``, ``(y, x, 3)``, or RGBA ``(y, x, 4)``; with named
        dimensions in any order.
    chunks : tuple of int, optional
        Rows and columns per chunk. None: those of a Dask array; one chunk for a NumPy array.
    alpha : AlphaRule
        What becomes of pixels that are not opaque; refused by default.

    Returns
    -------
    dask array
        sRGB uint8 ``(y, x, 3)`` in chunks that hold all bands; RGBA ``(y, x, 4)`` of four bands
        that are kept. Computing it raises `PixelFormatError` when a pixel is not opaque and that is
        refused.

    Raises
    ------
    PixelFormatError
        When the type or the shape is another, the array is empty, or its shape is unknown.
    OptionError
        When Dask's array query planning is on.

    Examples
    --------
    >>> as_image(np.zeros((4, 6), dtype=np.uint8), chunks=(2, 6)).chunks
    ((2, 2), (6,), (3,))
    """
    check_query_planning()
    array = drop_names(array)
    if isinstance(array, da.Array):
        _check_known(array)
    elif not isinstance(array, np.ndarray):
        message = f"Got {type(array).__name__} as an image; pass a path, a NumPy or a Dask array."
        raise PixelFormatError(message)
    check_pixels(array.shape, array.dtype, name="an array")
    if isinstance(array, np.ndarray):
        return normalize_bands(_from_numpy(array, chunks or array.shape[:2]), alpha)
    bands = array.shape[2:]
    if chunks is not None:
        array = array.rechunk((*chunks, *bands), method="tasks")
    elif bands and len(array.chunks[2]) > 1:
        array = array.rechunk({2: -1}, method="tasks")
    return normalize_bands(array, alpha)


def drop_names(array: Any) -> Any:
    """Return the array in an array of named dimensions, as ``(y, x, band)``; others as they are.

    The variables of a data set are its bands.

    Raises
    ------
    PixelFormatError
        When neither names nor shape tell which dimension is which, or there are further ones.
    """
    if not is_named(array):
        return array
    array = as_one_array(array)
    order = order_axes(array.shape, array.dims, name=f"an array of dimensions {array.dims}")
    if any(array.shape[axis] != 1 for axis in order.planes):
        message = (
            f"Got an array of dimensions {array.dims} and shape {array.shape}, which holds several "
            "pictures; choose one of them first."
        )
        raise PixelFormatError(message)
    bands = () if order.bands is None else (order.bands,)
    moved = array.data.transpose(order.rows, order.columns, *bands, *order.planes)
    return moved.reshape(moved.shape[: 2 + len(bands)])


def check_query_planning() -> None:
    """Raise `OptionError` when Dask's array query planning, which lacks what we need, is on."""
    if getattr(da, "ARRAY_EXPR_ENABLED", False):
        message = (
            "Dask's array query planning is on, and lacks what is needed here; set the "
            "configuration value array.query-planning to False before dask.array is imported."
        )
        raise OptionError(message)


def normalize_bands(array: da.Array, alpha: AlphaRule = REFUSE) -> da.Array:
    """Return pixels that `check_pixels` passed, in one chunk along bands, as ``(y, x, 3)``.

    **Lazy.** Four bands stay four where ``alpha`` keeps them.
    """
    if array.ndim == 3 and array.shape[2] == 3:
        return array
    new_axis: dict[str, Any] = {"new_axis": 2} if array.ndim == 2 else {}
    n_bands = 4 if alpha.keeps and array.ndim == 3 and array.shape[2] == 4 else 3
    return da.map_blocks(
        read_bands,
        array,
        alpha,
        chunks=(*array.chunks[:2], (n_bands,)),
        dtype=np.uint8,
        meta=_META,
        **new_axis,
    )


def _check_known(array: da.Array) -> None:
    """Raise `PixelFormatError` when a Dask array does not know its shape."""
    if any(math.isnan(size) for size in array.shape):
        message = (
            f"Got a Dask array of unknown shape {array.shape}; "
            "call its compute_chunk_sizes() first."
        )
        raise PixelFormatError(message)


def _from_numpy(array: NDArray[np.uint8], chunks: tuple[int, ...]) -> da.Array:
    """Return a Dask array whose blocks are views; ``da.from_array`` would copy all of it."""
    sizes = da.core.normalize_chunks((*chunks, *array.shape[2:]), array.shape, dtype=array.dtype)
    name = f"image-{tokenize(array, sizes)}"
    slices = da.core.slices_from_chunks(sizes)
    keys = product([name], *(range(len(axis)) for axis in sizes))
    graph = {key: array[block] for key, block in zip(keys, slices, strict=True)}
    return da.Array(graph, name, sizes, meta=array[(slice(0, 0),) * array.ndim])
