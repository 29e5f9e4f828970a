"""TIFF and BigTIFF files as images that are read in parts, tile by tile or strip by strip.

A slice decodes the segments that it touches, whatever the file holds besides. Orientations
and profiles of colour are applied to what is read.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from dask_quant.alpha_options import REFUSE
from dask_quant.errors import DaskQuantError, SourceError, SourceNotFoundError
from dask_quant.options import FIRST_PAGE
from dask_quant.sources.addresses import is_url
from dask_quant.sources.bands import read_whole
from dask_quant.sources.byte_ranges import DiskFile, OpenFile
from dask_quant.sources.header import show_cause, show_path
from dask_quant.sources.pillow_state import MAX_PIXELS
from dask_quant.sources.tiff_file import (
    has_known_codec,
    read_contents,
    read_layout,
    read_tiff_header,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dask_quant.alpha_options import AlphaRule
    from dask_quant.options import Page
    from dask_quant.sources.byte_ranges import ByteSource
    from dask_quant.sources.header import ImageHeader
    from dask_quant.sources.tiff_file import TiffContents
    from dask_quant.sources.tiff_layout import TiffLayout

    Source = str | Path | IO[bytes]
    Window = tuple[tuple[int, int], tuple[int, int]]

_KEPT_LAYOUTS = 16
"""Layouts that a process keeps, so that its tasks need not parse the file again (arbitrary)."""

_UPSIDE_DOWN = (3, 4, 7, 8)
_MIRRORED = (2, 3, 6, 7)
"""Orientations of which rows or columns run the other way, once 5 to 8 are transposed."""

_lock = threading.Lock()


@dataclass(frozen=True)
class TiffImage:
    """A page of a TIFF as an array ``(y, x, band)`` of sRGB uint8, upright.

    It holds no open file and no tags, and is as small as its path once it is pickled.
    """

    source: ByteSource
    """The file."""
    page: Page
    """Which of its pictures."""
    shape: tuple[int, int, int]
    """Rows, columns and bands: 1 for grey, 3 for RGB, 4 for RGB and straight alpha."""
    unit: tuple[int, int]
    """Rows and columns of the tile or strip that is decoded as a whole."""
    unit_bytes: int
    """Bytes of one of them once it is decoded, before it is brought to 8 bits, and while it is."""

    ndim = 3
    dtype = np.dtype(np.uint8)

    def __getitem__(self, selection: tuple[slice, ...]) -> NDArray[np.uint8]:
        """Return a part of the image: a slice without step for each axis.

        Raises
        ------
        SourceError
            When the file is damaged, or is no longer what it was.
        PixelFormatError
            When floats are outside 0 to 1.
        """
        rows, columns, bands = selection
        with translate_errors(self.source.name):
            layout = _load_layout(self.source, self.page)
            window = (rows.indices(self.shape[0])[:2], columns.indices(self.shape[1])[:2])
            return _read_upright(self.source, layout, window)[..., bands]


def can_read(source: Source) -> bool:
    """Return whether a TIFF is of a compression that is decoded here; True for a damaged one."""
    try:
        return has_known_codec(as_byte_source(source))
    except Exception:  # what is wrong is told by whoever reads it
        return True


def find_tiff(path: str | Path, *, page: Page = FIRST_PAGE) -> TiffImage:
    """Return a page of a TIFF as something that is read in parts. **Lazy**: tags alone are read.

    Parameters
    ----------
    path : str or Path
        Local file, or an address.
    page : Page, optional
        Which of its pictures. Left out: all pixels of the first that is neither reduced nor a mask.

    Raises
    ------
    SourceNotFoundError, SourceError
        When there is no such file, or it is damaged.
    PixelFormatError
        When its samples are of a kind that is not supported.
    OptionError
        When there is no such page or level.
    """
    with translate_errors(str(path)):
        source = as_byte_source(path)
        layout = _load_layout(source, page)
        _warn_of_profile(layout, source)
        shape = (*_upright_shape(layout), layout.meaning.bands)
        rows, columns = layout.segment
        unit = (columns, rows) if layout.orientation > 4 else (rows, columns)
        return TiffImage(source, page, shape, unit, layout.working_bytes + source.batch_bytes)


def read_tiff(
    source: Source,
    *,
    max_pixels: int | None = None,
    page: Page = FIRST_PAGE,
    alpha: AlphaRule = REFUSE,
) -> NDArray[np.uint8]:
    """Decode a whole page. **Eager**.

    Parameters
    ----------
    source : str, Path or binary file
        A path, or a file object that can be sought; it is left open.
    max_pixels : int, optional
        Refuse larger images before decoding. None, and anything above: `MAX_PIXELS`.
    page
        As for `find_tiff`.
    alpha : AlphaRule
        What becomes of pixels that are not opaque; refused by default.

    Returns
    -------
    ndarray
        sRGB uint8 ``(y, x, 3)``, C-contiguous, orientation applied; RGBA ``(y, x, 4)`` where a
        pixel is not opaque and that is kept.

    Raises
    ------
    SourceNotFoundError, SourceError, PixelFormatError, OptionError
        As `find_tiff` does; also when a pixel is not opaque and that is refused.

    Notes
    -----
    Peak memory is up to 7 bytes a pixel, and a tile or strip as it is stored.
    """
    with translate_errors(_name_of(source)):
        stored = as_byte_source(source)
        layout = read_layout(stored, page)
        _warn_of_profile(layout, stored)
        limit = MAX_PIXELS if max_pixels is None else min(max_pixels, MAX_PIXELS)
        _check_pixels(layout, limit, stored.name)
        rows, columns = _upright_shape(layout)
        pixels = _read_upright(stored, layout, ((0, rows), (0, columns)))
        return read_whole(pixels, alpha, name=show_path(stored.name))


def count_held_bytes(source: Source, *, page: Page = FIRST_PAGE) -> int:
    """Return what `read_tiff` holds at most beside the pixels that it returns, in bytes."""
    with translate_errors(_name_of(source)):
        stored = as_byte_source(source)
        layout = read_layout(stored, page)
        n_stored = layout.n_planes * int(layout.lengths.max())
        return stored.held_bytes + stored.batch_bytes + n_stored + layout.working_bytes


def read_header(source: Source, *, page: Page = FIRST_PAGE) -> ImageHeader:
    """Read what a page of a TIFF says about itself, whether or not it can be decoded."""
    with translate_errors(_name_of(source)):
        return read_tiff_header(as_byte_source(source), page)


def list_pages(source: Source, *, page: Page = FIRST_PAGE) -> TiffContents:
    """Return how many pages a TIFF has, and the levels of one of them."""
    with translate_errors(_name_of(source)):
        return read_contents(as_byte_source(source), page)


def _name_of(source: Source) -> str:
    """Return what messages call a source."""
    return str(source) if isinstance(source, (str, Path)) else OpenFile(source).name


def as_byte_source(source: Source) -> ByteSource:
    """Return the bytes of a source by their places."""
    if is_url(source):
        from dask_quant.sources.remote_file import RemoteFile

        return RemoteFile.find(source)
    if isinstance(source, (str, Path)):
        return DiskFile.find(source)
    return OpenFile(source)


def _load_layout(source: ByteSource, page: Page) -> TiffLayout:
    """Return a layout, parsed once by a process."""
    with _lock:  # else each thread would parse the file at its first task
        return _keep_layout(source, page)


_keep_layout = lru_cache(maxsize=_KEPT_LAYOUTS)(read_layout)


def _warn_of_profile(layout: TiffLayout, source: ByteSource) -> None:
    """Warn where the profile of colour of a file cannot be used."""
    if layout.meaning.profile is not None:
        layout.meaning.profile.warn(source.name)


def _check_pixels(layout: TiffLayout, limit: int, name: str) -> None:
    """Raise `SourceError` when an image is too large to be read as a whole."""
    n_pixels = layout.shape[0] * layout.shape[1]
    if n_pixels > limit:
        message = (
            f"Cannot read {show_path(name)}: it has {n_pixels} pixels, and an image that is read "
            f"as a whole may have {limit}; give it a .zarr or .png OUT of its own."
        )
        raise SourceError(message)


@contextmanager
def translate_errors(name: str) -> Iterator[None]:
    """Make whatever goes wrong inside the block an error of ours."""
    shown = show_path(name)
    try:
        yield
    except DaskQuantError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        message = f"Cannot read {shown}: there is no such file."
        raise SourceNotFoundError(message) from None
    except PermissionError:
        message = f"Cannot read {shown}: permission denied."
        raise SourceError(message) from None
    except MemoryError as error:
        message = f"Cannot read {shown}: decoding it needs more memory than there is."
        raise SourceError(message) from error
    except Exception as error:  # codecs and tifffile raise almost any type for a damaged file
        message = f"Cannot read {shown}: {show_cause(error)}."
        raise SourceError(message) from error


def _read_upright(source: ByteSource, layout: TiffLayout, window: Window) -> NDArray[np.uint8]:
    """Return a window of the upright picture ``(y, x, band)``: rows, and columns, from and to."""
    orientation = layout.orientation
    height, width = _upright_shape(layout)
    rows, columns = window
    if orientation in _UPSIDE_DOWN:
        rows = _flip(rows, height)
    if orientation in _MIRRORED:
        columns = _flip(columns, width)
    inside = (columns, rows) if orientation > 4 else (rows, columns)
    return np.ascontiguousarray(_turn(_read_stored(source, layout, inside), orientation))


def _upright_shape(layout: TiffLayout) -> tuple[int, int]:
    """Return rows and columns of the picture as it is shown."""
    height, width = layout.shape
    return (width, height) if layout.orientation > 4 else (height, width)


def _flip(span: tuple[int, int], size: int) -> tuple[int, int]:
    """Return a span counted from the other end."""
    return size - span[1], size - span[0]


def _turn(stored: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return a part of a picture as it is shown, a view."""
    picture = stored.swapaxes(0, 1) if orientation > 4 else stored
    down = -1 if orientation in _UPSIDE_DOWN else 1
    across = -1 if orientation in _MIRRORED else 1
    return picture[::down, ::across]


def _read_stored(source: ByteSource, layout: TiffLayout, window: Window) -> NDArray[np.uint8]:
    """Return a window of the picture as it is stored ``(y, x, band)``."""
    (top, bottom), (left, right) = window
    rows, columns = layout.segment
    cells = [
        (down, across)
        for down in range(top // rows, -(-bottom // rows))
        for across in range(left // columns, -(-right // columns))
    ]
    pixels = np.empty((bottom - top, right - left, layout.meaning.bands), dtype=np.uint8)
    places = [(plane, *cell) for cell in cells for plane in range(layout.n_planes)]
    stored = source.read((int(layout.offsets[at]), int(layout.lengths[at])) for at in places)
    for down, across in cells:
        y, x = down * rows, across * columns
        inside = (
            slice(max(top, y), min(bottom, y + rows, layout.shape[0])),
            slice(max(left, x), min(right, x + columns, layout.shape[1])),
        )
        cut = (_shift(inside[0], y), _shift(inside[1], x))
        samples = [
            layout.decode_segment(next(stored), (plane, down, across))[cut]
            for plane in range(layout.n_planes)
        ]
        _convert_bands(layout, samples, pixels[_shift(inside[0], top), _shift(inside[1], left)])
    return pixels


def _convert_bands(
    layout: TiffLayout, planes: list[NDArray[Any]], colors: NDArray[np.uint8]
) -> None:
    """Set ``(y, x, band)`` to what samples mean, some rows at a time."""
    for row in range(0, len(colors), layout.band_rows):
        band = slice(row, row + layout.band_rows)
        parts = [plane[band] for plane in planes]
        together = parts[0] if layout.n_planes == 1 else np.concatenate(parts, axis=2)
        colors[band] = layout.meaning.convert(together)


def _shift(span: slice, origin: int) -> slice:
    """Return a span counted from ``origin``."""
    return slice(span.start - origin, span.stop - origin)
