"""A box of all colours, cut in two; then the box that needs it most, until there are enough."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.kernels.split_boxes import NO_BAND, average_boxes_block, part_box_block

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dask_quant.fit.boxes import ColorBoxes

    FindCut = Callable[
        [NDArray[np.uint8], NDArray[np.int64], int, int],
        tuple[float, int, int],
    ]


def split_boxes(boxes: ColorBoxes, n_boxes: int, find_cut: FindCut) -> NDArray[np.float64]:
    """Return the means of at most ``n_boxes`` boxes of colours, float64 ``(n, 3)``.

    Parameters
    ----------
    boxes : ColorBoxes
        The weighted colours.
    n_boxes : int
        Boxes wanted; fewer come out only where there are fewer colours.
    find_cut : callable
        Given colours, weights, and which of them are in a box: how much the box needs to be cut,
        the band across which, and the highest level of its lower part.

    Notes
    -----
    Each cut reads its box three times; 11 bytes a colour.
    """
    points, weights = boxes.colors.copy(), boxes.weights.copy()
    waiting: list[tuple[float, int, int, int, int]] = []
    starts = [0]

    def wait(begin: int, end: int) -> None:
        need, band, level = find_cut(points, weights, begin, end)
        if band != NO_BAND:
            # Of equals, the one that begins first: the lower one of the first cut between them.
            heapq.heappush(waiting, (-need, begin, end, band, level))

    wait(0, len(points))
    while waiting and len(starts) < n_boxes:
        _, begin, end, band, level = heapq.heappop(waiting)
        middle = part_box_block(points, weights, begin, end, band, level)
        starts.append(middle)
        wait(begin, middle)
        wait(middle, end)
    ends = np.array([*sorted(starts), len(points)], dtype=np.int64)
    return average_boxes_block(points, weights, ends)
