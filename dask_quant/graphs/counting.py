"""The exact colour histogram of a Dask array as a tree of tasks.

A reduction in three words: ``chunk`` counts the colours of a block, ``combine`` merges the sparse
histograms of a few blocks, and nothing is left to finalize. Merging is exact and associative, so
neither chunk shapes nor the shape of the tree can show in the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask.delayed import delayed

from dask_quant.histogram import ColorHistogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import dask.array as da
    import numpy as np
    from dask.delayed import Delayed
    from numpy.typing import NDArray

SPLIT_EVERY = 2
"""Histograms merged by one task: each can hold up to 2^24 colours, 200 MB."""


def count_leaves(image: da.Array) -> list[Delayed]:
    """Return one delayed `ColorHistogram` per block of ``(y, x, 3)`` uint8. **Lazy**."""
    count = delayed(count_block_colors, pure=True)
    return [count(block) for block in image.to_delayed().ravel()]


def merge_leaves(leaves: Sequence[Delayed]) -> Delayed:
    """Return the delayed sum of at least one delayed histogram, as a tree. **Lazy**."""
    return reduce_tree(leaves, delayed(merge_histograms, pure=True))


def reduce_tree(leaves: Sequence[Delayed], merge: Callable[[list[Delayed]], Delayed]) -> Delayed:
    """Return what ``merge`` makes of at least one leaf, `SPLIT_EVERY` at a time. **Lazy**."""
    level = list(leaves)
    while len(level) > 1:
        level = [
            merge(level[begin : begin + SPLIT_EVERY]) for begin in range(0, len(level), SPLIT_EVERY)
        ]
    return level[0]


def count_block_colors(block: NDArray[np.uint8]) -> ColorHistogram:
    """Count the colours of one block. **Eager**."""
    return ColorHistogram.from_pixels(block)


def merge_histograms(histograms: Sequence[ColorHistogram]) -> ColorHistogram:
    """Merge a few histograms. **Eager**."""
    return ColorHistogram.merge_all(histograms)


def split_blocks(image: da.Array, max_blocks: int) -> Iterator[da.Array]:
    """Yield ``image`` in parts of whole blocks, at most about ``max_blocks`` in each. **Lazy**.

    Parts are bands of rows of blocks, so that a graph never holds more than one band of tasks.
    """
    n_rows, n_columns = image.numblocks[:2]
    rows_per_part = max(1, max_blocks // n_columns)
    columns_per_part = min(n_columns, max_blocks)
    for row in range(0, n_rows, rows_per_part):
        for column in range(0, n_columns, columns_per_part):
            yield image.blocks[row : row + rows_per_part, column : column + columns_per_part]
