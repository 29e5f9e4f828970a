"""Counting one image with checkpoints, so that a long count that was ended goes on.

It goes down the image. A checkpoint is the counts of the first rows, as a file of counts, and how
many these are; it holds for any chunks, and costs far less than what it saves.
"""

from __future__ import annotations

import secrets
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from dask_quant.array_flow import add_to_counter, hold_counts, shares_tables
from dask_quant.errors import SourceError
from dask_quant.graphs.counting import merge_histograms
from dask_quant.histogram import BYTES_PER_COLOR, ColorCounter, ColorHistogram
from dask_quant.kernels.cells import N_CODES
from dask_quant.sinks.atomic import write_file_atomically
from dask_quant.sinks.histogram_file import histogram_chunks
from dask_quant.sources.histogram_file import read_histogram

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import dask.array as da

    from dask_quant.execute import Executor
    from dask_quant.sinks.state_folder import StateFolder

COUNTED_NAME = "counted.json"
"""How many rows were counted."""

MIN_CHECKPOINT_S = 5.0
"""Seconds of counting between checkpoints at least (arbitrary)."""

CHECKPOINT_SHARE = 50
"""How many times as long as a checkpoint takes is counted before the next (arbitrary)."""

_COUNTS_PATTERN = "counts-*.npz"
"""Names of the files of counts."""

BLOCKS_PER_THREAD = 4
"""Blocks for each thread that are counted at a time at least: threads wait for the last ones."""


_WRITING_BYTES = 30_000_000
"""What it takes to write a file of counts beside them."""


def count_kept(image: da.Array, executor: Executor, state: StateFolder) -> Any:
    """Count the colours of ``(y, x, band)`` uint8, exactly, where an earlier run ended. **Eager**.

    The `ColorHistogram` stays where `Executor.hold` leaves it, and checkpoints are written there.

    Raises
    ------
    OutputError
        When a checkpoint cannot be written.

    Notes
    -----
    Peak bytes: those of `dask_quant.array_flow.count_image`, the counts twice, and some 30 MB.
    """
    height, width = image.shape[:2]
    total, row = find_held_counts(state, width, executor)
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
            total = executor.hold(merge_histograms, [total, finish()])
            total = keep_held_counts(state, total, row, width, executor)
            kept_at = perf_counter()
            cost = kept_at - now
        if now - began < MIN_CHECKPOINT_S / 4:
            n_blocks *= 2
    return total


def _choose_counter(
    n_pixels: int, executor: Executor
) -> tuple[Callable[[da.Array, Executor], None], Callable[[], Any]]:
    """Return what counts parts of an image, and what gives their counts and starts again.

    Tables that tasks share are looked through when counts are asked for, and not before.
    """
    if shares_tables(n_pixels, executor):
        counter = ColorCounter()
        return partial(add_to_counter, counter), counter.finish
    found: list[Any] = []

    def add(part: da.Array, executor: Executor) -> None:
        found[:] = [executor.hold(merge_histograms, [*found, hold_counts(part, executor)])]

    def finish() -> Any:
        counts, found[:] = executor.hold(merge_histograms, list(found)), []
        return counts

    return add, finish


def keep_held_counts(
    state: StateFolder, counts: Any, n_rows: int, width: int, executor: Executor
) -> Any:
    """Keep the counts of the first rows of an image, wherever they are held. **Eager**.

    They are true once this process has said so: a worker that writes late, for a run that is gone,
    writes what nobody reads. Returned are the counts to go on with. On workers they come from the
    file: if theirs dies, Dask runs again what they were made of, down to the file before, which
    this one replaces.
    """
    name = f"counts-{n_rows}-{secrets.token_hex(4)}.npz"
    path = state.path.absolute() / name
    executor.call(_write_counts, path, counts)
    if executor.is_distant:
        counts = executor.hold(_read_counts, path, n_rows * width)
        executor.call(len, counts)  # read before the file before it goes
    state.write_json(COUNTED_NAME, {"rows": n_rows, "name": name})
    others = state.path.glob(_COUNTS_PATTERN)
    state.discard(*(each.name for each in others if each.name != name))
    return counts


def drop_counts(state: StateFolder) -> None:
    """Remove what `keep_held_counts` kept. **Eager**."""
    state.discard(COUNTED_NAME, *(each.name for each in state.path.glob(_COUNTS_PATTERN)))


def plan_kept_counts(n_pixels: int) -> int:
    """Return what counting with checkpoints takes more than counting without, in bytes, at most.

    Examples
    --------
    >>> plan_kept_counts(1000)
    30024000
    """
    return 2 * BYTES_PER_COLOR * min(n_pixels, N_CODES) + _WRITING_BYTES


def find_held_counts(state: StateFolder, width: int, executor: Executor) -> tuple[Any, int]:
    """Return what `keep_held_counts` kept, where `Executor.hold` leaves it, and of how many rows.

    **Eager**. ``width`` is that of the image. Damaged counts are nothing: those of no row. A worker
    reads the file that is named now, and no other one if it has to read again.
    """
    kept = state.read_json(COUNTED_NAME)
    try:
        n_rows, path = int(kept["rows"]), state.path.absolute() / str(kept["name"])
        counts = executor.hold(_read_counts, path, n_rows * width)
        executor.call(len, counts)
    except (KeyError, TypeError, ValueError, SourceError):
        return ColorHistogram.empty(), 0
    return counts, n_rows


def _write_counts(path: Path, counts: ColorHistogram) -> None:
    """Write a file of counts. **Eager**."""
    write_file_atomically(path, histogram_chunks(counts), overwrite=True)


def _read_counts(path: Path, n_pixels: int) -> ColorHistogram:
    """Return the counts of a file, which are to be of so many pixels. **Eager**."""
    counts = read_histogram(path)
    if counts.n_pixels != n_pixels:
        message = (
            f"Got counts of {counts.n_pixels:,} pixels, not of {n_pixels:,}, in {path.name!r}."
        )
        raise SourceError(message)
    return counts
