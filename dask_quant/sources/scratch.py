"""Decoded pixels in a plain file, row after row: written once from top to bottom, read anywhere."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask.base import tokenize

from dask_quant.errors import SourceError

if TYPE_CHECKING:
    from typing import BinaryIO

    from numpy.typing import NDArray

    Box = tuple[slice, ...]


@dataclass(frozen=True)
class ScratchImage:
    """An array that is read from such a file. It is opened for every part, and can be pickled.

    Reads of a file, unlike a map of it into memory, do not count as memory of the process.
    """

    path: str
    """Absolute path; sRGB or RGBA uint8, rows as stored, nothing between them."""
    stored: tuple[int, int]
    """Rows and columns as stored."""
    orientation: int
    """EXIF orientation to apply, 1 to 8."""
    bands: int = 3
    """3, or 4 with alpha."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows and columns as seen after the orientation is applied, and bands."""
        rows, columns = self.stored if self.orientation < 5 else self.stored[::-1]
        return rows, columns, self.bands

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the array."""
        return np.dtype(np.uint8)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return 3

    def __getitem__(self, selection: Box) -> NDArray[np.uint8]:
        """Return a part, one slice without step for each axis, turned upright."""
        rows, columns, bands = (
            range(*part.indices(size)) for part, size in zip(selection, self.shape, strict=True)
        )
        turned = self.orientation >= 5
        down, across = (columns, rows) if turned else (rows, columns)
        down = _mirror(down, self.stored[0], flip=self.orientation in (3, 4, 6, 7))
        across = _mirror(across, self.stored[1], flip=self.orientation in (2, 3, 7, 8))
        part = self._read(range(min(down), max(down) + 1), range(min(across), max(across) + 1))
        part = part[:: down.step, :: across.step]
        part = part.swapaxes(0, 1) if turned else part
        return np.ascontiguousarray(part[..., bands.start : bands.stop])

    def _read(self, rows: range, columns: range) -> NDArray[np.uint8]:
        """Return a part as stored, ``(rows, columns, band)``."""
        part = np.empty((len(rows), len(columns), self.bands), dtype=np.uint8)
        row_bytes = self.bands * self.stored[1]
        with open(self.path, "rb", buffering=0) as file:
            if len(columns) == self.stored[1]:
                _fill(file, rows.start * row_bytes, part)
            else:
                for row, line in zip(rows, part, strict=True):
                    _fill(file, row * row_bytes + self.bands * columns.start, line)
        return part


def _mirror(places: range, size: int, *, flip: bool) -> range:
    """Return places along an axis of ``size``, counted from its end where it is flipped."""
    return range(size - 1 - places.start, size - 1 - places.stop, -1) if flip else places


def _fill(file: BinaryIO, offset: int, part: NDArray[np.uint8]) -> None:
    """Fill a contiguous array with the bytes at ``offset``."""
    left, position = part.data.cast("B"), offset
    while left:
        n_bytes = os.preadv(file.fileno(), [left], position)
        if n_bytes == 0:
            message = f"Cannot read {file.name!r}: it ends before its last pixel."
            raise SourceError(message)
        left, position = left[n_bytes:], position + n_bytes


def open_scratch(image: ScratchImage, *, chunks: tuple[int, int]) -> da.Array:
    """Return a Dask array ``(y, x, band)`` of uint8 that is read in ``chunks``. **Lazy**."""
    return da.from_array(
        image,
        chunks=(*chunks, image.bands),
        name=f"scratch-{tokenize(image, chunks)}",
        asarray=True,
        inline_array=True,
        meta=np.empty((0, 0, 0), dtype=np.uint8),
    )
