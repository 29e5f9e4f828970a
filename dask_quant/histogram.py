"""ColorHistogram: how many pixels have each colour, exactly.

Counts are integers, so merging is associative and commutative and has an identity: the order in
which blocks arrive cannot matter. The form is sparse (a photograph has some 100,000 of the 2^24
colours) and canonical: equal histograms are equal arrays.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.errors import PixelFormatError
from dask_quant.kernels.cells import N_CODES
from dask_quant.kernels.count_alpha import count_alpha_block
from dask_quant.kernels.count_block import (
    CountTables,
    add_block,
    collect_tables,
    count_block,
    merge_counts_block,
    merge_tables_block,
    pack_colors,
    unpack_colors,
)
from dask_quant.premultiplied import as_opaque, clear_hidden, place_colors, scale_points
from dask_quant.rich_display import draw_html

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

BYTES_PER_COLOR = 12
"""Bytes of one histogram entry: a uint32 code and an int64 count."""

_SLICE = 1 << 20
"""Colours looked at together where that takes temporary arrays."""

POOL_PIXELS = 1 << 19
"""Pixels of small images that are counted at a time (arbitrary: eight of 256 by 256)."""

POOL_BYTES = 32 * POOL_PIXELS
"""Bytes of a pool while it is counted: its images, their copy, codes, counts (measured 26)."""


@dataclass(frozen=True, eq=False)
class ColorHistogram:
    """Exact counts of the distinct colours of an image or of many.

    Build one with `from_pixels`, `from_colors` or `dask_quant.count_colors`.
    """

    codes: NDArray[np.uint32]
    """Distinct colours, packed ``red << 16 | green << 8 | blue``, ascending, uint32 ``(n,)``.

    The highest byte is 255 less the alpha: 0 of opaque colours, which stand first."""
    counts: NDArray[np.int64]
    """Pixels of each colour, all above 0, int64 ``(n,)``."""

    def __sizeof__(self) -> int:
        """Return the bytes of the arrays as well, by which Dask chooses what to move and spill."""
        return object.__sizeof__(self) + self.codes.nbytes + self.counts.nbytes

    @classmethod
    def empty(cls) -> ColorHistogram:
        """Return the histogram of no pixel: the identity of `merge`."""
        return cls(np.empty(0, dtype=np.uint32), np.empty(0, dtype=np.int64))

    @classmethod
    def from_pixels(cls, pixels: NDArray[np.uint8]) -> ColorHistogram:
        """Count the pixels of an array in memory.

        Parameters
        ----------
        pixels : ndarray
            sRGB uint8 ``(..., 3)``, or RGBA ``(..., 4)``, of which all that are fully transparent
            are one colour.

        Raises
        ------
        PixelFormatError
            When the array is of another type or shape.

        Examples
        --------
        >>> hist = ColorHistogram.from_pixels(np.array([[[1, 2, 3], [1, 2, 3]]], dtype=np.uint8))
        >>> hist.colors.tolist(), hist.counts.tolist(), hist.n_pixels
        ([[1, 2, 3]], [2], 2)
        """
        _check_pixels(pixels)
        opaque = as_opaque(pixels)
        return cls(*(count_alpha_block(pixels) if opaque is None else count_block(opaque)))

    @classmethod
    def from_colors(cls, colors: NDArray[np.uint8], counts: NDArray[np.int64]) -> ColorHistogram:
        """Return the histogram of weighted colours.

        Parameters
        ----------
        colors : ndarray
            sRGB uint8 ``(n, 3)`` or RGBA ``(n, 4)``, in any order; counts of equal rows are added.
        counts : ndarray
            Pixels of each row, int64 ``(n,)``; rows of 0 are dropped.
        """
        codes, inverse = np.unique(pack_colors(clear_hidden(colors)), return_inverse=True)
        totals = np.zeros(len(codes), dtype=np.int64)
        np.add.at(totals, inverse, counts)
        used = totals > 0
        return cls(codes[used], totals[used])

    @classmethod
    def merge_all(cls, histograms: Iterable[ColorHistogram]) -> ColorHistogram:
        """Return the sum of ``histograms``; of none, `empty`."""
        total = cls.empty()
        for histogram in histograms:
            total = total.merge(histogram)
        return total

    def merge(self, other: ColorHistogram) -> ColorHistogram:
        """Return the histogram of the pixels of both. O(colours of both)."""
        if len(self) == 0:
            return other
        if len(other) == 0:
            return self
        return ColorHistogram(
            *merge_counts_block(self.codes, self.counts, other.codes, other.counts)
        )

    @property
    def has_alpha(self) -> bool:
        """Whether any pixel counted is not opaque."""
        return len(self.codes) > 0 and bool(self.codes[-1] >= N_CODES)

    @cached_property
    def colors(self) -> NDArray[np.uint8]:
        """The distinct colours, sRGB uint8 ``(n, 3)``, ascending by red, green, blue.

        RGBA ``(n, 4)`` where any is not opaque, first of all by descending alpha.
        """
        return unpack_colors(self.codes, 4 if self.has_alpha else 3)

    @cached_property
    def n_pixels(self) -> int:
        """Pixels counted."""
        return int(self.counts.sum())

    @property
    def n_unique_colors(self) -> int:
        """Distinct colours counted."""
        return len(self.codes)

    @property
    def nbytes(self) -> int:
        """Bytes of codes and counts."""
        return self.codes.nbytes + self.counts.nbytes

    @cached_property
    def mean_color_mse(self) -> float:
        """Mean squared error, summed over the bands, of painting every pixel the mean colour."""
        if self.n_pixels == 0:
            return 0.0
        if self.has_alpha:
            return self._mean_point_mse
        # Python integers: exact whatever the number of pixels.
        firsts, seconds = [0, 0, 0], [0, 0, 0]
        for begin in range(0, len(self), _SLICE):
            part = slice(begin, begin + _SLICE)
            counts = self.counts[part]
            for band, levels in enumerate(unpack_colors(self.codes[part]).T.astype(np.int64)):
                firsts[band] += int((counts * levels).sum())
                seconds[band] += int((counts * levels * levels).sum())
        spreads = (b * self.n_pixels - a * a for a, b in zip(firsts, seconds, strict=True))
        return sum(spreads) / self.n_pixels**2

    @property
    def _mean_point_mse(self) -> float:
        """The same of colours with transparency, over black and over white."""
        points = scale_points(place_colors(self.colors))
        shares = (self.counts / self.n_pixels)[:, np.newaxis]
        mean = (shares * points).sum(axis=0)
        return float((shares * np.square(points - mean)).sum())

    def __len__(self) -> int:
        return len(self.codes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ColorHistogram):
            return NotImplemented
        return np.array_equal(self.codes, other.codes) and np.array_equal(self.counts, other.counts)

    __hash__ = None  # type: ignore[assignment]  # compared by value, too large to hash

    def __repr__(self) -> str:
        return f"<ColorHistogram of {len(self):,} colours, {self.n_pixels:,} pixels>"

    def _repr_html_(self) -> str:
        """Draw for a notebook how many colours there are, and where they lie."""
        return draw_html(self, "histogram")


class ColorCounter:
    """Counts blocks as they come, on any number of threads, without a histogram of each.

    For tasks that run in one process, each exactly once. A thread that adds a block takes tables
    that no other one uses, so there are as many tables as threads that ever counted side by side,
    and no more is held however many blocks are counted.

    Notes
    -----
    Peak bytes: `dask_quant.kernels.count_block.SCRATCH_BYTES` for each thread; at the end one of
    them and the histogram.

    Examples
    --------
    >>> counter = ColorCounter()
    >>> counter.add(np.zeros((2, 3), dtype=np.uint8)), counter.add(np.ones((1, 3), dtype=np.uint8))
    (2, 1)
    >>> counter.finish().counts.tolist()
    [2, 1]
    """

    def __init__(self) -> None:
        self._idle: list[CountTables] = []
        self._others: list[ColorHistogram] = []

    def add(self, pixels: NDArray[np.uint8]) -> int:
        """Count the pixels of a block, sRGB uint8 ``(..., 3)``, and return how many they are.

        RGBA ``(..., 4)`` as well, as `ColorHistogram.from_pixels` takes it.

        Raises
        ------
        PixelFormatError
            When the array is of another type or shape.
        """
        _check_pixels(pixels)
        opaque = as_opaque(pixels)
        if opaque is None:
            self._add_transparent(pixels)
            return pixels.size // 4
        try:
            tables = self._idle.pop()  # list's methods are atomic, and so need no lock
        except IndexError:
            tables = CountTables.zeros()
        add_block(opaque, tables)
        self._idle.append(tables)
        return opaque.size // 3

    def _add_transparent(self, pixels: NDArray[np.uint8]) -> None:
        """Count the pixels of a block that are not all opaque, RGBA ``(..., 4)``."""
        found = ColorHistogram.from_pixels(pixels)
        with suppress(IndexError):  # another thread may have what was found so far
            found = found.merge(self._others.pop())
        self._others.append(found)

    def finish(self) -> ColorHistogram:
        """Return the histogram of all pixels added, none being added now, and start again."""
        others, self._others = ColorHistogram.merge_all(self._others), []
        if not self._idle:
            return others
        total = self._idle.pop()
        while self._idle:
            merge_tables_block(*total, *self._idle.pop())
        return ColorHistogram(*collect_tables(total)).merge(others)


def _check_pixels(pixels: NDArray[np.uint8]) -> None:
    """Raise `PixelFormatError` unless pixels are uint8 ``(..., 3)`` or ``(..., 4)``."""
    if pixels.dtype != np.uint8 or pixels.ndim < 1 or pixels.shape[-1] not in (3, 4):
        message = (
            f"Got pixels of type {pixels.dtype} and shape {pixels.shape}; "
            "colours are counted in uint8 arrays of shape (..., 3) or (..., 4)."
        )
        raise PixelFormatError(message)


class ImageCounter:
    """Counts many images, one after another, into one histogram.

    Few pixels wait to be sorted together. More are counted in tables of all colours, which takes as
    long as ten megapixels to make and to look through, and next to nothing for each image.

    Notes
    -----
    Peak bytes: 6 times `POOL_PIXELS` and the sum of large images not yet counted, or
    `dask_quant.kernels.count_block.SCRATCH_BYTES`.
    """

    def __init__(self) -> None:
        self._counter = ColorCounter()
        self._pool: list[NDArray[np.uint8]] = []
        self._n_pooled = 0

    def add(self, pixels: NDArray[np.uint8]) -> None:
        """Count the pixels of an image, sRGB uint8 ``(..., 3)``, which must not change any more.

        RGBA ``(..., 4)``, as `ColorHistogram.from_pixels` takes it, is counted at once.
        """
        if pixels.shape[-1] == 4:
            self._counter.add(pixels)
            return
        self._pool.append(pixels.reshape(-1, 3))
        self._n_pooled += pixels.size // 3
        if self._n_pooled > POOL_PIXELS:
            for rows in self._pool:
                self._counter.add(rows)
            self._pool = []  # and all that come are counted at once, in the same tables

    def finish(self) -> ColorHistogram:
        """Return the histogram of all images."""
        total = self._counter.finish()
        if self._pool:
            rows = self._pool[0] if len(self._pool) == 1 else np.concatenate(self._pool)
            total = total.merge(ColorHistogram.from_pixels(rows))
        return total
