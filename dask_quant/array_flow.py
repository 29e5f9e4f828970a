"""One image as a Dask array: count, fit, relabel, write, in bounded waves of coarse tasks.

What a large image goes through, and any image on a cluster. Pixels are read and labels written by
the tasks; the histogram and the palette alone come back, from a distant cluster the palette alone.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from dask.delayed import delayed

from dask_quant.graphs.counting import (
    count_leaves,
    merge_histograms,
    merge_leaves,
    split_blocks,
)
from dask_quant.graphs.layers import gather_tasks
from dask_quant.histogram import ColorCounter, ColorHistogram
from dask_quant.kept_parts import NOTHING_DONE, cut_units, find_missing
from dask_quant.kernels.count_block import DENSE_MIN_PIXELS
from dask_quant.pixel_grid import PLAIN_GRID, PixelGrid
from dask_quant.sinks.atomic import check_output, write_file_atomically
from dask_quant.sinks.label_file import TIFF_SUFFIXES, plan_label_file
from dask_quant.sinks.parts import is_whole_part
from dask_quant.sinks.png import strip_rows
from dask_quant.sinks.store_layout import label_shards
from dask_quant.sinks.store_levels import list_shards, store_half
from dask_quant.sinks.store_start import start_store
from dask_quant.sinks.tiff_layout import TiffLayout
from dask_quant.sinks.zarr_store import (
    check_store,
    count_levels,
    discard_store,
    finish_store,
    keep_block,
    store_block,
)
from dask_quant.sources.reading import NO_ORIGIN
from dask_quant.waves import Wave
from dask_quant.workplace import Workplace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import dask.array as da
    from dask.delayed import Delayed
    from numpy.typing import NDArray

    from dask_quant.execute import Executor
    from dask_quant.palette import Palette
    from dask_quant.sinks.label_file import LabelFile
    from dask_quant.sinks.state_folder import StateFolder
    from dask_quant.sources.reading import Origin

STRIP_TASKS_PER_THREAD = 4
"""Tasks per thread that compress strips in one graph: the blocks of labels that they are cut from
are wide, and wait for one another, so that few may be on the way (arbitrary)."""

JOINED_NAME = "joined"
"""File that parts are joined to, before it gets its final name."""


def count_image(image: da.Array, executor: Executor) -> ColorHistogram:
    """Count the colours of ``(y, x, 3)`` uint8, exactly, in one pass. **Eager**."""
    counts: ColorHistogram = executor.fetch(hold_counts(image, executor))
    return counts


def hold_counts(image: da.Array, executor: Executor) -> Any:
    """Count as `count_image` does, and return what `Executor.hold` would. **Eager**."""
    n_pixels = image.shape[0] * image.shape[1]
    if shares_tables(n_pixels, executor):
        return _count_together(image, executor)
    total = executor.hold(ColorHistogram.empty)

    def take(found: Any) -> None:
        nonlocal total
        total = executor.hold(merge_histograms, [total, found])

    waves = map(_make_counting, split_blocks(image, executor.wave_tasks()))
    executor.compute_waves(waves, take, stage="count", total=n_pixels, unit="px", keeps=True)
    return total


def _make_counting(part: da.Array) -> Wave:
    """Return the tasks that count a part of an image."""
    leaves = count_leaves(part)
    return Wave(merge_leaves(leaves), leaves, _block_sizes(part))


def shares_tables(n_pixels: int, executor: Executor) -> bool:
    """Return whether so many pixels are counted in tables that all tasks share."""
    return n_pixels >= DENSE_MIN_PIXELS and executor.shares_memory


def add_to_counter(counter: ColorCounter, image: da.Array, executor: Executor) -> None:
    """Count an image in the tables of a counter, by tasks of this process. **Eager**."""
    add = delayed(counter.add, pure=False)
    run_on_blocks(image, executor, lambda block, at: add(block), stage="count")


def _count_together(image: da.Array, executor: Executor) -> ColorHistogram:
    """Count a large image in tables that the tasks of this process share."""
    counter = ColorCounter()
    add_to_counter(counter, image, executor)
    histogram = counter.finish()
    n_pixels = image.shape[0] * image.shape[1]
    assert histogram.n_pixels == n_pixels, "every block was added exactly once"
    return histogram


def write_unit(shape: tuple[int, int], out: Path) -> tuple[int, int]:
    """Return rows and columns of what ``out`` stores as a unit: a shard, a block or a strip."""
    if out.suffix.lower() == ".zarr":
        return label_shards(shape)
    if out.suffix.lower() in TIFF_SUFFIXES:
        return TiffLayout(shape, np.dtype(np.uint8)).block
    return strip_rows(shape[1]), shape[1]


def writes_strips(out: Path) -> bool:
    """Return whether ``out`` stores strips of few rows rather than squares."""
    return out.suffix.lower() not in (".zarr", *TIFF_SUFFIXES)


def check_label_output(out: Path, *, overwrite: bool) -> None:
    """Raise `OutputError` when ``out`` cannot be written, before any work is done."""
    if out.suffix.lower() == ".zarr":
        check_store(out, overwrite=overwrite)
    else:
        check_output(out, overwrite=overwrite)


def write_labels(
    labels: da.Array,
    palette: Palette,
    out: Path,
    executor: Executor,
    *,
    overwrite: bool,
    origin: Origin = NO_ORIGIN,
    grid: PixelGrid = PLAIN_GRID,
    state: StateFolder | None = None,
) -> int:
    """Write labels ``(y, x)`` to ``out``, a ``.zarr`` or a label file, by tasks. **Eager**.

    Labels that are not chunked in whole shards, blocks or strips are rechunked first. ``origin`` is
    what the pixels are read from; ``grid`` says where pixels lie, which a store tells. What is
    written is kept in ``state``, where there is one, until all is: what is there is not made again.

    Returns
    -------
    int
        Bytes written.
    """
    check_label_output(out, overwrite=overwrite)
    aligned = align_blocks(labels, write_unit(labels.shape, out))
    place = Workplace(out.absolute(), overwrite, state)  # workers may have another working folder
    if out.suffix.lower() == ".zarr":
        return _write_store(aligned, palette, place, executor, grid)
    file = plan_label_file(out, labels.shape, labels.dtype, len(palette), origin)
    return _write_file(aligned, file, palette, place, executor)


def _write_store(
    labels: da.Array, palette: Palette, place: Workplace, executor: Executor, grid: PixelGrid
) -> int:
    """Write the shards that are missing by tasks, then give the store its name."""
    given = (place.final, labels.shape, palette)
    start = partial(start_store, *given, overwrite=place.overwrite, grid=grid)
    with place.open_store(start, discard_store) as temporary:
        if place.is_resumed:
            _store_missing(labels, temporary, executor)
        else:
            store = delayed(store_block, pure=False)
            run_on_blocks(labels, executor, lambda b, at: store(temporary, b, offset=at))
        fill_levels(temporary, executor, is_resumed=place.is_resumed)
        return name_store(temporary, place)


def _store_missing(labels: da.Array, temporary: Path, executor: Executor) -> None:
    """Write the shards by tasks that an earlier run has not written."""
    unit = label_shards(labels.shape)
    missing = find_missing(labels, unit, partial(keep_block, temporary), executor)
    put = delayed(put_shards, pure=False)
    run_on_blocks(
        labels,
        executor,
        lambda b, at: put(temporary, unit, b, at, missing.of(at)),
        is_done=missing.is_done,
    )


def put_shards(
    store: Path,
    unit: tuple[int, int],
    labels: NDArray[np.uint8],
    at: tuple[int, int],
    only: tuple[tuple[int, int], ...] | None,
) -> int:
    """Write whole shards of labels, all or ``only`` some, and return their pixels. **Eager**."""
    return sum(
        store_block(store, part, offset=place) for part, place in cut_units(labels, at, unit, only)
    )


def name_store(temporary: Path, place: Workplace) -> int:
    """Give a store that is whole its name, and return its bytes. **Eager**."""
    place.note(temporary)
    return finish_store(temporary, place.final, overwrite=place.overwrite)


def fill_store(
    blocks: da.Array,
    temporary: Path,
    final: Path,
    executor: Executor,
    *,
    overwrite: bool,
    stage: str,
) -> int:
    """Write blocks of whole shards by tasks, and name the store when all are there. **Eager**.

    ``temporary`` is a store that was started for ``final``; it is gone in any case.

    Returns
    -------
    int
        Bytes written.
    """
    try:
        store = delayed(store_block, pure=False)
        run_on_blocks(blocks, executor, lambda b, at: store(temporary, b, offset=at), stage=stage)
        fill_levels(temporary, executor)
        return finish_store(temporary, final, overwrite=overwrite)
    finally:
        discard_store(temporary)


def fill_levels(temporary: Path, executor: Executor, *, is_resumed: bool = False) -> None:
    """Write the smaller levels of a store that has some, each when the one before is whole.

    ``is_resumed``: shards that are there are kept.
    """
    store = delayed(store_half, pure=False)
    for level in range(1, count_levels(temporary)):
        shards = list_shards(temporary, level)
        if is_resumed:
            shards = [each for each in shards if not _keep_shard(temporary, level, *each)]
        executor.compute_all(
            [store(temporary, level, rows, columns) for rows, columns in shards],
            stage="pyramid",
            sizes=[len(rows) * len(columns) for rows, columns in shards],
            unit="px",
        )


def _keep_shard(temporary: Path, level: int, rows: range, columns: range) -> bool:
    """Return whether a shard of a level is whole, as `list_shards` returns it."""
    offset, shape = (rows.start, columns.start), (len(rows), len(columns))
    return keep_block(temporary, offset, shape, level=level)


def _write_file(
    labels: da.Array, file: LabelFile, palette: Palette, place: Workplace, executor: Executor
) -> int:
    """Write parts by tasks, let one task join them, then give the file its name."""
    with place.open_parts() as folder:
        missing = NOTHING_DONE
        if place.is_resumed:
            missing = find_missing(labels, file.unit, partial(holds_part, folder, file), executor)
        write_parts = delayed(write_part_files, pure=False)
        shared = delayed(file, pure=True, traverse=False)
        run_on_blocks(
            labels,
            executor,
            lambda b, at: write_parts(folder, shared, b, at, missing.of(at)),
            max_blocks=limit_blocks(file, labels.shape, executor),
            is_done=missing.is_done,
        )
        return finish_file(folder, file, palette, place, executor)


def holds_part(folder: Path, file: LabelFile, at: tuple[int, int], shape: tuple[int, int]) -> bool:
    """Return whether the part of a unit is whole, inside a task. **Eager**."""
    return is_whole_part(folder / file.name_part(at))


def limit_blocks(file: LabelFile, shape: tuple[int, int], executor: Executor) -> int | None:
    """Return how many blocks may be on the way at a time; None: any number."""
    is_wide = file.unit[1] >= shape[1]
    return STRIP_TASKS_PER_THREAD * executor.n_threads if is_wide else None


def finish_file(
    folder: Path, file: LabelFile, palette: Palette, place: Workplace, executor: Executor
) -> int:
    """Let a task join the parts of ``folder``, name the file, and return its bytes. **Eager**."""
    join = delayed(join_part_files, pure=False)
    joined = join(folder, file, palette)
    n_bytes: int = executor.compute(joined, stage="write", leaves=[joined])
    place.put_file(folder / JOINED_NAME)
    return n_bytes


def write_part_files(
    folder: Path,
    file: LabelFile,
    labels: NDArray[np.uint8],
    at: tuple[int, int],
    only: tuple[tuple[int, int], ...] | None = None,
) -> int:
    """Write units of labels, all or ``only`` some, as parts of a file; return their pixels."""
    if labels.size == 0:  # an array may have empty chunks
        return 0
    units = cut_units(labels, at, file.unit, only)
    return sum(file.put(folder, unit, place) for unit, place in units)


def join_part_files(folder: Path, file: LabelFile, palette: Palette) -> int:
    """Join the parts of ``folder`` to a file in it, and return its bytes. **Eager**.

    Not under its final name: run again, its worker having died, this would find that taken.
    """
    chunks = file.join(folder, palette)
    return write_file_atomically(folder / JOINED_NAME, chunks, overwrite=True)


def run_on_blocks(
    array: da.Array,
    executor: Executor,
    make_task: Callable[[Delayed, tuple[int, int]], Delayed],
    *,
    stage: str = "relabel",
    max_blocks: int | None = None,
    merge: Callable[[list[Any]], Any] = len,
    is_done: Callable[[tuple[int, int]], bool] = lambda at: False,
) -> list[Any]:
    """Compute a task for every block of ``(y, x, ...)``, in bounded waves. **Eager**.

    ``make_task`` gets the block and its first row and column. Returned is what ``merge`` makes of
    the results of each wave, on a worker: by default their number alone.
    At most about ``max_blocks`` are on the way at a time, where that is less than there may be.
    Blocks that ``is_done`` says so of, by their first row and column, are left out.
    """
    parts = _split_with_offsets(array, executor.wave_tasks(max_blocks))
    waves = _make_waves(parts, make_task, merge, is_done)
    merged: list[Any] = []
    n_pixels = array.shape[0] * array.shape[1]
    executor.compute_waves(waves, merged.append, stage=stage, total=n_pixels, unit="px")
    return merged


def _make_waves(
    parts: Iterable[tuple[da.Array, tuple[int, int]]],
    make_task: Callable[[Delayed, tuple[int, int]], Delayed],
    merge: Callable[[list[Any]], Any],
    is_done: Callable[[tuple[int, int]], bool],
) -> Iterator[Wave]:
    """Yield the tasks of each part of an array that has blocks to do; see `run_on_blocks`."""
    n_before = 0
    for part, (first_row, first_column) in parts:
        tasks, sizes = [], []
        blocks = part.to_delayed().ravel()
        places = zip(blocks, _block_offsets(part), _block_sizes(part), strict=True)
        for block, (row, column), size in places:
            at = (first_row + row, first_column + column)
            if is_done(at):
                n_before += size
            else:
                tasks.append(make_task(block, at))
                sizes.append(size)
        if tasks:
            yield Wave(gather_tasks(merge, tasks), tasks, sizes, n_before)
            n_before = 0


def _split_with_offsets(
    array: da.Array, max_blocks: int
) -> Iterator[tuple[da.Array, tuple[int, int]]]:
    """Yield parts of ``array`` and the row and column at which each begins."""
    row = column = 0
    for part in split_blocks(array, max_blocks):
        yield part, (row, column)
        column += part.shape[1]
        if column == array.shape[1]:
            row, column = row + part.shape[0], 0


def _block_offsets(array: da.Array) -> list[tuple[int, int]]:
    """Return the row and column at which each block begins, in the order of the blocks."""
    starts = [[sum(sizes[:i]) for i in range(len(sizes))] for sizes in array.chunks[:2]]
    return [(row, column) for row in starts[0] for column in starts[1]]


def _block_sizes(array: da.Array) -> list[int]:
    """Return the pixels of each block, in the order of the blocks."""
    return [rows * columns for rows in array.chunks[0] for columns in array.chunks[1]]


def align_blocks(blocks: da.Array, unit: tuple[int, int]) -> da.Array:
    """Return ``(y, x, ...)`` in chunks of whole units, as it is if it already is so. **Lazy**."""
    cuts = blocks.chunks[:2]
    aligned = all(
        size % rows == 0 for sizes, rows in zip(cuts, unit, strict=True) for size in sizes[:-1]
    )
    if aligned:
        return blocks
    rows, columns = (
        -(-max(sizes) // length) * length for sizes, length in zip(cuts, unit, strict=True)
    )
    return blocks.rechunk((rows, columns, *blocks.shape[2:]))
