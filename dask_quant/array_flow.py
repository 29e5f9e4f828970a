"""One image as a Dask array: count, fit, relabel, write, in bounded waves of coarse tasks.

What a large image goes through, and any image on a cluster. Pixels are read and labels written by
the tasks; the histogram and the palette alone come back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from dask.delayed import delayed

from dask_quant.errors import FitError, OutputError
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
    partial_path,
    put_in_place,
    report_os_errors,
)
from dask_quant.sinks.png import (
    bit_depth_for,
    deflate_level,
    dump_strip,
    encode_strip,
    load_strip,
    strip_rows,
    write_png,
)
from dask_quant.sinks.store_layout import label_shards
from dask_quant.sinks.store_levels import list_shards, store_half
from dask_quant.sinks.store_start import start_store
from dask_quant.sinks.zarr_store import (
    check_store,
    count_levels,
    discard_store,
    finish_store,
    store_block,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import dask.array as da
    from dask.delayed import Delayed
    from numpy.typing import NDArray

    from dask_quant.fit.palette_fit import PaletteFit
    from dask_quant.fit_options import FitOptions
    from dask_quant.palette import Palette

DASK_ML_MAX_ITER = 300
"""Lloyd iterations of `dask_ml.cluster.KMeans` when nothing else is said: its own default."""

DASK_ML_TOL = 1e-4
"""Tolerance of `dask_ml.cluster.KMeans` when nothing else is said: its own default."""


STRIP_TASKS_PER_THREAD = 4
"""Tasks per thread that compress strips in one graph: the blocks of labels that they are cut from
are wide, and wait for one another, so that few may be on the way (arbitrary)."""

JOINED_NAME = "joined.png"
"""File that strips are joined to, before it gets its final name."""


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
    """Return rows and columns of what ``out`` stores as a unit: a shard or a strip."""
    if out.suffix.lower() == ".zarr":
        return label_shards(shape)
    return strip_rows(shape[1]), shape[1]


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
    grid: PixelGrid = PLAIN_GRID,
) -> int:
    """Write labels ``(y, x)`` to ``out``, a ``.zarr`` or ``.png``, by tasks. **Eager**.

    Labels that are not chunked in whole shards or strips are rechunked first. ``grid`` says where
    pixels lie, which a store tells.

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
    return _write_png(aligned, palette, out, executor, overwrite=overwrite)


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


def _write_png(
    labels: da.Array, palette: Palette, out: Path, executor: Executor, *, overwrite: bool
) -> int:
    """Compress strips by tasks, let one task join them, then give the file its name."""
    effort = strip_effort(labels.shape, palette)
    with partial_folder(out) as folder:
        write_strips = delayed(write_strip_files, pure=False)
        run_on_blocks(
            labels,
            executor,
            lambda b, at: write_strips(folder, b, first_row=at[0], **effort),
            max_blocks=STRIP_TASKS_PER_THREAD * executor.n_threads,
        )
        return finish_png(folder, labels.shape, palette, out, executor, overwrite=overwrite)


def strip_effort(shape: tuple[int, int], palette: Palette) -> dict[str, int]:
    """Return how `write_strip_files` compresses an image of ``shape``."""
    return {"depth": bit_depth_for(len(palette)), "level": deflate_level(shape)}


def finish_png(
    folder: Path,
    shape: tuple[int, int],
    palette: Palette,
    out: Path,
    executor: Executor,
    *,
    overwrite: bool,
) -> int:
    """Let a task join the strips of ``folder``, name the file, and return its bytes. **Eager**."""
    join = delayed(join_strip_files, pure=False)
    joined = join(folder, shape, palette)
    n_bytes: int = executor.compute(joined, stage="write", leaves=[joined])
    put_in_place(folder / JOINED_NAME, out, overwrite=overwrite)
    return n_bytes


def write_strip_files(
    folder: Path, labels: NDArray[np.uint8], *, first_row: int, depth: int, level: int
) -> int:
    """Compress whole rows of labels, one file per strip, named by its first row. **Eager**."""
    if labels.size == 0:  # an array may have empty chunks
        return 0
    rows = strip_rows(labels.shape[1])
    with report_os_errors(folder):
        for begin in range(0, len(labels), rows):
            own_rows = labels[begin : begin + rows]
            strip = encode_strip(own_rows, bit_depth=depth, level=level)
            # Written again after a retry, the same bytes come under the same name, and whole:
            # a worker given up for dead may still write while another one joins.
            path = folder / f"{first_row + begin}.strip"
            part = partial_path(path)
            part.write_bytes(dump_strip(strip))
            part.replace(path)
    return labels.size


def join_strip_files(folder: Path, shape: tuple[int, int], palette: Palette) -> int:
    """Join the strips of ``folder`` to a PNG in it, and return its bytes. **Eager**.

    Not under its final name: run again, its worker having died, this would find that taken.
    """
    height, width = shape
    strips = (
        load_strip((folder / f"{row}.strip").read_bytes())
        for row in range(0, height, strip_rows(width))
    )
    joined = folder / JOINED_NAME
    try:
        return write_png(
            joined, strips, width=width, height=height, palette=palette, overwrite=True
        )
    except FileNotFoundError as error:
        message = (
            f"A strip in {str(folder)!r} is missing on this worker ({error}); all workers must see "
            "the folder of the output under the same path."
        )
        raise OutputError(message) from error


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
