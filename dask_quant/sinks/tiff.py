"""Tiled TIFF of labels with a colour table and a pyramid, cloud-optimized, and BigTIFF if large.

Tasks deflate the tiles of a block each, see `tiff_layout`; the last one joins them. At no time is
there more than a block of labels, and a few tiles, in memory. Bytes depend on labels, colours,
density and where the image lies alone.

References
----------
Adobe, "TIFF Revision 6.0", 1992, sections 5 (palette-color), 15 (tiles) and, in the technical notes
of 1995 and 2002, deflate. OGC 21-026, "OGC Cloud Optimized GeoTIFF Standard", 2023.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant.errors import OutputError
from dask_quant.kernels.downsample import halve_labels
from dask_quant.sinks.opacity import find_clear_entry
from dask_quant.sinks.parts import open_part, write_part
from dask_quant.sinks.tiff_layout import TiffLayout, halve_shape
from dask_quant.sinks.tiff_tags import LEADER_BYTES, TRAILER_BYTES, write_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from dask_quant.kernels.assign import Labels
    from dask_quant.palette import Palette
    from dask_quant.sinks.parts import OpenPart
    from dask_quant.sources.density import Density
    from dask_quant.sources.geotiff_tags import GeoTags

    ReadRow = Callable[[int, int], Iterator[bytes]]
    """Yields the deflated tiles of a row of tiles, of a level and a number."""

MAX_SIDE = 2**31 - 1
"""Largest width and height that readers take, in pixels."""

_LEVEL = 4
"""Deflate effort. On tiles of 9 Mpx of labels of a satellite image, imagecodecs 2026.3 (libdeflate)
and zlib 1.2.13, seconds of one core:

=============  ====================  ====================  ====================
level          4 colours             16 colours            256 colours
=============  ====================  ====================  ====================
libdeflate 1   1.31 MB, 187 Mpx/s    2.01 MB, 178 Mpx/s    5.29 MB, 98 Mpx/s
libdeflate 3   1.23 MB, 118 Mpx/s    1.92 MB, 83 Mpx/s     5.15 MB, 65 Mpx/s
libdeflate 4   1.20 MB, 84 Mpx/s     1.90 MB, 72 Mpx/s     5.14 MB, 65 Mpx/s
libdeflate 6   1.13 MB, 47 Mpx/s     1.80 MB, 45 Mpx/s     5.04 MB, 49 Mpx/s
zlib 3         1.35 MB, 65 Mpx/s     2.02 MB, 50 Mpx/s     5.06 MB, 35 Mpx/s
=============  ====================  ====================  ====================
"""

_UPPER_NAME = "upper.part"
"""Part with the tiles of the levels that no block has whole tiles of."""


@dataclass(frozen=True)
class TiffFile:
    """A label TIFF of one shape and type."""

    layout: TiffLayout
    """How it is cut."""
    geo_tags: GeoTags | None = None
    """Where it lies."""
    density: Density | None = None
    """Pixels to the metre across and down, which it states where they are known."""

    @property
    def unit(self) -> tuple[int, int]:
        """Rows and columns of what one task writes."""
        return self.layout.block

    def name_part(self, at: tuple[int, int]) -> str:
        """Return the name of the part of the block whose first pixel is at a row and a column."""
        return _name_part(at[0] // self.layout.block[0], at[1] // self.layout.block[1])

    def put(self, folder: Path, labels: Labels, at: tuple[int, int]) -> int:
        """Deflate whole blocks of labels, one part each, and return their pixels. **Eager**."""
        rows, columns = self.layout.block
        for top in range(0, labels.shape[0], rows):
            for left in range(0, labels.shape[1], columns):
                block = labels[top : top + rows, left : left + columns]
                name = self.name_part((at[0] + top, at[1] + left))
                write_part(folder / name, self._list_pieces(block))
        return labels.size

    def join(self, folder: Path, palette: Palette) -> Iterator[bytes]:
        """Yield the bytes of the file from the parts of all blocks. **Lazy**."""
        write_part(folder / _UPPER_NAME, self._list_upper_tiles(folder))
        tile_bytes = _measure_tiles(self.layout, folder)
        yield self._write_head(palette, tile_bytes)
        for level in reversed(range(self.layout.n_levels)):
            yield from _frame_tiles(_read_level(self.layout, folder, level))

    def encode(self, labels: Labels, palette: Palette) -> Iterator[bytes]:
        """Yield the bytes of the file of labels in memory, the same as those of parts. **Lazy**."""
        levels = []
        for _ in range(self.layout.n_levels):
            levels.append([_deflate(tile) for tile in _cut_tiles(labels, self.layout.tile)])
            labels = halve_labels(labels)
        sizes = [
            np.array([len(tile) for tile in tiles]).reshape(self.layout.grid(level))
            for level, tiles in enumerate(levels)
        ]
        yield self._write_head(palette, sizes)
        for tiles in reversed(levels):
            yield from _frame_tiles(iter(tiles))

    def _write_head(self, palette: Palette, tile_bytes: Sequence[NDArray[np.integer]]) -> bytes:
        """Return what comes before the tiles; pixels of a clear colour are nodata."""
        clear = find_clear_entry(palette, "TIFF")
        return write_head(
            *(self.layout, palette.colors, tile_bytes),
            geo_tags=self.geo_tags,
            density=self.density,
            nodata=clear,
        )

    def _list_pieces(self, block: Labels) -> Iterator[bytes]:
        """Yield the tiles of a block, level by level, and its pieces of the levels above."""
        for level in range(self.layout.n_levels):
            if level < self.layout.n_block_levels:
                yield from map(_deflate, _cut_tiles(block, self.layout.tile))
            else:
                yield np.ascontiguousarray(block).tobytes()
            block = halve_labels(block)

    def _list_upper_tiles(self, folder: Path) -> Iterator[bytes]:
        """Yield the tiles that are put together of pieces, level by level, row by row."""
        for level in range(self.layout.n_block_levels, self.layout.n_levels):
            for row, column in np.ndindex(*self.layout.grid(level)):
                yield _deflate(_join_pieces(self.layout, folder, level, row, column))


def _name_part(row: int, column: int) -> str:
    """Return the name of the part of a block."""
    return f"{row}-{column}.part"


def _deflate(tile: Labels) -> bytes:
    """Return a tile deflated, by libdeflate; releases the interpreter's lock."""
    from imagecodecs import deflate_encode  # what a photograph to PNG does not wait for

    return bytes(deflate_encode(tile.tobytes(), level=_LEVEL))


def _cut_tiles(labels: Labels, tile: tuple[int, int]) -> Iterator[Labels]:
    """Yield tiles row by row, filled up with zeros where they reach over the end."""
    rows, columns = tile
    for top in range(0, labels.shape[0], rows):
        for left in range(0, labels.shape[1], columns):
            inside = labels[top : top + rows, left : left + columns]
            whole: Labels = np.zeros(tile, dtype=labels.dtype.newbyteorder("<"))
            whole[: inside.shape[0], : inside.shape[1]] = inside
            yield whole


def _frame_tiles(tiles: Iterator[bytes]) -> Iterator[bytes]:
    """Yield tiles with what GDAL wants before and after them."""
    for tile in tiles:
        yield len(tile).to_bytes(LEADER_BYTES, "little") + tile + tile[-TRAILER_BYTES:]


def _join_pieces(layout: TiffLayout, folder: Path, level: int, row: int, column: int) -> Labels:
    """Return a tile of a level that blocks have pieces of."""
    dtype: np.dtype[Any] = layout.dtype.newbyteorder("<")
    tile = np.zeros(layout.tile, dtype=dtype)
    side, per_tile = layout.block_side >> level, layout.blocks_per_tile(level)
    n_rows, n_columns = layout.block_grid
    for i in range(row * per_tile, min((row + 1) * per_tile, n_rows)):
        for j in range(column * per_tile, min((column + 1) * per_tile, n_columns)):
            shape = halve_shape(layout.block_shape(i, j), level)
            with open_part(folder / _name_part(i, j)) as part:
                data = part.read(len(part.table) - layout.n_levels + level)
            top, left = (i - row * per_tile) * side, (j - column * per_tile) * side
            piece = np.frombuffer(data, dtype=tile.dtype).reshape(shape)
            tile[top : top + shape[0], left : left + shape[1]] = piece
    return tile


def _measure_tiles(layout: TiffLayout, folder: Path) -> list[NDArray[np.int64]]:
    """Return the bytes of the tiles of each level, ``(rows, columns)`` of tiles."""
    sizes = [np.zeros(layout.grid(level), dtype=np.int64) for level in range(layout.n_levels)]
    for row, column in np.ndindex(*layout.block_grid):
        with open_part(folder / _name_part(row, column)) as part:
            for level in range(layout.n_block_levels):
                first, rows, columns = _find_tiles(layout, level, row, column)
                own = part.table["size"][first : first + rows * columns].reshape(rows, columns)
                step = layout.tiles_per_block(level)
                top, left = row * step, column * step
                sizes[level][top : top + rows, left : left + columns] = own
    with open_part(folder / _UPPER_NAME) as part:
        first = 0
        for level in range(layout.n_block_levels, layout.n_levels):
            stop = first + sizes[level].size
            sizes[level] = part.table["size"][first:stop].reshape(sizes[level].shape)
            first = stop
    return sizes


def _find_tiles(layout: TiffLayout, level: int, row: int, column: int) -> tuple[int, int, int]:
    """Return, of a block, the number of its first tile of a level, and their rows and columns."""
    shape, first = layout.block_shape(row, column), 0
    for lower in range(level + 1):
        rows, columns = (
            -(-n // t) for n, t in zip(halve_shape(shape, lower), layout.tile, strict=True)
        )
        first += rows * columns
    return first - rows * columns, rows, columns


def _read_level(layout: TiffLayout, folder: Path, level: int) -> Iterator[bytes]:
    """Yield the tiles of a level row by row."""
    if level >= layout.n_block_levels:
        yield from _read_upper_level(layout, folder, level)
        return
    for row in range(layout.block_grid[0]):
        with ExitStack() as stack:
            parts = [
                stack.enter_context(open_part(folder / _name_part(row, column)))
                for column in range(layout.block_grid[1])
            ]
            yield from _read_block_row(layout, parts, level, row)


def _read_block_row(
    layout: TiffLayout, parts: list[OpenPart], level: int, row: int
) -> Iterator[bytes]:
    """Yield the tiles of a level that the open parts of a row of blocks hold, row by row."""
    found = [_find_tiles(layout, level, row, column) for column in range(len(parts))]
    for tile_row in range(found[0][1]):
        for part, (first, _, columns) in zip(parts, found, strict=True):
            for number in range(columns):
                yield part.read(first + tile_row * columns + number)


def _read_upper_level(layout: TiffLayout, folder: Path, level: int) -> Iterator[bytes]:
    """Yield the tiles of a level that was put together of pieces."""
    counts = [int(np.prod(layout.grid(each))) for each in range(layout.n_levels)]
    first = sum(counts[layout.n_block_levels : level])
    with open_part(folder / _UPPER_NAME) as part:
        for number in range(first, first + counts[level]):
            yield part.read(number)


def make_tiff_file(
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    geo_tags: GeoTags | None = None,
    density: Density | None = None,
) -> TiffFile:
    """Return a label TIFF of a shape and a type, uint8 or uint16.

    Raises
    ------
    OutputError
        When a side is too long.
    """
    if max(shape) > MAX_SIDE:
        message = (
            f"Got an image of {shape[1]} x {shape[0]} pixels; TIFF takes {MAX_SIDE} a side; "
            "write .zarr."
        )
        raise OutputError(message)
    return TiffFile(TiffLayout(shape, dtype), geo_tags, density)
