"""Past Lloyd's local optimum: clusters are split and merged while that lowers the error.

Breathing k-means [1]_ alternates between adding centroids where the error is large and removing
those that are worth least, with Lloyd's algorithm after each, and takes the result when it is
better; when it is not, it goes on with fewer. Here a centroid is added by splitting in two the
cluster with the largest error along one axis, on that axis; and one is removed by merging the two
clusters whose union costs least, which leaves their mean. Nothing in a breath is random.

Where no breath gains any more, `disturb` takes over: it splits clusters drawn at random, in the
way of random swap [2]_, merges as many, and breathes again; what is not better is put back.

References
----------
.. [1] B. Fritzke, "Breathing k-means: superior k-means solutions through dynamic k-values", 2020,
   arXiv:2006.15666.
.. [2] P. Fränti, "Efficiency of random swap clustering", Journal of Big Data 5(13), 2018,
   doi:10.1186/s40537-018-0122-y.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dask_quant.kernels.seed import draw_block

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEARCH_TOL = 0.3
"""Centroid shift, in sRGB levels, at which Lloyd stops within a breath: far enough to compare."""

_MAX_BREATHS = 200
"""Breaths at most; ten to twenty are the rule, and nothing is lost if there are more."""

_STEPS_IN = 5
"""Lloyd iterations after splitting, at most: enough to see what a centroid is worth."""

_STEPS_OUT = 15
"""Lloyd iterations after merging, at most."""

_MIN_GAIN = 1e-4
"""Share of the inertia that a breath must gain to be tried again with as many splits."""


class Searched(Protocol):
    """Clusters that a search works on, of whatever points; see `dask_quant.fit.clusters`."""

    level: float
    """Steps of the points in an sRGB level."""

    @property
    def inertia(self) -> float:
        """Squared distances of all pixels to the means of their clusters."""

    @property
    def colors(self) -> NDArray[np.uint8]:
        """The colours nearest to these means, uint8 ``(k, 3)`` or RGBA ``(k, 4)``."""

    def start(self, centroids: NDArray[np.float64], /) -> None:
        """Put clusters at ``centroids`` ``(k, n_bands)``."""

    def descend(self, max_iter: int, tol: float) -> int:
        """Move centroids by Lloyd's algorithm; return the iterations made."""

    def snapshot(self) -> Any:
        """Return the clusters as they are."""

    def restore(self, saved: Any) -> None:
        """Make the clusters what they were."""

    def find_axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return how far, and whereto, each cluster is longest."""

    def split(
        self, chosen: NDArray[np.int64], errors: NDArray[np.float64], axes: NDArray[np.float64]
    ) -> None:
        """Split clusters in two along their longest axes."""

    def merge(self, n_merges: int) -> None:
        """Merge two clusters as often as that, each time those whose union costs least."""


def breathe(clusters: Searched, n_splits: int) -> int:
    """Split and merge clusters, ``n_splits`` at first, until that gains no more.

    Parameters
    ----------
    clusters : Searched
        Where Lloyd came to rest; changed in place, to clusters of no higher inertia.
    n_splits : int
        Halved at each failure; there must be as many slots free.

    Returns
    -------
    int
        Lloyd iterations made.
    """
    n_iter = 0
    if n_splits == 0:
        return n_iter
    saved, inertia = clusters.snapshot(), clusters.inertia
    for _ in range(_MAX_BREATHS):
        if n_splits == 0:
            break
        errors, axes = clusters.find_axes()
        chosen = np.argsort(-errors, kind="stable")[:n_splits]
        n_iter += _exchange(clusters, chosen, errors, axes)
        gain = inertia - clusters.inertia
        if gain <= _MIN_GAIN * inertia:
            n_splits //= 2
        if gain > 0:
            saved, inertia = clusters.snapshot(), inertia - gain
        else:
            clusters.restore(saved)
    return n_iter


def disturb(clusters: Searched, n_swaps: int, seed: np.uint64) -> int:
    """Split ``n_swaps`` clusters drawn by their error, merge as many, and breathe; keep the better.

    Parameters
    ----------
    clusters : Searched
        Changed in place, to clusters of no higher inertia.
    n_swaps : int
        There must be as many slots free.
    seed : uint64
        Stream of the random draws.

    Returns
    -------
    int
        Lloyd iterations made.
    """
    saved, inertia = clusters.snapshot(), clusters.inertia
    errors, axes = clusters.find_axes()
    chosen = _draw_clusters(errors, n_swaps, seed)
    n_iter = _exchange(clusters, chosen, errors, axes)
    n_iter += breathe(clusters, n_swaps)
    if clusters.inertia >= inertia:
        clusters.restore(saved)
    return n_iter


def _exchange(
    clusters: Searched,
    chosen: NDArray[np.int64],
    errors: NDArray[np.float64],
    axes: NDArray[np.float64],
) -> int:
    """Split the clusters ``chosen``, merge as many, Lloyd after each; return its iterations."""
    clusters.split(chosen, errors, axes)
    n_iter = clusters.descend(_STEPS_IN, SEARCH_TOL * clusters.level)
    clusters.merge(len(chosen))
    return n_iter + clusters.descend(_STEPS_OUT, SEARCH_TOL * clusters.level)


def _draw_clusters(errors: NDArray[np.float64], n: int, seed: np.uint64) -> NDArray[np.int64]:
    """Return ``n`` different positions, drawn with probability proportional to ``errors``."""
    left = errors.copy()
    chosen = np.empty(n, dtype=np.int64)
    for i, draw in enumerate(draw_block(n, seed)):
        running = np.cumsum(left)
        if running[-1] <= 0:
            return chosen[:i]
        position = np.searchsorted(running, draw * running[-1], side="right")
        # By rounding, a draw could fall upon what has no error left.
        chosen[i] = position if position < len(left) and left[position] > 0 else left.argmax()
        left[chosen[i]] = 0.0
    return chosen
