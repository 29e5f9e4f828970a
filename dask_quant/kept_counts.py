"""Counting one image with checkpoints, so that a long count that was ended goes on.

It goes down the image. A checkpoint is the counts of the first rows, as a file of counts, and how
many these are; it holds for any chunks, and costs far less than what it saves.
"""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from dask_quant.array_flow import add_to_counter, count_image, shares_tables
from dask_quant.errors import SourceError
from dask_quant.histogram import BYTES_PER_COLOR, ColorCounter, ColorHistogram
from dask_quant.kernels.cells import N_CODES
from dask_quant.sinks.atomic import write_file_atomically
from dask_quant.sinks.histogram_file import histogram_chunks
from dask_quant.sources.histogram_file import read_histogram

if TYPE_CHECKING:
    from collections.abc import Callable

    import dask.array as da

    from dask_quant.execute import Executor
    from dask_quant.sinks.state_folder import StateFolder

COUNTED_NAME = "counted.json"
"""How many rows were counted."""

MIN_CHECKPOINT_S = 5.0
"""Seconds of counting between checkpoints at least (arbitrary)."""

CHECKPOINT_SHARE = 50
"""How many times as long as a checkpoint takes is counted before the next (arbitrary)."""

BLOCKS_PER_THREAD = 4
"""Blocks for each thread that are counted at a time at least: threads wait for the last ones."""


_WRITING_BYTES = 30_000_000
"""What it takes to write a file of counts beside them."""


def count_kept(image: da.Array, executor: Executor, state: StateFolder) -> ColorHistogram:
    """Count the colours of ``(y, x, band)`` uint8, exactly, where an earlier run ended. **Eager**.

    Raises
    ------
    OutputError
        When a checkpoint cannot be written.

    Notes
    -----
    Peak bytes: those of `dask_quant.array_flow.count_image`, the counts twice, and some 30 MB.
    """
    height, width = image.shape[:2]
    total, row = find_counts(state, width) or (ColorHistogram.empty(), 0)
    left, n_pixels = image[row:], height * width
    n_blocks = max(1, BLOCKS_PER_THREAD * executor.n_threads // max(1, image.numblocks[1]))
    add, finish = _choose_counter(n_pixels, executor)
    first, kept_at, cost = 0, perf_counter(), 0.0
    while row < height:
        began = perf_counter()
        part = left.blocks[first : first + n_blocks]
        add(part, executor.part_of(n_pixels, row * width))
        first, row = first + n_blocks, row + part.shape[0]
        now = perf_counter()
        if row == height or now - kept_at >= max(MIN_CHECKPOINT_S, CHECKPOINT_SHARE * cost):
            total = total.merge(finish())
            keep_counts(state, total, row)
            kept_at = perf_counter()
            cost = kept_at - now
        if now - began < MIN_CHECKPOINT_S / 4:
            n_blocks *= 2
    return total


def _choose_counter(
    n_pixels: int, executor: Executor
) -> tuple[Callable[[da.Array, Executor], None], Callable[[], ColorHistogram]]:
    """Return what counts parts of an image, and what gives their counts and starts again.

    Tables that tasks share are looked through when counts are asked for, and not before.
    """
    if shares_tables(n_pixels, executor):
        counter = ColorCounter()
        return partial(add_to_counter, counter), counter.finish
    found: list[ColorHistogram] = []

    def add(part: da.Array, executor: Executor) -> None:
        found[:] = [ColorHistogram.merge_all([*found, count_image(part, executor)])]

    def finish() -> ColorHistogram:
        counts, found[:] = ColorHistogram.merge_all(found), []
        return counts

    return add, finish


def keep_counts(state: StateFolder, counts: ColorHistogram, n_rows: int) -> None:
    """Keep the counts of the first rows of an image. **Eager**."""
    name = _name_counts(n_rows)
    write_file_atomically(state.path / name, histogram_chunks(counts), overwrite=True)
    state.write_json(COUNTED_NAME, {"rows": n_rows})
    others = state.path.glob(_name_counts("*"))
    state.discard(*(each.name for each in others if each.name != name))


def drop_counts(state: StateFolder) -> None:
    """Remove what `keep_counts` kept. **Eager**."""
    state.discard(COUNTED_NAME, *(each.name for each in state.path.glob(_name_counts("*"))))


def plan_kept_counts(n_pixels: int) -> int:
    """Return what counting with checkpoints takes more than counting without, in bytes, at most.

    Examples
    --------
    >>> plan_kept_counts(1000)
    30024000
    """
    return 2 * BYTES_PER_COLOR * min(n_pixels, N_CODES) + _WRITING_BYTES


def _name_counts(n_rows: int | str) -> str:
    """Return the name of the file of the counts of the first rows."""
    return f"counts-{n_rows}.npz"


def find_counts(state: StateFolder, width: int) -> tuple[ColorHistogram, int] | None:
    """Return what `keep_counts` kept, and of how many rows; None where that is nothing. **Eager**.

    ``width`` is that of the image; damaged counts are nothing.
    """
    kept = state.read_json(COUNTED_NAME)
    try:
        n_rows = int(kept["rows"])
        counts = read_histogram(state.path / _name_counts(n_rows))
    except (KeyError, TypeError, ValueError, SourceError):
        return None
    return (counts, n_rows) if counts.n_pixels == n_rows * width else None
