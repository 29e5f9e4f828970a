"""One image as a Dask array: count, fit, relabel, write, in bounded waves of coarse tasks.

What a large image goes through, and any image on a cluster. Pixels are read and labels written by
the tasks; the histogram and the palette alone come back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from dask.delayed import delayed

from dask_quant.errors import FitError
from dask_quant.events import Event
from dask_quant.execute import MAX_TASKS_PER_GRAPH, Executor
from dask_quant.fit.fitting import finish_fit, fit_histogram
from dask_quant.graphs.counting import count_leaves, merge_leaves, split_blocks
from dask_quant.graphs.rows import RowBlocks
from dask_quant.graphs.sampling import draw_colors
from dask_quant.graphs.scalable import draw_initial_centroids, fit_dask_ml
from dask_quant.histogram import ColorCounter, ColorHistogram
from dask_quant.kernels.count_block import DENSE_MIN_PIXELS
from dask_quant.pixel_grid import PLAIN_GRID, PixelGrid
from dask_quant.row_flow import RowFitOptions, SpreadRows, fit_rows
from dask_quant.sinks.atomic import (
    check_output,
    partial_folder,
    put_in_place,
    write_file_atomically,
)
from dask_quant.sinks.label_file import TIFF_SUFFIXES, plan_label_file
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
    store_block,
)
from dask_quant.sources.reading import NO_ORIGIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import dask.array as da
    from dask.delayed import Delayed
    from numpy.typing import NDArray

    from dask_quant.fit.palette_fit import PaletteFit
    from dask_quant.fit_options import FitOptions
    from dask_quant.palette import Palette
    from dask_quant.sinks.label_file import LabelFile
    from dask_quant.sources.reading import Origin

DASK_ML_MAX_ITER = 300
"""Lloyd iterations of `dask_ml.cluster.KMeans` when nothing else is said: its own default."""

DASK_ML_TOL = 1e-4
"""Tolerance of `dask_ml.cluster.KMeans` when nothing else is said: its own default."""


STRIP_TASKS_PER_THREAD = 4
"""Tasks per thread that compress strips in one graph: the blocks of labels that they are cut from
are wide, and wait for one another, so that few may be on the way (arbitrary)."""

JOINED_NAME = "joined"
"""File that parts are joined to, before it gets its final name."""


def count_image(image: da.Array, executor: Executor) -> ColorHistogram:
    """Count the colours of ``(y, x, 3)`` uint8, exactly, in one pass. **Eager**."""
    n_pixels = image.shape[0] * image.shape[1]
    if n_pixels >= DENSE_MIN_PIXELS and executor.shares_memory:
        return _count_together(image, executor)
    total, n_done = ColorHistogram.empty(), 0
    for part in split_blocks(image, MAX_TASKS_PER_GRAPH):
        leaves = count_leaves(part)
        sizes = _block_sizes(part)
        wave = executor.part_of(n_pixels, n_done)
        found = wave.compute(
            merge_leaves(leaves), stage="count", leaves=leaves, sizes=sizes, unit="px"
        )
        total = total.merge(found)
        n_done += sum(sizes)
    return total


def _count_together(image: da.Array, executor: Executor) -> ColorHistogram:
    """Count a large image in tables that the tasks of this process share."""
    counter = ColorCounter()
    add = delayed(counter.add, pure=False)
    run_on_blocks(image, executor, lambda block, at: add(block), stage="count")
    histogram = counter.finish()
    n_pixels = image.shape[0] * image.shape[1]
    assert histogram.n_pixels == n_pixels, "every block was added exactly once"
    return histogram


def fit_image(
    image: da.Array, histogram: ColorHistogram, options: FitOptions, executor: Executor
) -> PaletteFit:
    """Fit a palette with the engine that ``options`` names. **Eager**.

    ``image`` is the pixels that ``histogram`` counted; the histogram engine does not read them.
    """
    if not options.fits_pixels:
        return fit_histogram(histogram, options, executor.listener)
    centroids: NDArray[np.floating | np.uint8]
    if len(histogram) <= options.n_colors:
        centroids, n_iter = histogram.colors, 0
    elif options.engine == "scalable":
        centroids, n_iter = _fit_in_passes(image, options, executor)
    else:
        centroids, n_iter = _fit_by_dask_ml(image, histogram, options, executor)
    return finish_fit(
        histogram,
        centroids,
        n_colors=options.n_colors,
        engine=options.engine,
        n_iter=n_iter,
        recolor=options.recolor,
    )


def _fit_in_passes(
    image: da.Array, options: FitOptions, executor: Executor
) -> tuple[NDArray[np.float64], int]:
    """Return centroids ``(n_colors, 3)`` that k-means on all pixels finds, and its iterations."""
    source = SpreadRows(RowBlocks.of_image(image), executor)
    survey = source.survey(options.seed, image.shape[2])
    row_options = RowFitOptions(
        n_clusters=options.n_colors,
        max_iter=options.max_iter or RowFitOptions.max_iter,
        max_shift=options.tol,
        seed=options.seed,
        n_init=options.n_init,
    )
    fit = fit_rows(source, survey, row_options)
    return fit.centers, fit.n_iter


def _fit_by_dask_ml(
    image: da.Array, histogram: ColorHistogram, options: FitOptions, executor: Executor
) -> tuple[NDArray[np.float64], int]:
    """Return centroids ``(n_colors, 3)`` that dask-ml finds, and its iterations."""
    first = _draw_start(image, histogram, options, executor)
    executor.listener(Event("fit", 0, None))  # how many iterations is known at the end
    with executor.activate():
        fit = fit_dask_ml(
            image,
            n_clusters=options.n_colors,
            initial_centroids=first,
            max_iter=options.max_iter or DASK_ML_MAX_ITER,
            # dask-ml compares with the squared shifts of all centroids together.
            tol=DASK_ML_TOL if options.tol is None else options.tol * options.tol,
            seed=options.seed,
            persist=executor.client is not None,
        )
    return fit.centroids, fit.n_iter


def _draw_start(
    image: da.Array, histogram: ColorHistogram, options: FitOptions, executor: Executor
) -> NDArray[np.float32]:
    """Return distinct colours, float32 ``(n_colors, 3)``, for dask-ml to start from."""
    try:
        return draw_initial_centroids(
            image,
            n_clusters=options.n_colors,
            seed=options.seed,
            compute=lambda drawn: executor.compute(drawn, stage="draw"),
        )
    except FitError:
        # A few colours hold nearly all pixels; each counts the same among the distinct ones.
        return draw_colors(histogram.colors, options.n_colors, options.seed).astype(np.float32)


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
) -> int:
    """Write labels ``(y, x)`` to ``out``, a ``.zarr`` or a label file, by tasks. **Eager**.

    Labels that are not chunked in whole shards, blocks or strips are rechunked first. ``origin`` is
    what the pixels are read from; ``grid`` says where pixels lie, which a store tells.

    Returns
    -------
    int
        Bytes written.
    """
    check_label_output(out, overwrite=overwrite)
    aligned = align_blocks(labels, write_unit(labels.shape, out))
    out = out.absolute()  # workers may have another working folder
    if out.suffix.lower() == ".zarr":
        store = start_store(out, labels.shape, palette, overwrite=overwrite, grid=grid)
        return fill_store(aligned, store, out, executor, overwrite=overwrite, stage="relabel")
    file = plan_label_file(out, labels.shape, labels.dtype, len(palette), origin)
    return _write_file(aligned, file, palette, out, executor, overwrite=overwrite)


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


def fill_levels(temporary: Path, executor: Executor) -> None:
    """Write the smaller levels of a store that has some, each when the one before is whole."""
    store = delayed(store_half, pure=False)
    for level in range(1, count_levels(temporary)):
        shards = list_shards(temporary, level)
        executor.compute_all(
            [store(temporary, level, rows, columns) for rows, columns in shards],
            stage="pyramid",
            sizes=[len(rows) * len(columns) for rows, columns in shards],
            unit="px",
        )


def _write_file(
    labels: da.Array,
    file: LabelFile,
    palette: Palette,
    out: Path,
    executor: Executor,
    *,
    overwrite: bool,
) -> int:
    """Write parts by tasks, let one task join them, then give the file its name."""
    with partial_folder(out) as folder:
        write_parts = delayed(write_part_files, pure=False)
        shared = delayed(file, pure=True, traverse=False)
        run_on_blocks(
            labels,
            executor,
            lambda b, at: write_parts(folder, shared, b, at),
            max_blocks=limit_blocks(file, labels.shape, executor),
        )
        return finish_file(folder, file, palette, out, executor, overwrite=overwrite)


def limit_blocks(file: LabelFile, shape: tuple[int, int], executor: Executor) -> int | None:
    """Return how many blocks may be on the way at a time; None: any number."""
    is_wide = file.unit[1] >= shape[1]
    return STRIP_TASKS_PER_THREAD * executor.n_threads if is_wide else None


def finish_file(
    folder: Path,
    file: LabelFile,
    palette: Palette,
    out: Path,
    executor: Executor,
    *,
    overwrite: bool,
) -> int:
    """Let a task join the parts of ``folder``, name the file, and return its bytes. **Eager**."""
    join = delayed(join_part_files, pure=False)
    joined = join(folder, file, palette)
    n_bytes: int = executor.compute(joined, stage="write", leaves=[joined])
    put_in_place(folder / JOINED_NAME, out, overwrite=overwrite)
    return n_bytes


def write_part_files(
    folder: Path, file: LabelFile, labels: NDArray[np.uint8], at: tuple[int, int]
) -> int:
    """Write whole units of labels as parts of a file, and return their pixels. **Eager**."""
    if labels.size == 0:  # an array may have empty chunks
        return 0
    return file.put(folder, labels, at)


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
) -> list[Any]:
    """Compute a task for every block of ``(y, x, ...)``, in bounded waves. **Eager**.

    ``make_task`` gets the block and its first row and column. Returned is what ``merge`` makes of
    the results of each wave, on a worker: by default their number alone.
    A wave is of at most about ``max_blocks``, where that is less than a graph may have.
    """
    width = min(max_blocks or MAX_TASKS_PER_GRAPH, MAX_TASKS_PER_GRAPH)
    n_pixels, n_done = array.shape[0] * array.shape[1], 0
    merged = []
    for part, (first_row, first_column) in _split_with_offsets(array, width):
        tasks = [
            make_task(block, (first_row + row, first_column + column))
            for block, (row, column) in zip(
                part.to_delayed().ravel(), _block_offsets(part), strict=True
            )
        ]
        sizes = _block_sizes(part)
        wave = executor.part_of(n_pixels, n_done)
        root = delayed(merge)(tasks)
        merged.append(wave.compute(root, stage=stage, leaves=tasks, sizes=sizes, unit="px"))
        n_done += sum(sizes)
    return merged


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
