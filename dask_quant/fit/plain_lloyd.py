"""Plain k-means: Lloyd's algorithm from a few starts, the best of them kept, and no search.

What most programs do; with random starts, what `cv2.kmeans` does with `KMEANS_RANDOM_CENTERS`: it
draws centroids anywhere in the box of the colours, moves all of them until none moves by more than
a tolerance, and gives one that won nothing to the pixel of the largest cluster that is farthest
from its mean. So the articles and tutorials that use it can be compared with.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.events import Event
from dask_quant.fit.boxes import find_largest
from dask_quant.fit.clusters import Clusters
from dask_quant.fit.starts import choose_start

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.events import Listener
    from dask_quant.fit.boxes import ColorBoxes
    from dask_quant.fit.starts import Init

RANDOM_STARTS = 10
"""Starts when nothing else is said and they are random: scikit-learn's and OpenCV's users'."""


def descend_from_starts(
    boxes: ColorBoxes,
    *,
    n_centroids: int,
    init: Init,
    seed: int,
    n_init: int | None,
    max_iter: int,
    tol: float,
    listener: Listener,
) -> tuple[NDArray[np.float64], float, int]:
    """Return the centroids of the lowest inertia, float64 ``(k, 3)``, it, and all iterations.

    Parameters
    ----------
    boxes : ColorBoxes
        The weighted colours, more than ``n_centroids`` of them.
    n_centroids, init, seed
        As for `dask_quant.fit.starts.choose_start`.
    n_init : int, optional
        Starts. None: `RANDOM_STARTS`, or one where colours are given.
    max_iter, tol
        Lloyd iterations of a start at most, and the shift in sRGB levels at which it ends sooner.
    listener : callable
        Told of each start that is done.
    """
    starts = (n_init or RANDOM_STARTS) if isinstance(init, str) else 1
    clusters = Clusters(boxes, n_centroids)
    n_iter, lowest, best = 0, math.inf, None
    for restart in range(starts):
        clusters.start(choose_start(boxes, n_centroids, init, seed, restart))
        n_iter += _move_all(boxes, clusters, max_iter, tol)
        inertia = clusters.measure_inertia(clusters.centroids)
        listener(Event("fit", restart + 1, starts, "rounds"))
        if inertia < lowest:
            lowest, best = inertia, clusters.centroids
    assert best is not None, "there is at least one start"
    return best, lowest, n_iter


def _move_all(boxes: ColorBoxes, clusters: Clusters, max_iter: int, tol: float) -> int:
    """Move all centroids to their means until none moves by more than ``tol``; count how often."""
    clusters.assign()
    for n_iter in range(1, max_iter + 1):
        stood = clusters.centroids
        empty = np.flatnonzero(clusters.weights == 0)
        if len(empty):
            clusters.place(empty, _find_farthest(boxes, clusters, len(empty)))
        clusters.settle()
        shifts = clusters.centroids - stood
        if (shifts * shifts).sum(axis=1).max() <= tol * tol:
            return n_iter
    return max_iter


def _find_farthest(boxes: ColorBoxes, clusters: Clusters, n_pixels: int) -> NDArray[np.uint8]:
    """Return pixels of the largest cluster farthest from its mean, sRGB uint8 ``(n_pixels, 3)``.

    A colour comes as often as it has pixels: of centroids on one place the others are empty again,
    and will try another cluster.
    """
    largest = int(clusters.weights.argmax())
    mean, labels = clusters.means[largest], boxes.assign(clusters.centroids).labels

    def measure_distances(part: slice) -> NDArray[np.float64]:
        offsets = boxes.colors[part] - mean
        return np.where(labels[part] == largest, (offsets * offsets).sum(axis=1), -1.0)

    farthest, _ = find_largest(len(boxes.colors), n_pixels, measure_distances)
    times = np.minimum(boxes.weights[farthest], n_pixels)
    return boxes.colors[np.repeat(farthest, times)[:n_pixels]]
