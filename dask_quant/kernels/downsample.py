"""Labels at half the resolution: the majority of two by two, for the levels of a pyramid.

An average of labels is no label, and the nearest of four drops lines that are one pixel wide or
keeps them by chance of their place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.kernels.jit import compile_kernel

if TYPE_CHECKING:
    from dask_quant.kernels.assign import Labels


def halve_labels(labels: Labels) -> Labels:
    """Return labels at half the resolution, each the most frequent of the four that it covers.

    **Eager**; releases the interpreter's lock.

    Parameters
    ----------
    labels : ndarray
        uint8 or uint16 ``(y, x)``.

    Returns
    -------
    ndarray
        Of the same type, ``(ceil(y / 2), ceil(x / 2))``. The lowest label wins a tie. At the end of
        an odd side, the two or the one that are left decide.

    Notes
    -----
    Blocks that begin at even rows and columns give the parts of what the whole gives. Halved again
    and again, an image gives the levels of a pyramid. O(pixels).

    Examples
    --------
    >>> halve_labels(np.array([[1, 1, 3], [0, 2, 4], [7, 5, 6]], dtype=np.uint8))
    array([[1, 3],
           [5, 6]], dtype=uint8)
    """
    rows, columns = (-(-size // 2) for size in labels.shape)
    halved: Labels = np.empty((rows, columns), dtype=labels.dtype)
    if halved.size:
        halve_labels_block(labels, halved)
    return halved


@compile_kernel
def halve_labels_block(labels: Labels, halved: Labels) -> None:
    """Write the majority of each two by two of ``labels`` ``(y, x)`` to ``halved``."""
    last_row, last_column = labels.shape[0] - 1, labels.shape[1] - 1
    for row in range(halved.shape[0]):
        upper = labels[2 * row]
        # What lies outside repeats what lies inside, so that it changes no majority.
        lower = labels[min(2 * row + 1, last_row)]
        for column in range(halved.shape[1]):
            left = 2 * column
            right = min(left + 1, last_column)
            a, b, c, d = upper[left], upper[right], lower[left], lower[right]
            if a == b:
                winner = min(a, c) if c == d else a
            elif c == d:
                winner = c
            elif a == c:
                winner = min(a, b) if b == d else a
            elif a == d:
                winner = min(a, b) if b == c else a
            elif b in (c, d):
                winner = b
            else:
                winner = min(min(a, b), min(c, d))
            halved[row, column] = winner
