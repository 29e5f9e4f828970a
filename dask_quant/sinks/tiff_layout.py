"""How a label TIFF is cut into levels, blocks and tiles: by the image's shape alone.

A tile is the least that a reader decodes. A block is what one task writes: the tiles of the full
resolution that it covers, and of the next levels as long as it covers whole tiles of them. Of the
levels above it covers less than a tile; there it has a piece, and tiles are put together of pieces.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

TILE_SIDE = 512
"""Largest side of a tile in pixels: what a viewer fetches (arbitrary)."""

BLOCK_SIDE = 4096
"""Side of a block in pixels, a power of two times that of a tile: 16 Mpx, what one task writes."""

TILE_STEP = 16
"""Sides of TIFF tiles are multiples of this."""

_DEFLATE_GROWTH = 1.01
"""By how much deflate may enlarge what it cannot compress, generously."""

_BYTES_PER_TILE = 40
"""Bytes of a tile in the file beside its data: place, length, and a repetition of both."""

_MAX_CLASSIC_BYTES = 2**32 - 2**20
"""Bytes that offsets of 32 bits reach, less what else comes before the tiles, generously."""


@dataclass(frozen=True)
class TiffLayout:
    """How labels of one shape and type are cut."""

    shape: tuple[int, int]
    """Rows and columns of the image, at least 1 each."""
    dtype: np.dtype[np.uint8 | np.uint16]
    """Type of the labels."""
    tile_side: int = field(default_factory=lambda: TILE_SIDE)
    """Largest side of a tile in pixels."""
    block_side: int = field(default_factory=lambda: BLOCK_SIDE)
    """Largest side of a block in pixels."""

    @property
    def tile(self) -> tuple[int, int]:
        """Rows and columns of a tile: less than the largest where that holds all of an axis."""
        rows, columns = (min(self.tile_side, _round_up(n, TILE_STEP)) for n in self.shape)
        return rows, columns

    @property
    def block(self) -> tuple[int, int]:
        """Rows and columns of a block: whole tiles."""
        rows, columns = (
            min(self.block_side, _round_up(n, t))
            for n, t in zip(self.shape, self.tile, strict=True)
        )
        return rows, columns

    @property
    def n_levels(self) -> int:
        """Levels of the pyramid: until one tile holds it all, or a block is one pixel."""
        longest = -(-max(self.shape) // self.tile_side)
        return 1 + min((longest - 1).bit_length(), self.block_side.bit_length() - 1)

    @property
    def n_block_levels(self) -> int:
        """Levels of which a block covers whole tiles; the others are put together of pieces."""
        return min(self.n_levels, (self.block_side // self.tile_side).bit_length())

    @property
    def n_pieces(self) -> int:
        """Levels of which a block has a piece."""
        return self.n_levels - self.n_block_levels

    @property
    def max_bytes(self) -> int:
        """Bytes of the file at most, however badly the labels compress."""
        n_bytes = sum(
            np.prod(self.grid(level), dtype=np.int64)
            * (
                self.tile[0] * self.tile[1] * self.dtype.itemsize * _DEFLATE_GROWTH
                + _BYTES_PER_TILE
            )
            for level in range(self.n_levels)
        )
        table_bytes = 3 * 2 * self.n_values
        return int(n_bytes) + self.n_levels * table_bytes

    @property
    def is_big(self) -> bool:
        """Whether offsets need 64 bits: a rule of shape and type alone."""
        return self.max_bytes > _MAX_CLASSIC_BYTES

    @property
    def n_values(self) -> int:
        """Values of a label, which is as many entries as the colour table has."""
        return int(np.iinfo(self.dtype).max) + 1

    def level_shape(self, level: int) -> tuple[int, int]:
        """Return rows and columns of a level, in pixels."""
        return halve_shape(self.shape, level)

    def grid(self, level: int) -> tuple[int, int]:
        """Return rows and columns of a level, in tiles."""
        return _count_tiles(self.level_shape(level), self.tile)

    @property
    def block_grid(self) -> tuple[int, int]:
        """Rows and columns of the image, in blocks."""
        return _count_tiles(self.shape, self.block)

    def block_shape(self, row: int, column: int) -> tuple[int, int]:
        """Return rows and columns, in pixels, of the block at a row and a column of blocks."""
        rows, columns = (
            min(side, size - index * side)
            for index, side, size in zip((row, column), self.block, self.shape, strict=True)
        )
        return rows, columns

    def tiles_per_block(self, level: int) -> int:
        """Return rows, and columns, of tiles in a block that is no last one, of a level."""
        return (self.block_side // self.tile_side) >> level

    def blocks_per_tile(self, level: int) -> int:
        """Return rows, and columns, of blocks under a tile of a level put together of pieces."""
        return (self.tile_side << level) // self.block_side


def halve_shape(shape: tuple[int, int], times: int) -> tuple[int, int]:
    """Return rows and columns after an image was halved some times.

    Examples
    --------
    >>> halve_shape((1000, 3), 3)
    (125, 1)
    """
    return -(-shape[0] >> times), -(-shape[1] >> times)


def _count_tiles(shape: tuple[int, int], tile: tuple[int, int]) -> tuple[int, int]:
    """Return how many tiles cover either axis."""
    return -(-shape[0] // tile[0]), -(-shape[1] // tile[1])


def _round_up(size: int, step: int) -> int:
    """Return the least multiple of ``step`` that is at least ``size``."""
    return -(-size // step) * step
