"""Rounded centroids kept apart: where several round to one colour, others take the nearest free."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.kernels.count_block import pack_colors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.color_spaces import ColorSpace


def round_apart(
    space: ColorSpace,
    means: NDArray[np.float64],
    rounded: NDArray[np.uint8],
    fixed: NDArray[np.int64],
) -> NDArray[np.uint8]:
    """Return distinct colours near some means, one for each, in their order, uint8 ``(k, 3)``.

    Parameters
    ----------
    space : ColorSpace
        Where distances are measured.
    means : ndarray
        Points of that space, float64 ``(k, 3)``.
    rounded : ndarray
        sRGB colours near them, uint8 ``(k, 3)``, of which some may be equal. Of equal ones the
        first stays as it is; the others become the free colour nearest to their mean.
    fixed : ndarray
        Positions of entries, of distinct colours, that come first of all, int64.

    Examples
    --------
    >>> from dask_quant.color_spaces import find_space
    >>> means = np.array([[9.0, 9.0, 9.0], [9.4, 9.0, 9.0]])
    >>> same = np.full((2, 3), 9, dtype=np.uint8)
    >>> round_apart(find_space("srgb"), means, same, np.array([], dtype=np.int64)).tolist()
    [[9, 9, 9], [10, 9, 9]]
    """
    order = np.concatenate([fixed, np.setdiff1d(np.arange(len(rounded)), fixed)])
    codes, firsts = np.unique(pack_colors(rounded[order]), return_index=True)
    others = np.setdiff1d(order, order[firsts])
    taken = set(codes.tolist())
    entries = rounded.copy()
    for position in others.tolist():
        free = _find_free(space, means[position], taken)
        taken.update(pack_colors(free[np.newaxis]).tolist())
        entries[position] = free
    return entries


def _find_free(space: ColorSpace, mean: NDArray[np.float64], taken: set[int]) -> NDArray[np.uint8]:
    """Return the colour nearest to ``mean`` that is not taken.

    Of the least cube of levels about it that has a free one, and of the next, for the corner of a
    cube is farther than a side of the next.
    """
    middle = np.rint(np.clip(space.find_levels(mean[np.newaxis])[0], 0, 255)).astype(np.uint8)
    for reach in range(1, 256):
        cube = _list_cube(middle, reach)
        if not all(code in taken for code in pack_colors(cube).tolist()):
            break
    cube = _list_cube(middle, reach + 1)
    free = cube[[code not in taken for code in pack_colors(cube).tolist()]]
    distances = np.square(space.place(free) - mean).sum(axis=1)
    nearest: NDArray[np.uint8] = free[distances.argmin()]
    return nearest


def _list_cube(middle: NDArray[np.uint8], reach: int) -> NDArray[np.uint8]:
    """Return the colours within ``reach`` levels of ``middle`` in every band, uint8 ``(n, 3)``."""
    bands = [range(max(0, level - reach), min(255, level + reach) + 1) for level in middle.tolist()]
    return np.array(list(product(*bands)), dtype=np.uint8)
