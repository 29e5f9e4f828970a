"""The palette of an indexed PNG, found chunk by chunk: no pixel is decoded, whatever the size.

References
----------
W3C, "Portable Network Graphics (PNG) Specification (Third Edition)", 2025.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.errors import PaletteError
from dask_quant.palette import MAX_COLORS_8BIT
from dask_quant.premultiplied import add_alpha, as_opaque, clear_hidden
from dask_quant.sinks.png import INDEXED, SIGNATURE

if TYPE_CHECKING:
    from typing import BinaryIO

    from numpy.typing import NDArray

_HEADER_BYTES = 25
"""Bytes of the first chunk, IHDR: length, kind, 13 bytes of data, CRC-32."""

_COLOR_TYPE_AT = 17
"""Place of the colour type after the signature: length, kind, width, height and depth precede."""


def read_png_colors(file: BinaryIO) -> NDArray[np.uint8]:
    """Return the colours of an indexed PNG, in the order of its labels; no pixel is decoded.

    Parameters
    ----------
    file : binary file
        Open at its beginning, and seekable.

    Returns
    -------
    ndarray
        sRGB uint8 ``(n_colors, 3)``, or RGBA ``(n_colors, 4)`` where a colour is not
        opaque; a file of another program may repeat colours.

    Raises
    ------
    PaletteError
        When the file is no indexed PNG, or is torn before the end of its palette.
    """
    if file.read(len(SIGNATURE)) != SIGNATURE:
        message = "Got a file that is not a PNG, whatever its name says."
        raise PaletteError(message)
    header = file.read(_HEADER_BYTES)
    if len(header) > _COLOR_TYPE_AT and header[_COLOR_TYPE_AT] != INDEXED:
        message = "Got a PNG of true colours or greys; only an indexed one holds a palette."
        raise PaletteError(message)
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"PLTE":
            return _read_alpha(file, add_alpha(_read_colors(file, length)))
        file.seek(length + 4, os.SEEK_CUR)
    message = "Got a PNG that is torn before its palette."
    raise PaletteError(message)


def _read_alpha(file: BinaryIO, colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return colours with the alpha that a tRNS chunk before the pixels gives, if there is one."""
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IDAT":
            break
        if kind == b"tRNS":
            alpha = np.frombuffer(file.read(min(length, len(colors))), dtype=np.uint8)
            colors[: len(alpha), 3] = alpha
            break
        file.seek(length + 4, os.SEEK_CUR)
    opaque = as_opaque(colors)
    return clear_hidden(colors) if opaque is None else opaque


def _read_colors(file: BinaryIO, length: int) -> NDArray[np.uint8]:
    """Return the colours of a PLTE chunk of ``length`` bytes, and check its CRC-32."""
    data = file.read(min(length, 3 * MAX_COLORS_8BIT))
    crc = zlib.crc32(data, zlib.crc32(b"PLTE"))
    if length % 3 or len(data) != length or file.read(4) != crc.to_bytes(4, "big"):
        message = "Got a PNG whose palette is torn or altered."
        raise PaletteError(message)
    return np.frombuffer(data, dtype=np.uint8).reshape(-1, 3)
