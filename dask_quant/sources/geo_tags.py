"""Where the pixels of a TIFF lie on the earth: its tags, as they are, without GDAL.

References
----------
OGC 19-008r4, "OGC GeoTIFF Standard", 2019. Adobe, "TIFF Revision 6.0", 1992.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from typing import BinaryIO

_WIDTH, _HEIGHT, _ORIENTATION = 256, 257, 274

_GEO_NUMBERS = frozenset({33550, 33922, 34264, 34735, 34736, 34737})
"""Size of a pixel, tie points, transform; keys of the reference system, their numbers and texts.

Nodata (42113) is not among them: it is a value of the samples, and means something else, or
nothing, as a label."""

_CODES = {2: "S1", 3: "u2", 4: "u4", 11: "f4", 12: "f8", 16: "u8"}
"""NumPy's codes of the types that these tags have."""

_INTEGERS = frozenset({3, 4, 16})
"""Those of integers."""

_MAX_TAG_BYTES = 1 << 22
"""Bytes of a tag at most; some files have thousands of tie points."""

_SUFFIXES = frozenset({".tif", ".tiff", ".gtiff", ".btf", ".tf8"})


@dataclass(frozen=True)
class GeoTag:
    """A tag that says where pixels lie."""

    number: int
    """Which tag."""
    kind: int
    """Type of its values, as TIFF numbers them."""
    count: int
    """How many values."""
    data: bytes
    """The values, little-endian."""


def read_geo_tags(source: object, shape: tuple[int, int]) -> tuple[GeoTag, ...]:
    """Return the tags of a TIFF that say where the pixels of its first page lie. **Eager**.

    Parameters
    ----------
    source : object
        Whatever an image is read from; only the path of a ``.tif`` file has such tags.
    shape : tuple of int
        Rows and columns that the tags shall be of.

    Returns
    -------
    tuple of GeoTag
        None where there are none, the page has another shape or is shown turned, or the file is
        damaged: that is for those to tell who read its pixels.
    """
    if not isinstance(source, (str, Path)) or Path(source).suffix.lower() not in _SUFFIXES:
        return ()
    try:
        with open(source, "rb") as file:
            found = _read_directory(file)
    except (OSError, ValueError, OverflowError, struct.error):  # no place is beyond 2^63
        return ()
    size = tuple(_first_value(found.get(number)) for number in (_HEIGHT, _WIDTH))
    if size != shape or _first_value(found.get(_ORIENTATION)) not in (None, 1):
        return ()
    return tuple(found[number] for number in sorted(_GEO_NUMBERS & found.keys()))


def _first_value(tag: GeoTag | None) -> int | None:
    """Return the first value of a tag of integers; None of one that has none or is of others."""
    if tag is None or not tag.data or tag.kind not in _INTEGERS:
        return None
    return int(np.frombuffer(tag.data, "<" + _CODES[tag.kind])[0])


def _read_directory(file: BinaryIO) -> dict[int, GeoTag]:
    """Return the tags of the first page that have values of a known type."""
    start = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is None:
        message = "no TIFF"
        raise ValueError(message)
    is_big = struct.unpack(order + "H", start[2:4])[0] == 43
    place, count = ("Q", "Q") if is_big else ("I", "H")
    at = struct.unpack_from(order + place, start, 8 if is_big else 4)[0]
    file.seek(at)
    n_tags = _unpack(file, order + count)
    layout = struct.Struct(f"{order}HH{place}{8 if is_big else 4}s")
    found = {}
    for entry in layout.iter_unpack(file.read(min(n_tags, 4096) * layout.size)):
        tag = _read_values(file, entry, order, place)
        if tag is not None:
            found[tag.number] = tag
    return found


def _unpack(file: BinaryIO, code: str) -> int:
    """Return the next number of a file."""
    return int(struct.unpack(code, file.read(struct.calcsize(code)))[0])


def _read_values(
    file: BinaryIO, entry: tuple[int, int, int, bytes], order: str, place: str
) -> GeoTag | None:
    """Return a tag with its values; None for one that is not looked for."""
    number, kind, count, inline = entry
    if number not in _GEO_NUMBERS | {_WIDTH, _HEIGHT, _ORIENTATION} or kind not in _CODES:
        return None
    stored: np.dtype[Any] = np.dtype(_CODES[kind]).newbyteorder(order)  # type: ignore[arg-type]
    n_bytes = count * stored.itemsize
    if n_bytes > _MAX_TAG_BYTES:
        return None
    data = inline[:n_bytes]
    if n_bytes > len(inline):
        file.seek(struct.unpack(order + place, inline)[0])
        data = file.read(n_bytes)
    if len(data) < n_bytes:
        message = "torn"
        raise ValueError(message)
    values = np.frombuffer(data, stored)
    return GeoTag(number, kind, count, values.astype(stored.newbyteorder("<")).tobytes())
