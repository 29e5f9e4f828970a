"""Borders of Dask arrays of labels: block by block, each with one row and one column of the next.

Only these edges pass from block to block. Every block of labels is asked for once, and may go as
soon as its own borders and its two edges are there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np

from dask_quant.borders import as_line_labels, mark_borders

if TYPE_CHECKING:
    from numpy.typing import NDArray


def drop_empty_chunks(labels: da.Array) -> da.Array:
    """Return labels ``(y, x)`` without chunks that have no pixel, else as they are. **Lazy**.

    The labels to the right of a block are then those of the next one.
    """
    chunks = tuple(tuple(size for size in sizes if size) or (0,) for sizes in labels.chunks)
    return labels if chunks == labels.chunks else labels.rechunk(chunks, method="tasks")


def mark_blocks(labels: da.Array) -> da.Array:
    """Return the borders of labels ``(y, x)`` as bool ``(y, x)``. **Lazy**.

    Chunked like `drop_empty_chunks` of them.
    """
    labels = drop_empty_chunks(labels)
    if 0 in labels.shape:
        return da.zeros(labels.shape, dtype=bool, chunks=labels.chunks)
    return da.map_blocks(
        mark_borders,
        labels,
        _take_edges(labels, axis=0),
        _take_edges(labels, axis=1),
        chunks=labels.chunks,
        dtype=bool,
        meta=np.empty((0, 0), dtype=bool),
    )


def line_blocks(labels: da.Array) -> da.Array:
    """Return the labels of a picture of the borders of labels: uint8 ``(y, x)``. **Lazy**."""
    meta: Any = np.empty((0, 0), dtype=np.uint8)
    return mark_blocks(labels).map_blocks(as_line_labels, dtype=np.uint8, meta=meta)


def outline_blocks(labels: da.Array, colors: NDArray[np.uint8], line: tuple[int, ...]) -> da.Array:
    """Return ``colors[labels]``, and ``line`` at borders: uint8 ``(y, x, band)``. **Lazy**."""
    labels = drop_empty_chunks(labels)
    return da.map_blocks(
        paint_outlined,
        labels,
        mark_blocks(labels),
        colors,
        line,
        new_axis=2,
        chunks=(*labels.chunks, colors.shape[1:]),
        dtype=np.uint8,
        meta=np.empty((0, 0, 0), dtype=np.uint8),
    )


def paint_outlined(
    labels: NDArray[Any],
    borders: NDArray[np.bool_],
    colors: NDArray[np.uint8],
    line: tuple[int, ...],
) -> NDArray[np.uint8]:
    """Return the colours of labels, and ``line`` at borders, opaque, uint8. **Eager**."""
    picture: NDArray[np.uint8] = colors[labels]
    picture[borders] = (*line, 255)[: colors.shape[1]]
    return picture


def _take_edges(labels: da.Array, *, axis: int) -> da.Array:
    """Return the first row (column, ``axis`` 1) of each next block, one for each block. **Lazy**.

    The last blocks have no next: theirs is their own last row, from which it does not differ.
    """
    n_blocks, sizes = labels.numblocks[axis], list(labels.chunks)
    last = _blocks_of(labels, slice(n_blocks - 1, None), axis)
    sizes[axis] = (1,)
    edges = [last.map_blocks(take_edge, -1, axis, chunks=tuple(sizes), meta=_meta_of(labels))]
    if n_blocks > 1:
        sizes[axis] = (1,) * (n_blocks - 1)
        following = _blocks_of(labels, slice(1, None), axis)
        edges.insert(
            0, following.map_blocks(take_edge, 0, axis, chunks=tuple(sizes), meta=_meta_of(labels))
        )
    return da.concatenate(edges, axis=axis)


def _blocks_of(labels: da.Array, numbers: slice, axis: int) -> da.Array:
    """Return some rows, or columns, of blocks."""
    return labels.blocks[numbers] if axis == 0 else labels.blocks[:, numbers]


def _meta_of(labels: da.Array) -> NDArray[Any]:
    """Return an empty array of the type of labels."""
    return np.empty((0, 0), dtype=labels.dtype)


def take_edge(block: NDArray[Any], index: int, axis: int) -> NDArray[Any]:
    """Return a row or a column of a block, in two dimensions, copied out of it. **Eager**."""
    edge: NDArray[Any] = np.take(block, [index], axis=axis)
    return edge
