"""How 8-bit colour space is laid out in memory: cubes within cubes.

Neighbouring pixels of a photograph have neighbouring colours. Were the 2^24 bins of a table in
plain ``red << 16 | green << 8 | blue`` order, colours one level of red apart would lie 65,536 bins
apart. Here the bins of a cube of 8 x 8 x 8 colours (a *cell*) lie together, and so do the 64 cells
of a cube of 32 x 32 x 32 colours (a *block of cells*):

    bin = [r7 r6 r5 g7 g6 g5 b7 b6 b5] [r4 r3 g4 g3 b4 b3] [r2 r1 r0 g2 g1 g0 b2 b1 b0]
           block of cells, 0 to 511      cell in block       colour in cell

A bin is found by three lookups and two ORs. The same cells are the boxes by which the Lloyd and
assignment kernels prune centroids.

Codes, by contrast, are the packed form ``red << 16 | green << 8 | blue`` that histograms store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dask_quant.kernels.jit import compile_helper, compile_kernel
from dask_quant.kernels.moments import add_color

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_CODES: Final = 1 << 24
"""Number of 8-bit RGB colours."""

CELL_SIDE: Final = 8
"""Levels of each band in a cell."""

CELL_BITS: Final = 9
"""Bits of a bin that tell colours of one cell apart."""

CELL_COLORS: Final = 1 << CELL_BITS
"""Colours in a cell."""

N_CELLS: Final = N_CODES >> CELL_BITS
"""Cells in colour space."""

CELLS_PER_BLOCK: Final = 64
"""Cells in a block of cells."""


def _spread_level(axis: int) -> NDArray[np.uint32]:
    """Return the contribution to a bin of each level of one band, uint32 ``(256,)``."""
    level = np.arange(256, dtype=np.uint32)
    shift = 2 - axis
    return (
        ((level >> 5) << (15 + 3 * shift))
        | (((level >> 3) & 3) << (9 + 2 * shift))
        | ((level & 7) << (3 * shift))
    ).astype(np.uint32)


def list_block_colors(block: int) -> NDArray[np.uint8]:
    """Return the colours of a block of cells in the order of their bins, uint8 ``(32768, 3)``."""
    in_block = np.arange(CELLS_PER_BLOCK * CELL_COLORS)
    bands = []
    for shift in (2, 1, 0):
        coarse = (block >> (3 * shift) & 7) << 5
        bands.append(coarse | (in_block >> (9 + 2 * shift) & 3) << 3 | in_block >> (3 * shift) & 7)
    return np.stack(bands, axis=1).astype(np.uint8)


RED_BINS: Final = _spread_level(0)
GREEN_BINS: Final = _spread_level(1)
BLUE_BINS: Final = _spread_level(2)


@compile_kernel
def sort_by_cell_block(
    codes: NDArray[np.uint32],
    counts: NDArray[np.int64],
    colors: NDArray[np.uint8],
    weights: NDArray[np.int64],
    starts: NDArray[np.int64],
) -> None:
    """Unpack colours, cell after cell, keeping their order within each: a counting sort.

    Parameters
    ----------
    codes, counts : ndarray
        Packed colours, uint32, ascending, and the pixels of each, int64, both ``(n,)``.
    colors, weights : ndarray
        Out: the colours uint8 ``(n, 3)`` and the pixels of each, int64 ``(n,)``.
    starts : ndarray
        Out: where each cell begins in ``colors``, int64 ``(N_CELLS + 1,)``.
    """
    starts[:] = 0
    for i in range(codes.shape[0]):
        starts[_cell_of(codes[i]) + 1] += 1
    for cell in range(N_CELLS):
        starts[cell + 1] += starts[cell]
    cursor = starts[:-1].copy()
    for i in range(codes.shape[0]):
        code = codes[i]
        home = _cell_of(code)
        position = cursor[home]
        cursor[home] += 1
        colors[position, 0] = code >> 16
        colors[position, 1] = (code >> 8) & 255
        colors[position, 2] = code & 255
        weights[position] = counts[i]


@compile_kernel
def measure_cells_block(
    points: NDArray[np.uint8 | np.uint16],
    weights: NDArray[np.int64],
    starts: NDArray[np.int64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    moments: NDArray[np.int64],
) -> None:
    """Find the bounding box and the moments of the colours of each cell.

    Parameters
    ----------
    points, weights : ndarray
        Points uint8 or uint16 ``(n, 3)``, cell after cell, and the pixels of each, int64 ``(n,)``.
    starts : ndarray
        Where each non-empty cell begins, int64 ``(m + 1,)``.
    low, high : ndarray
        Out: lowest and highest level of each band, float64 ``(m, 3)``.
    moments : ndarray
        Out, zeroed: int64 ``(m, N_MOMENTS)``, see `dask_quant.kernels.moments`.
    """
    for cell in range(starts.shape[0] - 1):
        for band in range(3):
            low[cell, band], high[cell, band] = np.inf, 0
        for i in range(starts[cell], starts[cell + 1]):
            for band in range(3):
                level = points[i, band]
                low[cell, band] = min(low[cell, band], level)
                high[cell, band] = max(high[cell, band], level)
            add_color(moments, cell, weights[i], points[i, 0], points[i, 1], points[i, 2])


@compile_kernel
def coarsen_cells_block(
    colors: NDArray[np.uint8],
    points: NDArray[np.uint8 | np.uint16],
    weights: NDArray[np.int64],
    starts: NDArray[np.int64],
    n_bits: int,
    means: NDArray[np.uint8 | np.uint16],
    mean_weights: NDArray[np.int64],
    mean_starts: NDArray[np.int64],
) -> tuple[int, float]:
    """Replace the colours of every cube that a cell is cut into by their weighted mean.

    Parameters
    ----------
    colors, points, weights : ndarray
        Colours uint8 ``(n, 3)``, cell after cell, where they lie in the working space, uint8 or
        uint16 ``(n, 3)``, and the pixels of each, int64 ``(n,)``.
    starts : ndarray
        Where each non-empty cell begins, int64 ``(m + 1,)``.
    n_bits : int
        Each band of a cell is cut into ``2^n_bits`` parts.
    means, mean_weights, mean_starts : ndarray
        Out: the same for the means of the points, rounded, as far as they go.

    Returns
    -------
    n : int
        How many means there are.
    squares : float
        Squares of the means before they were rounded, over all pixels and bands.
    """
    sums = np.zeros((1 << (3 * n_bits), 4), dtype=np.int64)
    shift, mask = 3 - n_bits, (1 << n_bits) - 1
    n, squares = 0, 0.0
    for cell in range(starts.shape[0] - 1):
        mean_starts[cell] = n
        for i in range(starts[cell], starts[cell + 1]):
            r, g, b = np.int64(colors[i, 0]), np.int64(colors[i, 1]), np.int64(colors[i, 2])
            cube = (
                ((r >> shift & mask) << (2 * n_bits))
                | ((g >> shift & mask) << n_bits)
                | (b >> shift & mask)
            )
            sums[cube, 0] += weights[i]
            for band in range(3):
                sums[cube, band + 1] += weights[i] * np.int64(points[i, band])
        for full in range(sums.shape[0]):
            weight = sums[full, 0]
            if weight == 0:
                continue
            for band in range(3):
                squares += np.float64(sums[full, band + 1]) ** 2 / weight
                means[n, band] = (2 * sums[full, band + 1] + weight) // (2 * weight)
                sums[full, band + 1] = 0
            mean_weights[n] = weight
            sums[full, 0] = 0
            n += 1
    mean_starts[starts.shape[0] - 1] = n
    return n, squares


@compile_helper
def _cell_of(code: np.uint32) -> np.int64:
    """Return the cell of a packed colour."""
    bin_ = RED_BINS[code >> 16] | GREEN_BINS[(code >> 8) & 255] | BLUE_BINS[code & 255]
    return np.int64(bin_ >> CELL_BITS)
