"""JPEG in strips of rows, from top to bottom, by libvips or by GDAL, whichever is installed.

Pillow decodes a JPEG as a whole. Both libraries read one row of blocks after another. A progressive
file holds all rows in each of its scans: its coefficients are held in memory, two bytes each.

Notes
-----
Both use libjpeg-turbo as Pillow does, and give the same pixels. 320 Mpx (20000 x 16000), one core:
libvips 3.6 s; see `read_jpeg_strips` for GDAL.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from dask_quant.errors import SourceError
from dask_quant.sources.gdal_state import borrow_gdal, show_gdal_cause
from dask_quant.sources.header import show_cause, show_path
from dask_quant.sources.large_header import walk_jpeg

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
"""Markers of frames in several scans."""


def find_jpeg_reader() -> str | None:
    """Return ``vips`` or ``gdal``, whichever is installed; None: neither."""
    packages = {"pyvips": "vips", "rasterio": "gdal"}
    return next((name for package, name in packages.items() if find_spec(package)), None)


def is_progressive(file: IO[bytes]) -> bool:
    """Return whether a JPEG comes in several scans of all rows."""
    return any(kind in _PROGRESSIVE for kind, _, _ in walk_jpeg(file))


def read_jpeg_strips(
    path: str, shape: tuple[int, int], *, rows: int, reader: str
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
    reader : str
        What `find_jpeg_reader` found.

    Yields
    ------
    ndarray
        sRGB uint8 ``(rows, x, 3)``, C-contiguous.

    Raises
    ------
    SourceError
        When it is truncated or otherwise damaged, as far as the library finds that out.
    """
    read = {"vips": _read_by_vips, "gdal": _read_by_gdal}[reader]
    for strip in read(path, shape, rows):
        if strip.shape[2] not in (1, 3):
            message = f"Cannot read {show_path(path)}: it has {strip.shape[2]} bands."
            raise SourceError(message)
        yield np.repeat(strip, 3, axis=2) if strip.shape[2] == 1 else strip


def _cut_rows(height: int, rows: int) -> Iterator[tuple[int, int]]:
    """Yield the first row and the number of rows of every strip."""
    return ((top, min(rows, height - top)) for top in range(0, height, rows))


def _read_by_vips(path: str, shape: tuple[int, int], rows: int) -> Iterator[NDArray[np.uint8]]:
    """Yield strips ``(rows, x, band)`` that libvips reads."""
    import pyvips

    try:
        image = pyvips.Image.jpegload(path, access="sequential", fail_on="truncated")
        region = pyvips.Region.new(image)
        for top, n_rows in _cut_rows(shape[0], rows):
            data = region.fetch(0, top, shape[1], n_rows)
            yield np.frombuffer(data, dtype=np.uint8).reshape(n_rows, shape[1], image.bands)
    except (pyvips.Error, ValueError) as error:
        raise _damaged(path, show_cause(error)) from error


def _read_by_gdal(path: str, shape: tuple[int, int], rows: int) -> Iterator[NDArray[np.uint8]]:
    """Yield strips ``(rows, x, band)`` that GDAL reads."""
    import rasterio
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    try:
        with (
            borrow_gdal(GDAL_ERROR_ON_LIBJPEG_WARNING="TRUE"),
            rasterio.open(path, driver="JPEG") as dataset,
        ):
            for top, n_rows in _cut_rows(shape[0], rows):
                bands: NDArray[Any] = dataset.read(window=Window(0, top, shape[1], n_rows))
                yield np.ascontiguousarray(bands.transpose(1, 2, 0))
    except RasterioError as error:
        raise _damaged(path, show_gdal_cause(error)) from error


def _damaged(path: str, cause: str) -> SourceError:
    """Return the error for a file that a library cannot read."""
    return SourceError(f"Cannot read {show_path(path)}: {cause}.")
