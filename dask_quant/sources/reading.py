"""Whole images and their headers, whatever kind of source they are, without Dask arrays.

What stores need is imported when the first of them is read: Zarr and `dask.array` take half a
second, which a folder of photographs must not wait for.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dask_quant.alpha_options import REFUSE
from dask_quant.errors import DaskQuantError
from dask_quant.options import FIRST_PAGE, Page
from dask_quant.sources.discover import is_zarr_store
from dask_quant.sources.image_file import is_tiff, list_pages, read_header, read_image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dask_quant.alpha_options import AlphaRule
    from dask_quant.sources.geotiff_tags import GeoTags
    from dask_quant.sources.header import ImageHeader


class Origin(NamedTuple):
    """Where the pixels of an output come from."""

    source: object = None
    """Whatever they are read from: the path of a file or a store, a file in memory, an array."""
    page: Page = FIRST_PAGE
    """Which picture of it."""


NO_ORIGIN = Origin()
"""Of labels that are read from nothing that is known."""


def read_any_header(source: str | Path | io.BytesIO, *, page: Page = FIRST_PAGE) -> ImageHeader:
    """Read what an image file or a Zarr store says about itself, without decoding it.

    Raises
    ------
    SourceNotFoundError, SourceError, PixelFormatError
        As `read_header` and `read_zarr_header` do.
    """
    if isinstance(source, io.BytesIO) or not is_zarr_store(source):
        return read_header(source, page=page)
    from dask_quant.sources.zarr_store import read_zarr_header

    return read_zarr_header(source, page=page)


def list_any_pages(
    source: str | Path | io.BytesIO, *, page: Page = FIRST_PAGE
) -> tuple[int | None, tuple[tuple[int, int], ...]]:
    """Return how many pictures a source holds, and rows and columns of each level of one of them.

    None, and no levels, for what is neither a TIFF nor a Zarr store.

    Raises
    ------
    SourceNotFoundError, SourceError, PixelFormatError, OptionError
        As `list_pages` and `list_zarr_pages` do.
    """
    if isinstance(source, io.BytesIO) or not is_zarr_store(source):
        return list_pages(source, page=page)
    from dask_quant.sources.zarr_store import list_zarr_pages

    return list_zarr_pages(source, page=page)


def read_pixels(
    path: str | Path | io.BytesIO, *, frame: int = 0, alpha: AlphaRule = REFUSE
) -> NDArray[np.uint8]:
    """Read a whole image file, or a frame of it, or a Zarr store. **Eager**.

    What becomes of transparency is as ``alpha`` says.

    Returns
    -------
    ndarray
        sRGB uint8 ``(y, x, 3)``, C-contiguous; RGBA ``(y, x, 4)`` where a pixel is not opaque and
        that is kept.

    Raises
    ------
    SourceNotFoundError, SourceError, PixelFormatError
        As `read_image` and `read_zarr_image` do.
    """
    if isinstance(path, io.BytesIO) or not is_zarr_store(path):
        return read_image(path, frame=frame, alpha=alpha)
    from dask_quant.sources.zarr_store import read_zarr_image

    return read_zarr_image(path, alpha)


def read_density(origin: Origin) -> tuple[int, int] | None:
    """Return the pixels to the metre, across and down, that an image file states, or None.

    Pixels may come from anything; only image files state a density.
    """
    source, page = origin
    is_store = isinstance(source, (str, Path)) and is_zarr_store(source)
    if is_store or not isinstance(source, (str, Path, io.BytesIO)):
        return None
    try:
        return read_header(source, page=page).density
    except DaskQuantError:
        return None


def read_geo_tags(origin: Origin, shape: tuple[int, int]) -> GeoTags | None:
    """Return the tags that say where the pixels of a TIFF lie on the earth. **Eager**.

    Parameters
    ----------
    origin : Origin
        What pixels are read from; only the path of a TIFF has such tags.
    shape : tuple of int
        Rows and columns that the tags shall be of.

    Returns
    -------
    GeoTags or None
        None where there is no such file, it is damaged, or its page is of another shape: that is
        for those to tell who read its pixels.
    """
    source, page = origin
    if not isinstance(source, (str, Path)):
        return None
    try:
        if not is_tiff(source):
            return None
        from dask_quant.sources import geotiff_tags

        header = read_header(source, page=page)
        tags = geotiff_tags.read_geo_tags(source, page=page)
    except DaskQuantError:
        return None
    return tags if (header.height, header.width) == shape else None
