"""Mini-batch k-means [1]_: centroids follow a few pixels at a time.

In every step pixels are drawn, each goes to its nearest centroid, and then each pulls its centroid
towards itself by a rate of one over the pixels that it was given so far. It never looks at all of
the pixels, which is its point where counting them is too much; here they are counted already, so it
is there to compare with. A pixel is drawn by a hash of the seed, the step and its number in the
step.

References
----------
.. [1] D. Sculley, "Web-scale k-means clustering", WWW 2010, doi:10.1145/1772690.1772862.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.events import Event
from dask_quant.fit.methods.drawing import PixelDraws
from dask_quant.fit.starts import choose_start
from dask_quant.kernels.mini_batch import move_centroids_block
from dask_quant.kernels.nearest import nearest_block

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.events import Listener
    from dask_quant.fit.boxes import ColorBoxes
    from dask_quant.fit_options import FitOptions

BATCH_PIXELS = 1024
"""Pixels of a mini-batch: scikit-learn's."""

MAX_BATCHES = 300
"""Mini-batches when nothing else is said (measured: ten times as many gain 1 %)."""


def fit_mini_batches(
    boxes: ColorBoxes, options: FitOptions, listener: Listener
) -> tuple[NDArray[np.float64], int]:
    """Return centroids, float64 ``(n_colors, 3)``, and the mini-batches that moved them.

    The best of ``n_init`` starts, one by default, by the error over all colours. ``max_iter`` is
    the most mini-batches of a start; it ends when none moves a centroid by more than ``tol``
    levels, by default never.
    """
    n_init, n_iter = options.n_init or 1, 0
    lowest, best = math.inf, None
    for restart in range(n_init):
        centroids, n_steps = _follow_batches(boxes, options, restart)
        n_iter += n_steps
        listener(Event("fit", restart + 1, n_init, "rounds"))
        error = boxes.assign(centroids).squared_error if n_init > 1 else 0.0
        if error < lowest:
            lowest, best = error, centroids
    assert best is not None, "there is at least one start"
    return best, n_iter


def _follow_batches(
    boxes: ColorBoxes, options: FitOptions, restart: int
) -> tuple[NDArray[np.float64], int]:
    """Return where centroids end from one start, and the mini-batches that it took."""
    centroids = choose_start(boxes, options.n_colors, options.init, options.seed, restart)
    counts = np.zeros(len(centroids), dtype=np.int64)
    pixels = PixelDraws(boxes, options.seed, restart)
    max_iter = options.max_iter or MAX_BATCHES
    for step in range(max_iter):
        rows = pixels.draw(BATCH_PIXELS, step)
        labels, _ = nearest_block(rows, centroids)
        shift = move_centroids_block(centroids, counts, rows, labels)
        if options.tol is not None and shift <= options.tol:
            return centroids, step + 1
    return centroids, max_iter
