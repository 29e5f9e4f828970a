"""Cubes within cubes of colours: the nodes of an octree, summed level by level.

A node of depth ``d`` is a cube of ``256 / 2^d`` levels. Its code has three bits for each depth,
red before green before blue: shifted right by three it is the code of its parent, and nodes in the
order of their codes have siblings together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dask_quant.kernels.jit import compile_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_DEPTH: Final = 8
"""Depth of a node that is one colour."""

CELL_DEPTH: Final = 5
"""Depth of a cell of `dask_quant.kernels.cells`."""

N_NODE_SUMS: Final = 4
"""Sums of a node: weight, and that of each band."""


def _spread_bits() -> NDArray[np.int64]:
    """Return every level with two zero bits after each of its own, int64 ``(256,)``."""
    level = np.arange(256, dtype=np.int64)
    return sum(((level >> bit) & 1) << (3 * bit) for bit in range(8))  # type: ignore[return-value]


SPREAD_BITS: Final = _spread_bits()


@compile_kernel
def sum_nodes_block(
    points: NDArray[np.uint8],
    weights: NDArray[np.int64],
    starts: NDArray[np.int64],
    depth: int,
    codes: NDArray[np.int64],
    sums: NDArray[np.int64],
) -> int:
    """Find the nodes of one depth that hold a colour, and sum their colours, as room allows.

    Parameters
    ----------
    points, weights : ndarray
        Colours uint8 ``(n, 3)``, cell after cell, and the pixels of each, int64 ``(n,)``.
    starts : ndarray
        Where each non-empty cell begins, int64 ``(m + 1,)``.
    depth : int
        From `CELL_DEPTH` to `MAX_DEPTH`.
    codes, sums : ndarray
        Out: codes int64 ``(room,)`` and sums int64 ``(room, N_NODE_SUMS)`` of the nodes, cell after
        cell.

    Returns
    -------
    int
        How many there are, whatever the room.
    """
    n_bits = depth - CELL_DEPTH
    shift = 3 * (MAX_DEPTH - depth)
    mask = (1 << (3 * n_bits)) - 1
    scratch = np.zeros((mask + 1, N_NODE_SUMS), dtype=np.int64)
    n = 0
    for cell in range(starts.shape[0] - 1):
        code = np.int64(0)
        for i in range(starts[cell], starts[cell + 1]):
            r, g, b = points[i, 0], points[i, 1], points[i, 2]
            code = (SPREAD_BITS[r] << 2 | SPREAD_BITS[g] << 1 | SPREAD_BITS[b]) >> shift
            node = code & mask
            scratch[node, 0] += weights[i]
            scratch[node, 1] += weights[i] * r
            scratch[node, 2] += weights[i] * g
            scratch[node, 3] += weights[i] * b
        for node in range(mask + 1):
            if scratch[node, 0] == 0:
                continue
            if n < codes.shape[0]:
                codes[n] = code & ~mask | node
                for moment in range(N_NODE_SUMS):
                    sums[n, moment] = scratch[node, moment]
            for moment in range(N_NODE_SUMS):
                scratch[node, moment] = 0
            n += 1
    return n
