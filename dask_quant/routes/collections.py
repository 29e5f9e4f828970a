"""Many images: one palette for all, one for each, or one for each group or family."""

from __future__ import annotations

import os
import secrets
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask_quant.collection.children import close_processes, start_processes
from dask_quant.collection.counts import FleetingCounts
from dask_quant.collection.manifest import RowList, add_up
from dask_quant.collection.packing import Packing
from dask_quant.collection.run import MAX_GROUP, CollectionRun
from dask_quant.collection.shard_index import ShardIndex
from dask_quant.collection.task import COUNT, Work
from dask_quant.errors import JobError
from dask_quant.events import Notice
from dask_quant.palette import Palette
from dask_quant.routes.collection_inputs import Sides, open_index, plan_memory, read_headers
from dask_quant.routes.common import (
    Figures,
    make_report,
    report_figures,
    warn_fewer,
    write_palette_file,
)
from dask_quant.routes.executing import open_executor
from dask_quant.routes.families import FamilyJob
from dask_quant.routes.fitting import extend_counts, fit_counted
from dask_quant.routes.going_on import forget_progress, go_on
from dask_quant.routes.job_identity import describe_job
from dask_quant.routes.shared_palette import (
    list_quarantined,
    nothing_left_message,
    write_group,
    write_shared,
)
from dask_quant.routes.visibility import check_folder, check_inputs
from dask_quant.sinks.batch_files import LocalPlace
from dask_quant.sinks.label_file import check_palette
from dask_quant.sinks.state_folder import MANIFEST_NAME
from dask_quant.sources.header import show_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask_quant.collection.index import Index
    from dask_quant.collection.manifest import Totals
    from dask_quant.collection.output import Output, OutputFolder, State
    from dask_quant.execute import Executor
    from dask_quant.flow import ImageOutcome
    from dask_quant.results import Report
    from dask_quant.routes.common import Job, Sources, T, Use
    from dask_quant.routes.going_on import Earlier

MIN_ISOLATED = 100
"""Images from which on tasks run in processes of their own even where there is no cluster: to start
these takes a second (arbitrary)."""

_MAX_LOOKED_AT = 100
"""Sources that workers are asked for, the first (arbitrary)."""

MAX_NAMED_OUTPUTS = 10_000
"""Outputs that a report names; of more, it names their folder, and the manifest names them."""


def relabel_many(job: Job, sources: Sources, folder: OutputFolder) -> Report:
    """Relabel many images, with one palette, one each, or one for some of them. **Eager**."""
    _check_palette_size(job)
    reusing = {"resume": job.run.resume, "overwrite": job.run.overwrite}
    folder.check(**reusing)
    with ExitStack() as stack:
        index, n_ignored = stack.enter_context(open_index(job, sources, folder.target))
        executor = stack.enter_context(open_executor(job))
        check_inputs(executor, *_name_some(sources, index))
        work = _plan_work(job, index, executor)
        output = stack.enter_context(folder.open(describe_job(job), **reusing))
        if isinstance(output.place, LocalPlace):
            check_folder(executor, output.place.scratch)
        work = replace(work, place=output.place)
        stack.enter_context(_working(work, executor, len(index)))
        run = CollectionRun(
            index=index,
            executor=executor,
            work=work,
            manifest=output.manifest,
            strict=job.run.strict,
        )
        state, packing = output.state, _open_packing(index, output, work)
        run.packing = packing
        measure = folder.measure if packing is None else packing.measure
        earlier = go_on(job, run.index, output, measure, packing)
        if packing is not None:
            packing.start()
        outcome = _write_all(job, run, state, earlier)
        _pack(job, run)
        forget_progress(state)
        run.tell_warnings()
        report = _report(job, run, outcome, folder, n_ignored=n_ignored)
        return replace(report, n_skipped=earlier.n_written)


def _name_some(sources: Sources, index: Index) -> list[str | Path]:
    """Return what workers are to see: sources as they were named, and the first image."""
    named = [sources] if isinstance(sources, (str, Path)) else sources
    first = [item.source for item, _ in islice(index.iterate_pending(), 1)]
    return [*islice(named, _MAX_LOOKED_AT), *first]


def _open_packing(index: Index, output: Output, work: Work) -> Packing | None:
    """Return what packs outputs into tar shards, None where they are files."""
    if output.shards is None or not isinstance(index, ShardIndex):
        return None
    return Packing(index, output.shards, work.folder, work.suffix)


def _pack(job: Job, run: CollectionRun) -> None:
    """Pack the shards that are left to pack, where outputs are packed."""
    if run.packing is not None:
        with job.watch.measure("pack"):
            run.pack()
        run.packing.finish()


def _write_all(job: Job, run: CollectionRun, state: State, earlier: Earlier) -> ImageOutcome | None:
    """Write what is not written yet; return the palette of all and its figures, if there is one."""
    if job.group_by is None and not job.per_image:
        return write_shared(job, run, state, earlier)
    if job.budget is not None:
        FamilyJob(job, run, state, earlier).write()
        return None
    with job.watch.measure("relabel"):
        groups = run.index.list_groups() if job.group_by is not None else []
        for name, n_images in groups:
            if name is not None and (n_images > MAX_GROUP or earlier.has_palette(name)):
                write_group(job, run, state, earlier, name)
        run.quantize()
    return None


def _report(
    job: Job,
    run: CollectionRun,
    outcome: ImageOutcome | None,
    folder: OutputFolder,
    *,
    n_ignored: int,
) -> Report:
    """Return the report of a job that is done, from its manifest."""
    totals = add_up(run.manifest.read_rows(), job.fit.n_colors)
    quarantined = run.index.sort_rows(totals.quarantined)
    if totals.n_written == 0:
        raise JobError(nothing_left_message(quarantined))
    names = run.index.list_outputs(MAX_NAMED_OUTPUTS)
    outputs = tuple(map(folder.name, names)) or (show_path(str(folder.target)),)
    others: dict[str, Any] = {
        "n_images": totals.n_written,
        "n_ignored": n_ignored,
        "input_bytes": totals.input_bytes,
        "outputs": outputs,
        "quarantined": tuple(row.quarantined for row in quarantined),
        "peak": run.executor.peak_rss_bytes(),
    }
    if outcome is None:
        report = _report_each(job, totals, others)
        report = replace(report, n_palettes=run.index.count_palettes())
        if job.budget is not None:
            report = replace(report, n_beyond=totals.n_beyond)
            _tell_beyond(job, totals.n_beyond)
    else:
        report = make_report(job, _retell(outcome, totals), **others)
    return replace(report, manifest=folder.name(MANIFEST_NAME))


def _tell_beyond(job: Job, n_images: int) -> None:
    """Say how many images cannot be served within the target."""
    if n_images:
        message = (
            f"{n_images:,} images miss {job.budget} with {job.fit.n_colors} colours of their own; "
            "meets_target in the manifest tells which."
        )
        job.listener(Notice(message))


def _report_each(job: Job, totals: Totals, others: dict[str, Any]) -> Report:
    """Return the report of a job on images of different palettes."""
    if totals.n_poor and job.fit.target is None and job.budget is None:
        warn_fewer(f"{totals.n_poor} of {totals.n_written} images hold", job.fit.n_colors)
    figures = Figures(
        n_pixels=totals.n_pixels,
        squared_error=totals.squared_error,
        mean_color_error=totals.mean_color_error,
        inertia=totals.inertia,
        engine="histogram",
        n_iter=totals.n_iter,
        output_bytes=totals.output_bytes,
        n_colors=totals.n_colors,
    )
    return report_figures(job, figures, **others)


def _retell(outcome: ImageOutcome, totals: Totals) -> ImageOutcome:
    """Return the figures of a shared palette, of the images as they were written."""
    outcome = replace(outcome, output_bytes=totals.output_bytes)
    if totals.label_counts is not None:
        palette = Palette(outcome.palette.colors, totals.label_counts)
    elif totals.n_pixels != outcome.n_pixels:  # some could be read later than the palette was made
        palette = outcome.palette
    else:
        return outcome
    return replace(
        outcome,
        palette=palette,
        n_pixels=totals.n_pixels,
        squared_error=totals.squared_error,
        inertia=totals.inertia,
        mean_color_error=outcome.mean_color_error * (totals.n_pixels / outcome.n_pixels),
    )


@contextmanager
def _working(work: Work, executor: Executor, n_images: int) -> Iterator[None]:
    """Have processes that do tasks come up where this process asks them; end them afterwards."""
    if executor.client is None and work.is_isolated:
        start_processes(min(executor.n_threads, n_images))
    try:
        yield
    finally:
        close_processes()
        executor.run_everywhere(close_processes)


def _plan_work(job: Job, index: Index, executor: Executor) -> Work:
    """Return what all tasks of a job have in common, having checked that it fits the memory."""
    isolated = is_isolated(index, on_cluster=executor.client is not None)
    limit, max_pixels = job.run.cluster.memory_limit_bytes, None
    if limit is not None:
        n_helpers = executor.n_threads if isolated else 0
        sides = Sides(executor.n_processes, executor.n_threads, n_helpers)
        max_pixels = plan_memory(job, index, sides).max_pixels
    return Work(
        action=COUNT,
        run_id=secrets.token_hex(8),
        folder=os.getcwd(),
        alpha=job.reads,
        options=job.fit,
        budget=job.budget,
        dither=job.dither,
        suffix=job.suffix,
        max_pixels=max_pixels,
        memory_limit_bytes=limit,
        is_isolated=isolated,
    )


def is_isolated(index: Index, *, on_cluster: bool) -> bool:
    """Return whether the tasks of a collection run in processes of their own."""
    return on_cluster or len(index) >= MIN_ISOLATED


def use_many(job: Job, sources: Sources, use: Use[T]) -> T:
    """Count the colours of many images together; those that cannot be read are warned of."""
    with _counting(job, sources) as (run, counted, _):
        for row in list_quarantined(run):
            job.listener(Notice(f"Left out {row.path}: {row.error}"))
        counts = extend_counts(job, counted, run.executor)
        found: T = run.executor.call(use, counts, listens=True)
        return found


def fit_many(job: Job, sources: Sources, out: Path) -> Report:
    """Write the one palette of many images."""
    with _counting(job, sources) as (run, counted, n_ignored):
        counts = extend_counts(job, counted, run.executor)
        with job.watch.measure("fit"):
            outcome = fit_counted(job, counts, run.executor)
        return make_report(
            job,
            write_palette_file(job, outcome, out),
            n_images=run.index.count_counted(),
            n_ignored=n_ignored,
            input_bytes=sum(map(_count_stored, run.index.list_counted())),
            outputs=(str(out),),
            quarantined=tuple(row.quarantined for row in list_quarantined(run)),
            peak=run.executor.peak_rss_bytes(),
        )


@contextmanager
def _counting(job: Job, sources: Sources) -> Iterator[tuple[CollectionRun, Any, int]]:
    """Yield many images, their colours together, and how many other entries were ignored.

    The colours are where `Executor.hold` leaves them.
    """
    with ExitStack() as stack:
        index, n_ignored = stack.enter_context(open_index(job, sources, None))
        executor = stack.enter_context(open_executor(job))
        check_inputs(executor, *_name_some(sources, index))
        work = _plan_work(job, index, executor)
        stack.enter_context(_working(work, executor, len(index)))
        run = CollectionRun(
            index=index,
            executor=executor,
            work=work,
            manifest=RowList(),
            strict=job.run.strict,
        )
        with job.watch.measure("count"):
            counts = run.count(FleetingCounts(executor))
        if executor.call(len, counts) == 0:
            raise JobError(nothing_left_message(list_quarantined(run)))
        run.tell_warnings()
        yield run, counts, n_ignored


def _count_stored(image: tuple[str, int | None]) -> int:
    """Return the bytes of an image, of all files of a store; 0 when it is gone."""
    path, size = image
    if size is not None:
        return size
    return sum(header.input_bytes for header in read_headers([path]))


def _check_palette_size(job: Job) -> None:
    """Raise `OutputError` when a palette that is given has too many colours for the files."""
    if job.palette is not None:
        check_palette(Path(f"x{job.suffix}"), job.palette)
