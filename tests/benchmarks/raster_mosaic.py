"""A large raster of many bands to segment: a Zarr store, mosaicked from a small GeoTIFF.

The scene is laid out over and over, every other time mirrored, so that its borders are continuous.
Each band then drifts slowly over the whole mosaic, in gain and in offset, and every pixel gets
noise of its own; one corner holds no data. All of it follows from the seed and the place of a
pixel, so that tiles can be made in any order. rasterio is needed here, and nowhere else.
"""

from __future__ import annotations

import importlib
import math
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from dask_quant.errors import PixelFormatError, SourceError, SourceNotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

TILE = 512
"""Side of a tile, which is a chunk of the store: 4 MB of 8 bands."""

GAIN = 0.15
"""Part of a band's level that its gain takes or gives at most (arbitrary)."""

OFFSET = 0.5
"""Standard deviations of a band that its offset takes or gives at most (arbitrary)."""

NOISE = 0.1
"""Standard deviations of a band that the noise has for its own (arbitrary)."""

MIN_NOISE = 1.0
"""Levels of noise at least: of a band that is constant (arbitrary)."""

NODATA_PART = 0.02
"""Part of the pixels that hold no data, in the first corner."""

N_THREADS = 2
"""Tiles that are made at once."""


@dataclass(frozen=True)
class Scene:
    """What is mosaicked."""

    pixels: NDArray[np.int16]
    """``(y, x, band)``."""
    nodata: int
    """What a band without data holds."""
    name: str
    """Where it is from."""


@dataclass(frozen=True)
class Drift:
    """A slow wave over the mosaic."""

    cycles: NDArray[np.float64]
    """How often it comes and goes over all rows, and all columns, ``(2,)``."""
    phase: float
    """Where it begins, radians."""

    def at(self, place: tuple[NDArray[np.float64], NDArray[np.float64]]) -> NDArray[np.float32]:
        """Return its height, -1 to 1, at rows ``(y, 1)`` and columns ``(1, x)`` in 0 to 1."""
        rows, columns = place
        angle = 2 * math.pi * (self.cycles[0] * rows + self.cycles[1] * columns) + self.phase
        return np.sin(angle).astype(np.float32)


@dataclass(frozen=True)
class Mosaic:
    """What a store is made of."""

    scene: Scene
    """What is repeated."""
    shape: tuple[int, int]
    """Rows and columns."""
    seed: int = 0
    """Seed of drift and noise."""

    @cached_property
    def spreads(self) -> NDArray[np.float32]:
        """Standard deviation of each band, ``(band,)``."""
        valid = (self.scene.pixels != self.scene.nodata).all(axis=-1)
        return self.scene.pixels[valid].std(axis=0).astype(np.float32)

    @cached_property
    def drifts(self) -> list[tuple[Drift, Drift]]:
        """Gain and offset of each band."""
        draw = np.random.default_rng(self.seed)
        waves = [
            Drift(draw.uniform(0.3, 1.2, 2), float(draw.uniform(0, 2 * math.pi)))
            for _ in range(2 * len(self.spreads))
        ]
        return list(zip(waves[::2], waves[1::2], strict=True))

    def tile(self, row: int, column: int) -> NDArray[np.int16]:
        """Return the tile that begins at ``row`` and ``column``, ``(y, x, band)``."""
        ys, xs = (
            np.arange(start, min(start + TILE, size))
            for start, size in zip((row, column), self.shape, strict=True)
        )
        height, width = self.scene.pixels.shape[:2]
        piece = self.scene.pixels[mirror(ys, height)][:, mirror(xs, width)]
        place = (ys / self.shape[0])[:, None], (xs / self.shape[1])[None]
        levels = piece.astype(np.float32)
        self._add_drift(levels, place)
        noise = self._draw_noise(row, column)[: len(ys), : len(xs)]
        levels += noise * np.maximum(NOISE * self.spreads, MIN_NOISE)
        # Rows and columns in 0 to 1 that add up to less than s cut off a corner of s * s / 2.
        is_corner = place[0] + place[1] < math.sqrt(2 * NODATA_PART)
        is_lost = is_corner | (piece == self.scene.nodata).any(axis=-1)
        return self._store_levels(levels, is_lost)

    def _add_drift(
        self, levels: NDArray[np.float32], place: tuple[NDArray[np.float64], NDArray[np.float64]]
    ) -> None:
        """Let each band drift, in place."""
        for band, (gain, offset) in enumerate(self.drifts):
            levels[..., band] *= 1 + GAIN * gain.at(place)
            levels[..., band] += OFFSET * self.spreads[band] * offset.at(place)

    def _draw_noise(self, row: int, column: int) -> NDArray[np.float32]:
        """Return the noise of a whole tile, of unit variance, ``(TILE, TILE, band)``."""
        # Keyed by its place: whatever was drawn before, a tile has the same.
        place = ((row // TILE) << 32) | (column // TILE)
        bits = np.random.Philox(key=np.array([self.seed, place], dtype=np.uint64))
        shape = (TILE, TILE, len(self.spreads))
        return np.random.Generator(bits).standard_normal(shape, dtype=np.float32)

    def _store_levels(
        self, levels: NDArray[np.float32], is_lost: NDArray[np.bool_]
    ) -> NDArray[np.int16]:
        """Return levels as they are stored; none that is there looks as if it were not."""
        limits = np.iinfo(np.int16)
        stored = np.rint(levels).clip(limits.min, limits.max).astype(np.int16)
        stored[stored == self.scene.nodata] += 1
        stored[is_lost] = self.scene.nodata
        return stored


def mirror(places: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return indices into ``size`` items that are laid out over and over, to and fro.

    Examples
    --------
    >>> mirror(np.arange(7), 3).tolist()
    [0, 1, 2, 2, 1, 0, 0]
    """
    around = places % (2 * size)
    return np.where(around < size, around, 2 * size - 1 - around)


def read_scene(path: Path) -> Scene:
    """Return a GeoTIFF of int16, or of a folder the one of most bands.

    Raises
    ------
    SourceError
        When rasterio is not installed.
    SourceNotFoundError
        When there is no such file.
    PixelFormatError
        When the file is of another type, or says no nodata value.
    """
    rasterio = _import_rasterio()
    paths = sorted(path.glob("*.tif")) if path.is_dir() else [path]
    kinds = {each: _find_kind(rasterio, each) for each in paths if each.exists()}
    if not kinds:
        message = f"Found no GeoTIFF at {str(path)!r}; give a file, or a folder of *.tif."
        raise SourceNotFoundError(message)
    fitting = [
        each
        for each, (dtype, nodata, _) in kinds.items()
        if dtype == "int16" and nodata is not None
    ]
    if not fitting:
        found = ", ".join(f"{each.name}: {dtype}" for each, (dtype, _, _) in kinds.items())
        message = f"Got {found}; a GeoTIFF of int16 with a nodata value is needed."
        raise PixelFormatError(message)
    best = max(fitting, key=lambda each: kinds[each][2])
    with rasterio.open(best) as source:
        bands = source.read()
    return Scene(np.ascontiguousarray(np.moveaxis(bands, 0, -1)), int(kinds[best][1]), best.name)


def _import_rasterio() -> Any:
    """Return rasterio, or raise `SourceError`."""
    try:
        return importlib.import_module("rasterio")
    except ImportError:
        message = "Reading a GeoTIFF needs rasterio, which is not installed: pip install rasterio"
        raise SourceError(message) from None


def _find_kind(rasterio: Any, path: Path) -> tuple[str, float | None, int]:
    """Return type, nodata value and number of bands of a file."""
    with rasterio.open(path) as source:
        return source.dtypes[0], source.nodata, source.count


def square_of(mpx: float) -> tuple[int, int]:
    """Return the least square that has ``mpx`` million pixels."""
    side = math.ceil(math.sqrt(mpx * 1e6))
    return side, side


def find_store(work: Path, mpx: float) -> Path:
    """Return where the store of ``mpx`` million pixels is, or will be."""
    return work / f"raster-{mpx:g}mpx.zarr"


def write_store(store: Path, mosaic: Mosaic) -> None:
    """Write a mosaic, with a few tiles in memory at a time; its name comes last."""
    partial = store.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    n_bands = len(mosaic.spreads)
    array = zarr.create_array(
        partial,
        shape=(*mosaic.shape, n_bands),
        chunks=(*(min(TILE, size) for size in mosaic.shape), n_bands),
        dtype="int16",
        compressors=zarr.codecs.ZstdCodec(level=3),
        fill_value=mosaic.scene.nodata,
        dimension_names=("y", "x", "band"),
        attributes={
            "source": mosaic.scene.name,
            "seed": mosaic.seed,
            "nodata": mosaic.scene.nodata,
        },
        zarr_format=3,
    )
    write_tiles(array, mosaic, list_tiles(mosaic.shape))
    partial.rename(store)


def list_tiles(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Return row and column at which each tile begins."""
    rows, columns = (range(0, size, TILE) for size in shape)
    return [(row, column) for row in rows for column in columns]


def write_tiles(array: Any, mosaic: Mosaic, starts: Sequence[tuple[int, int]]) -> None:
    """Write the tiles that begin at ``starts``."""

    def write(start: tuple[int, int]) -> None:
        tile = mosaic.tile(*start)
        rows, columns = (slice(o, o + n) for o, n in zip(start, tile.shape[:2], strict=True))
        array[rows, columns] = tile

    with ThreadPoolExecutor(N_THREADS) as pool:
        list(pool.map(write, starts))


def make_store(work: Path, mpx: float, data: Path | None) -> Path:
    """Return a store of ``mpx`` million pixels, made from ``data`` now unless it is there.

    Raises
    ------
    SourceNotFoundError
        When it is not there, and no data are given.
    """
    store = find_store(work, mpx)
    if store.exists():
        return store
    if data is None:
        message = f"Found no {store.name} in {str(work)!r}; give --data, to make it."
        raise SourceNotFoundError(message)
    work.mkdir(parents=True, exist_ok=True)
    write_store(store, Mosaic(read_scene(data), square_of(mpx)))
    return store
