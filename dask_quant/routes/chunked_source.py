"""What is read in chunks: how a file, a store or an array is cut, from headers alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dask_quant.alpha_options import REFUSE
from dask_quant.options import FIRST_PAGE
from dask_quant.pixel_grid import PLAIN_GRID, PixelGrid
from dask_quant.routes.common import is_array
from dask_quant.routes.streams import needs_strips
from dask_quant.sources.addresses import is_url
from dask_quant.sources.arrays import as_image, drop_names
from dask_quant.sources.discover import is_zarr_store
from dask_quant.sources.image_file import count_held_bytes, is_tiff, read_header
from dask_quant.sources.strips import open_stream
from dask_quant.sources.tiff import find_tiff
from dask_quant.sources.zarr_store import find_zarr_source

if TYPE_CHECKING:
    from dask_quant.alpha_options import AlphaRule
    from dask_quant.options import Page
    from dask_quant.sources.strips import ImageStream

SCRATCH_UNIT = (512, 512)
"""What is read at a time of a scratch file, which has no units; as of a store."""


@dataclass(frozen=True)
class ChunkedSource:
    """One image as the chunked flow reads it."""

    image: Any
    """Path of a file or store, or an array, or a scratch file."""
    page: Page
    """Which picture of a file."""
    shape: tuple[int, int]
    """Rows and columns."""
    unit: tuple[int, int]
    """Rows and columns of what storage reads as a whole."""
    part: tuple[int, int]
    """Rows and columns of the least that can be read without decoding anything twice."""
    decodes_whole: bool
    """Whether any part costs a decode of all."""
    input_bytes: int
    """Bytes as stored."""
    held_bytes: int = 0
    """What every process holds of the file as stored, however little it reads of it."""
    codec_bytes: int = 0
    """What that takes at most beside what is planned for every image."""
    unit_bytes: int = 0
    """Bytes of a unit while it is decoded, where that is not yet its pixels of 8 bits."""
    stream: ImageStream | None = None
    """How a file is read that is decoded once, in strips."""
    counts: Any = None
    """Its colours, where they were counted while it was decoded, as `Executor.hold` leaves them."""
    notice: str | None = None
    """How it is read, where it does not say so itself."""
    grid: PixelGrid = PLAIN_GRID
    """Where its pixels lie."""
    has_alpha: bool = False
    """Whether pixels may be transparent."""


def open_source(
    image: Any,
    page: Page = FIRST_PAGE,
    *,
    limit_bytes: int | None = None,
    alpha: AlphaRule = REFUSE,
) -> ChunkedSource:
    """Return shape and storage unit of an image, from headers alone.

    A file that takes more than ``limit_bytes`` of memory when it is decoded whole is read in
    strips if it can be, its transparency as ``alpha`` says.
    """
    if is_array(image):
        image = drop_names(image)
        array = as_image(image)
        unit = array.chunksize[:2] if is_dask(image) else (1, array.shape[1])
        given = (image, page, array.shape[:2], unit, unit, False, int(image.nbytes))
        return ChunkedSource(*given, has_alpha=image.ndim == 3 and image.shape[2] == 4)
    if is_zarr_store(image):
        return _open_store(image, page)
    if is_tiff(image):
        return _open_tiff(image, page)
    return _open_file(image, page, limit_bytes, alpha)


def _open_file(image: Any, page: Page, limit_bytes: int | None, alpha: AlphaRule) -> ChunkedSource:
    """Return shape and unit of a file that is decoded from its top."""
    header = read_header(image, page=page)
    shape, unit = (header.height, header.width), (1, header.width)
    if is_url(image):
        given = (image, page, shape, unit, unit, True, header.input_bytes)
        return ChunkedSource(
            *given,
            held_bytes=count_held_bytes(image),
            codec_bytes=header.codec_bytes,
            has_alpha=header.has_alpha,
        )
    if needs_strips(header, limit_bytes):
        stream = open_stream(header, limit_bytes=limit_bytes, alpha=alpha)
        if stream is not None:
            given = (image, page, shape, SCRATCH_UNIT, unit, False, header.input_bytes)
            return ChunkedSource(*given, stream=stream, has_alpha=header.has_alpha)
    given = (image, page, shape, unit, unit, True, header.input_bytes)
    return ChunkedSource(*given, codec_bytes=header.codec_bytes, has_alpha=header.has_alpha)


def _open_tiff(image: Any, page: Page) -> ChunkedSource:
    """Return shape and tile or strip of a TIFF."""
    found = find_tiff(image, page=page)
    rows, columns, n_bands = found.shape
    unit = (min(found.unit[0], rows), min(found.unit[1], columns))
    n_bytes = found.source.size()
    return ChunkedSource(
        *(image, page, (rows, columns), unit, unit, False, n_bytes),
        held_bytes=found.source.held_bytes,
        unit_bytes=found.unit_bytes,
        has_alpha=n_bands == 4,
    )


def _open_store(image: Any, page: Page) -> ChunkedSource:
    """Return shape and storage unit of a Zarr store."""
    found = find_zarr_source(image, page=page)
    rows, columns = found.image.shape[:2]
    given = (found.image.unit, found.image.part, False, found.header.input_bytes)
    return ChunkedSource(
        *(image, page, (rows, columns), *given),
        unit_bytes=found.image.unit_bytes,
        notice=found.notice,
        grid=found.grid,
        has_alpha=found.header.has_alpha,
    )


def is_dask(image: Any) -> bool:
    """Return whether ``image`` is a Dask array."""
    return hasattr(image, "dask")
