"""Lloyd's algorithm [1]_ on weighted colours: exact, deterministic, no cluster ever empty.

References
----------
.. [1] S. P. Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory
   28(2), 1982, doi:10.1109/TIT.1982.1056489.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.fit.boxes import find_largest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.fit.boxes import ColorBoxes
    from dask_quant.fit.clusters import Clusters


def iterate_lloyd(boxes: ColorBoxes, clusters: Clusters, *, max_iter: int, tol: float) -> int:
    """Move centroids to the means of what they win until none moves by over ``tol``.

    A centroid that wins nothing goes to the colour with the largest error, so none is ever empty,
    unless it is pinned.

    Parameters
    ----------
    boxes : ColorBoxes
        The weighted colours.
    clusters : Clusters
        Of these colours; changed.
    max_iter : int
        Iterations at most.
    tol : float
        Steps of the working space.

    Returns
    -------
    int
        Iterations made.
    """
    n_iter = 0
    while True:
        n_iter += clusters.descend(max_iter - n_iter, tol)
        if n_iter < max_iter:
            clusters.settle()  # none is further than tol from its mean: the rest of the way
        empty = clusters.empty
        if len(empty) == 0:
            return n_iter
        others = np.delete(clusters.centroids, empty, axis=0)
        clusters.place(empty, _find_worst(boxes, others, len(empty)))


def _find_worst(
    boxes: ColorBoxes, centroids: NDArray[np.float64], n_colors: int
) -> NDArray[np.uint8 | np.uint16]:
    """Return the points of the ``n_colors`` colours with the largest errors ``(n_colors, 3)``."""
    labels = boxes.assign(centroids).labels

    def measure_errors(part: slice) -> NDArray[np.float64]:
        offsets = boxes.points[part] - centroids[labels[part]]
        errors: NDArray[np.float64] = boxes.weights[part] * (offsets * offsets).sum(axis=1)
        return errors

    worst, _ = find_largest(len(boxes.points), n_colors, measure_errors)
    return boxes.points[worst]
