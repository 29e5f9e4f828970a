"""sRGB colours as points of a lattice in another colour space, each for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dask_quant.kernels.jit import compile_kernel, inline_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SLOT_BITS: Final = 14
"""Colours whose points are kept while a block is measured, as a power of 2: what a core's cache
holds (arbitrary). Neighbours are often of one colour."""

_FREE: Final = np.uint32(0xFFFFFFFF)
"""No colour of 24 bits."""


@inline_kernel
def _place_color(
    r: float,
    g: float,
    b: float,
    inner: NDArray[np.float64],
    root_above: float,
    line: tuple[float, float],
    outer: NDArray[np.float64],
    offset: NDArray[np.float64],
    bent: NDArray[np.float64],
    point: NDArray[np.uint16],
) -> None:
    """Find the point of one colour of linear light; ``bent`` is room for three numbers."""
    for j in range(3):
        value = inner[j, 0] * r + inner[j, 1] * g + inner[j, 2] * b
        bent[j] = np.cbrt(value) if value > root_above else line[0] * value + line[1]
    for j in range(3):
        value = outer[j, 0] * bent[0] + outer[j, 1] * bent[1] + outer[j, 2] * bent[2]
        point[j] = np.uint16(np.rint(value + offset[j]))


@compile_kernel
def place_colors_block(
    colors: NDArray[np.uint8],
    linear: NDArray[np.float64],
    inner: NDArray[np.float64],
    root_above: float,
    line: tuple[float, float],
    outer: NDArray[np.float64],
    offset: NDArray[np.float64],
    points: NDArray[np.uint16],
) -> None:
    """Find the points of colours: linear light, a matrix, a bend, a matrix, rounded.

    Parameters
    ----------
    colors : ndarray
        sRGB uint8 ``(n, 3)``.
    linear : ndarray
        Linear light of every level, float64 ``(256,)``.
    inner, outer : ndarray
        Matrices, float64 ``(3, 3)``.
    root_above, line
        Values above the one become their cube root, others ``slope * value + offset``.
    offset : ndarray
        Added in the end, float64 ``(3,)``.
    points : ndarray
        Out: uint16 ``(n, 3)``.

    Notes
    -----
    O(n). A matrix product of BLAS sums in an order that depends on its shape.
    """
    bent = np.empty(3)
    for i in range(colors.shape[0]):
        r, g, b = linear[colors[i, 0]], linear[colors[i, 1]], linear[colors[i, 2]]
        _place_color(r, g, b, inner, root_above, line, outer, offset, bent, points[i])


@compile_kernel
def sum_distances_block(
    colors: NDArray[np.uint8],
    labels: NDArray[np.uint8 | np.uint16],
    entries: NDArray[np.int64],
    linear: NDArray[np.float64],
    inner: NDArray[np.float64],
    root_above: float,
    line: tuple[float, float],
    outer: NDArray[np.float64],
    offset: NDArray[np.float64],
) -> int:
    """Sum the squared distances of colours to the entries that stand for them.

    Parameters
    ----------
    colors, labels : ndarray
        sRGB uint8 ``(n, 3)`` and their entries ``(n,)``.
    entries : ndarray
        Points of the entries, int64 ``(k, 3)``.
    linear, inner, root_above, line, outer, offset
        As in `place_colors_block`.

    Returns
    -------
    int
        In steps of the lattice.

    Notes
    -----
    O(n). The last colours keep their points: in a photograph half the time of placing every pixel
    (measured).
    """
    bent = np.empty(3)
    codes = np.full(1 << _SLOT_BITS, _FREE, dtype=np.uint32)
    points = np.empty((1 << _SLOT_BITS, 3), dtype=np.uint16)
    total = 0
    for i in range(np.uint64(colors.shape[0])):
        red, green, blue = colors[i, 0], colors[i, 1], colors[i, 2]
        code = (np.uint32(red) << np.uint32(16)) | (np.uint32(green) << np.uint32(8))
        code = np.uint32(code | np.uint32(blue))
        slot = np.uint64(np.uint32(code * np.uint32(0x9E3779B1)) >> np.uint32(32 - _SLOT_BITS))
        if codes[slot] != code:
            r, g, b = linear[red], linear[green], linear[blue]
            _place_color(r, g, b, inner, root_above, line, outer, offset, bent, points[slot])
            codes[slot] = code
        entry = np.uint64(labels[i])
        d0 = np.int64(points[slot, 0]) - entries[entry, 0]
        d1 = np.int64(points[slot, 1]) - entries[entry, 1]
        d2 = np.int64(points[slot, 2]) - entries[entry, 2]
        total += d0 * d0 + d1 * d1 + d2 * d2
    return total
