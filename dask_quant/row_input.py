"""Rows and weights as users of scikit-learn and dask-ml give them, as Dask arrays.

Importing this imports dask-ml and scikit-learn, which takes seconds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask_ml.utils import check_array
from sklearn.utils import assert_all_finite

from dask_quant.process import count_cpus

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.fit.row_totals import RowRange

_MAX_BLOCK_ROWS = 1 << 18
"""Rows of a block of an array in memory at most (arbitrary: several blocks a thread)."""

_WEIGHT_KINDS = "biufO"
"""Kinds of NumPy types that weights may have; objects are converted."""


def check_rows(X: Any) -> da.Array:
    """Return rows ``(n, n_features)`` of real numbers as a Dask array of known chunks. **Lazy**."""
    if is_dask_frame(X):
        X = X.to_dask_array(lengths=True)
    if isinstance(X, da.Array):
        _check_chunks_are_dense(X)
    checked = check_array(
        X, accept_multiple_blocks=True, remove_zero_chunks=False, ensure_all_finite=False
    )
    if isinstance(checked, da.Array):
        return checked
    n_rows = -(-len(checked) // count_cpus())
    return da.from_array(checked, chunks=(min(n_rows, _MAX_BLOCK_ROWS), -1))


def is_dask_frame(X: Any) -> bool:
    """Return whether ``X`` is a data frame or series of Dask."""
    return hasattr(X, "to_dask_array")


def _check_chunks_are_dense(X: da.Array) -> None:
    """Raise `TypeError` for chunks that are no NumPy arrays, which scikit-learn cannot see."""
    if not isinstance(X._meta, np.ndarray):
        message = (
            f"Got a Dask array of {type(X._meta).__name__} chunks; dense NumPy arrays are needed, "
            "which map_blocks can make of them."
        )
        raise TypeError(message)


def check_weights(given: Any, rows: da.Array) -> da.Array:
    """Return weights as float64 ``(n,)``, in the chunks of the rows; values are not looked at."""
    if is_dask_frame(given):
        given = given.to_dask_array(lengths=True)
    weights = given if isinstance(given, da.Array) else np.asarray(given)
    if weights.shape != rows.shape[:1]:
        message = f"Got sample_weight of shape {weights.shape}; {rows.shape[:1]} is needed."
        raise ValueError(message)
    if weights.dtype.kind not in _WEIGHT_KINDS:
        message = f"Got sample_weight of {weights.dtype} numbers; real numbers are needed."
        raise ValueError(message)
    weights = weights.astype(np.float64)
    if not isinstance(weights, da.Array):
        weights = da.from_array(weights, chunks=-1)
    return weights.rechunk((rows.chunks[0],))


def check_found(found: RowRange) -> None:
    """Raise `ValueError` where the rows or weights of a pass cannot be fitted or measured."""
    if not 0 <= found.min_weight <= found.max_weight < math.inf:  # False for NaN as well
        message = (
            f"Got sample_weight from {found.min_weight:g} to {found.max_weight:g}; finite numbers "
            "of at least 0 are needed."
        )
        raise ValueError(message)
    if found.n_rows == 0:
        message = "Got sample_weight that is zero for every row; one above 0 is needed."
        raise ValueError(message)
    if not found.is_finite:
        message = "Input contains NaN, infinity or a value too large for dtype('float64')."
        raise ValueError(message)


def refuse_gaps(rows: da.Array) -> da.Array:
    """Return rows that raise `ValueError` where NaN or infinity is computed. **Lazy**."""
    meta = np.empty((0, 0), dtype=rows.dtype)
    return rows.map_blocks(_check_block, dtype=rows.dtype, meta=meta)


def _check_block(rows: NDArray[Any]) -> NDArray[Any]:
    """Return a block whose numbers are all finite."""
    assert_all_finite(rows, input_name="X")
    return rows
