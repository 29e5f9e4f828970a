"""Boxes of weighted colours, cut in two by planes: what median cut and Wu's method do all day.

The colours of a box lie together, ``begin`` to ``end``; to cut it is to bring those of the lower
part to the front. Weights and their sums are integers: the order of colours cannot show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dask_quant.kernels.jit import compile_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_LEVELS: Final = 256
"""Levels of a band."""

NO_BAND: Final = -1
"""Band of the cut through a box of one colour, which has none."""


@compile_kernel
def cut_at_median_block(
    points: NDArray[np.uint8], weights: NDArray[np.int64], begin: int, end: int
) -> tuple[float, int, int]:
    """Find the plane across the longest side of a box that halves its weight best.

    Parameters
    ----------
    points, weights : ndarray
        Colours uint8 ``(n, 3)`` and their weights, int64 ``(n,)``.
    begin, end : int
        Which of them are in the box.

    Returns
    -------
    weight : float
        Of the box.
    band : int
        Of the side, the first of equals, or `NO_BAND`.
    level : int
        Highest level of the lower part, the lowest of those that halve as well.
    """
    profile = np.zeros((3, N_LEVELS), dtype=np.int64)
    total = np.int64(0)
    for i in range(begin, end):
        total += weights[i]
        for band in range(3):
            profile[band, points[i, band]] += weights[i]
    longest, length = NO_BAND, 0
    for band in range(3):
        low, high = N_LEVELS, 0
        for level in range(N_LEVELS):
            if profile[band, level] > 0:
                low, high = min(low, level), level
        if high - low > length:
            longest, length = band, high - low
    best, least = 0, total
    running = np.int64(0)
    if longest != NO_BAND:
        for level in range(N_LEVELS):
            if profile[longest, level] == 0:
                continue
            running += profile[longest, level]
            difference = abs(2 * running - total)
            if difference < least:  # the highest level would leave nothing: it has the total
                best, least = level, difference
    return float(total), longest, best


@compile_kernel
def cut_at_variance_block(
    points: NDArray[np.uint8], weights: NDArray[np.int64], begin: int, end: int
) -> tuple[float, int, int]:
    """Find the plane that leaves the least squared error about the means of the two parts.

    Parameters
    ----------
    points, weights, begin, end
        As for `cut_at_median_block`.

    Returns
    -------
    error : float
        Squared error of the box about its mean.
    band : int
        The plane is across it; the first of equals, or `NO_BAND`.
    level : int
        Highest level of the lower part, the lowest of equals.
    """
    # Of each level of each band: the weight, and the sums of all three bands.
    profile = np.zeros((3, N_LEVELS, 4), dtype=np.int64)
    for i in range(begin, end):
        weight = weights[i]
        for band in range(3):
            level = points[i, band]
            profile[band, level, 0] += weight
            for other in range(3):
                profile[band, level, 1 + other] += weight * points[i, other]
    total = np.zeros(4, dtype=np.int64)
    squares = np.int64(0)
    for level in range(N_LEVELS):
        for moment in range(4):
            total[moment] += profile[0, level, moment]
        for band in range(3):
            squares += profile[band, level, 0] * level * level
    whole = 0.0
    for moment in range(1, 4):
        whole += float(total[moment]) * float(total[moment])
    error = float(squares) - whole / total[0]
    best_band, best_level, most = NO_BAND, 0, -1.0
    for band in range(3):
        w, s0, s1, s2 = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
        for level in range(N_LEVELS):
            if profile[band, level, 0] == 0:
                continue
            w += profile[band, level, 0]
            s0 += profile[band, level, 1]
            s1 += profile[band, level, 2]
            s2 += profile[band, level, 3]
            rest = total[0] - w
            if rest == 0:
                break
            a, b, c = float(s0), float(s1), float(s2)
            x, y, z = float(total[1] - s0), float(total[2] - s1), float(total[3] - s2)
            explained = (a * a + b * b + c * c) / w + (x * x + y * y + z * z) / rest
            if explained > most:
                best_band, best_level, most = band, level, explained
    return error, best_band, best_level


@compile_kernel
def part_box_block(
    points: NDArray[np.uint8],
    weights: NDArray[np.int64],
    begin: int,
    end: int,
    band: int,
    level: int,
) -> int:
    """Bring the colours of a box up to ``level`` of a band to its front; return where they end.

    ``points`` and ``weights`` are changed in place; the others are as for `cut_at_median_block`.
    """
    front, back = begin, end - 1
    while True:
        while front <= back and points[front, band] <= level:
            front += 1
        while front <= back and points[back, band] > level:
            back -= 1
        if front > back:
            return front
        for other in range(3):
            kept = points[front, other]
            points[front, other] = points[back, other]
            points[back, other] = kept
        weight = weights[front]
        weights[front] = weights[back]
        weights[back] = weight


@compile_kernel
def average_boxes_block(
    points: NDArray[np.uint8], weights: NDArray[np.int64], starts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the weighted mean of each box, float64 ``(n_boxes, 3)``.

    ``starts`` is where each box begins, int64 ``(n_boxes + 1,)``.
    """
    n_boxes = starts.shape[0] - 1
    means = np.empty((n_boxes, 3))
    for box in range(n_boxes):
        w, s0, s1, s2 = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
        for i in range(starts[box], starts[box + 1]):
            w += weights[i]
            s0 += weights[i] * points[i, 0]
            s1 += weights[i] * points[i, 1]
            s2 += weights[i] * points[i, 2]
        means[box, 0], means[box, 1], means[box, 2] = s0 / w, s1 / w, s2 / w
    return means
