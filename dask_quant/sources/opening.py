"""One door for every kind of source."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.delayed import delayed

from dask_quant.alpha_options import REFUSE, as_alpha
from dask_quant.chunking import plan_chunks
from dask_quant.errors import OptionError, SourceError
from dask_quant.options import Page, as_chunks
from dask_quant.premultiplied import add_alpha
from dask_quant.sources.addresses import is_url
from dask_quant.sources.arrays import as_image, check_query_planning, normalize_bands
from dask_quant.sources.discover import is_zarr_store
from dask_quant.sources.header import show_path
from dask_quant.sources.image_file import find_remote, is_tiff, read_header, read_image, refuse_page
from dask_quant.sources.isolated import read_isolated
from dask_quant.sources.pillow import check_supported
from dask_quant.sources.tiff import find_tiff
from dask_quant.sources.zarr_store import open_zarr

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.alpha_options import AlphaRule


def open_image(
    source: str | Path | NDArray[np.uint8] | da.Array,
    *,
    chunks: int | tuple[int, int] | None = None,
    page: int | None = None,
    level: int = 0,
    alpha: str | AlphaRule = REFUSE,
) -> da.Array:
    """Open an image.

    **Lazy.** Only headers are read. A TIFF or a Zarr store is read chunk by chunk; any other image
    file is decoded as a whole, by one task.

    Parameters
    ----------
    source : str, Path, ndarray or dask array
        An image file or its address, a Zarr store, or an array as `as_image` takes it.
    chunks : int or tuple of int, optional
        Rows and columns per chunk, or one number for both. None: one chunk for a file or a NumPy
        array, whole tiles or strips of a TIFF, the shards or chunks of a Zarr store, the chunks of
        a Dask array.
    page : int, optional
        Which picture of a TIFF, from 0; None: the first that is a picture of its own. Of an
        OME-Zarr, which one along ``t`` and ``z``.
    level : int, default 0
        Level of the pyramid of a TIFF or OME-Zarr; 0: all its pixels.
    alpha : {"keep", "drop", "matte:#rrggbb"}, optional
        What becomes of pixels that are not opaque, as in `quantize`. By default they are refused.

    Returns
    -------
    dask array
        sRGB uint8 ``(y, x, 3)`` in chunks that hold all bands; RGBA ``(y, x, 4)`` where alpha is
        kept and there may be any. Computing it raises `SourceError` when the file is damaged, and
        `PixelFormatError` when a pixel is not opaque and that is refused.

    Raises
    ------
    SourceNotFoundError, SourceError, PixelFormatError
        When the header shows that the source cannot be read.
    OptionError
        When ``chunks`` are neither, there is no such page or level, or Dask's array query planning
        is on.

    Examples
    --------
    >>> open_image(np.zeros((4, 6, 3), dtype=np.uint8)).shape
    (4, 6, 3)
    """
    shape, rule = None if chunks is None else _as_pair(chunks), as_alpha(alpha)
    if not isinstance(source, (str, Path)):
        return as_image(source, chunks=shape, alpha=rule)
    check_query_planning()
    chosen = Page(number=page, level=level)
    if is_tiff(source):
        return _open_tiff(source, shape, chosen, rule)
    if is_zarr_store(source):
        return open_zarr(source, chunks=shape, page=chosen, alpha=rule)
    refuse_page(source, chosen)
    return _open_file(source, shape, rule)


def _as_pair(chunks: int | tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns per chunk, or raise `OptionError`."""
    given = as_chunks(chunks)
    if given.rows is None or given.columns is None:
        message = f"Got chunks {chunks!r}; use N or (ROWS, COLS), integers, in pixels."
        raise OptionError(message)
    return given.rows, given.columns


def _open_tiff(
    path: str | Path, chunks: tuple[int, int] | None, page: Page, alpha: AlphaRule
) -> da.Array:
    """Return a TIFF as a Dask array, of which each task decodes the tiles or strips of a chunk."""
    image = find_tiff(path, page=page)
    if chunks is None:
        chunks = plan_chunks(image.shape[:2], image.unit)
    stored = da.from_array(
        image,
        chunks=(*chunks, image.shape[2]),
        name=f"tiff-{tokenize(image, chunks)}",
        asarray=True,
        inline_array=True,
        meta=np.empty((0, 0, 0), dtype=np.uint8),
    )
    return normalize_bands(stored, alpha)


def _open_file(path: str | Path, chunks: tuple[int, int] | None, alpha: AlphaRule) -> da.Array:
    """Return an image file as a Dask array: one decoding task, then views of its result."""
    header = read_header(path)
    check_supported(header)
    shape = (header.height, header.width, 4 if alpha.keeps and header.has_alpha else 3)
    place, token = _identify(path, alpha)
    decoded = delayed(_decode_block, pure=True)(
        *(place, shape, alpha), dask_key_name=f"decode-{token}"
    )
    image = da.from_delayed(
        decoded,
        shape,
        meta=np.empty((0, 0, 3), dtype=np.uint8),
        name=f"image-{token}",
    )
    # Never by "p2p", which a cluster would choose: cutting up one block only makes views.
    return image if chunks is None else image.rechunk((*chunks, shape[2]), method="tasks")


def _identify(path: str | Path, alpha: AlphaRule) -> tuple[str, str]:
    """Return where a worker reads a file, and a name of it as it is now and is read."""
    if is_url(path):
        return path, tokenize(find_remote(path), alpha)
    place = os.path.abspath(path)
    status = os.stat(place)
    return place, tokenize(os.fsencode(place), status.st_size, status.st_mtime_ns, alpha)


def _is_on_worker() -> bool:
    """Return whether this runs in a task of a cluster, of which a crash would end other tasks.

    The scheduler then gives the task to one worker after another, and names none but the task.
    """
    distributed = sys.modules.get("distributed")
    try:
        return distributed is not None and distributed.get_worker() is not None
    except ValueError:
        return False


def _decode_block(path: str, shape: tuple[int, int, int], alpha: AlphaRule) -> NDArray[np.uint8]:
    """Return the pixels ``(y, x, band)`` of an image file whose header promised this shape."""
    if _is_on_worker():
        pixels = read_isolated(path, alpha=alpha)
    else:
        pixels = read_image(path, max_pixels=shape[0] * shape[1], alpha=alpha)
    if shape[2] == 4:
        pixels = add_alpha(pixels)
    if pixels.shape != shape:
        message = (
            f"Cannot read {show_path(path)}: it has shape {pixels.shape} where its header said "
            f"{shape} when it was opened; leave it unchanged until the job is done."
        )
        raise SourceError(message)
    return pixels
