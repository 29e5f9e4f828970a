"""Nearest centre of rows of any number of features, by comparison with every centre.

Distances are sums of squared differences, feature after feature: a row's nearest centre depends on
nothing but the row and the centres, so rows may come in any blocks. A matrix product would be
quicker for many features, but its last bits depend on the rows beside.

Rows are turned, a panel at a time, so that one feature of many rows lies together: loops over the
rows of a panel vectorise, for any number of centres and features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.kernels.jit import compile_helper, compile_kernel, plain_int

if TYPE_CHECKING:
    from numpy.typing import NDArray

PANEL_ROWS = plain_int(256)
"""Rows of a panel: 2 KiB a feature, in the nearest cache (measured: 128 to 512 are as quick)."""


@compile_helper
def compare_panel(
    rows: NDArray[np.float64],
    centers: NDArray[np.float64],
    panel: NDArray[np.float64],
    distances: NDArray[np.float64],
    best: NDArray[np.int64],
    least: NDArray[np.float64],
) -> None:
    """Find the nearest centre of at most `PANEL_ROWS` rows.

    ``panel`` ``(n_features, PANEL_ROWS)`` and ``distances`` are scratch; ``best`` gets the index of
    the nearest of ``centers`` ``(k, n_features)``, the lowest on ties, ``least`` the squared
    distance to it, infinity for rows with NaN.
    """
    n, n_features = rows.shape
    for i in range(n):
        for feature in range(n_features):
            panel[feature, i] = rows[i, feature]
    for i in range(n):
        best[i] = 0
        least[i] = np.inf
    for center in range(centers.shape[0]):
        for i in range(n):
            distances[i] = 0.0
        for feature in range(n_features):
            level = centers[center, feature]
            for i in range(n):
                difference = panel[feature, i] - level
                distances[i] += difference * difference
        for i in range(n):
            is_closer = distances[i] < least[i]
            least[i] = distances[i] if is_closer else least[i]
            best[i] = center if is_closer else best[i]


@compile_kernel
def nearest_block(
    rows: NDArray[np.float64], centers: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Find the nearest centre of every row.

    Parameters
    ----------
    rows : ndarray
        float64 ``(n, n_features)``.
    centers : ndarray
        float64 ``(k, n_features)``, ``k`` at least 1.

    Returns
    -------
    labels : ndarray
        Index of the nearest centre, the lowest on ties, int32 ``(n,)``.
    distances : ndarray
        Squared distance to it, float64 ``(n,)``; infinity for a row with NaN.

    Notes
    -----
    O(n * n_features * k).
    """
    n, n_features = rows.shape
    labels = np.empty(n, dtype=np.int32)
    distances = np.empty(n, dtype=np.float64)
    panel, scratch = np.empty((n_features, PANEL_ROWS)), np.empty(PANEL_ROWS)
    best = np.empty(PANEL_ROWS, dtype=np.int64)
    for begin in range(0, n, PANEL_ROWS):
        end = min(begin + PANEL_ROWS, n)
        least = distances[begin:end]
        compare_panel(rows[begin:end], centers, panel, scratch, best, least)
        for i in range(end - begin):
            labels[begin + i] = best[i]
    return labels, distances
