"""Label files that are written row by row: strips of rows by tasks, joined from top to bottom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant.sinks.gif import encode_gif
from dask_quant.sinks.npz import encode_npz
from dask_quant.sinks.parts import open_part, write_part
from dask_quant.sinks.png import (
    bit_depth_for,
    deflate_level,
    dump_strip,
    encode_strip,
    label_chunks,
    load_strip,
    png_chunks,
    strip_rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dask_quant.kernels.assign import Labels
    from dask_quant.palette import Palette


@dataclass(frozen=True)
class _RowFile:
    """A label file of one shape and type, written in strips of whole rows."""

    shape: tuple[int, int]
    """Rows and columns."""
    dtype: np.dtype[Any]
    """Type of the labels."""

    @property
    def unit(self) -> tuple[int, int]:
        """Rows and columns of what one task writes."""
        return strip_rows(self.shape[1]), self.shape[1]

    def name_part(self, at: tuple[int, int]) -> str:
        """Return the name of the part of the strip whose first pixel is at a row and a column."""
        return f"{at[0]}.part"

    def _put_strips(
        self, folder: Path, labels: Labels, first_row: int, encode: Callable[[Labels], bytes]
    ) -> int:
        """Write whole strips, one part each, named by its first row; return their pixels."""
        for top in range(0, len(labels), self.unit[0]):
            strip = labels[top : top + self.unit[0]]
            write_part(folder / self.name_part((first_row + top, 0)), [encode(strip)])
        return labels.size

    def _read_strips(self, folder: Path) -> Iterator[bytes]:
        """Yield what was encoded, from top to bottom."""
        for row in range(0, self.shape[0], self.unit[0]):
            with open_part(folder / self.name_part((row, 0))) as part:
                yield part.read(0)

    def _read_rows(self, folder: Path) -> Iterator[Labels]:
        """Yield labels that were not compressed, from top to bottom."""
        for data in self._read_strips(folder):
            yield np.frombuffer(data, dtype=self.dtype).reshape(-1, self.shape[1])


@dataclass(frozen=True)
class PngFile(_RowFile):
    """An indexed PNG."""

    bit_depth: int
    """Bits of a pixel."""
    density: tuple[int, int] | None = None
    """Pixels to the metre across and down, which it states where they are known."""

    def put(self, folder: Path, labels: Labels, at: tuple[int, int]) -> int:
        """Deflate whole strips of labels and return their pixels. **Eager**."""
        level = deflate_level(self.shape)

        def encode(strip: Labels) -> bytes:
            return dump_strip(encode_strip(strip, bit_depth=self.bit_depth, level=level))

        return self._put_strips(folder, labels, at[0], encode)

    def join(self, folder: Path, palette: Palette) -> Iterator[bytes]:
        """Yield the bytes of the file from its strips. **Lazy**."""
        height, width = self.shape
        strips = map(load_strip, self._read_strips(folder))
        return png_chunks(strips, width=width, height=height, palette=palette, density=self.density)

    def encode(self, labels: Labels, palette: Palette) -> Iterator[bytes]:
        """Yield the bytes of the file of labels in memory. **Lazy**."""
        return label_chunks(labels, palette, density=self.density)


@dataclass(frozen=True)
class _PlainRowFile(_RowFile):
    """A label file whose strips are not compressed by the tasks."""

    def put(self, folder: Path, labels: Labels, at: tuple[int, int]) -> int:
        """Write whole strips of labels and return their pixels. **Eager**."""
        return self._put_strips(folder, labels, at[0], _copy_bytes)


@dataclass(frozen=True)
class GifFile(_PlainRowFile):
    """A GIF, which is encoded in memory."""

    def join(self, folder: Path, palette: Palette) -> Iterator[bytes]:
        """Yield the bytes of the file from its strips. **Lazy**."""
        yield encode_gif(np.concatenate(list(self._read_rows(folder))), palette)

    def encode(self, labels: Labels, palette: Palette) -> Iterator[bytes]:
        """Yield the bytes of the file of labels in memory. **Lazy**."""
        yield encode_gif(labels, palette)


@dataclass(frozen=True)
class NpzFile(_PlainRowFile):
    """NumPy arrays ``labels`` and ``palette``."""

    def join(self, folder: Path, palette: Palette) -> Iterator[bytes]:
        """Yield the bytes of the file from its strips. **Lazy**."""
        return encode_npz(self._read_rows(folder), self.shape, self.dtype, palette)

    def encode(self, labels: Labels, palette: Palette) -> Iterator[bytes]:
        """Yield the bytes of the file of labels in memory. **Lazy**."""
        step = self.unit[0]
        strips = (labels[top : top + step] for top in range(0, len(labels), step))
        return encode_npz(strips, self.shape, self.dtype, palette)


def _copy_bytes(strip: Labels) -> bytes:
    """Return labels as they are in memory."""
    return strip.tobytes()


def make_png_file(
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    n_colors: int,
    density: tuple[int, int] | None = None,
) -> PngFile:
    """Return an indexed PNG of a shape and a number of colours; ``density`` as `PngFile` has it.

    Raises
    ------
    OutputError
        When there are too many colours.
    """
    return PngFile(shape, dtype, bit_depth_for(n_colors), density)
