"""PNG in strips of rows, from top to bottom, however large: never more than a few strips in memory.

Pillow decodes a PNG as a whole. Here its image data is inflated piece by piece on one thread, while
the caller undoes the filters of the strip before. Interlaced files cannot be read so: each of their
seven passes runs over the whole picture.

References
----------
W3C, "Portable Network Graphics (PNG) Specification (Third Edition)", 2025.
"""

from __future__ import annotations

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from dask_quant.errors import SourceError
from dask_quant.kernels.unfilter import unfilter_block
from dask_quant.premultiplied import OPAQUE
from dask_quant.sources.header import show_cause, show_path
from dask_quant.sources.sample_scaling import scale_integers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"

GREY, RGB, INDEXED, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
"""Colour types."""

_SAMPLES = {GREY: 1, RGB: 3, INDEXED: 1, GREY_ALPHA: 2, RGBA: 4}
_DEPTHS = {
    GREY: (1, 2, 4, 8, 16),
    RGB: (8, 16),
    INDEXED: (1, 2, 4, 8),
    GREY_ALPHA: (8, 16),
    RGBA: (8, 16),
}
_MODES = {GREY: "L", RGB: "RGB", INDEXED: "P", GREY_ALPHA: "LA", RGBA: "RGBA"}

_IHDR = struct.Struct(">IIBBBBB")
_HEAD = struct.Struct(">I4s")
_MAX_SIDE = 2**31 - 1
_MAX_SMALL_BYTES = 1 << 20
"""Most bytes of a header, a palette or a transparency chunk; 768 would do (arbitrary)."""
_PIECE_BYTES = 1 << 18
"""Compressed bytes that are inflated in one go (arbitrary)."""
_BUFFER_BYTES = 1 << 20
"""Bytes read from the file at a time (arbitrary)."""
_TAIL_BYTES = 1 << 16
"""Bytes behind the last row that are inflated to reach the checksum (arbitrary)."""


class _Chunk(NamedTuple):
    """The head of a chunk."""

    kind: bytes
    size: int


@dataclass(frozen=True)
class PngHeader:
    """What a PNG says before its image data."""

    height: int
    """Rows of pixels."""
    width: int
    """Columns of pixels."""
    bit_depth: int
    """Bits of a sample."""
    color_type: int
    """`GREY`, `RGB`, `INDEXED`, `GREY_ALPHA` or `RGBA`."""
    is_interlaced: bool
    """Whether its rows come in seven passes."""
    palette: bytes = b""
    """Colours of indices, three bytes each."""
    transparency: bytes = b""
    """Alpha of indices, or the samples, 16 bits each, of the colour that is transparent."""
    data_start: int = 0
    """Where the first chunk of image data begins."""

    @property
    def n_samples(self) -> int:
        """Samples of a pixel."""
        return _SAMPLES[self.color_type]

    @property
    def pixel_bytes(self) -> int:
        """Bytes of a pixel, at least 1."""
        return max(1, self.n_samples * self.bit_depth // 8)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, without its filter."""
        return -(-self.width * self.n_samples * self.bit_depth // 8)

    @property
    def mode(self) -> str:
        """Pillow's mode, with ``;16`` where samples are deeper."""
        if self.bit_depth == 1 and self.color_type == GREY:
            return "1"
        return _MODES[self.color_type] + (";16" if self.bit_depth == 16 else "")


def read_png_header(file: IO[bytes], *, name: str) -> PngHeader:
    """Read a PNG up to its image data, checksums checked.

    Parameters
    ----------
    file : binary file
        A seekable PNG.
    name : str
        What the message of an error calls it.

    Raises
    ------
    SourceError
        When it is damaged, or holds no image data.
    """
    file.seek(0)
    if file.read(len(SIGNATURE)) != SIGNATURE:
        raise _damaged(name, "it does not begin as a PNG")
    header = _parse_header(_read_small(file, b"IHDR", name), name)
    palette = transparency = b""
    while (chunk := _read_head(file, name)).kind != b"IDAT":
        if chunk.kind == b"PLTE":
            palette = _read_body(file, chunk, name)
        elif chunk.kind == b"tRNS":
            transparency = _read_body(file, chunk, name)
        elif chunk.kind == b"IEND":
            raise _damaged(name, "it holds no image data")
        else:
            file.seek(chunk.size + 4, 1)
    _check_palette(header, palette, transparency, name)
    start = file.tell() - _HEAD.size
    return PngHeader(
        **(vars(header) | {"palette": palette, "transparency": transparency, "data_start": start})
    )


def _damaged(name: str, what: str) -> SourceError:
    """Return the error for a file that is no sound PNG."""
    return SourceError(f"Cannot read {name}: {what}.")


def _read_head(file: IO[bytes], name: str) -> _Chunk:
    """Read the head of the next chunk."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise _damaged(name, "the PNG is truncated")
    size, kind = _HEAD.unpack(head)
    return _Chunk(kind, size)


def _read_body(file: IO[bytes], chunk: _Chunk, name: str) -> bytes:
    """Read what a small chunk holds."""
    kind = chunk.kind.decode("latin-1")
    if chunk.size > _MAX_SMALL_BYTES:
        raise _damaged(name, f"its PNG chunk {kind} claims {chunk.size} bytes")
    data = file.read(chunk.size)
    if file.read(4) != struct.pack(">I", zlib.crc32(data, zlib.crc32(chunk.kind))):
        raise _damaged(name, f"its PNG chunk {kind} is damaged (checksum) or truncated")
    return data


def _read_small(file: IO[bytes], kind: bytes, name: str) -> bytes:
    """Read a small chunk that must come now."""
    chunk = _read_head(file, name)
    if chunk.kind != kind:
        raise _damaged(name, "its PNG header is missing")
    return _read_body(file, chunk, name)


def _parse_header(data: bytes, name: str) -> PngHeader:
    """Return the header that IHDR holds."""
    if len(data) != _IHDR.size:
        raise _damaged(name, f"its PNG header has {len(data)} bytes instead of {_IHDR.size}")
    width, height, depth, color_type, compression, filters, interlace = _IHDR.unpack(data)
    if not (1 <= width <= _MAX_SIDE and 1 <= height <= _MAX_SIDE):
        raise _damaged(name, f"its header claims {width} x {height} pixels")
    if depth not in _DEPTHS.get(color_type, ()):
        raise _damaged(name, f"PNG has no colour type {color_type} of {depth} bits")
    if compression or filters or interlace > 1:
        methods = f"{compression}, {filters} and {interlace}"
        raise _damaged(name, f"its compression, filter and interlace methods are {methods}")
    return PngHeader(height, width, depth, color_type, interlace == 1)


def _check_palette(header: PngHeader, palette: bytes, transparency: bytes, name: str) -> None:
    """Raise `SourceError` unless palette and transparency are of a size that they can have."""
    if header.color_type == INDEXED and not (0 < len(palette) <= 768 and len(palette) % 3 == 0):
        raise _damaged(name, f"its palette has {len(palette)} bytes")
    sizes = {GREY: (0, 2), RGB: (0, 6), INDEXED: range(257)}.get(header.color_type)
    if sizes is not None and len(transparency) not in sizes:
        raise _damaged(name, f"its transparency has {len(transparency)} bytes")


def read_png_strips(
    path: str, header: PngHeader, *, rows: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8] | None]]:
    """Yield the pixels of a PNG from top to bottom.

    Parameters
    ----------
    path : str
        A PNG that is not interlaced.
    header : PngHeader
        What `read_png_header` read of it.
    rows : int
        Rows of a strip; the last may have fewer.

    Yields
    ------
    colors : ndarray
        sRGB uint8 ``(rows, x, 3)``, C-contiguous, deeper samples brought to 8 bits.
    alpha : ndarray or None
        uint8 ``(rows, x)``, where there is any.

    Raises
    ------
    SourceError
        When the file is damaged or truncated; what was yielded before is sound as far as it went.

    Notes
    -----
    In memory are, of a strip: the bytes of the next one, as inflated, and of this one as inflated,
    as samples, and as pixels where they are not the same.
    """
    name = show_path(path)
    convert = _Converter(header)
    above = np.zeros(header.row_bytes, dtype=np.uint8)
    try:
        with open(path, "rb", buffering=_BUFFER_BYTES) as file, ThreadPoolExecutor(1) as pool:
            data = ImageData(file, header, name)
            sizes = [min(rows, header.height - top) for top in range(0, header.height, rows)]
            ahead = pool.submit(data.read_rows, sizes[0])
            for number, size in enumerate(sizes):
                inflated = ahead.result()
                if number + 1 < len(sizes):
                    ahead = pool.submit(data.read_rows, sizes[number + 1])
                samples = np.empty((size, header.row_bytes), dtype=np.uint8)
                bad = unfilter_block(inflated, above, samples, pixel_bytes=header.pixel_bytes)
                if bad is not None:
                    row, kind = number * rows + bad, inflated[bad, 0]
                    raise _damaged(name, f"row {row} of the PNG has the filter {kind}")
                above = samples[-1].copy()
                yield convert(samples)
            data.finish()
    except SourceError:
        raise
    except OSError as error:
        raise _damaged(name, show_cause(error)) from error


class ImageData:
    """The image data of an open PNG, inflated as it is asked for."""

    def __init__(self, file: IO[bytes], header: PngHeader, name: str) -> None:
        self._file, self._name = file, name
        self._row_bytes = header.row_bytes + 1
        self._inflate = zlib.decompressobj()
        self._left, self._crc = 0, 0
        self._has_more = True
        self._last = _Chunk(b"", 0)
        file.seek(header.data_start)
        self._enter_chunk()

    def read_rows(self, n_rows: int) -> NDArray[np.uint8]:
        """Return the next rows as inflated, uint8 ``(n_rows, 1 + row_bytes)``."""
        rows = np.empty((n_rows, self._row_bytes), dtype=np.uint8)
        view, filled = rows.data.cast("B"), 0
        while filled < rows.nbytes:
            part = self._inflate_some(rows.nbytes - filled)
            view[filled : filled + len(part)] = part
            filled += len(part)
        return rows

    def _inflate_some(self, most: int) -> bytes:
        """Return at least one more byte, and at most ``most``."""
        while True:
            data = self._inflate.unconsumed_tail or self._read_piece()
            if not data or self._inflate.eof:
                raise _damaged(self._name, "its image data is truncated")
            try:
                part = self._inflate.decompress(data, most)
            except zlib.error as error:
                raise _damaged(self._name, f"its image data is damaged ({error})") from error
            if part:
                return part

    def _read_piece(self) -> bytes:
        """Return the next compressed bytes, of as many chunks as it takes; none at their end."""
        parts, n_bytes = [], 0
        while n_bytes < _PIECE_BYTES and self._has_more:
            part = self._file.read(min(self._left, _PIECE_BYTES - n_bytes))
            if len(part) == 0 and self._left:
                raise _damaged(self._name, "the PNG is truncated, its end is missing")
            self._crc = zlib.crc32(part, self._crc)
            self._left -= len(part)
            n_bytes += len(part)
            parts.append(part)
            if self._left == 0:
                self._leave_chunk()
                self._enter_chunk()
        return b"".join(parts)

    def _enter_chunk(self) -> None:
        """Go to the next chunk of image data, if what comes now is one."""
        self._last = _read_head(self._file, self._name)
        self._has_more = self._last.kind == b"IDAT"
        self._left = self._last.size
        self._crc = zlib.crc32(self._last.kind)

    def _leave_chunk(self) -> None:
        """Check the checksum of a chunk that was read."""
        if self._file.read(4) != struct.pack(">I", self._crc):
            raise _damaged(self._name, "its image data is damaged (PNG checksum) or truncated")

    def finish(self) -> None:
        """Check what comes behind the last row: checksums, and that there is an end."""
        data = self._inflate.unconsumed_tail
        while data or self._has_more:
            data = data or self._read_piece()
            if not self._inflate.eof:
                try:  # what is more than all rows is left alone, but a wrong checksum is not
                    self._inflate.decompress(data, _TAIL_BYTES)
                except zlib.error as error:
                    raise _damaged(self._name, f"its image data is damaged ({error})") from error
            data = b""
        while self._last.kind != b"IEND":
            self._file.seek(self._last.size + 4, 1)
            self._last = _read_head(self._file, self._name)


class _Converter:
    """Makes pixels of the samples of one PNG."""

    def __init__(self, header: PngHeader) -> None:
        self._header = header
        self._palette = _make_palette(header) if header.color_type == INDEXED else None
        has_key = header.color_type in (GREY, RGB) and header.transparency
        self._key = _read_key(header) if has_key else None

    def __call__(
        self, rows: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """Return the colours ``(y, x, 3)`` of rows of samples, and their alpha ``(y, x)``."""
        samples = self._split(rows)
        if self._palette is not None:
            indices = samples[..., 0]
            alpha = self._palette[:, 3]
            colors = np.take(self._palette[:, :3], indices, axis=0)
            return colors, None if alpha.min() == OPAQUE else alpha[indices]
        levels = scale_integers(samples, (1 << self._header.bit_depth) - 1)
        n_colors = 3 if levels.shape[2] >= 3 else 1
        colors = levels[..., :n_colors]
        colors = np.ascontiguousarray(colors if n_colors == 3 else np.repeat(colors, 3, axis=2))
        if levels.shape[2] in (2, 4):
            return colors, levels[..., -1]
        if self._key is None:
            return colors, None
        is_key = (samples == self._key).all(axis=2)
        return colors, np.where(is_key, np.uint8(0), np.uint8(OPAQUE))

    def _split(self, rows: NDArray[np.uint8]) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Return rows as samples ``(y, x, sample)``, as deep as they are."""
        header, depth = self._header, self._header.bit_depth
        shape = (len(rows), header.width, header.n_samples)
        if depth == 8:
            return rows.reshape(shape)
        if depth == 16:
            return rows.view(">u2").astype(np.uint16).reshape(shape)
        return unpack_samples(rows, depth)[:, : header.width, np.newaxis]


def unpack_samples(packed: NDArray[np.uint8], depth: int) -> NDArray[np.uint8]:
    """Return the samples of bytes ``(rows, n)`` of several each, the leftmost in the highest bits.

    Beyond the width of the image there may be some more.
    """
    if depth == 8:
        return packed
    if depth == 1:
        return np.unpackbits(packed, axis=1)
    shifts = np.arange(8 - depth, -1, -depth, dtype=np.uint8)
    samples: NDArray[np.uint8] = packed[:, :, np.newaxis] >> shifts
    samples &= (1 << depth) - 1
    return samples.reshape(len(packed), -1)


def _read_key(header: PngHeader) -> NDArray[np.uint16]:
    """Return the samples of the colour that is transparent; bits above their depth mean nothing."""
    stored = np.frombuffer(header.transparency, dtype=">u2").astype(np.uint16)
    return stored & np.uint16((1 << header.bit_depth) - 1)


def _make_palette(header: PngHeader) -> NDArray[np.uint8]:
    """Return the palette as RGBA uint8 ``(256, 4)``, black where it is short, as Pillow has it."""
    palette = np.zeros((256, 4), dtype=np.uint8)
    palette[:, 3] = OPAQUE
    colors = np.frombuffer(header.palette, dtype=np.uint8).reshape(-1, 3)
    palette[: len(colors), :3] = colors
    alpha = np.frombuffer(header.transparency, dtype=np.uint8)
    palette[: len(alpha), 3] = alpha
    return palette
