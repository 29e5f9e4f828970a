"""Smaller levels of a store of labels, each made of the one before, shard by shard.

A viewer shows a large image by the level that fits its window. What it shows there is the majority
of the labels, for an average of labels is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import zarr

from dask_quant.kernels.downsample import halve_labels
from dask_quant.sinks.atomic import report_os_errors
from dask_quant.sinks.zarr_store import level_name, store_block

if TYPE_CHECKING:
    from pathlib import Path

    from dask_quant.kernels.assign import Labels


def list_shards(path: Path, level: int) -> list[tuple[range, range]]:
    """Return rows and columns of each shard of a level. **Eager**; reads one small file."""
    with report_os_errors(path):
        array = zarr.open_array(path / level_name(level), mode="r")
    rows, columns = (
        [range(start, min(start + side, size)) for start in range(0, size, side)]
        for side, size in zip(array.shards, array.shape, strict=True)
    )
    return [(top, left) for top in rows for left in columns]


def store_half(path: Path, level: int, rows: range, columns: range) -> int:
    """Write one shard of a level, made of the level before. **Eager**.

    Runs on any worker that sees ``path``, and gives the same bytes when run again.

    Parameters
    ----------
    path : Path
        A store whose level before, of twice the sides, is whole.
    level : int
        The level to write to, 1 or more.
    rows, columns : range
        The shard, as `list_shards` returns it.

    Returns
    -------
    int
        Pixels written.

    Raises
    ------
    OutputError
        When the level before cannot be read, or the shard not be written.

    Notes
    -----
    Peak memory: the shard, and two rows of chunks of the level before.
    """
    with report_os_errors(path):
        before = zarr.open_array(path / level_name(level - 1), mode="r")
    block: Labels = np.empty((len(rows), len(columns)), dtype=before.dtype)
    step = before.chunks[0]
    wide = slice(2 * columns.start, 2 * columns.stop)
    with report_os_errors(path):
        for row in range(rows.start, rows.stop, step):
            stop = min(row + step, rows.stop)
            strip = np.asarray(before[2 * row : 2 * stop, wide])
            block[row - rows.start : stop - rows.start] = halve_labels(strip)
    return store_block(path, block, offset=(rows.start, columns.start), level=level)
