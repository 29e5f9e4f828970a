"""PNG chunks, read past what Pillow looks at: checksums of the data, metadata after the data.

Pillow does not check the CRC of the image data, so that about one bit flip in 200 goes unseen, nor
does it mind a missing end; and it finds metadata behind the data only by decoding.
"""

from __future__ import annotations

import struct
import zlib
from typing import IO, TYPE_CHECKING, NamedTuple

from dask_quant.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGNATURE_BYTES = 8
_DEPTH_OFFSET = 24
"""Where IHDR, always the first chunk, holds the bit depth."""
_PIECE_BYTES = 1 << 20
"""Most bytes of a chunk in memory at a time (arbitrary)."""
_KEY_BYTES = (2, 6)
"""Bytes of the grey or the colour that stands for transparent: two a band."""
_METADATA_KINDS = (b"eXIf", b"iTXt", b"zTXt", b"tEXt")
_SKELETON_KINDS = (b"IHDR", b"PLTE", b"tRNS", b"IEND")
_MAX_METADATA_BYTES = 1 << 24
"""Metadata chunks above this are not looked at (arbitrary; cameras write some KB)."""


class PngStart(NamedTuple):
    """What the header of a PNG says about its pixels."""

    bit_depth: int
    """Bits a sample."""
    color_type: int
    """0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha."""
    interlaced: bool
    """Whether the pixels come in seven passes."""


class PngChunk(NamedTuple):
    """One chunk: its kind, where its data starts, and how many bytes of data it claims."""

    kind: bytes
    start: int
    size: int


def walk_chunks(file: IO[bytes]) -> Iterator[PngChunk]:
    """Yield the chunks of a PNG up to and with IEND, or to where the file breaks off."""
    position = _SIGNATURE_BYTES
    while True:
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            return
        size, kind = struct.unpack(">I4s", head)
        yield PngChunk(kind, position + 8, size)
        if kind == b"IEND":
            return
        position += 12 + size


def read_bit_depth(file: IO[bytes]) -> int:
    """Return the bits per sample that the header of a PNG states."""
    return read_start(file).bit_depth


def read_start(file: IO[bytes]) -> PngStart:
    """Return what the header of a PNG states; zeros for what a torn file does not."""
    file.seek(_DEPTH_OFFSET)
    bit_depth, color_type, _, _, interlace = file.read(5).ljust(5, b"\0")
    return PngStart(bit_depth, color_type, interlace != 0)


def read_image_data(file: IO[bytes]) -> bytes:
    """Return the compressed pixels of a PNG, all IDAT chunks joined."""
    parts = []
    for chunk in walk_chunks(file):
        if chunk.kind == b"IDAT":
            file.seek(chunk.start)
            parts.append(file.read(chunk.size))
    return b"".join(parts)


def read_chunk_before_data(file: IO[bytes], kind: bytes) -> bytes:
    """Return the data of the first chunk of a kind in front of the pixels; empty without one."""
    for chunk in walk_chunks(file):
        if chunk.kind == kind and chunk.size <= _MAX_METADATA_BYTES:
            file.seek(chunk.start)
            return file.read(chunk.size)
        if chunk.kind == b"IDAT":
            break
    return b""


def read_transparent_key(file: IO[bytes]) -> tuple[int, ...] | None:
    """Return the grey or RGB sample that stands for transparent at its own depth, or None."""
    data = read_chunk_before_data(file, b"tRNS")
    if len(data) not in _KEY_BYTES:
        return None
    return struct.unpack(f">{len(data) // 2}H", data)


def _has_good_crc(file: IO[bytes], chunk: PngChunk) -> bool:
    """Return whether the data of ``chunk`` agrees with its checksum."""
    file.seek(chunk.start)
    crc = zlib.crc32(chunk.kind)
    left = chunk.size
    while left:
        piece = file.read(min(left, _PIECE_BYTES))
        if not piece:
            return False
        crc = zlib.crc32(piece, crc)
        left -= len(piece)
    return file.read(4) == struct.pack(">I", crc)


def check_image_data(file: IO[bytes], *, name: str) -> None:
    """Check the checksums of a PNG's image data and that its end is there.

    Parameters
    ----------
    file : binary file
        A seekable PNG.
    name : str
        What the message calls it.

    Raises
    ------
    SourceError
        When image data is damaged or the file is truncated.
    """
    kind = b""
    for chunk in walk_chunks(file):
        kind = chunk.kind
        if kind == b"IDAT" and not _has_good_crc(file, chunk):
            message = f"Cannot read {name}: its image data is damaged (PNG checksum) or truncated."
            raise SourceError(message)
    if kind != b"IEND":
        message = f"Cannot read {name}: the PNG is truncated, its end is missing."
        raise SourceError(message)


def read_late_metadata(file: IO[bytes]) -> bytes:
    """Return a PNG without pixels that holds the metadata found after the image data.

    Returns
    -------
    bytes
        Signature, header, metadata chunks and end; empty where there is no such metadata.
    """
    kept: list[bytes] = []
    behind = False
    for chunk in walk_chunks(file):
        behind = behind or chunk.kind == b"IDAT"
        wanted = behind and chunk.kind in _METADATA_KINDS and chunk.size <= _MAX_METADATA_BYTES
        if wanted or chunk.kind in (b"IHDR", b"IEND"):
            file.seek(chunk.start - 8)
            kept.append(file.read(12 + min(chunk.size, _MAX_METADATA_BYTES)))
    file.seek(0)
    return file.read(_SIGNATURE_BYTES) + b"".join(kept) if len(kept) > 2 else b""


def read_skeleton(file: IO[bytes]) -> bytes:
    """Return a PNG without its image data: header, palette, transparency, metadata and end."""
    kept: list[bytes] = []
    for chunk in walk_chunks(file):
        wanted = chunk.kind in _SKELETON_KINDS or chunk.kind in _METADATA_KINDS
        if wanted and chunk.size <= _MAX_METADATA_BYTES:
            file.seek(chunk.start - 8)
            kept.append(file.read(12 + chunk.size))
    file.seek(0)
    return file.read(_SIGNATURE_BYTES) + b"".join(kept)
