"""Past Lloyd's local optimum: clusters are split and merged while that lowers the error.

Breathing k-means [1]_ alternates between adding centroids where the error is large and removing
those that are worth least, with Lloyd's algorithm after each, and takes the result when it is
better; when it is not, it goes on with fewer. Here a centroid is added by splitting in two the
cluster with the largest error along one axis, on that axis; and one is removed by merging the two
clusters whose union costs least, which leaves their mean. The number starts at a quarter of the
centroids and is halved at each failure. Nothing is random.

References
----------
.. [1] B. Fritzke, "Breathing k-means: superior k-means solutions through dynamic k-values", 2020,
   arXiv:2006.15666.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.fit.lloyd import CentroidFit, iterate_lloyd
from dask_quant.kernels.split_merge import (
    cluster_moments_block,
    longest_axis_block,
    merge_block,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.fit.boxes import ColorBoxes

MAX_CENTROIDS = 4096
"""Centroids up to which there is a search: finding the cheapest merge takes O(k^2)."""

_MAX_BREATHS = 200
"""Breaths at most; ten to twenty are the rule, and nothing is lost if there are more."""

SEARCH_TOL = 0.3
"""Centroid shift, in sRGB levels, at which Lloyd stops within a breath: far enough to compare."""

_FIRST_SHARE = 4
"""A quarter of the centroids is split at first (measured: an eighth finds less)."""

_MIN_SPLITS = 5
"""Splits at first at least, as in the paper."""

_STEPS_IN = 5
"""Lloyd iterations after splitting, at most: enough to see what a centroid is worth."""

_STEPS_OUT = 15
"""Lloyd iterations after merging, at most."""

_MIN_GAIN = 1e-4
"""Share of the inertia that a breath must gain to be tried again with as many splits."""


def breathe(boxes: ColorBoxes, fit: CentroidFit) -> CentroidFit:
    """Split and merge clusters until that gains no more.

    Parameters
    ----------
    boxes : ColorBoxes
        The weighted colours.
    fit : CentroidFit
        Where Lloyd came to rest.

    Returns
    -------
    CentroidFit
        Never of higher inertia than ``fit``; ``n_iter`` counts all Lloyd iterations so far.

    Notes
    -----
    Some ten to twenty breaths, each of up to 20 Lloyd iterations.
    """
    k = len(fit.centroids)
    n_splits = min(k - 1, len(boxes.points) - k, max(_MIN_SPLITS, k // _FIRST_SHARE))
    if k > MAX_CENTROIDS:
        return fit
    n_iter = fit.n_iter
    for _ in range(_MAX_BREATHS):
        if n_splits == 0:
            break
        tried = _merge(boxes, _split(boxes, fit.centroids, n_splits), n_splits)
        n_iter += tried.n_iter
        gain = fit.inertia - tried.inertia
        if gain <= _MIN_GAIN * fit.inertia:
            n_splits //= 2
        if gain > 0:
            fit = tried
    return CentroidFit(fit.centroids, fit.inertia, n_iter)


def _split(boxes: ColorBoxes, centroids: NDArray[np.float64], n_splits: int) -> CentroidFit:
    """Split the ``n_splits`` clusters with most error along an axis, then let Lloyd settle."""
    labels = boxes.assign(centroids).labels
    weights, sums, products = cluster_moments_block(
        boxes.points, boxes.weights, labels, len(centroids)
    )
    filled = np.maximum(weights, 1)[:, np.newaxis]
    means = sums / filled
    scatter = products - sums[:, :, np.newaxis] * means[:, np.newaxis, :]
    errors, axes = longest_axis_block(scatter)
    largest = np.argsort(-errors, kind="stable")[:n_splits]
    spread = np.sqrt(np.maximum(errors[largest], 0.0) / filled[largest, 0])
    offsets = axes[largest] * spread[:, np.newaxis]
    halves = np.concatenate([means, means[largest] + offsets])
    halves[largest] -= offsets
    return iterate_lloyd(boxes, halves, max_iter=_STEPS_IN, tol=SEARCH_TOL)


def _merge(boxes: ColorBoxes, split: CentroidFit, n_merges: int) -> CentroidFit:
    """Merge clusters ``n_merges`` times where that costs least, then let Lloyd settle."""
    moments = boxes.step(split.centroids)
    weights = moments.weights.astype(np.float64)
    means = moments.means(split.centroids)
    # Clusters without a pixel cost nothing to drop, and would all be merged with one another.
    empty = np.flatnonzero(weights == 0)[:n_merges]
    weights, means = np.delete(weights, empty), np.delete(means, empty, axis=0)
    left = merge_block(weights, means, n_merges - len(empty))
    fit = iterate_lloyd(boxes, means[left], max_iter=_STEPS_OUT, tol=SEARCH_TOL)
    return CentroidFit(fit.centroids, fit.inertia, split.n_iter + fit.n_iter)
