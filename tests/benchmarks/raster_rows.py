"""The pixels of a raster as rows of numbers, block by block, and what centres leave of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Window = tuple[slice, slice]


@dataclass(frozen=True)
class Raster:
    """A raster on disk or in memory."""

    pixels: Any
    """int16 ``(y, x, band)``, a Zarr or a NumPy array."""
    nodata: int
    """What all bands of a pixel without data hold."""
    side: int
    """Rows and columns of a block."""

    @property
    def n_bands(self) -> int:
        """Numbers of a row."""
        return int(self.pixels.shape[2])

    @property
    def n_pixels(self) -> int:
        """Rows, with and without data."""
        return math.prod(self.pixels.shape[:2])

    def list_windows(self) -> list[Window]:
        """Return the rows and columns of all blocks."""
        height, width = self.pixels.shape[:2]
        return [
            (
                slice(row, min(row + self.side, height)),
                slice(column, min(column + self.side, width)),
            )
            for row in range(0, height, self.side)
            for column in range(0, width, self.side)
        ]

    def read_block(self, window: Window) -> NDArray[np.int16]:
        """Return the rows of a block, ``(n, band)``."""
        return np.asarray(self.pixels[window]).reshape(-1, self.n_bands)

    def read_valid(self, window: Window) -> NDArray[np.int16]:
        """Return those rows of a block that hold data, ``(n, band)``."""
        rows = self.read_block(window)
        return rows[find_valid(rows, self.nodata)]

    def cut_middle(self, side: int) -> Raster:
        """Return at most ``side`` rows and columns of the middle, in memory, in four blocks."""
        rows, columns = (
            slice(max(0, (size - side) // 2), (size + side) // 2) for size in self.pixels.shape[:2]
        )
        return Raster(np.asarray(self.pixels[rows, columns]), self.nodata, -(-side // 2))


def open_raster(store: Path) -> Raster:
    """Return the raster of a store, its blocks those of the store."""
    array = zarr.open_array(store, mode="r")
    return Raster(array, int(array.attrs["nodata"]), array.chunks[0])


def count_pixels(window: Window) -> int:
    """Return the rows of a block, with and without data."""
    return math.prod(part.stop - part.start for part in window)


def find_valid(rows: NDArray[Any], nodata: int) -> NDArray[np.bool_]:
    """Return which rows hold data, ``(n,)``."""
    return (rows != nodata).all(axis=1)


def load_rows(raster: Raster) -> NDArray[np.float32]:
    """Return all rows that hold data, in memory once, ``(n, band)``."""
    rows = np.empty((raster.n_pixels, raster.n_bands), dtype=np.float32)
    n_rows = 0
    for window in raster.list_windows():
        valid = raster.read_valid(window)
        rows[n_rows : n_rows + len(valid)] = valid
        n_rows += len(valid)
    return rows[:n_rows]


def count_valid(raster: Raster) -> int:
    """Return how many pixels hold data."""
    return sum(len(raster.read_valid(window)) for window in raster.list_windows())


def measure_inertia(raster: Raster, centers: Sequence[Sequence[float]]) -> float:
    """Return the sum over all pixels with data of the squared distance to the nearest centre.

    In float64, from differences of the stored integers and the centres; the same for all methods.
    """
    sets = np.asarray(centers, dtype=np.float64)
    windows = raster.list_windows()
    return math.fsum(_measure_block(raster.read_valid(window), sets) for window in windows)


def _measure_block(rows: NDArray[np.int16], centers: NDArray[np.float64]) -> float:
    """Return what centres leave of the rows of a block."""
    levels = rows.astype(np.float64)
    least = np.full(len(levels), np.inf)
    difference = np.empty_like(levels)
    for center in centers:
        np.subtract(levels, center, out=difference)
        np.minimum(least, np.einsum("ij,ij->i", difference, difference), out=least)
    return float(least.sum())
