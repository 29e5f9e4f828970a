"""Blocks of rasters as rows of numbers, and as labels; nothing is computed here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.delayed import delayed
from dask.highlevelgraph import HighLevelGraph

from dask_quant.graphs.rows import RowBlocks, make_pixel_block

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dask_quant.class_model import ClassModel
    from dask_quant.fit.row_block import RowBlock
    from dask_quant.sources.rasters import RasterPart

    Pixels = tuple[NDArray[Any], NDArray[np.bool_]]


def pixel_row_blocks(parts: Sequence[RasterPart], *, first: int, width: int) -> RowBlocks:
    """Return the pixels that mean something in the blocks of a raster, as rows. **Lazy**.

    Parameters
    ----------
    parts : sequence of RasterPart
        The blocks.
    first : int
        Number of the raster's first pixel among all: they follow one another row by row.
    width : int
        Columns of the raster.
    """
    task = delayed(make_valid_rows, pure=True)
    blocks = [task(part.pixels, first + part.row * width + part.column, width) for part in parts]
    sizes = tuple(part.shape[0] * part.shape[1] for part in parts)
    return RowBlocks(tuple(blocks), sizes, unit="px")


def join_row_blocks(each: Sequence[RowBlocks]) -> RowBlocks:
    """Return the blocks of all. **Lazy**."""
    blocks = tuple(block for one in each for block in one.blocks)
    return RowBlocks(blocks, tuple(size for one in each for size in one.sizes), unit=each[0].unit)


def label_parts(parts: Sequence[RasterPart], shape: tuple[int, int], model: ClassModel) -> da.Array:
    """Return the label of every pixel, ``(y, x)`` of ``model.label_dtype``. **Lazy**.

    ``parts`` are all blocks of the raster, row by row of blocks.
    """
    shared = delayed(model, pure=True, traverse=False)
    task = delayed(label_pixels, pure=True)
    labels = [task(part.pixels, shared) for part in parts]
    rows = tuple(part.shape[0] for part in parts if part.column == 0)
    columns = tuple(part.shape[1] for part in parts if part.row == 0)
    name = f"labels-{tokenize([block.key for block in labels])}"
    places = np.ndindex(len(rows), len(columns))
    graph = {(name, *at): block.key for at, block in zip(places, labels, strict=True)}
    return da.Array(
        HighLevelGraph.from_collections(name, graph, dependencies=labels),
        name,
        chunks=(rows, columns),
        meta=np.empty((0, 0), dtype=model.label_dtype),
    )


def make_valid_rows(pixels: Pixels, first: int, width: int) -> RowBlock:
    """Return the pixels of a block that mean something as rows. **Eager**.

    ``first`` is the number of its first pixel, ``width`` the columns of the whole raster.
    """
    samples, valid = pixels
    return make_pixel_block(samples, first, width, valid)


def label_pixels(pixels: Pixels, model: ClassModel) -> NDArray[np.uint8 | np.uint16]:
    """Return the labels of a block ``(y, x)``. **Eager**."""
    return model.label(*pixels)
