"""Lloyd's algorithm [1]_ on weighted colours: exact, deterministic, no cluster ever empty.

References
----------
.. [1] S. P. Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory
   28(2), 1982, doi:10.1109/TIT.1982.1056489.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.fit.boxes import ColorBoxes, Moments


@dataclass(frozen=True)
class CentroidFit:
    """Where k-means came to rest."""

    centroids: NDArray[np.float64]
    """sRGB levels, float64 ``(k, 3)``."""
    inertia: float
    """Sum over all pixels of the squared distance to the nearest centroid."""
    n_iter: int
    """Lloyd iterations made."""


def iterate_lloyd(
    boxes: ColorBoxes, centroids: NDArray[np.float64], *, max_iter: int, tol: float
) -> CentroidFit:
    """Move ``centroids`` ``(k, 3)`` to the means of what they win until none moves by over ``tol``.

    A centroid that wins nothing goes to the colour with the largest error, so none is ever empty.
    """
    n_iter = 0
    shift = math.inf
    while n_iter < max_iter and shift > tol:
        moved = _move_centroids(boxes, boxes.step(centroids), centroids)
        shift = float(np.sqrt(((moved - centroids) ** 2).sum(axis=1)).max())
        centroids = moved
        n_iter += 1
    inertia = boxes.step(centroids).inertia(centroids, boxes.sum_squares)
    return CentroidFit(centroids, inertia, n_iter)


def _move_centroids(
    boxes: ColorBoxes, moments: Moments, centroids: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the means of what each centroid won, empty ones on the colours with most error."""
    empty = np.flatnonzero(moments.weights == 0)
    moved = moments.means(centroids)
    if len(empty):
        error = boxes.weights * _nearest_distance(boxes, np.delete(centroids, empty, axis=0))
        worst = np.argsort(-error, kind="stable")[: len(empty)]
        moved[empty] = boxes.points[worst]
    return moved


def _nearest_distance(boxes: ColorBoxes, centroids: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the squared distance of each colour to its nearest centroid, float64 ``(n,)``."""
    nearest = centroids[boxes.assign(centroids).labels]
    distances: NDArray[np.float64] = ((boxes.points - nearest) ** 2).sum(axis=1)
    return distances
