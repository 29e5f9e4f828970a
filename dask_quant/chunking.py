"""Plan a job in pixels and bytes before it starts: pure arithmetic, nothing is opened.

All sizes are in bytes, all shapes in pixels ``(rows, columns)``. Projections are upper bounds: they
assume that every pixel has a colour of its own until all 2^24 are used up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dask_quant.errors import MemoryBudgetError
from dask_quant.fit_memory import count_alpha_bytes, count_fit_bytes, count_possible_colors
from dask_quant.histogram import BYTES_PER_COLOR, POOL_BYTES
from dask_quant.kernels.cells import N_CODES
from dask_quant.kernels.count_block import SCRATCH_BYTES
from dask_quant.options import format_bytes
from dask_quant.tables import MAX_TABLE_BYTES

if TYPE_CHECKING:
    from dask_quant.alpha_options import Transparency
    from dask_quant.options import ChunkOptions

TARGET_PIXELS = 1 << 24
"""Pixels of a task of a cluster when nothing else is said: 50 MB, some 50 ms of counting, far above
the milliseconds that its scheduler needs for a task."""

THREAD_TARGET_PIXELS = 1 << 22
"""The same on threads, whose tasks cost less than a millisecond and are counted in shared tables:
12 MB, which the allocator uses again, where larger blocks are fresh memory each time (measured: a
third of the time of reading)."""

DECODER_BYTES = 64 * 2**20
"""A process that decodes for another one, generously (measured 35 MiB)."""

PROCESS_BYTES = 400 * 2**20
"""A Python process with Dask, Zarr and compiled kernels loaded, generously (measured 250 MiB)."""

_BANDS = 3

DECODE_BYTES = _BANDS + 4
"""Bytes of a pixel while it is decoded: Pillow keeps four, and three are copied out of them."""

COPIES_IN_TASK = 2
"""Copies of what a task reads or writes: the array, and the parts that its codec makes of it."""

WAITING_BLOCKS = 4
"""Blocks of labels per thread that may be on the way: as many as have strips written at a time."""

_COPIES_ON_THE_WAY = 3
"""Copies of the histogram while it comes from a worker: there, in the message, and as received."""

_COLLECT_BYTES_PER_COLOR = BYTES_PER_COLOR + 4
"""A counted colour while a block is collected: code, count and bin."""

_MERGE_WIDTH = 3
"""Histograms alive in one merge: two inputs and their sum."""


@dataclass(frozen=True)
class ChunkPlan:
    """How one image is cut into tasks, and what they need."""

    shape: tuple[int, int]
    """Pixels of the image."""
    count_chunks: tuple[int, int]
    """Pixels of a counting task."""
    relabel_chunks: tuple[int, int]
    """Pixels of a relabelling task: whole units of the input."""
    write_chunks: tuple[int, int]
    """Pixels of a writing task: whole units of the output."""
    n_count_tasks: int
    """Counting tasks."""
    n_write_tasks: int
    """Relabelling tasks."""
    decoded_bytes: int
    """The image as sRGB uint8."""
    label_bytes: int
    """Labels before compression."""
    projected_bytes: int
    """Upper bound of the memory of driver and workers together."""

    @property
    def n_tasks(self) -> int:
        """Tasks in all."""
        return self.n_count_tasks + self.n_write_tasks


def plan_chunks(
    shape: tuple[int, int],
    unit: tuple[int, int],
    *,
    requested: ChunkOptions | None = None,
    target_pixels: int = TARGET_PIXELS,
) -> tuple[int, int]:
    """Return the pixels of one task: whole storage units, about ``target_pixels``.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image.
    unit : tuple of int
        Rows and columns of the unit that storage reads or writes whole (chunk, shard, strip).
    requested : ChunkOptions, optional
        What the user asked for; rounded up to whole units.
    target_pixels : int
        Pixels that a task should have about.

    Examples
    --------
    >>> plan_chunks((20_000, 30_000), (512, 512))
    (512, 30208)
    >>> from dask_quant.options import ChunkOptions
    >>> plan_chunks((20_000, 30_000), (512, 512), requested=ChunkOptions(rows=600, columns=600))
    (1024, 1024)
    """
    unit_rows, unit_columns = min(unit[0], shape[0]), min(unit[1], shape[1])
    if requested is not None and requested.given:
        rows, columns = requested.rows or shape[0], requested.columns or shape[1]
    else:
        columns = min(shape[1], max(unit_columns, target_pixels // unit_rows))
        rows = max(unit_rows, target_pixels // _round_up(columns, unit_columns))
        rows -= rows % unit_rows
    return (
        _round_up(min(rows, shape[0]), unit_rows),
        _round_up(min(columns, shape[1]), unit_columns),
    )


def plan_image(
    shape: tuple[int, int],
    *,
    read_unit: tuple[int, int],
    write_unit: tuple[int, int],
    relabel_unit: tuple[int, int] | None = None,
    label_bytes_per_pixel: int = 1,
    n_processes: int = 0,
    n_threads: int = 1,
    decodes_whole: bool = False,
    codec_bytes: int = 0,
    unit_bytes: int = 0,
    engine_bytes: int = 0,
    weight_power: float = 1.0,
    transparency: Transparency = "none",
    requested: ChunkOptions | None = None,
) -> ChunkPlan:
    """Plan counting, fitting and relabelling one image.

    Parameters
    ----------
    shape, read_unit, write_unit : tuple of int
        Rows and columns of the image and of what its source and its output store as a unit.
    relabel_unit : tuple of int, optional
        Rows and columns of what is read as a unit while relabelling on threads; None: as above.
    label_bytes_per_pixel : int, default 1
        1 up to 256 colours, else 2.
    n_processes : int, default 0
        Worker processes beside this one.
    n_threads : int, default 1
        Tasks that run side by side, in all processes.
    decodes_whole : bool, default False
        Whether the source decodes the whole image for any part of it (PNG, JPEG).
    codec_bytes : int, default 0
        What that takes at most beside `DECODE_BYTES` a pixel.
    unit_bytes : int, default 0
        What each thread holds of a storage unit, as stored and decoded, beside its pixels.
    engine_bytes : int, default 0
        What the fit holds beside the histogram, in all processes, where it reads pixels; they are
        added here.
    weight_power : float, default 1.0
        As in `dask_quant.fit_options.FitOptions`.
    transparency : str, default "none"
        Which alphas pixels may have, as `dask_quant.alpha_options.Transparency` names them.
    requested : ChunkOptions, optional
        Chunk shape that the user asked for.

    Returns
    -------
    ChunkPlan
        With ``projected_bytes`` an upper bound of the peak resident memory of all processes.
    """
    on_threads = n_processes == 0
    target = THREAD_TARGET_PIXELS if on_threads else TARGET_PIXELS
    count_chunks = plan_chunks(shape, read_unit, requested=requested, target_pixels=target)
    write_chunks = plan_chunks(shape, write_unit, requested=requested)
    relabel_chunks = write_chunks  # workers would have to send labels to one another
    if on_threads:
        unit = relabel_unit or read_unit
        relabel_chunks = plan_chunks(shape, unit, requested=requested, target_pixels=target)
    n_pixels = shape[0] * shape[1]
    whole_bytes = DECODE_BYTES * n_pixels + codec_bytes if decodes_whole else 0
    if decodes_whole and not on_threads:  # in a process of its own, which hands the pixels over
        whole_bytes += DECODER_BYTES + _BANDS * n_pixels
    tasks = _TaskBytes(
        n_colors=count_possible_colors(n_pixels, transparency),
        n_count_tasks=_n_chunks(shape, count_chunks),
        count_pixels=_n_pixels(count_chunks, shape),
        relabel_pixels=_n_pixels(relabel_chunks, shape),
        write_pixels=_n_pixels(_cover(relabel_chunks, write_unit), shape),
        label_bytes=label_bytes_per_pixel,
        whole_bytes=whole_bytes + n_threads * COPIES_IN_TASK * unit_bytes,
        fit_bytes_per_color=count_fit_bytes(weight_power, transparency),
        engine_bytes=engine_bytes,
    )
    most = tasks.on_threads(n_threads) if on_threads else tasks.on_cluster(n_threads)
    if transparency != "none":
        most += count_alpha_bytes(
            tasks.n_colors, max(tasks.count_pixels, tasks.relabel_pixels), n_threads
        )
    projected = (1 + n_processes) * (PROCESS_BYTES + MAX_TABLE_BYTES) + most
    return ChunkPlan(
        shape=shape,
        count_chunks=count_chunks,
        relabel_chunks=relabel_chunks,
        write_chunks=write_chunks,
        n_count_tasks=_n_chunks(shape, count_chunks),
        n_write_tasks=_n_chunks(shape, write_chunks),
        decoded_bytes=n_pixels * _BANDS,
        label_bytes=n_pixels * label_bytes_per_pixel,
        projected_bytes=projected,
    )


@dataclass(frozen=True)
class _TaskBytes:
    """What the stages of a job on one image hold, from the sizes of its tasks."""

    n_colors: int
    """Distinct colours at most."""
    n_count_tasks: int
    """Counting tasks."""
    count_pixels: int
    """Pixels of a counting task."""
    relabel_pixels: int
    """Pixels of a relabelling task."""
    write_pixels: int
    """Pixels of a writing task, where labels come in chunks of the input."""
    label_bytes: int
    """Bytes of a label."""
    whole_bytes: int
    """What decoding takes beside the tasks."""
    fit_bytes_per_color: int
    """What the fit holds for each distinct colour."""
    engine_bytes: int
    """What the fit holds beside the histogram and the pixels that it reads; 0: it reads none."""

    def on_threads(self, n_threads: int) -> int:
        """Return the most that any stage holds; none keeps what the next one does not need."""
        found_bytes = self.n_colors * BYTES_PER_COLOR
        reading_bytes = n_threads * COPIES_IN_TASK * _BANDS * self.count_pixels
        count_bytes = n_threads * SCRATCH_BYTES + max(reading_bytes, found_bytes)
        # Blocks that are put together, or wait for that, while each thread writes one.
        n_blocks = (WAITING_BLOCKS + COPIES_IN_TASK) * n_threads
        label_bytes = self.label_bytes * (
            n_threads * self.relabel_pixels + n_blocks * self.write_pixels
        )
        fit_bytes = self.n_colors * self.fit_bytes_per_color + self.engine_bytes
        if self.engine_bytes:  # it reads the pixels again
            fit_bytes += self.whole_bytes + reading_bytes
        return max(
            self.whole_bytes + count_bytes,
            fit_bytes,
            self.whole_bytes + reading_bytes + label_bytes,
        )

    def on_cluster(self, n_threads: int) -> int:
        """Return the most that driver and workers hold; results stay where they are made."""
        found_bytes = self.n_colors * BYTES_PER_COLOR
        task_bytes = max(
            _count_task_bytes(self.count_pixels),
            COPIES_IN_TASK * self.relabel_pixels * (_BANDS + self.label_bytes),
            _MERGE_WIDTH * found_bytes,
        )
        fit_bytes = self.n_colors * self.fit_bytes_per_color + self.engine_bytes
        fit_bytes += _COPIES_ON_THE_WAY * found_bytes
        if self.engine_bytes:  # it reads the pixels again
            fit_bytes += n_threads * COPIES_IN_TASK * _BANDS * self.count_pixels
        # Of a tree that is merged branch by branch, each level has a histogram that waits.
        waiting_bytes = found_bytes * self.n_count_tasks.bit_length()
        counting_bytes = n_threads * task_bytes + waiting_bytes
        return self.whole_bytes + max(counting_bytes, fit_bytes + found_bytes)


def plan_collection(
    largest: int,
    total: int | None = None,
    *,
    codec_bytes: int = 0,
    n_processes: int = 0,
    n_threads: int = 1,
    n_decoders: int = 0,
    weight_power: float = 1.0,
    transparency: Transparency = "none",
) -> int:
    """Return an upper bound of the memory for images that are each handled inside one task.

    Parameters
    ----------
    largest : int
        Pixels of the largest image.
    total : int, optional
        Pixels of all images whose colours are counted together; None: there is one.
    codec_bytes : int, default 0
        What decoding one of them takes at most beside `DECODE_BYTES` a pixel.
    n_decoders : int, default 0
        Further processes that images are handled in.
    n_processes, n_threads, weight_power, transparency
        As in `plan_image`.

    Returns
    -------
    int
        Bytes of driver and workers together.
    """
    fit_bytes_per_color = count_fit_bytes(weight_power, transparency)
    n_colors = count_possible_colors(largest, transparency)
    fit_bytes = SCRATCH_BYTES + fit_bytes_per_color * n_colors
    # Pillow's four bytes a pixel go before the fit, pixels and then labels are beside it.
    decode_bytes = DECODE_BYTES * largest + codec_bytes
    image_bytes = max(decode_bytes, (_BANDS + 1) * largest + fit_bytes) + POOL_BYTES
    image_bytes += 0 if transparency == "none" else count_alpha_bytes(n_colors, largest, 1)
    all_colors = count_possible_colors(largest if total is None else total, transparency)
    merge_bytes = _MERGE_WIDTH * all_colors * BYTES_PER_COLOR
    decoder_bytes = n_decoders * (DECODER_BYTES + decode_bytes)
    return (
        (1 + n_processes) * (PROCESS_BYTES + MAX_TABLE_BYTES)
        + decoder_bytes
        + max(n_threads * max(image_bytes, merge_bytes), fit_bytes_per_color * all_colors)
    )


def plan_saved_counts(n_pixels: int, n_saved: int, *, transparency: Transparency = "none") -> int:
    """Return what counts of earlier images add to the memory of a job, in bytes, at most.

    They stay in memory; the fit is to more colours, and the job's own counts wait for its end.

    Parameters
    ----------
    n_pixels : int
        Pixels of the job's images.
    n_saved : int
        Distinct colours of earlier ones.
    transparency : str, default "none"
        Which alphas these have; if any but 255, all colours are fitted as points of four bands.

    Examples
    --------
    >>> plan_saved_counts(10**9, 0), plan_saved_counts(0, 1000), plan_saved_counts(500, 1000)
    (0, 52000, 58000)
    """
    if n_saved == 0:
        return 0
    if transparency != "none":
        n_added = n_saved
    else:
        n_own = min(n_pixels, N_CODES)
        n_added = min(n_own + n_saved, N_CODES) - n_own
    counted = min(n_pixels, N_CODES) + n_saved
    return BYTES_PER_COLOR * counted + count_fit_bytes(1.0, transparency) * n_added


def check_budget(projected_bytes: int, budget_bytes: int | None, what: str) -> None:
    """Refuse a plan that cannot fit.

    Parameters
    ----------
    projected_bytes : int
        What the plan needs.
    budget_bytes : int or None
        What it may take; None: anything.
    what : str
        What the plan is for, in words.

    Raises
    ------
    MemoryBudgetError
        When the plan needs more; says both numbers, and what to do.
    """
    if budget_bytes is None or projected_bytes <= budget_bytes:
        return
    message = (
        f"Projected {format_bytes(projected_bytes)} for {what} exceeds the "
        f"{format_bytes(budget_bytes)} of --memory-limit; use a limit of at least "
        f"{format_bytes(projected_bytes)}, fewer --workers, or, where blocks take most of it, "
        "smaller --chunks."
    )
    raise MemoryBudgetError(message)


def _count_task_bytes(n_pixels: int) -> int:
    """Return the peak bytes of counting one block: block, raw copy, scratch and result."""
    found = min(n_pixels, N_CODES)
    return COPIES_IN_TASK * _BANDS * n_pixels + SCRATCH_BYTES + _COLLECT_BYTES_PER_COLOR * found


def _n_pixels(chunks: tuple[int, int], shape: tuple[int, int]) -> int:
    """Return the pixels of the largest chunk."""
    return min(chunks[0], shape[0]) * min(chunks[1], shape[1])


def _cover(chunks: tuple[int, int], unit: tuple[int, int]) -> tuple[int, int]:
    """Return the least whole units that hold a chunk."""
    return _round_up(chunks[0], unit[0]), _round_up(chunks[1], unit[1])


def _n_chunks(shape: tuple[int, int], chunks: tuple[int, int]) -> int:
    """Return how many chunks cover ``shape``."""
    return -(-shape[0] // chunks[0]) * -(-shape[1] // chunks[1])


def _round_up(size: int, unit: int) -> int:
    """Return the least multiple of ``unit`` that is at least ``size``."""
    return -(-size // unit) * unit
