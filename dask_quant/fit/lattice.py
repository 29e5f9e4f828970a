"""Centroids rounded to 8 bits at the least cost: the palette is what is written, not the means.

The error of a file is that of whole levels. For given clusters the nearest level of every band is
the best; but rounded centroids win other colours, whose means round elsewhere. So clusters descend
on the lattice of levels, as Lloyd's algorithm does between them: each step lowers the error or is
the last. Then bands whose mean lies well between two levels are tried at the other one.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.color_spaces import ColorSpace
    from dask_quant.fit.clusters import Clusters


def round_clusters(clusters: Clusters, *, n_sweeps: int, least_gap: float) -> NDArray[np.uint8]:
    """Return whole levels near the centroids of ``clusters``, uint8 ``(k, 3)``.

    Parameters
    ----------
    clusters : Clusters
        At rest; may be changed.
    n_sweeps : int
        Times at most that other levels are tried for all of them. 0: each is rounded by itself.
    least_gap : float
        Levels between a centroid and the mean of its cluster from which the next level towards
        the mean is tried; at most half a level where a centroid is the nearest to its mean.
    """
    if n_sweeps == 0:
        return np.rint(clusters.means).astype(np.uint8)
    inertia = _descend(clusters)
    for _ in range(n_sweeps):
        before = inertia
        for cluster in range(len(clusters.centroids)):
            for band in range(3):
                inertia = _try_level(clusters, cluster, band, least_gap, inertia)
        if inertia == before:
            break
    return clusters.centroids.astype(np.uint8)


def round_means(space: ColorSpace, means: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the sRGB colours nearest to means of clusters in another space, uint8 ``(k, 3)``.

    Of the colours around the one that conversion and rounding lead to: levels are not as far apart
    in every band there. For given clusters the nearest colour leaves the least error.
    """
    middle = np.rint(space.find_levels(means))
    best, least = middle.astype(np.uint8), np.full(len(means), np.inf)
    for step in product((0, -1, 1), repeat=3):
        colors = np.clip(middle + step, 0, 255).astype(np.uint8)
        distances = np.square(space.place(colors) - means).sum(axis=1)
        best[distances < least] = colors[distances < least]
        least = np.minimum(least, distances)
    return best


def _descend(clusters: Clusters) -> float:
    """Round means and assign, over and over, while that helps; return the inertia."""
    everyone = np.arange(len(clusters.centroids))
    clusters.place(everyone, np.rint(clusters.means))
    clusters.assign()
    inertia = clusters.measure_inertia(clusters.centroids)
    while True:
        stood, means = clusters.centroids, np.rint(clusters.means)
        changed = np.flatnonzero((means != stood).any(axis=1))
        clusters.place(changed, means[changed])
        clusters.assign()
        lower = clusters.measure_inertia(clusters.centroids)
        if not lower < inertia:  # at the latest when nothing changed; halves may round to and fro
            return inertia
        inertia = lower


def _try_level(
    clusters: Clusters, cluster: int, band: int, least_gap: float, inertia: float
) -> float:
    """Try the level of a band next to the centroid's, towards the mean; return the inertia."""
    gap = clusters.find_gap(cluster)[band]
    if abs(gap) < least_gap:
        return inertia
    stood = clusters.centroids[cluster]
    tried = stood.copy()
    tried[band] += np.sign(gap)
    chosen = np.array([cluster])
    clusters.place(chosen, tried)
    clusters.assign()
    lower = clusters.measure_inertia(clusters.centroids)
    if lower < inertia:
        return lower
    clusters.place(chosen, stood)
    clusters.assign()
    return inertia
