"""Headers of PNG and JPEG files that have more pixels than Pillow is let open.

Pillow tells everything else from the header alone; so it is shown the same header, and no pixels,
with a size of 1 x 1.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from dask_quant.sources.pillow_state import MAX_PIXELS
from dask_quant.sources.png_chunks import read_skeleton

if TYPE_CHECKING:
    from collections.abc import Iterator

_MIN_FILE_BYTES = 1 << 16
"""No smaller PNG has so many pixels: deflate shrinks rows of single bits to a thousandth, this."""

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_SIZE = slice(16, 24)
_PNG_IHDR = slice(12, 29)
_PNG_START_BYTES = 33
"""Signature and header."""

_JPEG = b"\xff\xd8"
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of a frame's header, which holds the size."""
_JPEG_SCAN = 0xDA
_JPEG_FILLER = 0xFF
_MAX_SEGMENTS = 4096
"""Segments that are looked at before a frame (arbitrary)."""


class Shrunken(io.BytesIO):
    """A header that claims one pixel, as a file with a name."""

    name: str = "<stream>"


@dataclass(frozen=True)
class LargeHeader:
    """The header of a file of more than `MAX_PIXELS` pixels."""

    shrunken: Shrunken
    """The same, for Pillow."""
    height: int
    """Rows as stored."""
    width: int
    """Columns as stored."""
    input_bytes: int
    """Bytes of the file."""


def read_large_header(source: str | Path | IO[bytes]) -> LargeHeader | None:
    """Return the header of a large PNG or JPEG; None for anything else, whatever it is."""
    if not isinstance(source, (str, Path)):
        return None
    try:
        n_bytes = os.path.getsize(source)
        if n_bytes < _MIN_FILE_BYTES or not os.path.isfile(source):
            return None
        with open(source, "rb") as file:
            found = _shrink_png(file) or _shrink_jpeg(file)
    except (OSError, ValueError):
        return None
    if found is None:
        return None
    data, height, width = found
    shrunken = Shrunken(data)
    shrunken.name = str(source)
    return LargeHeader(shrunken, height, width, n_bytes)


def _shrink_png(file: IO[bytes]) -> tuple[bytes, int, int] | None:
    """Return the chunks of a large PNG that Pillow looks at, its rows and its columns."""
    file.seek(0)
    start = bytearray(file.read(_PNG_START_BYTES))
    if not start.startswith(_PNG) or len(start) < _PNG_START_BYTES:
        return None
    width, height = struct.unpack(">II", start[_PNG_SIZE])
    if height * width <= MAX_PIXELS:
        return None
    metadata = read_skeleton(file)[_PNG_START_BYTES:]
    start[_PNG_SIZE] = struct.pack(">II", 1, 1)
    start[29:] = struct.pack(">I", zlib.crc32(start[_PNG_IHDR]))
    return bytes(start) + metadata, height, width


def _shrink_jpeg(file: IO[bytes]) -> tuple[bytes, int, int] | None:
    """Return a large JPEG up to its first scan, its rows and its columns."""
    for kind, start, size in walk_jpeg(file):
        if kind in _JPEG_FRAMES:
            file.seek(start + 1)
            height, width = struct.unpack(">HH", file.read(4))
            if height * width <= MAX_PIXELS:
                return None
            file.seek(0)
            data = bytearray(file.read(start + size))
            data[start + 1 : start + 5] = struct.pack(">HH", 1, 1)
            # The beginning of a scan, at which Pillow stops reading.
            return bytes(data) + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\xff\xd9", height, width
    return None


def walk_jpeg(file: IO[bytes]) -> Iterator[tuple[int, int, int]]:
    """Yield the segments of a JPEG before its first scan: marker, where it begins, its bytes.

    Nothing is yielded of another file, and no more from where one is damaged.
    """
    file.seek(0)
    if file.read(2) != _JPEG:
        return
    position = 2
    for _ in range(_MAX_SEGMENTS):
        file.seek(position)
        head = file.read(4)
        if len(head) < 4 or head[0] != _JPEG_FILLER:
            return
        if head[1] == _JPEG_FILLER:
            position += 1
            continue
        size = int.from_bytes(head[2:], "big")
        if head[1] == _JPEG_SCAN or size < 2:
            return
        yield head[1], position + 4, size - 2
        position += 2 + size
