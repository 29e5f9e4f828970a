"""Large images to measure with: Zarr stores made of photographs, or of every colour there is.

A mosaic is cut into tiles of 2048 x 2048 pixels; each is a piece of a photograph, its levels
shifted band by band, so that tiles differ in colours. All follows from the number of the tile.
"""

from __future__ import annotations

import math
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import zarr

from dask_quant.sinks.store_start import start_image_store
from dask_quant.sinks.zarr_store import ARRAY_NAME, finish_store, store_block
from dask_quant.sources.pillow import read_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

TILE = 2048
"""Side of a tile: a shard of the stores that ``--persist`` writes."""

MAX_SHIFT = 24
"""Levels that a tile is shifted by at most, either way (arbitrary)."""

PLAIN_CHUNK = 1024
"""Side of a chunk of a plain store, which has no shards: what many tools write (arbitrary)."""

N_CODES = 1 << 24


@dataclass(frozen=True)
class Mosaic:
    """What a store is made of."""

    shape: tuple[int, int]
    """Rows and columns."""
    pictures: Sequence[NDArray[np.uint8]]
    """Photographs ``(y, x, 3)``; none: tiles hold every colour once in 2^24 pixels."""

    def tile(self, row: int, column: int) -> NDArray[np.uint8]:
        """Return the pixels of the tile that begins at ``row`` and ``column``."""
        rows, columns = (
            min(TILE, size - start) for size, start in zip(self.shape, (row, column), strict=True)
        )
        number = (row // TILE) * -(-self.shape[1] // TILE) + column // TILE
        if not self.pictures:
            return scatter_colors(number)[:rows, :columns]
        picture = self.pictures[number % len(self.pictures)]
        draw = np.random.default_rng(number)
        piece = _cut(picture, draw, rows, columns).astype(np.int16)
        piece += draw.integers(-MAX_SHIFT, MAX_SHIFT + 1, 3, dtype=np.int16)
        return np.clip(piece, 0, 255).astype(np.uint8)


def scatter_colors(number: int) -> NDArray[np.uint8]:
    """Return a quarter of all colours in scattered order, ``(TILE, TILE, 3)``.

    Any four tiles in a row hold all of them.
    """
    n = TILE * TILE
    # Multiplying by an odd number modulo a power of two hits every number once.
    codes = np.arange(number * n, (number + 1) * n, dtype=np.uint64) * np.uint64(0x9E3779B1)
    codes %= np.uint64(N_CODES)
    rows = np.stack([codes >> np.uint64(16), codes >> np.uint64(8), codes], axis=-1)
    return rows.astype(np.uint8).reshape(TILE, TILE, 3)


def _cut(
    picture: NDArray[np.uint8], draw: np.random.Generator, rows: int, columns: int
) -> NDArray[np.uint8]:
    """Return a piece of a picture, repeated where it is too small."""
    height, width = picture.shape[:2]
    top, left = (int(draw.integers(max(1, size - TILE))) for size in (height, width))
    return picture[np.arange(top, top + rows) % height][:, np.arange(left, left + columns) % width]


def square_of(gigapixels: float) -> tuple[int, int]:
    """Return the shape of a square image of about as many pixels."""
    side = math.isqrt(round(gigapixels * 1e9))
    return side, side


def make_store(work: Path, gigapixels: float, photographs: Sequence[Path], *, layout: str) -> Path:
    """Return a store of about ``gigapixels``, made now unless it is there.

    Parameters
    ----------
    work : Path
        Folder of stores, which are kept.
    gigapixels : float
        Size; the image is square.
    photographs : sequence of Path
        What its tiles are cut from; none: every colour there is.
    layout : str
        ``persist`` for shards and codecs as ``--persist`` writes them, ``plain`` for chunks and
        codecs as zarr writes them unasked.
    """
    kind = "photographs" if photographs else "all-colors"
    store = work / f"{kind}-{gigapixels:g}-{layout}.zarr"
    if store.exists():
        return store
    mosaic = Mosaic(square_of(gigapixels), [read_image(path) for path in photographs])
    write = {"persist": _write_persisted, "plain": _write_plain}[layout]
    write(store, mosaic)
    return store


def _tile_starts(mosaic: Mosaic) -> list[tuple[int, int]]:
    """Return row and column at which each tile begins."""
    rows, columns = (range(0, size, TILE) for size in mosaic.shape)
    return [(row, column) for row in rows for column in columns]


def _write_persisted(store: Path, mosaic: Mosaic) -> None:
    """Write a mosaic as ``--persist`` does."""
    temporary = start_image_store(store, mosaic.shape, "mosaic", overwrite=False)
    with ThreadPoolExecutor(2) as pool:
        list(
            pool.map(
                lambda start: store_block(temporary, mosaic.tile(*start), offset=start),
                _tile_starts(mosaic),
            )
        )
    finish_store(temporary, store, overwrite=False)


def _write_plain(store: Path, mosaic: Mosaic) -> None:
    """Write a mosaic with zarr's own defaults."""
    partial = store.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    sides = (min(PLAIN_CHUNK, size) for size in mosaic.shape)
    array = zarr.open_group(partial, mode="w").create_array(
        ARRAY_NAME, shape=(*mosaic.shape, 3), chunks=(*sides, 3), dtype="uint8"
    )

    def write(start: tuple[int, int]) -> None:
        tile = mosaic.tile(*start)
        rows, columns = (slice(o, o + n) for o, n in zip(start, tile.shape[:2], strict=True))
        array[rows, columns] = tile

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, _tile_starts(mosaic)))
    partial.rename(store)
