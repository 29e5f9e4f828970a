"""Principal components of rows: their products summed up in integers, and rows projected.

As in `describe_rows`, what is added is a fixed-point number, kept as its high and its low 32 bits:
rows may come in any blocks and any order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.kernels.jit import compile_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray


@compile_kernel
def add_products_block(
    rows: NDArray[np.float64],
    middle: NDArray[np.float64],
    scale: NDArray[np.float64],
    totals: NDArray[np.int64],
) -> None:
    """Add the products of every two numbers of a row, of which one more is 1, to totals.

    Parameters
    ----------
    rows : ndarray
        Finite float64 ``(n, f)``, at most 2^22 rows.
    middle : ndarray
        Subtracted from each number first, float64 ``(f,)``.
    scale : ndarray
        What the product of two numbers is multiplied by, to be rounded then to less than 2^40,
        float64 ``(f + 1, f + 1)``.
    totals : ndarray
        In and out: int64 ``(2, f + 1, f + 1)``, high and low parts; those above the diagonal stay
        as they are. The last row is that of products with 1: the sums, and how many rows.

    Notes
    -----
    O(n * f^2).
    """
    n, f = rows.shape
    sums = np.zeros((f + 1, f + 1), dtype=np.int64)
    row = np.ones(f + 1)
    for i in range(n):
        for a in range(f):
            row[a] = rows[i, a] - middle[a]
        for a in range(f + 1):
            for b in range(a + 1):
                sums[a, b] += np.int64(np.rint(row[a] * row[b] * scale[a, b]))
    for a in range(f + 1):
        for b in range(a + 1):
            totals[0, a, b] += sums[a, b] >> 32
            totals[1, a, b] += sums[a, b] & 0xFFFFFFFF


@compile_kernel
def project_rows_block(
    rows: NDArray[np.float64], columns: NDArray[np.float64], projected: NDArray[np.float64]
) -> None:
    """Multiply rows by a matrix, each by itself: its neighbours do not change its last bits.

    Parameters
    ----------
    rows : ndarray
        float64 ``(n, f)``.
    columns : ndarray
        float64 ``(f, c)``.
    projected : ndarray
        Out: float64 ``(n, c)``, summed from the first number of a row to its last.

    Notes
    -----
    O(n * f * c). A matrix product of BLAS sums in an order that depends on its shape.
    """
    n, f = rows.shape
    c = columns.shape[1]
    for i in range(n):
        for j in range(c):
            projected[i, j] = 0.0
        for a in range(f):
            x = rows[i, a]
            for j in range(c):
                projected[i, j] += x * columns[a, j]
