"""Labels that were written, read back as a Dask array: indexed PNG, label stores, GeoTIFF.

A PNG of ours is deflated strip by strip, each in a chunk of its own that needs nothing of the
others (see `dask_quant.sinks.png`): any of them is read without what lies above it.

References
----------
W3C, "Portable Network Graphics (PNG) Specification (Third Edition)", 2025. P. Deutsch, "DEFLATE
Compressed Data Format Specification", RFC 1951, 1996, doi:10.17487/RFC1951.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import zarr
from dask.base import tokenize

from dask_quant.errors import SourceError
from dask_quant.sources.header import show_cause, show_path
from dask_quant.sources.png_chunks import read_bit_depth, walk_chunks
from dask_quant.sources.png_strips import unpack_samples
from dask_quant.sources.raster_file import read_label_block
from dask_quant.sources.zarr_nodes import FULL_RESOLUTION
from dask_quant.sources.zarr_shards import ShardedArray, can_read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import DTypeLike, NDArray

    ReadPart = Callable[[slice, slice], NDArray[Any]]
    """Reads the labels of some rows and columns."""

_ZLIB_HEADER_BYTES = 2

_DEPTHS = (1, 2, 4, 8)
"""Bits of a label in a PNG."""


def open_label_store(path: Path, chunks: tuple[int, int]) -> da.Array:
    """Return the labels ``(y, x)`` of a label store, in ``chunks``. **Lazy**.

    Raises
    ------
    SourceError
        When it is no such store.
    """
    folder = os.path.join(os.path.abspath(path), FULL_RESOLUTION)
    try:
        array = zarr.open_array(folder, mode="r")
    except Exception as error:  # zarr raises almost any type for damaged metadata
        message = f"Cannot read {show_path(str(path))}: {show_cause(error)}."
        raise SourceError(message) from error
    if array.ndim != 2:
        message = f"Cannot read {show_path(str(path))}: its labels have the shape {array.shape}."
        raise SourceError(message)
    return da.from_array(
        ShardedArray(array) if can_read(array) else array,
        chunks=chunks,
        name=_name_array(folder),
        asarray=True,
        inline_array=True,
        meta=np.empty((0, 0), dtype=array.dtype),
    )


def open_label_raster(
    path: Path, shape: tuple[int, int], dtype: DTypeLike, chunks: tuple[int, int]
) -> da.Array:
    """Return the first band ``(y, x)`` of a GeoTIFF, in ``chunks``. **Lazy**.

    Computing it raises what `read_label_block` does.
    """
    absolute = os.path.abspath(path)
    return da.from_array(
        _Parts(shape, np.dtype(dtype), _RasterPart(absolute)),
        chunks=chunks,
        name=_name_array(absolute),
        asarray=True,
        inline_array=True,
        meta=np.empty((0, 0), dtype=dtype),
    )


def open_label_png(path: Path, shape: tuple[int, int], strip_rows: int) -> da.Array:
    """Return the labels ``(y, x)`` of an indexed PNG of ours, a chunk for each strip. **Lazy**.

    The places of the strips are looked up at once. Computing it raises `SourceError` where the
    file is not what was written.

    Parameters
    ----------
    path : Path
        A file that `dask_quant.sinks.png` wrote.
    shape : tuple of int
        Rows and columns of the image.
    strip_rows : int
        Rows that were deflated together.

    Raises
    ------
    SourceError
        When it has not the strips that such an image has.
    """
    absolute = os.path.abspath(path)
    depth, places = _find_strips(absolute)
    n_strips = -(-shape[0] // strip_rows)
    if len(places) != n_strips or depth not in _DEPTHS:
        message = (
            f"Cannot read {show_path(str(path))} again: it has {len(places)} strips of {depth} "
            f"bits instead of {n_strips}; leave it unchanged until the job is done."
        )
        raise SourceError(message)
    return da.from_array(
        _Parts(shape, np.dtype(np.uint8), _StripPart(absolute, places, depth, strip_rows, shape)),
        chunks=(strip_rows, shape[1]),
        name=_name_array(absolute),
        asarray=True,
        inline_array=False,  # with the places of all strips, it is handed out once
        meta=np.empty((0, 0), dtype=np.uint8),
    )


@dataclass(frozen=True)
class _Parts:
    """What looks like an array to Dask, and is read part by part."""

    shape: tuple[int, int]
    """Rows and columns."""
    dtype: np.dtype[Any]
    """Type of the labels."""
    read: ReadPart
    """Reads a part."""

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, selection: tuple[slice, slice]) -> NDArray[Any]:
        """Return some rows and columns."""
        return self.read(*selection)


@dataclass(frozen=True)
class _RasterPart:
    """Reads a part of a GeoTIFF."""

    path: str
    """Where it is."""

    def __call__(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Return some rows and columns."""
        return read_label_block(self.path, rows, columns)


@dataclass(frozen=True)
class _StripPart:
    """Reads a part of one strip of a PNG."""

    path: str
    """Where it is."""
    places: tuple[tuple[int, int], ...]
    """Offset and length in bytes of each strip."""
    depth: int
    """Bits per pixel."""
    strip_rows: int
    """Rows of each strip but the last."""
    shape: tuple[int, int]
    """Rows and columns of the image."""

    def __call__(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """Return some rows and columns of one strip."""
        number = rows.start // self.strip_rows
        top = number * self.strip_rows
        n_rows = min(self.strip_rows, self.shape[0] - top)
        offset, n_bytes = self.places[number]
        row_bytes = 1 + -(-self.shape[1] * self.depth // 8)
        with open(self.path, "rb") as file:
            file.seek(offset)
            packed = _inflate(file.read(n_bytes), n_rows * row_bytes, self.path)
        labels = unpack_samples(packed.reshape(n_rows, row_bytes)[:, 1:], self.depth)
        return labels[rows.start - top : rows.stop - top, columns]


def _find_strips(path: str) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Return bits per pixel, 0 where none are told, and offset and bytes of each deflated strip."""
    depth = 0
    places: list[tuple[int, int]] = []
    with open(path, "rb") as file:
        for chunk in walk_chunks(file):
            if chunk.kind == b"IHDR":
                depth = read_bit_depth(file)
            elif chunk.kind == b"IDAT" and chunk.size >= _ZLIB_HEADER_BYTES:
                skipped = 0 if places else _ZLIB_HEADER_BYTES
                places.append((chunk.start + skipped, chunk.size - skipped))
    return depth, tuple(places)


def _inflate(data: bytes, n_bytes: int, path: str) -> NDArray[np.uint8]:
    """Return as many bytes of raw deflate blocks, or raise `SourceError`."""
    try:
        raw = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, n_bytes)
    except zlib.error as error:
        raw, cause = b"", str(error)
    else:
        cause = f"{len(raw)} of {n_bytes} bytes"
    if len(raw) != n_bytes:
        message = (
            f"Cannot read {show_path(path)} again: a strip of it is damaged ({cause}); leave it "
            "unchanged until the job is done."
        )
        raise SourceError(message)
    return np.frombuffer(raw, dtype=np.uint8)


def _name_array(path: str) -> str:
    """Return a name for the tasks that read what was just written to ``path``."""
    status = os.stat(path)
    return (
        f"labels-{tokenize(os.fsencode(path), status.st_size, status.st_mtime_ns, status.st_ino)}"
    )
