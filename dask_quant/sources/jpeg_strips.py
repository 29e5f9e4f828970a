"""JPEG in strips of rows, from top to bottom, by libvips, where that is installed.

Pillow decodes a JPEG as a whole; libvips reads one row of blocks after another. A progressive file
holds all rows in each of its scans: its coefficients are held in memory, two bytes each.

Notes
-----
libvips decodes as Pillow does, with libjpeg-turbo, and gives the same pixels. GDAL could read
strips too, but as rasterio 1.4.4 brings it, it gives others: up to 18 levels away where chroma was
subsampled, so that what is installed would show in the output.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import IO, TYPE_CHECKING

import numpy as np

from dask_quant.errors import SourceError
from dask_quant.sources.header import show_cause, show_path
from dask_quant.sources.large_header import walk_jpeg

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
"""Markers of frames in several scans."""


def can_read_jpeg_strips() -> bool:
    """Return whether libvips is installed."""
    return find_spec("pyvips") is not None


def is_progressive(file: IO[bytes]) -> bool:
    """Return whether a JPEG comes in several scans of all rows."""
    return any(kind in _PROGRESSIVE for kind, _, _ in walk_jpeg(file))


def read_jpeg_strips(
    path: str, shape: tuple[int, int], *, rows: int
) -> Iterator[NDArray[np.uint8]]:
    """Yield the pixels of a JPEG of grey or colour from top to bottom, as they are stored.

    Parameters
    ----------
    path : str
        A JPEG.
    shape : tuple of int
        Its rows and columns.
    rows : int
        Rows of a strip; the last may have fewer.

    Yields
    ------
    ndarray
        sRGB uint8 ``(rows, x, 3)``, C-contiguous.

    Raises
    ------
    SourceError
        When it is truncated or otherwise damaged, as far as the library finds that out, or has
        come to be another image.
    """
    name = show_path(path)
    try:
        import pyvips
    except (ImportError, OSError) as error:  # found, but not the library that it stands on
        message = f"Cannot read {name}: libvips does not load ({show_cause(error)})."
        raise SourceError(message) from error
    try:
        image = pyvips.Image.jpegload(path, access="sequential", fail_on="truncated")
        if (image.height, image.width) != shape or image.bands not in (1, 3):
            found = f"{image.height} x {image.width} pixels and {image.bands} bands"
            message = f"Cannot read {name}: it has {found} where its header said something else."
            raise SourceError(message)
        region = pyvips.Region.new(image)
        for top in range(0, shape[0], rows):
            n_rows = min(rows, shape[0] - top)
            data = region.fetch(0, top, shape[1], n_rows)
            strip = np.frombuffer(data, dtype=np.uint8).reshape(n_rows, shape[1], image.bands)
            yield np.repeat(strip, 3, axis=2) if image.bands == 1 else strip
    except pyvips.Error as error:
        message = f"Cannot read {name}: {show_cause(error)}."
        raise SourceError(message) from error
