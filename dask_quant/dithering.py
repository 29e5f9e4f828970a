"""Dithered labels: what to add where, the tables to look up, and what it comes to.

A palette is never fitted for dithering. What was written is counted and measured by itself, since
a histogram cannot tell it: a `Tally` of each block, which add up to that of the image.

How far ordered dithering moves a colour follows from the palette. Texts on arbitrary palettes call
this the spread and leave it to the user. Here the offsets are spread evenly over the mean distance
of an entry to the nearest other one: a grey between two that are as far apart is then shown by both
in due shares, and a colour that lies at an entry is left to it. Measured on photographs in 8 to 256
fitted colours, blurred as the eye does, half or twice that, or the distance of each entry by
itself, is worse or no better.

The offset of a pixel is the same for its three bands, so that a pattern is of light and dark, which
is seen least in colours. Offsets that differ by band mix more colours, at an error that is 2 to 8 %
lower, but those of three bands cancel out: a grey ramp in black and white came out 40 levels off.

References
----------
B. E. Bayer, 1973; R. Ulichney, 1993: see `dask_quant.kernels.masks`. R. W. Floyd and L. Steinberg,
1976: see `dask_quant.kernels.dither`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.color_spaces import find_space
from dask_quant.kernels.assign import label_block
from dask_quant.kernels.count_block import pack_colors
from dask_quant.kernels.dither import (
    diffuse_block,
    measure_gaps_block,
    offset_block,
    start_carry,
    tally_block,
)
from dask_quant.kernels.masks import bayer_ranks, blue_noise_ranks
from dask_quant.palette import Palette, check_opaque
from dask_quant.tables import find_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from dask_quant.kernels.assign import Labels

_BAYER_DOUBLINGS = 3
"""Bayer's matrix is of 8 x 8 pixels: one of 16 x 16 measures the same and repeats more coarsely."""

_BLUE_NOISE_SIDE = 64
"""Side of the blue-noise mask in pixels: too large for the eye to see it repeat."""

_KEPT_OFFSETS = 16
"""Palettes whose offsets a process keeps, 100 kB each (arbitrary)."""


@dataclass(frozen=True)
class Tally:
    """What labels came to: pixels by entry, and how far they are from what they stand for."""

    counts: NDArray[np.int64]
    """Pixels of each palette entry, int64 ``(k,)``."""
    squared_error: int
    """Squared sRGB error over the pixels, summed over the bands."""
    squared_distance: int
    """The same in the working space, in steps of its lattice, see `ColorSpace`."""

    @classmethod
    def of(
        cls, pixels: NDArray[np.uint8], labels: Labels, palette: Palette, space: str = "srgb"
    ) -> Tally:
        """Count and measure the labels ``(...)`` of sRGB uint8 ``(..., 3)``. **Eager**."""
        counts, error = tally_block(pixels, labels, palette.colors)
        if space == "srgb":
            return cls(counts, error, error)
        distance = find_space(space).sum_distances(pixels, labels, palette.colors)
        return cls(counts, error, distance)

    @classmethod
    def merge(cls, tallies: Iterable[Tally]) -> Tally:
        """Return the sum of at least one tally; neither order nor grouping matters."""
        first, *others = tallies
        counts = first.counts.copy()
        error, distance = first.squared_error, first.squared_distance
        for other in others:
            counts += other.counts
            error += other.squared_error
            distance += other.squared_distance
        return cls(counts, error, distance)

    def count_palette(self, palette: Palette) -> Palette:
        """Return the palette in its order, with these counts."""
        return Palette(palette.colors, self.counts)


def dither_block(
    pixels: NDArray[np.uint8],
    palette: Palette,
    dither: str,
    *,
    space: str = "srgb",
    first: tuple[int, int] = (0, 0),
    table: Labels | None = None,
) -> Labels:
    """Return the labels of a block, dithered where its place alone decides. **Eager**.

    Parameters
    ----------
    pixels : ndarray
        sRGB uint8 ``(rows, columns, 3)``.
    palette : Palette
        Colours to use.
    dither : str
        ``none``, ``bayer`` or ``blue-noise``.
    space : str, default "srgb"
        Where the nearest entry is found, one of `dask_quant.fit_options.SPACES`; what is added to
        a pixel are levels of sRGB in any case.
    first : tuple of int
        Row and column of the block's first pixel in the image.
    table : ndarray, optional
        Of the palette in that space; None: the one that this process keeps.

    Returns
    -------
    ndarray
        Labels ``(rows, columns)``, of `Palette.label_dtype`.
    """
    if table is None:
        table = find_table(palette, space)
    if dither == "none":
        return label_block(pixels, table)
    offsets = np.roll(find_offsets(palette, dither), (-first[0], -first[1]), axis=(0, 1))
    return offset_block(pixels, offsets, table, palette.colors)


def diffuse_rows(
    pixels: NDArray[np.uint8],
    palette: Palette,
    carry: NDArray[np.int16] | None,
    *,
    space: str = "srgb",
    table: Labels | None = None,
) -> tuple[Labels, NDArray[np.int16]]:
    """Return the labels of whole rows by Floyd and Steinberg's error diffusion. **Eager**.

    Parameters
    ----------
    pixels : ndarray
        sRGB uint8 ``(rows, columns, 3)``, as wide as the image.
    palette : Palette
        Colours to use.
    carry : ndarray or None
        What the rows above handed down, as this returned it; None at the top of the image.
    space, table
        As in `dither_block`; errors are those in sRGB.

    Returns
    -------
    labels : ndarray
        ``(rows, columns)``, of `Palette.label_dtype`.
    carry : ndarray
        For the rows below, int16 ``(columns + 1, 3)``.
    """
    above = start_carry(pixels.shape[1]) if carry is None else carry
    table = find_table(palette, space) if table is None else table
    return diffuse_block(pixels, table, palette.colors, above)


def dither_image(
    pixels: NDArray[np.uint8],
    palette: Palette,
    dither: str,
    *,
    space: str = "srgb",
    table: Labels | None = None,
) -> tuple[Labels, Tally]:
    """Return the labels ``(y, x)`` of a whole image ``(y, x, 3)``, and their tally. **Eager**.

    ``dither`` is one of `dask_quant.fit_options.DITHERS`; ``space`` and ``table`` are those of
    `dither_block`.
    """
    check_opaque(palette, f"dither {dither}")
    if dither == "floyd-steinberg":
        labels = diffuse_rows(pixels, palette, None, space=space, table=table)[0]
    else:
        labels = dither_block(pixels, palette, dither, space=space, table=table)
    return labels, Tally.of(pixels, labels, palette, space)


def find_offsets(palette: Palette, dither: str) -> NDArray[np.int64]:
    """Return the levels that ordered dithering adds, by place and band. **Eager**.

    Parameters
    ----------
    palette : Palette
        Decides how far.
    dither : str
        ``bayer`` or ``blue-noise``.

    Returns
    -------
    ndarray
        int64 ``(side, side, 3)``, symmetric about 0, to be repeated over the image; read-only.
    """
    return _find_offsets(palette, dither)


@lru_cache(_KEPT_OFFSETS)
def _find_offsets(palette: Palette, dither: str) -> NDArray[np.int64]:
    """Return the offsets of a palette; they are made once."""
    is_bayer = dither == "bayer"
    ranks = bayer_ranks(_BAYER_DOUBLINGS) if is_bayer else blue_noise_ranks(_BLUE_NOISE_SIDE)
    # With all three bands at its ends, it is as long as two entries are apart.
    spread = mean_gap(palette) / math.sqrt(3)
    levels = np.rint((ranks + 0.5 - ranks.size / 2) * (spread / ranks.size)).astype(np.int64)
    offsets = np.stack([levels] * 3, axis=-1)
    offsets.setflags(write=False)
    return offsets


def mean_gap(palette: Palette) -> float:
    """Return the mean distance of an entry to the nearest other one, in sRGB levels; 0 for one.

    Examples
    --------
    >>> mean_gap(Palette([[0, 0, 0], [0, 3, 4], [0, 3, 5], [0, 3, 6]]))
    2.0
    """
    if len(palette) == 1:
        return 0.0
    order = np.argsort(pack_colors(palette.colors))
    gaps = measure_gaps_block(palette.colors[order])
    return math.fsum(np.sqrt(gaps).tolist()) / len(palette)
