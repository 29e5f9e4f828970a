"""First centroids: drawn far from one another, drawn anywhere, or given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.fit.effort import plan_search
from dask_quant.fit.search import mix_seed, seeding_points
from dask_quant.kernels.seed import draw_block, seed_block

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.fit.boxes import ColorBoxes

    Init = str | tuple[tuple[float, ...], ...]

_MARGIN = 1 / 3
"""Share of its length by which the box is widened at either side: OpenCV's, for three bands."""


def choose_start(
    boxes: ColorBoxes, n_centroids: int, init: Init, seed: int, restart: int
) -> NDArray[np.float64]:
    """Return first centroids, sRGB levels float64 ``(n_centroids, 3)``.

    Parameters
    ----------
    boxes : ColorBoxes
        The weighted colours, more than ``n_centroids`` of them.
    n_centroids : int
        How many are wanted.
    init : {"k-means++", "random"} or tuple
        As in `dask_quant.fit_options.FitOptions`: greedy k-means++; anywhere in the box of the
        colours and somewhat around it; or what is given.
    seed, restart : int
        What the draws are hashed from.
    """
    stream = mix_seed(seed, restart)
    if not isinstance(init, str):
        return np.array(init, dtype=np.float64)
    if init == "random":
        return _draw_anywhere(boxes, n_centroids, stream)
    columns, weights = seeding_points(boxes, n_centroids)
    n_trials = plan_search("default", n_centroids, len(boxes.colors)).n_trials
    first = seed_block(columns, weights, np.empty(0), n_centroids, n_trials, stream)
    return np.ascontiguousarray(columns[:, first].T)


def _draw_anywhere(boxes: ColorBoxes, n_centroids: int, stream: np.uint64) -> NDArray[np.float64]:
    """Return points of the widened box of the colours, float64 ``(n_centroids, 3)``.

    Levels may be below 0 or above 255: these are where centroids begin.
    """
    low, high = boxes.low.min(axis=0), boxes.high.max(axis=0)
    draws = draw_block(3 * n_centroids, stream).reshape(-1, 3)
    anywhere: NDArray[np.float64] = low + (draws * (1 + 2 * _MARGIN) - _MARGIN) * (high - low)
    return anywhere
