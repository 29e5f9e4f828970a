"""One door for image files: TIFF is read part by part with tifffile, all others with Pillow.

A file by its address is looked at where it is: of a TIFF, what is decoded is fetched; any other is
fetched as a whole, and decoded in memory. So is an image that lies in another file.

What TIFF needs is imported when the first of them is read: a photograph must not wait for it. TIFF
of a compression that is not decoded here, such as JPEG of the old kind, is left to Pillow.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, TYPE_CHECKING

from dask_quant.alpha_options import REFUSE
from dask_quant.errors import OptionError
from dask_quant.options import FIRST_PAGE
from dask_quant.sources import pillow
from dask_quant.sources.addresses import is_store_url, is_url
from dask_quant.sources.header import show_path
from dask_quant.sources.held import parse_held

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dask_quant.alpha_options import AlphaRule
    from dask_quant.options import Page
    from dask_quant.sources.header import ImageHeader
    from dask_quant.sources.remote_file import RemoteFile

    Source = str | Path | IO[bytes]

_TIFF_STARTS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")


def is_tiff(source: Source) -> bool:
    """Return whether an image file is a TIFF that is read in parts.

    One that cannot be opened is none; an address that cannot be read raises `SourceError`.
    """
    if not _begins_as_tiff(source):
        return False
    from dask_quant.sources.tiff import can_read

    return can_read(source)


def read_header(source: Source, *, page: Page = FIRST_PAGE) -> ImageHeader:
    """Read what an image file says about itself, without decoding it.

    Parameters
    ----------
    source : str, Path or binary file
        A path, or a file object that is read from its start; it is left open.
    page : Page, optional
        Which picture of a TIFF.

    Returns
    -------
    ImageHeader
        Its pixels may be of a kind that `read_image` refuses.

    Raises
    ------
    SourceNotFoundError, SourceError, PixelFormatError
        As `dask_quant.sources.pillow.read_header` does.
    OptionError
        When there is no such page.
    """
    source = _take_out(source)
    if is_tiff(source):
        from dask_quant.sources import tiff

        return tiff.read_header(source, page=page)
    refuse_page(source, page)
    return pillow.read_header(_fetch(source))


def read_image(
    source: Source,
    *,
    max_pixels: int | None = None,
    page: Page = FIRST_PAGE,
    frame: int = 0,
    alpha: AlphaRule = REFUSE,
) -> NDArray[np.uint8]:
    """Decode a whole image file.

    Parameters
    ----------
    source, page
        As for `read_header`.
    max_pixels : int, optional
        Refuse larger images before decoding. None, and anything above: the most that are read as a
        whole.
    frame : int, default 0
        Which frame of an animation, as a viewer shows it; no TIFF has any.
    alpha : AlphaRule
        What becomes of pixels that are not opaque; refused by default.

    Returns
    -------
    ndarray
        sRGB uint8 ``(y, x, 3)``, C-contiguous, orientation applied; RGBA ``(y, x, 4)`` where a
        pixel is not opaque and that is kept.

    Raises
    ------
    SourceNotFoundError, SourceError, PixelFormatError
        As `dask_quant.sources.pillow.read_image` does.
    OptionError
        When there is no such page.

    Notes
    -----
    Peak memory is 7 bytes a pixel.
    """
    source = _take_out(source)
    if is_tiff(source):
        from dask_quant.sources import tiff

        return tiff.read_tiff(source, max_pixels=max_pixels, page=page, alpha=alpha)
    refuse_page(source, page)
    return pillow.read_image(_fetch(source), max_pixels=max_pixels, frame=frame, alpha=alpha)


def count_held_bytes(source: Source, page: Page = FIRST_PAGE) -> int:
    """Return what is held of a file, beside its pixels, while it is decoded in one go.

    Of a TIFF that is a tile or strip as stored, decoded and made colours; of any other file by its
    address all of it, and else nothing.
    """
    source = _take_out(source)
    if is_tiff(source):
        from dask_quant.sources import tiff

        return tiff.count_held_bytes(source, page=page)
    return find_remote(source).size() if is_url(source) else 0


def find_remote(url: str) -> RemoteFile:
    """Return a file by its address; errors are those of `RemoteFile.find`."""
    from dask_quant.sources.remote_file import RemoteFile

    return RemoteFile.find(url)


def count_frames(source: Source) -> int:
    """Return the frames of an animation; 1 for everything else, TIFF that Pillow cannot open too.

    Errors are those of `read_header`.
    """
    source = _take_out(source)
    return 1 if is_tiff(source) else pillow.count_frames(_fetch(source))


def list_pages(
    source: Source, *, page: Page = FIRST_PAGE
) -> tuple[int | None, tuple[tuple[int, int], ...]]:
    """Return how many pictures a TIFF holds, and rows and columns of each level of one of them.

    None, and no levels, for a file of another format.
    """
    source = _take_out(source)
    if not is_tiff(source):
        return None, ()
    from dask_quant.sources import tiff

    contents = tiff.list_pages(source, page=page)
    return contents.n_pages, contents.levels


class _Fetched(io.BytesIO):
    """A file that was fetched as a whole, with its name."""

    name: str = "<stream>"


def _fetch(source: Source) -> Source:
    """Return a source as Pillow takes it: what an address is of, in memory."""
    if not is_url(source):
        return source
    remote = find_remote(source)
    file = _Fetched(remote.read_all())
    file.name = remote.name
    return file


def fetch_file(url: str) -> io.BytesIO:
    """Return a file by its address, all of it fetched by one request, with its name.

    An image that lies in another file is taken out of it.

    Errors are those of `dask_quant.sources.remote_file.fetch_bytes`, or of
    `dask_quant.sources.held_bytes.read_held`.
    """
    file = _Fetched(_fetch_bytes(url))
    file.name = url
    return file


def _fetch_bytes(url: str) -> bytes:
    """Return all bytes of a file by its address, or of an image in another file."""
    held = parse_held(url)
    if held is not None:
        from dask_quant.sources.held_bytes import read_held

        return read_held(held)
    from dask_quant.sources.remote_file import fetch_bytes

    return fetch_bytes(url)


def _take_out(source: Source) -> Source:
    """Return an image that lies in another file as a file in memory, any other as it is."""
    return fetch_file(source) if isinstance(source, str) and parse_held(source) else source


def _begins_as_tiff(source: Source) -> bool:
    """Return whether the first bytes of a file are those of a TIFF."""
    if is_store_url(source):
        return False
    if is_url(source):
        return next(find_remote(source).read([(0, 4)])) in _TIFF_STARTS
    if not isinstance(source, (str, Path)):
        if not source.seekable():
            return False
        source.seek(0)
        return source.read(4) in _TIFF_STARTS
    try:
        with open(source, "rb", buffering=0) as file:
            return file.read(4) in _TIFF_STARTS
    except (OSError, ValueError):
        return False


def refuse_page(source: Source, page: Page) -> None:
    """Raise `OptionError` when another picture is asked for of a file that has only one."""
    if page.given:
        name = source if isinstance(source, (str, Path)) else "standard input"
        message = (
            f"Got --page or --level for {show_path(str(name))}; only TIFF and OME-Zarr have "
            "pages and levels."
        )
        raise OptionError(message)
