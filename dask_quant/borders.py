"""The borders of segments: what counts as one, and a picture of them, black lines on white paper.

A border is a pixel whose label differs from that of the next pixel to the right, or of the one
below. So every change is marked once, on its left or upper side, by a line that is one pixel thin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dask_quant.kernels.borders import mark_borders_block
from dask_quant.palette import Palette

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAPER: Final = 0
"""Label of what is no border, in a picture of borders."""

LINE_COLORS = Palette(np.array([[255, 255, 255], [0, 0, 0]]))
"""Colours of a picture of borders: white paper, black lines."""


def mark_borders(
    labels: NDArray[Any], below: NDArray[Any] | None = None, right: NDArray[Any] | None = None
) -> NDArray[np.bool_]:
    """Return where labels differ from those to their right or below. **Eager**.

    Parameters
    ----------
    labels : ndarray
        Integers or bool ``(rows, columns)``.
    below : ndarray, optional
        The row of labels below them, ``(1, columns)``; None: there is none.
    right : ndarray, optional
        The column of labels to the right of them, ``(rows, 1)``; None: there is none.

    Returns
    -------
    ndarray
        bool ``(rows, columns)``.

    Examples
    --------
    >>> mark_borders(np.array([[1, 1, 2], [1, 1, 2]])).astype(int).tolist()
    [[0, 1, 0], [0, 1, 0]]
    """
    borders = np.empty(labels.shape, dtype=np.bool_)
    if labels.size:
        # What has no neighbour is its own, from which it does not differ.
        below = labels[-1:] if below is None else below
        right = labels[:, -1:] if right is None else right
        mark_borders_block(_as_bits(labels), _as_bits(below)[0], _as_bits(right.T)[0], borders)
    return borders


def label_borders(labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the labels, uint8 ``(y, x)``, of a picture of the borders of an image. **Eager**."""
    return as_line_labels(mark_borders(labels))


def as_line_labels(borders: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return borders as labels of `LINE_COLORS`, without copying them. **Eager**."""
    return borders.view(np.uint8)


def _as_bits(labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels as unsigned integers in rows, whose bits are equal where the labels are."""
    rows = np.ascontiguousarray(labels)
    return rows.view(f"u{rows.itemsize}")
