"""One door for image files: TIFF is read part by part with tifffile, all others with Pillow.

What TIFF needs is imported when the first of them is read: a photograph must not wait for it. TIFF
of a compression that is not decoded here, such as JPEG of the old kind, is left to Pillow.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING

from dask_quant.errors import OptionError
from dask_quant.options import FIRST_PAGE
from dask_quant.sources import pillow
from dask_quant.sources.header import show_path

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dask_quant.options import Page
    from dask_quant.sources.header import ImageHeader

    Source = str | Path | IO[bytes]

_TIFF_STARTS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")


def is_tiff(source: Source) -> bool:
    """Return whether an image file is a TIFF that is read in parts.

    One that cannot be opened is none.
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
    if is_tiff(source):
        from dask_quant.sources import tiff

        return tiff.read_header(source, page=page)
    refuse_page(source, page)
    return pillow.read_header(source)


def read_image(
    source: Source,
    *,
    max_pixels: int | None = None,
    page: Page = FIRST_PAGE,
    frame: int = 0,
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

    Returns
    -------
    ndarray
        sRGB uint8 ``(y, x, 3)``, C-contiguous, orientation applied.

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
    if is_tiff(source):
        from dask_quant.sources import tiff

        return tiff.read_tiff(source, max_pixels=max_pixels, page=page)
    refuse_page(source, page)
    return pillow.read_image(source, max_pixels=max_pixels, frame=frame)


def count_frames(source: Source) -> int:
    """Return the frames of an animation; 1 for everything else, TIFF that Pillow cannot open too.

    Errors are those of `read_header`.
    """
    return 1 if is_tiff(source) else pillow.count_frames(source)


def list_pages(
    source: Source, *, page: Page = FIRST_PAGE
) -> tuple[int | None, tuple[tuple[int, int], ...]]:
    """Return how many pictures a TIFF holds, and rows and columns of each level of one of them.

    None, and no levels, for a file of another format.
    """
    if not is_tiff(source):
        return None, ()
    from dask_quant.sources import tiff

    contents = tiff.list_pages(source, page=page)
    return contents.n_pages, contents.levels


def _begins_as_tiff(source: Source) -> bool:
    """Return whether the first bytes of a file are those of a TIFF."""
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
