"""What a search by splitting and merging clusters needs to know of them.

`longest_axis_block` finds the axis along which each cluster is longest, and its error along it.
`merge_block` merges clusters pairwise, always the two whose union costs least (Ward's criterion;
the pairwise nearest neighbour method of Equitz [1]_).

References
----------
.. [1] W. H. Equitz, "A new vector quantization clustering algorithm", IEEE Transactions on
   Acoustics, Speech, and Signal Processing 37(10), 1989, doi:10.1109/29.35395.
.. [2] H. Rutishauser, "The Jacobi method for real symmetric matrices", Numerische Mathematik 9,
   1966, doi:10.1007/BF02165223.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dask_quant.kernels.jit import compile_helper, compile_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

JACOBI_SWEEPS: Final = 10
"""Sweeps over the off-diagonal elements; convergence is quadratic, five reach float64."""


@compile_kernel
def longest_axis_block(
    scatter: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the largest eigenvalue of symmetric matrices and its eigenvector.

    By cyclic Jacobi rotations [2]_. LAPACK would do, but its last bits depend on the processor.

    Parameters
    ----------
    scatter : ndarray
        Float64 ``(k, n_bands, n_bands)``.

    Returns
    -------
    values : ndarray
        Largest eigenvalues, float64 ``(k,)``.
    vectors : ndarray
        Unit eigenvectors, float64 ``(k, n_bands)``.
    """
    k, n_bands = scatter.shape[:2]
    values = np.empty(k)
    vectors = np.empty((k, n_bands))
    a = np.empty((n_bands, n_bands))
    v = np.empty((n_bands, n_bands))
    # Loops over elements, here and below: slices and helpers of NumPy take seconds to compile.
    for c in range(k):
        for p in range(n_bands):
            for q in range(n_bands):
                a[p, q] = scatter[c, p, q]
                v[p, q] = 1.0 if p == q else 0.0
        for _ in range(JACOBI_SWEEPS):
            for p in range(n_bands - 1):
                for q in range(p + 1, n_bands):
                    if a[p, q] == 0.0:
                        continue
                    theta = (a[q, q] - a[p, p]) / (2.0 * a[p, q])
                    t = 1.0 / (abs(theta) + np.sqrt(theta * theta + 1.0))
                    if theta < 0.0:
                        t = -t
                    cosine = 1.0 / np.sqrt(t * t + 1.0)
                    sine = t * cosine
                    for r in range(n_bands):
                        x = a[r, p]
                        y = a[r, q]
                        a[r, p] = cosine * x - sine * y
                        a[r, q] = sine * x + cosine * y
                    for r in range(n_bands):
                        x = a[p, r]
                        y = a[q, r]
                        a[p, r] = cosine * x - sine * y
                        a[q, r] = sine * x + cosine * y
                        x = v[r, p]
                        y = v[r, q]
                        v[r, p] = cosine * x - sine * y
                        v[r, q] = sine * x + cosine * y
        longest = 0
        for r in range(1, n_bands):
            if a[r, r] > a[longest, longest]:
                longest = r
        values[c] = a[longest, longest]
        for r in range(n_bands):
            vectors[c, r] = v[r, longest]
    return values, vectors


@compile_helper
def _nearest_partner(
    weights: NDArray[np.float64], means: NDArray[np.float64], alive: NDArray[np.bool_], i: int
) -> tuple[int, float]:
    """Return the cluster that ``i`` is merged with at least cost, and that cost."""
    partner = -1
    least = np.inf
    for j in range(weights.shape[0]):
        if j == i or not alive[j]:
            continue
        distance = 0.0
        for band in range(means.shape[1]):
            gap = means[i, band] - means[j, band]
            distance += gap * gap
        total = weights[i] + weights[j]
        cost = 0.0
        if total > 0:
            cost = weights[i] * weights[j] / total * distance
        if cost < least:
            least = cost
            partner = j
    return partner, least


@compile_kernel
def merge_block(
    weights: NDArray[np.float64], means: NDArray[np.float64], n_merges: int
) -> NDArray[np.bool_]:
    """Merge clusters ``n_merges`` times, each time the two that cost least.

    Parameters
    ----------
    weights, means : ndarray
        Weight float64 ``(k,)`` and mean float64 ``(k, n_bands)`` of each; changed in place, a
        merged cluster standing where the first of its two stood.
    n_merges : int
        Below k.

    Returns
    -------
    ndarray
        Which clusters are left, bool ``(k,)``.

    Notes
    -----
    O(k^2) to begin with, O(k) a merge for most data.
    """
    k = weights.shape[0]
    alive = np.ones(k, dtype=np.bool_)
    partners = np.empty(k, dtype=np.int64)
    costs = np.empty(k)
    for i in range(k):
        partners[i], costs[i] = _nearest_partner(weights, means, alive, i)
    for _ in range(n_merges):
        i = 0
        for other in range(1, k):
            if costs[other] < costs[i]:
                i = other
        j = partners[i]
        if j < i:
            i, j = j, i
        total = weights[i] + weights[j]
        if total > 0:
            for band in range(means.shape[1]):
                both = weights[i] * means[i, band] + weights[j] * means[j, band]
                means[i, band] = both / total
        weights[i] = total
        alive[j] = False
        costs[j] = np.inf
        for other in range(k):
            if alive[other] and (other == i or partners[other] == i or partners[other] == j):
                partners[other], costs[other] = _nearest_partner(weights, means, alive, other)
    return alive
