"""PNG files of every kind, written plainly: any colour type, depth, filter and cut into chunks."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"

N_FILTERS = 5


def make_chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def make_header(
    width: int, height: int, depth: int, color_type: int, *, interlaced: bool = False
) -> bytes:
    """Return signature and header."""
    values = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, interlaced)
    return SIGNATURE + make_chunk(b"IHDR", values)


def make_png(
    rows: NDArray[np.uint8],
    width: int,
    depth: int,
    color_type: int,
    *,
    pixel_bytes: int,
    filters: Sequence[int],
    extra: Iterable[bytes] = (),
    chunk_bytes: int = 1 << 20,
) -> bytes:
    """Return a PNG of rows of packed samples, uint8 ``(y, row_bytes)``, each with its filter."""
    data = zlib.compress(filter_rows(rows, filters, pixel_bytes).tobytes())
    parts = (data[begin : begin + chunk_bytes] for begin in range(0, len(data), chunk_bytes))
    return b"".join(
        [
            make_header(width, len(rows), depth, color_type),
            *extra,
            *(make_chunk(b"IDAT", part) for part in parts),
            make_chunk(b"IEND", b""),
        ]
    )


def filter_rows(
    rows: NDArray[np.uint8],
    filters: Sequence[int],
    pixel_bytes: int,
    above: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Return rows with filters applied, and their numbers in front, ``(y, 1 + row_bytes)``."""
    wide = rows.astype(np.int16)
    first = np.zeros_like(wide[:1]) if above is None else above[np.newaxis].astype(np.int16)
    up = np.concatenate([first, wide[:-1]])
    left, corner = (np.zeros_like(wide) for _ in range(2))
    left[:, pixel_bytes:], corner[:, pixel_bytes:] = wide[:, :-pixel_bytes], up[:, :-pixel_bytes]
    kinds = np.asarray(filters, dtype=np.uint8)
    out = np.empty((len(rows), 1 + rows.shape[1]), dtype=np.uint8)
    out[:, 0] = kinds
    for kind in range(N_FILTERS):
        own = kinds == kind
        out[own, 1:] = wide[own] - _predict(kind, left[own], up[own], corner[own])
    return out


def _predict(
    kind: int, left: NDArray[np.int16], up: NDArray[np.int16], corner: NDArray[np.int16]
) -> NDArray[np.int16]:
    """Return what a filter predicts."""
    if kind == 4:
        estimate = left + up - corner
        to_left, to_up, to_corner = (abs(estimate - value) for value in (left, up, corner))
        near = np.where(to_left <= to_up, left, up)
        return np.where(np.minimum(to_left, to_up) <= to_corner, near, corner)
    return (np.zeros_like(left), left, up, (left + up) // 2)[kind]
