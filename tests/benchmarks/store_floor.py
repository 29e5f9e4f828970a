"""The least that relabelling a store can cost: reading it twice and writing its labels once.

    python tests/benchmarks/store_floor.py IMAGE.zarr LABELS.zarr OUT.zarr

Two threads read blocks of the image, twice, then write blocks of labels, through zarr and the
codecs of both stores; nothing is counted, fitted or looked up. The labels are those of LABELS.zarr,
a few blocks of them over and over, read before the clock starts. Prints seconds as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from dask_quant import read_palette
from dask_quant.chunking import plan_chunks
from dask_quant.sinks.store_layout import label_shards
from dask_quant.sinks.store_start import start_store
from dask_quant.sinks.zarr_store import ARRAY_NAME, finish_store, store_block
from dask_quant.sources.zarr_store import find_zarr_image, open_zarr_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from dask_quant.palette import Palette

N_THREADS = 2
"""Threads that read and write."""

MAX_BLOCKS = 8
"""Blocks of labels that are held, 16 MB each."""

Slices = tuple[slice, slice]


def cut_blocks(shape: tuple[int, int], chunks: tuple[int, int]) -> list[Slices]:
    """Return the rows and columns of all blocks of an image."""
    return [
        (
            slice(row, min(row + chunks[0], shape[0])),
            slice(column, min(column + chunks[1], shape[1])),
        )
        for row in range(0, shape[0], chunks[0])
        for column in range(0, shape[1], chunks[1])
    ]


def measure(work: Callable[[Any], object], items: Iterable[Any]) -> NDArray[np.float64]:
    """Return the wall and processor seconds that threads need for ``work`` on all items."""
    begin = read_clocks()
    with ThreadPoolExecutor(N_THREADS) as pool:
        for _ in pool.map(work, items):
            pass
    return read_clocks() - begin


def read_clocks() -> NDArray[np.float64]:
    """Return wall and processor seconds since some moment."""
    return np.array([time.perf_counter(), time.process_time()])


def write_labels(
    labels: zarr.Array, palette: Palette, blocks: Sequence[Slices], out: Path
) -> NDArray[np.float64]:
    """Return the wall and processor seconds of writing labels like those of ``labels``."""
    shape = labels.shape
    held: dict[tuple[int, ...], list[NDArray[Any]]] = {}
    for block in blocks:
        same = held.setdefault(_shape_of(block), [])
        if len(same) < MAX_BLOCKS:
            same.append(labels[block])
    temporary = start_store(out, shape, palette, overwrite=False)

    def write(number: int) -> int:
        block = blocks[number]
        like = held[_shape_of(block)]
        offset = (block[0].start, block[1].start)
        return store_block(temporary, like[number % len(like)], offset=offset)

    seconds = measure(write, range(len(blocks)))
    begin = read_clocks()
    finish_store(temporary, out, overwrite=False)
    return seconds + read_clocks() - begin


def _shape_of(block: Slices) -> tuple[int, ...]:
    """Return the rows and columns of a block."""
    return tuple(part.stop - part.start for part in block)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    image, labels, out = map(Path, sys.argv[1:] if arguments is None else arguments)
    array = open_zarr_array(image)
    shape = array.shape[:2]
    reads = cut_blocks(shape, plan_chunks(shape, find_zarr_image(image).unit))
    writes = cut_blocks(shape, plan_chunks(shape, label_shards(shape)))
    first, second = (measure(array.__getitem__, reads) for _ in range(2))
    stored, palette = zarr.open_array(labels / ARRAY_NAME, mode="r"), read_palette(labels)
    write = write_labels(stored, palette, writes, out)
    wall, cpu = first + second + write
    print(json.dumps({"wall_s": wall, "cpu_s": cpu, "read_s": second[0], "write_s": write[0]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
