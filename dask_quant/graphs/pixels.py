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

    from dask.delayed import Delayed
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


def label_parts(parts: Sequence[RasterPart], model: ClassModel) -> da.Array:
    """Return the label of every pixel, ``(y, x)`` of ``model.label_dtype``. **Lazy**.

    ``parts`` are all blocks of the raster, row by row of blocks.
    """
    shared = delayed(model, pure=True, traverse=False)
    task = delayed(label_pixels, pure=True)
    return _join_parts(
        "labels", parts, [task(part.pixels, shared) for part in parts], dtype=model.label_dtype
    )


def mark_parts(parts: Sequence[RasterPart], n_bands: int, dtype: np.dtype[Any]) -> da.Array:
    """Return the samples of all pixels, and where they mean something as one band more. **Lazy**.

    ``parts`` are all blocks of the raster, row by row of blocks; the result is ``(y, x, n_bands +
    1)`` of ``dtype``, 1 in the last band where a pixel means something, else 0 in all.
    """
    task = delayed(mark_pixels, pure=True)
    return _join_parts(
        "marked", parts, [task(part.pixels) for part in parts], (n_bands + 1,), dtype=dtype
    )


def _join_parts(
    what: str,
    parts: Sequence[RasterPart],
    blocks: Sequence[Delayed],
    more: tuple[int, ...] = (),
    *,
    dtype: np.dtype[Any],
) -> da.Array:
    """Return one array of a block for each part, of further axes that are not cut. **Lazy**."""
    rows = tuple(part.shape[0] for part in parts if part.column == 0)
    columns = tuple(part.shape[1] for part in parts if part.row == 0)
    name = f"{what}-{tokenize([block.key for block in blocks])}"
    places = np.ndindex(len(rows), len(columns), *[1] * len(more))
    graph = {(name, *at): block.key for at, block in zip(places, blocks, strict=True)}
    return da.Array(
        HighLevelGraph.from_collections(name, graph, dependencies=blocks),
        name,
        chunks=(rows, columns, *((size,) for size in more)),
        meta=np.empty((0,) * (2 + len(more)), dtype=dtype),
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


def mark_pixels(pixels: Pixels) -> NDArray[Any]:
    """Return the samples of a block and where they mean something as its last band. **Eager**."""
    samples, valid = pixels
    marked = np.zeros((*valid.shape, samples.shape[2] + 1), dtype=samples.dtype)
    np.copyto(marked[..., :-1], samples, where=valid[..., np.newaxis])
    marked[..., -1] = valid
    return marked
