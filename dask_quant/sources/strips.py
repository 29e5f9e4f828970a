"""Files that can only be decoded from the top, in strips of rows: large PNG and JPEG."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.alpha_options import REFUSE
from dask_quant.errors import MemoryBudgetError, SourceError
from dask_quant.premultiplied import OPAQUE
from dask_quant.sources.bands import apply_alpha, refuse_transparency
from dask_quant.sources.header import show_cause, show_path
from dask_quant.sources.jpeg_strips import (
    can_read_jpeg_strips,
    is_progressive,
    read_jpeg_strips,
)
from dask_quant.sources.pillow import check_mode, find_stored_conversion, read_orientation
from dask_quant.sources.pillow_state import MAX_PIXELS
from dask_quant.sources.png_strips import read_png_header, read_png_strips

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from dask_quant.alpha_options import AlphaRule
    from dask_quant.sources.header import ImageHeader
    from dask_quant.sources.png_strips import PngHeader

_BANDS = 3

_STRIP_PIXELS = 1 << 22
"""Pixels of a strip (arbitrary)."""

_STRIP_COPIES = 6
"""Strips that are in memory at most: the next as inflated; this one so, as samples and as pixels;
the one before, which is being counted; and what a library holds."""

_DEEP_COPIES = 4
"""The same of samples of 16 bits: they themselves, and what their levels are made of."""

_JPEG_MODES = ("L", "RGB")
"""Modes of JPEG that are read in strips."""

_COEFFICIENT_BYTES = 2


@dataclass(frozen=True)
class ImageStream:
    """An image file that is read in strips from top to bottom. Can be pickled; opens when read."""

    path: str
    """Absolute path."""
    stored: tuple[int, int]
    """Rows and columns as the file stores them."""
    orientation: int
    """EXIF orientation that is still to be applied, 1 to 8."""
    reader: str
    """``png`` or ``jpeg``."""
    strip_rows: int
    """Rows of a strip."""
    memory_bytes: int
    """Upper bound of what reading and counting strips holds, beside tables."""
    alpha: AlphaRule = REFUSE
    """What becomes of pixels that are not opaque."""
    bands: int = _BANDS
    """Bands of the strips: 3, or 4 where there may be alpha and it is kept."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns as seen after the orientation is applied."""
        rows, columns = self.stored
        return (rows, columns) if self.orientation < 5 else (columns, rows)

    def read_strips(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the pixels as stored, uint8 ``(rows, x, band)``, from top to bottom. **Eager**.

        They are sRGB, or RGBA where there are four bands.

        Raises
        ------
        SourceError
            When the file is damaged, or is not what it was when the stream was made.
        PixelFormatError
            When a pixel is not opaque, and that is refused.

        Warns
        -----
        ColorProfileWarning
            When the colour profile of the file cannot be used, and is left out.
        """
        convert = find_stored_conversion(self.path)
        top = 0
        for colors, shares in self._read_png() if self.reader == "png" else self._read_jpeg():
            levels = colors if convert is None else convert(colors)
            yield self._apply_alpha(levels, shares, top)
            top += len(colors)

    def _apply_alpha(
        self, colors: NDArray[np.uint8], shares: NDArray[np.uint8] | None, top: int
    ) -> NDArray[np.uint8]:
        """Return the pixels of a strip that begins at row ``top``."""
        if self.alpha.kind == "refuse" or (shares is None and self.bands == _BANDS):
            if shares is not None:
                rows = f"{show_path(self.path)}, rows {top} to {top + len(colors) - 1},"
                refuse_transparency(int((shares != OPAQUE).sum()), shares.size, name=rows)
            return colors
        if shares is None:
            shares = np.full(colors.shape[:2], OPAQUE, dtype=np.uint8)
        return apply_alpha(colors, shares, self.alpha)

    def _read_jpeg(self) -> Iterator[tuple[NDArray[np.uint8], None]]:
        """Yield the strips of a JPEG."""
        for strip in read_jpeg_strips(self.path, self.stored, rows=self.strip_rows):
            yield strip, None

    def _read_png(self) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8] | None]]:
        """Yield the strips of a PNG, and their alpha where there is any."""
        name = show_path(self.path)
        header = _open_png(self.path)
        if (header.height, header.width) != self.stored or header.is_interlaced:
            message = f"Cannot read {name}: it was changed; leave it unchanged until all is done."
            raise SourceError(message)
        yield from read_png_strips(self.path, header, rows=self.strip_rows)


def _open_png(path: str) -> PngHeader:
    """Return the header of a PNG."""
    name = show_path(path)
    try:
        with open(path, "rb") as file:
            return read_png_header(file, name=name)
    except SourceError:
        raise
    except OSError as error:
        message = f"Cannot read {name}: {show_cause(error)}."
        raise SourceError(message) from error


def open_stream(
    header: ImageHeader, *, limit_bytes: int | None = None, alpha: AlphaRule = REFUSE
) -> ImageStream | None:
    """Return the stream of an image file that is too large to be decoded as a whole.

    Parameters
    ----------
    header : ImageHeader
        Of an image file.
    limit_bytes : int, optional
        Memory that the job may take; None: any.
    alpha : AlphaRule
        What becomes of pixels that are not opaque; refused by default.

    Returns
    -------
    ImageStream or None
        None where the file can be decoded as a whole only, and is not too large for that.

    Raises
    ------
    SourceError
        When it has too many pixels to be decoded as a whole, and cannot be read in strips.
    MemoryBudgetError
        When what decoding it must hold is above the limit.
    PixelFormatError
        When its mode is not supported.
    """
    if header.format == "PNG":
        found = _open_png(header.path)
        if found.is_interlaced:
            why = "it is interlaced, which cannot be read in strips"
            _check_whole(header, why, "save it without interlacing, as `vips copy IN OUT` does")
            return None
        row_bytes = found.row_bytes * (_DEEP_COPIES if found.bit_depth == 16 else 1)
        stream = _make_stream(header, "png", (found.height, found.width), row_bytes, 0)
        bands = 4 if alpha.keeps and header.has_alpha else _BANDS
        return replace(stream, alpha=alpha, bands=bands)
    check_mode(header)
    if header.mode not in _JPEG_MODES:
        why = f"a JPEG of mode {header.mode} is not read in strips"
        _check_whole(header, why, "save it as RGB first")
        return None
    if not can_read_jpeg_strips():
        why = "reading a JPEG in strips needs libvips"
        _check_whole(header, why, 'install it with pip install "dask-quant[vips]"')
        return None
    held = _count_held_bytes(header, limit_bytes)
    stored = _stored_shape(header)
    return _make_stream(header, "jpeg", stored, _BANDS * stored[1], held)


def _stored_shape(header: ImageHeader) -> tuple[int, int]:
    """Return rows and columns of an image as stored."""
    if read_orientation(header.path) < 5:
        return header.height, header.width
    return header.width, header.height


def _make_stream(
    header: ImageHeader, reader: str, stored: tuple[int, int], row_bytes: int, held_bytes: int
) -> ImageStream:
    """Return a stream whose strips are of about as many pixels as they should be."""
    rows = min(stored[0], max(1, _STRIP_PIXELS // stored[1]))
    bands = _BANDS + header.has_alpha
    memory = _STRIP_COPIES * rows * max(row_bytes, bands * stored[1]) + held_bytes
    path, orientation = os.path.abspath(header.path), read_orientation(header.path)
    return ImageStream(path, stored, orientation, reader, rows, memory)


def _check_whole(header: ImageHeader, why: str, way_out: str) -> None:
    """Raise `SourceError` unless an image may be decoded as a whole."""
    if header.n_pixels > MAX_PIXELS:
        message = (
            f"Cannot read {show_path(header.path)}: {why}, and it has {header.n_pixels} pixels "
            f"where a file that is decoded as a whole may have {MAX_PIXELS}; {way_out}."
        )
        raise SourceError(message)


def _count_held_bytes(header: ImageHeader, limit_bytes: int | None) -> int:
    """Return the bytes of the coefficients that are held of a progressive JPEG; 0 of another."""
    with open(header.path, "rb") as file:
        if not is_progressive(file):
            return 0
    held = _COEFFICIENT_BYTES * header.bands * header.n_pixels
    if limit_bytes is not None and held > limit_bytes:
        message = (
            f"Got {show_path(header.path)}, a progressive JPEG, of which {held / 1e9:.1f} GB of "
            f"coefficients are held while it is decoded, above the {limit_bytes / 1e9:.1f} GB of "
            "--memory-limit; save it as a baseline JPEG first, as `jpegtran` does."
        )
        raise MemoryBudgetError(message)
    return held
