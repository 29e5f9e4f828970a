"""One image in chunks: a large file, a store, an array, or any image on a cluster."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dask_quant import row_flow
from dask_quant.array_flow import (
    check_label_output,
    hold_counts,
    write_labels,
    write_unit,
    writes_strips,
)
from dask_quant.chunking import PROCESS_BYTES, check_budget
from dask_quant.dither_flow import write_dithered
from dask_quant.dither_plan import plan_dithered
from dask_quant.engine_flow import fit_image
from dask_quant.events import Notice
from dask_quant.flow import describe_fit, retell_outcome
from dask_quant.graphs.relabel import relabel_blocks
from dask_quant.graphs.scalable import plan_fit_bytes
from dask_quant.kept_counts import count_kept, drop_counts, plan_kept_counts
from dask_quant.kept_outcome import find_outcome, keep_outcome
from dask_quant.outline_flow import WrittenLabels, plan_outline_bytes, write_outline
from dask_quant.palette import MAX_COLORS_8BIT
from dask_quant.persist import persist_image
from dask_quant.routes.chunked_source import is_dask, open_source
from dask_quant.routes.common import (
    check_persist,
    plan_saved_bytes,
    report_one,
    write_palette_file,
)
from dask_quant.routes.executing import open_executor
from dask_quant.routes.fitting import extend_counts, fit_counted
from dask_quant.routes.outlining import check_outlined
from dask_quant.routes.resuming import find_final, finish_state, keep_state, report_done
from dask_quant.routes.visibility import check_inputs, check_output
from dask_quant.sinks.label_file import (
    check_color_number,
    check_image_shape,
    check_palette,
    plan_join_bytes,
)
from dask_quant.sources.opening import open_image
from dask_quant.sources.reading import Origin, read_any_header
from dask_quant.sources.scratch import ScratchImage, open_scratch
from dask_quant.stream_flow import STAGE, count_stream, decode_kept, decode_stream
from dask_quant.tables import MAX_TABLE_BYTES
from dask_quant.workplace import OutputPlaces, forget_output

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dask_quant.chunking import ChunkPlan
    from dask_quant.events import Listener
    from dask_quant.execute import Executor
    from dask_quant.flow import ImageOutcome
    from dask_quant.histogram import ColorHistogram
    from dask_quant.palette import Palette
    from dask_quant.results import Report
    from dask_quant.routes.chunked_source import ChunkedSource
    from dask_quant.routes.common import Job, T, Use
    from dask_quant.sinks.state_folder import StateFolder
    from dask_quant.sources.header import ImageHeader


def relabel_chunked(job: Job, image: Any, out: Path, *, n_ignored: int) -> Report:
    """Relabel one image as a Dask array."""
    check_outlined(job.outline, out)
    for path in (out, job.outline):
        if path is not None and not job.run.resume:
            check_label_output(path, overwrite=job.run.overwrite)
    _check_palette_size(job.palette, out)
    with keep_state(job, image, out) as state:
        report = report_done(job, state, image, out, n_ignored)
        if report is None:
            report = _relabel_image(job, image, out, n_ignored, state)
            finish_state(state)
        return report


def _relabel_image(
    job: Job, image: Any, out: Path, n_ignored: int, state: StateFolder | None
) -> Report:
    """Relabel one image that is not done, from where its state is."""
    with (
        open_executor(job) as executor,
        _prepare_source(job, image, out, executor, state=state) as (source, plan, input_bytes),
    ):
        check_inputs(executor, image)
        check_output(executor, out)
        outcome = _fit_source(job, source, plan, out, executor, state)
        written = None if state is None else find_final(job, state, out)
        if written is None:
            with job.watch.measure("relabel"):
                chunks = None if is_dask(source.image) else plan.relabel_chunks
                pixels = _open_pixels(job, source, chunks)
                given = (job, source, pixels, outcome, out, executor, image, state)
                written = _relabel_source(*given)
        if job.outline is not None:
            places = OutputPlaces(out, job.outline, state)
            written = _draw_borders(job, source, written, places, executor)
        peak = executor.peak_rss_bytes()
        return report_one(job, written, out, n_ignored, input_bytes, peak)


def _relabel_source(
    job: Job,
    source: ChunkedSource,
    pixels: Any,
    outcome: ImageOutcome,
    out: Path,
    executor: Executor,
    given: Any,
    state: StateFolder | None,
) -> ImageOutcome:
    """Write the labels of ``source`` as Dask reads it; return the figures of what was written.

    ``given`` is the image as the user named it, which ``source`` may be a copy of.
    """
    palette, overwrite = outcome.palette, job.run.overwrite
    origin = Origin(given, job.run.page)
    if job.dither == "none":
        labels = relabel_blocks(pixels, outcome.classes or palette, job.fit.space)
        n_bytes = write_labels(
            *(labels, palette, out, executor),
            overwrite=overwrite,
            origin=origin,
            grid=source.grid,
            state=state,
        )
    else:
        n_bytes, tally = write_dithered(
            *(pixels, palette, job.dither, out, executor),
            space=job.fit.space,
            overwrite=overwrite,
            decodes_whole=source.decodes_whole,
            origin=origin,
            grid=source.grid,
            state=state,
        )
        outcome = retell_outcome(outcome, tally, job.fit.space)
    return replace(outcome, output_bytes=n_bytes)


def _draw_borders(
    job: Job,
    source: ChunkedSource,
    outcome: ImageOutcome,
    places: OutputPlaces,
    executor: Executor,
) -> ImageOutcome:
    """Draw the borders of the labels that were written."""
    labels = WrittenLabels(places.final, source.shape, outcome.palette.label_dtype)
    outline, final = places.outline, places.final_outline
    assert outline is not None, "borders are drawn where they were asked for"
    assert final is not None, "and only there"
    overwrite = job.run.overwrite or job.run.resume
    with job.watch.measure("outline"):
        n_bytes = write_outline(labels, outline, executor, overwrite=overwrite)
    places.put("outline", outline, final)
    return replace(outcome, output_bytes=outcome.output_bytes + n_bytes)


def fit_chunked(job: Job, image: Any, out: Path, *, n_ignored: int) -> Report:
    """Write the palette of one image, read as a Dask array."""
    with (
        open_executor(job) as executor,
        _prepare_source(*(job, image, out, executor), reads_again=job.fit.fits_pixels) as (
            source,
            plan,
            input_bytes,
        ),
    ):
        check_inputs(executor, image)
        outcome = _fit_source(job, source, plan, out, executor)
        peak = executor.peak_rss_bytes()
        outcome = write_palette_file(job, outcome, out)
        return report_one(job, outcome, out, n_ignored, input_bytes, peak)


def count_chunked(job: Job, path: str) -> tuple[ImageHeader, int]:
    """Return the header of one image and its distinct colours."""
    return read_any_header(path, page=job.run.page), use_pixels(job, path, _count_distinct)


def _count_distinct(histogram: ColorHistogram, listener: Listener) -> int:
    """Return how many colours there are."""
    return len(histogram)


def use_pixels(job: Job, image: Any, use: Use[T]) -> T:
    """Count the colours of one image, read as a Dask array; see `use_counts`."""
    with open_executor(job) as executor:
        check_inputs(executor, image)
        limit = job.run.cluster.memory_limit_bytes
        source = open_source(image, job.run.page, limit_bytes=limit, alpha=job.reads)
        _tell_reading(job, source)
        n_processes, n_threads = executor.n_processes, executor.n_threads
        plan = plan_source(job, source, None, n_processes=n_processes, n_threads=n_threads)
        with job.watch.measure("count"):
            if source.stream is not None:
                counted = count_stream(source.stream, executor)
            else:
                counted = hold_counts(_open_to_count(job, source, plan), executor)
            counts = extend_counts(job, counted, executor)
        found: T = executor.call(use, counts, listens=True)
        return found


def _tell_reading(job: Job, source: ChunkedSource) -> None:
    """Tell the listener how an image is read that does not say so itself."""
    if source.notice is not None:
        job.listener(Notice(source.notice))


def _open_to_count(job: Job, source: ChunkedSource, plan: ChunkPlan) -> Any:
    """Return the image, a Dask array, in the chunks that its colours are counted in."""
    own_chunks = is_dask(source.image) and not job.run.chunks.given
    return _open_pixels(job, source, None if own_chunks else plan.count_chunks)


def _open_pixels(job: Job, source: ChunkedSource, chunks: tuple[int, int] | None) -> Any:
    """Return a source, a Dask array, in ``chunks``; None: those that it has."""
    image, page = source.image, source.page
    if isinstance(image, ScratchImage):
        return open_scratch(image, chunks=chunks or image.shape[:2])
    return open_image(image, chunks=chunks, page=page.number, level=page.level, alpha=job.reads)


def _fit_source(
    job: Job,
    source: ChunkedSource,
    plan: ChunkPlan,
    out: Path,
    executor: Executor,
    state: StateFolder | None = None,
) -> ImageOutcome:
    """Count one image and fit, or take, its palette; what that took is given up here."""
    if state is None:
        return _count_and_fit(job, source, plan, out, executor, None)
    kept = find_outcome(state)
    if kept is None:
        forget_output(state)
        kept = _count_and_fit(job, source, plan, out, executor, state)
        keep_outcome(state, kept)
    drop_counts(state)
    return kept


def _count_and_fit(
    job: Job,
    source: ChunkedSource,
    plan: ChunkPlan,
    out: Path,
    executor: Executor,
    state: StateFolder | None,
) -> ImageOutcome:
    """Count one image, with checkpoints where there is a state, and fit or take its palette."""
    image = None
    if source.counts is None or job.fit.fits_pixels:
        image = _open_to_count(job, source, plan)
    with job.watch.measure("count"):
        counted = source.counts
        if counted is None:
            counted = _count_colors(image, executor, state)
        counts = extend_counts(job, counted, executor)
    n_found = max(executor.call(len, counts), len(job.saved.earlier))
    n_entries = max(len(job.fit.refit), min(job.fit.n_colors, n_found))
    check_color_number(out, n_entries)  # before the fit, which takes longer
    with job.watch.measure("fit"):
        if not job.fit.fits_pixels:
            return fit_counted(job, counts, executor)
        histogram = executor.fetch(counts)
        return describe_fit(histogram, fit_image(image, histogram, job.fit, executor))


def _count_colors(image: Any, executor: Executor, state: StateFolder | None) -> Any:
    """Count the colours of a Dask array, with checkpoints where there is a state.

    They stay where `Executor.hold` leaves them.
    """
    return hold_counts(image, executor) if state is None else count_kept(image, executor, state)


@contextmanager
def _prepare_source(
    job: Job,
    image: Any,
    out: Path,
    executor: Executor,
    *,
    reads_again: bool = True,
    state: StateFolder | None = None,
) -> Iterator[tuple[ChunkedSource, ChunkPlan, int]]:
    """Give the source to read, its plan, and the bytes of the image as it was given.

    With ``--persist`` the image is decoded into its store first, once its plan was found to fit;
    what is read in strips is decoded once, to a scratch file if its pixels are read again.
    """
    n_processes, n_threads = executor.n_processes, executor.n_threads
    page, limit = job.run.page, job.run.cluster.memory_limit_bytes
    alpha = job.reads if job.run.persist is None else job.alpha.refusing
    given = open_source(image, page, limit_bytes=limit, alpha=alpha)
    _tell_reading(job, given)
    plan = plan_source(job, given, out, n_processes=n_processes, n_threads=n_threads)
    if job.run.persist is not None:
        check_persist(job.run.persist, out)
        with job.watch.measure("persist"):
            store = persist_image(
                *(image, job.run.persist, executor),
                alpha=alpha,
                overwrite=job.run.overwrite,
                page=page,
                stream=given.stream,
            )
        source = open_source(store)
        plan = plan_source(job, source, out, n_processes=n_processes, n_threads=n_threads)
        yield source, plan, given.input_bytes
    elif given.stream is None:
        yield given, plan, given.input_bytes
    else:
        decoding = _decode_source(job, given, out, executor, reads_again, state)
        with decoding as source:
            yield source, plan, given.input_bytes


@contextmanager
def _decode_source(
    job: Job,
    given: ChunkedSource,
    out: Path,
    executor: Executor,
    reads_again: bool,
    state: StateFolder | None,
) -> Iterator[ChunkedSource]:
    """Give a source that is read in strips, counted, and decoded if it is read again."""
    assert given.stream is not None, "only streams are decoded"
    if not reads_again:
        with job.watch.measure(STAGE):
            counts = count_stream(given.stream, executor)
        yield replace(given, counts=counts)
        return
    with ExitStack() as stack:
        with job.watch.measure(STAGE):
            if state is None:
                decoding = decode_stream(given.stream, out, executor)
                scratch, counts = stack.enter_context(decoding)
            else:
                scratch, counts = decode_kept(given.stream, state, executor)
        yield replace(given, image=scratch, counts=counts)


def _check_palette_size(palette: Palette | None, out: Path) -> None:
    """Raise `OutputError` when a palette that is given has too many colours for ``out``."""
    if palette is not None:
        check_palette(out, palette)


def _plan_engine_bytes(job: Job, source: ChunkedSource, n_processes: int, n_threads: int) -> int:
    """Return what the engine's fit takes beside the histogram."""
    n_pixels = source.shape[0] * source.shape[1]
    if job.fit.engine == "scalable":
        return row_flow.plan_fit_bytes(n_pixels, n_processes=n_processes, n_threads=n_threads)
    if job.fit.engine == "dask-ml":
        return plan_fit_bytes(n_pixels, n_threads=n_threads, persists=n_processes > 0)
    return 0


def plan_source(
    job: Job, source: ChunkedSource, out: Path | None, *, n_processes: int, n_threads: int
) -> ChunkPlan:
    """Plan one image in chunks, and refuse what does not fit."""
    if out is not None:
        check_image_shape(out, source.shape)
    plan = plan_dithered(
        source.shape,
        dither=job.dither,
        read_unit=source.unit,
        write_unit=(1, 1) if out is None else write_unit(source.shape, out),
        # Strips are of few rows, and so must be what they are cut from.
        relabel_unit=source.part if out is not None and writes_strips(out) else source.unit,
        label_bytes_per_pixel=1 if job.fit.n_colors <= MAX_COLORS_8BIT else 2,
        n_processes=n_processes,
        n_threads=n_threads,
        decodes_whole=source.decodes_whole,
        codec_bytes=source.codec_bytes,
        unit_bytes=source.unit_bytes,
        engine_bytes=_plan_engine_bytes(job, source, n_processes, n_threads),
        weight_power=job.fit.weight_power,
        transparency=job.find_transparency(source.has_alpha),
        requested=job.run.chunks,
    )
    n_pixels = source.shape[0] * source.shape[1]
    saved_bytes = plan_saved_bytes(job, n_pixels, has_alpha=source.has_alpha)
    if job.run.resume:
        saved_bytes += plan_kept_counts(n_pixels)
    plan = replace(plan, projected_bytes=plan.projected_bytes + saved_bytes)
    if job.outline is not None and out is not None:
        needed = plan_outline_bytes(
            *(out, source.shape, job.outline),
            label_bytes=1 if job.fit.n_colors <= MAX_COLORS_8BIT else 2,
            n_processes=n_processes,
            n_threads=n_threads,
        )
        plan = replace(plan, projected_bytes=max(plan.projected_bytes, needed))
    if out is not None:
        join_bytes = plan_join_bytes(out, source.shape)
        join_bytes += (1 + n_processes) * (PROCESS_BYTES + MAX_TABLE_BYTES)
        plan = replace(plan, projected_bytes=max(plan.projected_bytes, join_bytes))
    held = (1 + n_processes) * source.held_bytes
    if source.stream is not None:
        held += source.stream.memory_bytes
    if held:
        plan = replace(plan, projected_bytes=plan.projected_bytes + held)
    rows, columns = plan.count_chunks
    tasks = f"{plan.n_tasks} tasks of up to {rows} x {columns} pixels"
    check_budget(plan.projected_bytes, job.run.cluster.memory_limit_bytes, tasks)
    return plan
