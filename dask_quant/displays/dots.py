"""Colours of a histogram as few dots: each of them, or the means of cells of colour space.

No dot is a sample: every pixel is in one, so that a rare colour is not lost by chance, and the same
histogram gives the same dots.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dask_quant.kernels.cells import N_CODES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.histogram import ColorHistogram

_SLICE = 1 << 18
"""Colours looked at together: 16.8 million at once would take a gigabyte (arbitrary)."""

_SIDE = 32
"""Cells along each axis before they are joined, two by two by two, until they are few enough."""


class Dots(NamedTuple):
    """Colours, opaque ones alone, and the pixels that each stands for."""

    colors: NDArray[np.float64]
    """sRGB, 0 to 255, ``(n, 3)``."""
    counts: NDArray[np.int64]
    """Pixels ``(n,)``."""
    levels: int
    """Levels along the side of a cell; 1: each dot is one colour."""


def gather_dots(histogram: ColorHistogram, limit: int) -> Dots:
    """Return at most ``limit`` dots, 1 or more, for all opaque colours of a histogram.

    Notes
    -----
    O(colours), in a few dozen megabytes whatever the histogram.
    """
    n_opaque = int(np.searchsorted(histogram.codes, np.uint32(N_CODES)))  # others follow
    if n_opaque <= limit:
        codes, counts = histogram.codes[:n_opaque], histogram.counts[:n_opaque]
        return Dots(_unpack(codes).astype(np.float64), counts, 1)
    totals = _sum_cells(histogram, n_opaque)
    while np.count_nonzero(totals[..., 0]) > limit:
        totals = _join_cells(totals)
    used = totals[totals[..., 0] > 0]
    return Dots(used[:, 1:] / used[:, :1], used[:, 0], 256 // len(totals))


def _unpack(codes: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return levels ``(n, 3)`` of packed colours."""
    return np.stack([codes >> 16 & 255, codes >> 8 & 255, codes & 255], axis=1).astype(np.int64)


def _sum_cells(histogram: ColorHistogram, n_opaque: int) -> NDArray[np.int64]:
    """Return pixels, and levels summed over them, of each cell ``(32, 32, 32, 4)``."""
    totals = np.zeros((_SIDE**3, 4), dtype=np.int64)
    for begin in range(0, n_opaque, _SLICE):
        part = slice(begin, min(begin + _SLICE, n_opaque))
        levels, counts = _unpack(histogram.codes[part]), histogram.counts[part]
        red, green, blue = levels.T * _SIDE // 256
        cells = (red * _SIDE + green) * _SIDE + blue
        np.add.at(totals[:, 0], cells, counts)
        for band in range(3):
            np.add.at(totals[:, band + 1], cells, counts * levels[:, band])
    return totals.reshape(_SIDE, _SIDE, _SIDE, 4)


def _join_cells(totals: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the same of cells twice as wide."""
    half = len(totals) // 2
    joined: NDArray[np.int64] = totals.reshape(half, 2, half, 2, half, 2, 4).sum(axis=(1, 3, 5))
    return joined
