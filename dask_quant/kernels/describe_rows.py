"""Ranges of rows; sums, sums of squares and ranges by class, in integers.

As in `lloyd_rows`, what is added is a fixed-point number, kept as its high and its low 32 bits:
rows may come in any blocks and any order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.kernels.jit import compile_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray


@compile_kernel
def describe_rows_block(
    rows: NDArray[np.float64],
    labels: NDArray[np.int32],
    middle: NDArray[np.float64],
    scale: NDArray[np.float64],
    square_scale: NDArray[np.float64],
    totals: NDArray[np.int64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> None:
    """Add every row to what is known of its class.

    Parameters
    ----------
    rows : ndarray
        Finite float64 ``(n, n_bands)``, at most 2^22 rows.
    labels : ndarray
        Class of each row, int32 ``(n,)``, below k.
    middle, scale, square_scale : ndarray
        A number ``x`` is added as ``(x - middle) * scale`` and its square as
        ``(x - middle)**2 * square_scale``, both rounded and below 2^40, float64 ``(n_bands,)``.
    totals : ndarray
        In and out: int64 ``(2, k, 2 * n_bands + 1)``, high and low parts of the sums of each band,
        of the squares of each band, and of the rows.
    low, high : ndarray
        In and out: lowest and highest number of each class and band, float64 ``(k, n_bands)``.

    Notes
    -----
    O(n * n_bands).
    """
    n, n_bands = rows.shape
    k, n_columns = totals.shape[1:]
    sums = np.zeros((k, n_columns), dtype=np.int64)
    for i in range(n):
        c = labels[i]
        for j in range(n_bands):
            x = rows[i, j]
            offset = x - middle[j]
            sums[c, j] += np.int64(np.rint(offset * scale[j]))
            sums[c, n_bands + j] += np.int64(np.rint(offset * offset * square_scale[j]))
            low[c, j] = min(low[c, j], x)
            high[c, j] = max(high[c, j], x)
        sums[c, n_columns - 1] += 1
    for c in range(k):
        for j in range(n_columns):
            totals[0, c, j] += sums[c, j] >> 32
            totals[1, c, j] += sums[c, j] & 0xFFFFFFFF


@compile_kernel
def range_rows_block(
    rows: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> bool:
    """Widen a range until it holds every row; return whether all numbers are finite.

    Parameters
    ----------
    rows : ndarray
        float64 ``(n, n_bands)``.
    low, high : ndarray
        In and out: lowest and highest number of each band, float64 ``(n_bands,)``. NaN is passed
        over.

    Notes
    -----
    O(n * n_bands).
    """
    n, n_bands = rows.shape
    is_finite = True
    for i in range(n):
        for j in range(n_bands):
            x = rows[i, j]
            low[j] = x if x < low[j] else low[j]
            high[j] = x if x > high[j] else high[j]
            is_finite &= abs(x) < np.inf
    return is_finite
