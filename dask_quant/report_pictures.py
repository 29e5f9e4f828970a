"""Sources and outputs of a job as small pictures, to be looked at side by side.

What is gone, too large or cannot be read leaves its place to a line that says so: a page about a
job is worth having without a picture, too.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant.alpha_options import KEEP
from dask_quant.errors import (
    DaskQuantError,
    DaskQuantWarning,
    SourceNotFoundError,
)
from dask_quant.options import FIRST_PAGE, Page
from dask_quant.sinks.palette_file import read_palette
from dask_quant.sinks.thumbnail import make_thumbnail
from dask_quant.sources.addresses import is_url
from dask_quant.sources.discover import STDIN, discover, is_zarr_store
from dask_quant.sources.held import SEPARATOR
from dask_quant.sources.image_file import read_image
from dask_quant.sources.reading import list_any_pages, read_pixels

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dask_quant.kernels.assign import Labels
    from dask_quant.report_page.contents import Picture

MAX_PIXELS = 1 << 26
"""Pixels that are decoded at most to show a picture: as many as one image is handled in one go."""

SECRETS = "***"
"""What a manifest has where an address had a name, a password or a query."""


def picture_source(
    source: Any, *, side: int, frame: int = 0, page: Page = FIRST_PAGE
) -> Picture | str:
    """Return a source as a picture of at most ``side`` pixels, or why there is none. **Eager**.

    Parameters
    ----------
    source : str, Path or array
        A path, an address, or pixels; only those of NumPy are shown.
    side : int
        Longest side in pixels.
    frame, page
        Which picture of it.
    """
    if source is None or str(source) == STDIN:
        return "Read from standard input, or not known."
    if not isinstance(source, (str, Path)):
        return _picture_array(source, side)
    if is_url(source) and SECRETS in source:
        return "Its whole address is not kept."
    return _try_to_show(lambda: _read_source(source, side, frame, page), side)


def picture_output(path: str | Path, *, side: int) -> Picture | str:
    """Return what was written as a picture of at most ``side`` pixels, or why there is none."""
    return _try_to_show(lambda: _read_output(path, side), side)


def _picture_array(source: Any, side: int) -> Picture | str:
    """Return pixels in memory as a picture."""
    if not isinstance(source, np.ndarray) or source.dtype != np.uint8:
        return "An array that is not in memory as 8-bit levels."
    return make_thumbnail(np.ascontiguousarray(source), side)


def _try_to_show(read: Callable[[], NDArray[np.uint8]], side: int) -> Picture | str:
    """Return what is read as a picture, or why it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DaskQuantWarning)  # the job has said it
            return make_thumbnail(read(), side)
    except SourceNotFoundError:
        return "No longer there."
    except DaskQuantError as error:
        return f"Not shown: {error}"


def _read_source(source: str | Path, side: int, frame: int, page: Page) -> NDArray[np.uint8]:
    """Return the pixels of a source; of a pyramid, those of a level that suits."""
    source = _find_held(source)
    if frame or is_zarr_store(source):
        return read_pixels(source, frame=frame, alpha=KEEP)
    _, levels = list_any_pages(source, page=page)
    suits = [number for number, shape in enumerate(levels) if max(shape) >= side]
    level = max(page.level, *suits, 0)
    chosen = Page(number=page.number, level=level)
    return read_image(source, page=chosen, max_pixels=MAX_PIXELS, alpha=KEEP)


def _find_held(path: str | Path) -> str | Path:
    """Return a path; what may lie in another file is looked for there."""
    return discover([str(path)]).inputs[0].path if SEPARATOR in str(path) else path


def _read_output(path: str | Path, side: int) -> NDArray[np.uint8]:
    """Return the pixels that labels and palette of an output stand for."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".npz", ".zarr"):
        return read_pixels(_find_held(path), alpha=KEEP)
    from dask_quant.sources.small_labels import read_npz_labels, read_store_labels

    if suffix == ".zarr":
        labels = read_store_labels(Path(path), side=side, max_pixels=MAX_PIXELS)
        return _paint(labels, read_palette(Path(path)).colors)
    return _paint(*read_npz_labels(Path(path), max_pixels=MAX_PIXELS))


def _paint(labels: Labels, colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return labels ``(y, x)`` in their colours ``(n_colors, 3 or 4)``."""
    painted: NDArray[np.uint8] = np.take(colors, labels, axis=0, mode="clip")
    return painted
