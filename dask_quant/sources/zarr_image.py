"""An image in a Zarr array whose axes may lie in any order, and its samples be of any depth.

A part of it is read in pieces of a few chunks: each chunk once for all bands, so that no more of it
than a piece is held as stored, beside the pixels that become of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant.chunking import plan_chunks
from dask_quant.sources.sample_scaling import to_eight_bits
from dask_quant.sources.zarr_shards import ShardedArray, can_read

if TYPE_CHECKING:
    from collections.abc import Iterator

    import zarr
    from numpy.typing import NDArray

    from dask_quant.sources.axis_order import AxisOrder

PIECE_PIXELS = 1 << 20
"""Pixels that are read at a time, at least a chunk (arbitrary)."""

_STRIP_SAMPLES = 1 << 16
"""Samples that are brought to 8 bits at a time: they stay in the cache (arbitrary)."""


@dataclass(frozen=True)
class ZarrImage:
    """Pixels of a Zarr array as uint8 ``(y, x)`` or ``(y, x, band)``, read when they are sliced."""

    array: zarr.Array
    """The array."""
    order: AxisOrder
    """Which of its axes is which."""
    plane: tuple[int, ...]
    """Place along each axis of ``order.planes``."""
    name: str
    """What messages call it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, columns, and bands where there is an axis for them."""
        return tuple(self.array.shape[axis] for axis in self._axes)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        return np.dtype(np.uint8)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self._axes)

    @property
    def unit(self) -> tuple[int, int]:
        """Rows and columns of what is read at once: a shard, or else a chunk."""
        return self._sides(self.array.shards or self.array.chunks)

    @property
    def part(self) -> tuple[int, int]:
        """Rows and columns of the least that is decoded: a chunk, within a shard or not.

        Parts of a shard cost no more to read than the whole.
        """
        return self._sides(self.array.chunks)

    @property
    def is_plain(self) -> bool:
        """Whether the array holds the very pixels, in their order."""
        return self.order.is_plain and self.array.dtype == np.uint8

    @property
    def unit_bytes(self) -> int:
        """Bytes of a piece as stored and decoded, beside its pixels; 0: there is none."""
        if self.is_plain:
            return 0
        chunks, (rows, columns) = self.array.chunks, self._piece
        n_others = prod(
            -(-self._n_read(axis) // size) * size
            for axis, size in enumerate(chunks)
            if axis not in self._axes[:2]
        )
        return int(rows * columns * n_others * self.array.dtype.itemsize)

    def __getitem__(self, selection: tuple[slice, ...]) -> NDArray[np.uint8]:
        """Return a part of the image, of one slice without step for each axis."""
        stored = ShardedArray(self.array) if can_read(self.array) else self.array
        if self.is_plain:
            part: NDArray[np.uint8] = np.asarray(stored[selection])
            return part
        rows, columns = (
            range(size)[which] for which, size in zip(selection[:2], self.shape[:2], strict=True)
        )
        pixels = np.empty((len(rows), len(columns), *self.shape[2:]), dtype=np.uint8)
        for top, left in product(*map(_cut, (rows, columns), self._piece)):
            samples = self._arrange(np.asarray(stored[self._box(top, left)]))
            part = pixels[
                top.start - rows.start : top.stop - rows.start,
                left.start - columns.start : left.stop - columns.start,
            ]
            _fill_levels(samples, part, self.name)
        return pixels[(slice(None), slice(None), *selection[2:])]

    @property
    def _axes(self) -> tuple[int, ...]:
        """The axes of rows, columns and bands."""
        order = self.order
        return (order.rows, order.columns, *(() if order.bands is None else (order.bands,)))

    @property
    def _piece(self) -> tuple[int, int]:
        """Rows and columns that are read at a time, of whole chunks."""
        rows, columns = self.shape[:2]
        piece = plan_chunks((rows, columns), self.part, target_pixels=PIECE_PIXELS)
        return min(piece[0], rows), min(piece[1], columns)

    def _sides(self, cells: tuple[int, ...]) -> tuple[int, int]:
        """Return rows and columns of a cell of the array."""
        return cells[self.order.rows], cells[self.order.columns]

    def _n_read(self, axis: int) -> int:
        """Return how much of an axis other than rows and columns is read."""
        return 1 if axis in self.order.planes else int(self.array.shape[axis])

    def _box(self, rows: range, columns: range) -> tuple[slice, ...]:
        """Return the part of the array that holds a piece."""
        box = [slice(0, size) for size in self.array.shape]
        box[self.order.rows] = slice(rows.start, rows.stop)
        box[self.order.columns] = slice(columns.start, columns.stop)
        for axis, place in zip(self.order.planes, self.plane, strict=True):
            box[axis] = slice(place, place + 1)
        return tuple(box)

    def _arrange(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return stored samples as ``(y, x)`` or ``(y, x, band)``, a view in native byte order."""
        view = stored.transpose(*self._axes, *self.order.planes)
        samples = view.reshape(view.shape[: self.ndim])  # what is left of others has a length of 1
        return samples.astype(samples.dtype.newbyteorder("="), copy=False)


def _cut(places: range, size: int) -> Iterator[range]:
    """Yield places in parts that end where a grid of ``size`` does."""
    start = places.start
    while start < places.stop:
        stop = min(start - start % size + size, places.stop)
        yield range(start, stop)
        start = stop


def _fill_levels(samples: NDArray[Any], pixels: NDArray[np.uint8], name: str) -> None:
    """Write samples, of 2 or 3 axes and in any order in memory, to ``pixels`` as 8-bit levels."""
    if samples.ndim == 3 and samples.strides[2] != samples.itemsize:
        for band in range(samples.shape[2]):  # each lies together in memory
            _fill_levels(samples[..., band], pixels[..., band], name)
        return
    n_rows = max(1, _STRIP_SAMPLES // max(1, prod(samples.shape[1:])))
    for row in range(0, len(samples), n_rows):
        strip = slice(row, row + n_rows)
        pixels[strip] = to_eight_bits(samples[strip], name=name)
