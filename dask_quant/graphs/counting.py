"""The exact colour histogram of a Dask array as a tree of tasks.

A reduction in three words: ``chunk`` counts the colours of a block, ``combine`` merges the sparse
histograms of a few blocks, and nothing is left to finalize. Merging is exact and associative, so
neither chunk shapes nor the shape of the tree can show in the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.graphs.layers import apply_to_blocks, reduce_tree
from dask_quant.histogram import ColorHistogram

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import dask.array as da
    import numpy as np
    from dask.delayed import Delayed
    from numpy.typing import NDArray


SPLIT_EVERY = 2
"""Histograms merged by one task: each can hold up to 2^24 colours, 200 MB."""


def count_leaves(image: da.Array) -> list[Delayed]:
    """Return one delayed `ColorHistogram` per block of ``(y, x, 3)`` uint8. **Lazy**."""
    return apply_to_blocks(count_block_colors, image)


def merge_leaves(leaves: Sequence[Delayed]) -> Delayed:
    """Return the delayed sum of at least one delayed histogram, as a tree. **Lazy**."""
    return reduce_tree(merge_histograms, leaves, SPLIT_EVERY)


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
