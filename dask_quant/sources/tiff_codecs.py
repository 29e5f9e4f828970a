"""How the segments of a TIFF are compressed, and how large what they hold claims to be.

Most codecs are told how many bytes to make and make no more. Those that hold a picture of their own
(JPEG, JPEG 2000, WebP) make what its header says, which for a damaged or a hostile file may be any
size: it is read here before they are called.

References
----------
.. [1] ITU-T T.81 (JPEG), section B.2.2; ITU-T T.800 (JPEG 2000), section A.5.1; RFC 9649 (WebP),
   section 2.5 to 2.7.
"""

from __future__ import annotations

import struct

NONE, JPEG = 1, 7
JPEG_2000_YCBCR = 33003
_CCITT = (2, 3, 4)
_WEBP = (34927, 50001)
_JPEG_2000 = (JPEG_2000_YCBCR, 33004, 33005, 34712)

COMPRESSIONS = {
    NONE: "none",
    2: "CCITT RLE",
    3: "CCITT G3",
    4: "CCITT G4",
    5: "LZW",
    JPEG: "JPEG",
    8: "deflate",
    32773: "PackBits",
    32946: "deflate",
    34925: "LZMA",
    34926: "zstd",
    50000: "zstd",
    **dict.fromkeys(_WEBP, "WebP"),
    **dict.fromkeys(_JPEG_2000, "JPEG 2000"),
}
"""Compressions that are read, by the tag Compression."""

CONVERTS_YCBCR = (JPEG, *_WEBP, 33004, 33005, 34712)
"""Compressions of which the decoder turns YCbCr into RGB."""

_FRAME_MARKS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MAX_JPEG_2000_SAMPLES = 5

_BARE_MARKS = frozenset({0x01, *range(0xD0, 0xD9)})


def is_fax(compression: int) -> bool:
    """Return whether a compression is of pixels of one bit."""
    return compression in _CCITT


def claim_size(data: bytes, compression: int) -> tuple[int, int] | None:
    """Return rows and columns that a compressed segment claims, None where it has no say.

    Raises
    ------
    ValueError
        When its header is damaged.

    Examples
    --------
    >>> claim_size(bytes.fromhex("ffd8ffc0000b080010002001"), JPEG)
    (16, 32)
    """
    try:
        if compression == JPEG:
            return _claim_jpeg(data)
        if compression in _JPEG_2000:
            return _claim_jpeg_2000(data)
        if compression in _WEBP:
            return _claim_webp(data)
    except (struct.error, IndexError):
        raise ValueError("its header ends too soon") from None
    return None


def _claim_jpeg(data: bytes) -> tuple[int, int]:
    """Return rows and columns from the header of the frame of a JPEG stream."""
    place = 0
    while True:
        while data[place] != 0xFF:  # bytes between segments are passed over, as decoders do
            place += 1
        while data[place] == 0xFF:
            place += 1
        mark, place = data[place], place + 1
        if mark in _FRAME_MARKS:
            rows, columns = struct.unpack_from(">3xHH", data, place)
            return rows, columns
        if mark in (0xD9, 0xDA):
            raise ValueError("it has no header of a frame")
        if mark not in _BARE_MARKS:
            place += struct.unpack_from(">H", data, place)[0]


def _claim_jpeg_2000(data: bytes) -> tuple[int, int]:
    """Return rows and columns from the SIZ marker of a JPEG 2000 codestream."""
    place = data.find(b"\xff\x4f\xff\x51")
    if place < 0:
        raise ValueError("it has no header of a codestream")
    right, bottom, left, top, n_samples = struct.unpack_from(">8xIIII16xH", data, place)
    if n_samples > _MAX_JPEG_2000_SAMPLES:
        raise ValueError(f"it claims {n_samples} samples of a pixel")
    return bottom - top, right - left


def _claim_webp(data: bytes) -> tuple[int, int]:
    """Return rows and columns from the first chunk of a WebP file."""
    kind = data[12:16]
    if kind == b"VP8X":
        columns, rows = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return rows, columns
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8 ":
        columns, rows = struct.unpack_from("<HH", data, 26)
        return rows & 0x3FFF, columns & 0x3FFF
    raise ValueError("it has no header of a picture")
