"""Random pixels that do not depend on chunks: draws keyed by a hash, gathered where they lie.

A draw per chunk would change with the chunking. Here draw ``i`` of a seed is a hash of the two, so
the pixels drawn depend on the seed and the image's shape alone.

References
----------
G. L. Steele Jr., D. Lea, C. H. Flood: Fast splittable pseudorandom number generators. OOPSLA 2014.
doi:10.1145/2660193.2660195 (splitmix64: the increment and the two multipliers used here).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from dask.base import tokenize
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph

if TYPE_CHECKING:
    from typing import Any

    import dask.array as da
    from numpy.typing import NDArray

_GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))


def splitmix64(state: int, numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return outputs of the splitmix64 generator, by their number from 0.

    Parameters
    ----------
    state : int
        State that the generator starts from, 0 to 2**64 - 1.
    numbers : ndarray
        Which outputs, uint64 ``(n,)``; any order, no output depends on another.

    Returns
    -------
    ndarray
        uint64 ``(n,)``, uniform over all 64-bit values.

    Examples
    --------
    >>> splitmix64(1234567, np.arange(2, dtype=np.uint64)).tolist()
    [6457827717110365317, 3203168211198807973]
    """
    mixed = np.uint64(state) + (numbers + np.uint64(1)) * _GOLDEN_GAMMA
    for shift, multiplier in zip(_SHIFTS, _MULTIPLIERS, strict=False):
        mixed = (mixed ^ (mixed >> shift)) * multiplier
    return mixed ^ (mixed >> _SHIFTS[-1])


def draw_pixel_indices(
    seed: int, n_pixels: int, n_draws: int, *, first_draw: int = 0
) -> NDArray[np.int64]:
    """Draw pixels uniformly, with replacement, by hashing the seed and the number of the draw.

    Parameters
    ----------
    seed : int
        0 to 2**63 - 1. Hashed once by itself, so that neighbouring seeds share no draws.
    n_pixels : int
        Pixels to draw from, at least 1.
    n_draws : int
        Pixels to draw, 0 or more.
    first_draw : int, default 0
        Number of the first draw; raise it by ``n_draws`` to go on with the same sequence.

    Returns
    -------
    ndarray
        Global pixel indices ``y * width + x``, int64 ``(n_draws,)``, in draw order.

    Notes
    -----
    The remainder of a 64-bit hash prefers the first pixels by a ratio below ``n_pixels / 2**64``:
    under 1e-7 for 10**12 pixels, far below what any draw could show.

    Examples
    --------
    >>> draw_pixel_indices(0, 100, 4).tolist() == draw_pixel_indices(0, 100, 8).tolist()[:4]
    True
    """
    assert n_pixels >= 1, "there is no pixel to draw"
    start = splitmix64(seed, np.zeros(1, dtype=np.uint64))[0]
    numbers = np.arange(first_draw, first_draw + n_draws, dtype=np.uint64)
    return (splitmix64(int(start), numbers) % np.uint64(n_pixels)).astype(np.int64)


def draw_colors(colors: NDArray[np.uint8], n_draws: int, seed: int) -> NDArray[np.uint8]:
    """Draw rows without replacement, each as likely as any other, by hashing their numbers.

    Parameters
    ----------
    colors : ndarray
        Distinct colours, uint8 ``(n, 3)``; their order matters, so it must not depend on chunks.
    n_draws : int
        Rows to draw, at most ``n``.
    seed : int
        0 to 2**63 - 1.

    Returns
    -------
    ndarray
        uint8 ``(n_draws, 3)``, in draw order.

    Examples
    --------
    >>> colors = np.arange(30, dtype=np.uint8).reshape(10, 3)
    >>> len(np.unique(draw_colors(colors, 10, seed=0), axis=0))
    10
    """
    start = splitmix64(seed, np.zeros(1, dtype=np.uint64))[0]
    hashes = splitmix64(int(start), np.arange(len(colors), dtype=np.uint64))
    return colors[np.argsort(hashes, kind="stable")[:n_draws]]


def gather_pixels(image: da.Array, indices: NDArray[np.int64]) -> Delayed:
    """Gather single pixels of an image, reading only the chunks that they lie in.

    **Lazy**.

    Parameters
    ----------
    image : dask.array.Array
        ``(y, x, band)``, any chunks of known size.
    indices : ndarray
        Global pixel indices ``y * width + x``, int64 ``(n,)``, in any order, repeats allowed.

    Returns
    -------
    Delayed
        Rows ``(n, band)`` of the image's type, in the order of ``indices``: the rows of
        ``image.reshape(-1, n_bands)[indices]`` in NumPy, whatever the chunks.

    Notes
    -----
    One small task per chunk that holds a drawn pixel and one that joins them; the latter holds
    ``n`` rows.
    """
    image = image.rechunk({2: -1})
    rows, columns = np.divmod(indices, image.shape[1])
    block_rows, local_rows = _locate(rows, image.chunks[0])
    block_columns, local_columns = _locate(columns, image.chunks[1])
    blocks = block_rows * len(image.chunks[1]) + block_columns

    order = np.argsort(blocks, kind="stable")
    touched, starts = np.unique(blocks[order], return_index=True)
    members = np.split(order, starts[1:]) if len(touched) else []

    name = f"gather-pixels-{tokenize(image, indices)}"
    graph: dict[Any, Any] = {}
    for block, picked in zip(touched.tolist(), members, strict=True):
        source = (image.name, *divmod(block, len(image.chunks[1])), 0)
        graph[f"{name}-{block}"] = (
            _pick_block,
            source,
            local_rows[picked],
            local_columns[picked],
        )
    parts = list(graph)
    empty = np.empty((len(indices), image.shape[2]), dtype=image.dtype)
    graph[name] = (_join_rows, empty.shape, image.dtype, members, parts)
    return Delayed(name, HighLevelGraph.from_collections(name, graph, dependencies=[image]))


def _locate(
    positions: NDArray[np.int64], sizes: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the block and the place in it of positions ``(n,)`` along an axis cut into sizes."""
    bounds = np.cumsum((0, *sizes), dtype=np.int64)
    blocks = np.searchsorted(bounds, positions, side="right").astype(np.int64) - 1
    return blocks, positions - bounds[blocks]


def _pick_block(
    block: NDArray[Any], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[Any]:
    """Return the pixels ``(n, band)`` at rows and columns ``(n,)`` of a block ``(y, x, band)``."""
    return np.asarray(block)[rows, columns]


def _join_rows(
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    members: list[NDArray[np.int64]],
    parts: list[NDArray[Any]],
) -> NDArray[Any]:
    """Put parts ``(m, band)`` where they belong in rows of ``shape`` ``(n, band)``."""
    rows = np.empty(shape, dtype=dtype)
    for places, part in zip(members, parts, strict=True):
        rows[places] = part
    return rows
