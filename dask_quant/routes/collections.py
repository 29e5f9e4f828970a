"""Many images: one palette for all, one for each, or one for each group."""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask_quant.collection.children import close_processes, start_processes
from dask_quant.collection.compare import compare_rows
from dask_quant.collection.counts import KeptCounts
from dask_quant.collection.items import QUARANTINED
from dask_quant.collection.manifest import add_up
from dask_quant.collection.output import check_target, open_output
from dask_quant.collection.run import MAX_GROUP, CollectionRun
from dask_quant.collection.task import COUNT, Work
from dask_quant.errors import JobError, PixelFormatError
from dask_quant.events import Notice
from dask_quant.flow import describe_fit
from dask_quant.kept_outcome import OUTCOME_NAME, find_outcome, keep_outcome
from dask_quant.palette import Palette
from dask_quant.routes.collection_inputs import Sides, open_index, plan_memory, read_headers
from dask_quant.routes.common import (
    Figures,
    fit_or_take,
    make_report,
    report_figures,
    warn_fewer,
    write_palette_file,
)
from dask_quant.routes.executing import open_executor
from dask_quant.routes.job_identity import describe_job
from dask_quant.sinks.label_file import check_palette
from dask_quant.sinks.state_folder import MANIFEST_NAME
from dask_quant.sources.header import show_path

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    from dask_quant.collection.compare import Comparison
    from dask_quant.collection.index import Index
    from dask_quant.collection.items import ImageRow
    from dask_quant.collection.manifest import Totals
    from dask_quant.collection.output import Output, State
    from dask_quant.execute import Executor
    from dask_quant.flow import ImageOutcome
    from dask_quant.histogram import ColorHistogram
    from dask_quant.results import Report
    from dask_quant.routes.common import Job, Sources

MIN_ISOLATED = 100
"""Images from which on tasks run in processes of their own even where there is no cluster: to start
these takes a second (arbitrary)."""

_AGAIN_NAME = "again.json"
"""What images are known by that were done, and are done again."""

MAX_NAMED_OUTPUTS = 10_000
"""Outputs that a report names; of more, it names their folder, and the manifest names them."""


def relabel_many(job: Job, sources: Sources, out: Path | str) -> Report:
    """Relabel many images, with one palette, one each, or one for each group. **Eager**."""
    _check_palette_size(job)
    reusing = {"resume": job.run.resume, "overwrite": job.run.overwrite}
    check_target(out, **reusing)
    with ExitStack() as stack:
        index, n_ignored = stack.enter_context(open_index(job, sources, out))
        executor = stack.enter_context(open_executor(job.run.cluster, job.listener, job.watch))
        work = _plan_work(job, index, executor)
        output = stack.enter_context(open_output(out, describe_job(job), **reusing))
        work = replace(work, place=output.place)
        stack.enter_context(_working(work, executor, len(index)))
        run = CollectionRun(
            index=index,
            executor=executor,
            work=work,
            manifest=output.manifest,
            strict=job.run.strict,
        )
        state = output.state
        n_skipped, again = _go_on(job, run, output) if state.is_resumed else (0, set[str]())
        outcome = _write_all(job, run, state, again)
        used = [name for name in state.list_names() if name.startswith("counts")]
        state.discard(*used, _AGAIN_NAME)
        run.tell_warnings()
        return _report(job, run, outcome, output, n_ignored=n_ignored, n_skipped=n_skipped)


def _write_all(
    job: Job, run: CollectionRun, state: State, again: Container[str]
) -> ImageOutcome | None:
    """Write what is not written yet; return the palette of all and its figures, if there is one."""
    if job.group_by is None and not job.per_image:
        return _write_shared(job, run, state, again)
    with job.watch.measure("relabel"):
        groups = run.index.list_groups() if job.group_by is not None else []
        for name, n_images in groups:
            if name is not None and (n_images > MAX_GROUP or _has_palette(state, name)):
                _write_group(job, run, state, again, name)
        run.quantize()
    return None


def _write_group(
    job: Job, run: CollectionRun, state: State, again: Container[str], group: str
) -> None:
    """Fit one palette to a group that is too large for one task, and write its images with it."""
    try:
        _write_shared(job, run, state, again, group)
    except PixelFormatError as error:  # as a task does with a group that is small
        run.give_up(group, error)


def _write_shared(
    job: Job,
    run: CollectionRun,
    state: State,
    again: Container[str],
    group: str | None = None,
) -> ImageOutcome | None:
    """Fit one palette to all images, or to those of a group, and write them with it."""
    name = _name_outcome(group)
    outcome = find_outcome(state, name) if state.is_resumed else None
    kept = KeptCounts(state, f"counts{_suffix_group(group)}")
    if outcome is None:
        histogram = _count_shared(job, run, kept, group)
        if histogram is None:
            return None
        with job.watch.measure("fit"):
            fit = fit_or_take(job, histogram)
        outcome = describe_fit(histogram, fit)
        keep_outcome(state, outcome, name)
    else:
        _check_counted(run, kept, group, again)
    with job.watch.measure("relabel"):
        run.relabel(outcome.palette, outcome.classes, group)
    return outcome


def _count_shared(
    job: Job, run: CollectionRun, kept: KeptCounts, group: str | None
) -> ColorHistogram | None:
    """Return the colours of all images, or of those of a group; None where none can be read."""
    with job.watch.measure("count"):
        if not kept.load(run.index):
            job.listener(Notice("Images changed since they were counted; all are counted again."))
        histogram = run.count(kept, group)
    if len(histogram):
        return histogram
    if group is None:
        raise JobError(_nothing_left_message(_list_quarantined(run)))
    return None


def _check_counted(
    run: CollectionRun, kept: KeptCounts, group: str | None, again: Container[str]
) -> None:
    """Raise `JobError` where images are new since a palette was fitted, but for ``again``."""
    kept.load(run.index, is_fitted=True)
    entries = run.index.iterate_pending(uncounted=True, group=group)
    new = (item for item, _ in entries if item.id not in again)
    first = next(new, None)
    if first is not None:
        message = (
            f"{1 + sum(1 for _ in new):,} images are new since the palette was fitted to the "
            f"others, such as {show_path(first.source)}; give the sources as they were, or start "
            "afresh with --overwrite."
        )
        raise JobError(message)


def _list_quarantined(run: CollectionRun) -> list[ImageRow]:
    """Return the rows of images that were set aside, by this run or before, as the sources go."""
    rows = run.quarantined
    if run.manifest is not None:
        rows = [row for row in run.manifest.read_rows() if row.status == QUARANTINED]
    return run.index.sort_rows(rows)


def _nothing_left_message(rows: Sequence[ImageRow]) -> str:
    """Return the message for a job of which every image was set aside."""
    first = rows[0].error if rows else "nothing is known of any"
    return f"None of {len(rows)} images can be read; the first: {first}"


def _report(
    job: Job,
    run: CollectionRun,
    outcome: ImageOutcome | None,
    output: Output,
    *,
    n_ignored: int,
    n_skipped: int,
) -> Report:
    """Return the report of a job that is done, from its manifest."""
    totals = add_up(output.manifest.read_rows(), job.fit.n_colors)
    if totals.n_written == 0:
        raise JobError(_nothing_left_message(_list_quarantined(run)))
    names = run.index.list_outputs() if totals.n_written <= MAX_NAMED_OUTPUTS else []
    outputs = tuple(map(output.name, names)) or (show_path(str(output.target)),)
    others: dict[str, Any] = {
        "n_images": totals.n_written,
        "n_ignored": n_ignored,
        "input_bytes": totals.input_bytes,
        "outputs": outputs,
        "quarantined": tuple(row.quarantined for row in _list_quarantined(run)),
        "peak": run.executor.peak_rss_bytes(),
    }
    if outcome is None:
        report = _report_each(job, totals, others)
    else:
        report = make_report(job, _retell(outcome, totals), **others)
    return replace(report, n_skipped=n_skipped, manifest=output.name(MANIFEST_NAME))


def _report_each(job: Job, totals: Totals, others: dict[str, Any]) -> Report:
    """Return the report of a job on images of different palettes."""
    if totals.n_poor and job.fit.target is None:
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


def _go_on(job: Job, run: CollectionRun, output: Output) -> tuple[int, set[str]]:
    """Take over what an earlier run did: how many images it wrote, and which are done again."""
    state = output.state
    found = compare_rows(run.index, output.manifest.read_rows(), output.measure)
    _check_unchanged(found, state)
    for line in (state.notice, *found.notices):
        if line is not None:
            job.listener(Notice(line))
    again = set(found.again)
    if job.run.retry_quarantined:
        again.update(run.index.list_quarantined())
    again.update(
        id for id, group in found.mended if find_outcome(state, _name_outcome(group)) is None
    )
    again.update(state.read_json(_AGAIN_NAME) or ())
    if again:  # their rows go now, and a run that is ended has to know of them
        state.write_json(_AGAIN_NAME, sorted(again))
    run.index.reopen(again)
    for group in run.index.list_open_groups():
        if not _has_palette(state, group):  # it was written in one task, or not yet
            run.index.open_group(group)
    output.manifest.drop(lambda row: run.index.is_pending(row.id))
    return run.index.count_written(), again


def _check_unchanged(found: Comparison, state: State) -> None:
    """Raise `JobError` where images changed since a palette was fitted to them and to others."""
    for group, path in found.changed.items():
        if find_outcome(state, _name_outcome(group)) is not None:
            message = (
                f"{found.n_changed:,} images changed since the palette was fitted, such as {path}; "
                "give them as they were, or start afresh with --overwrite."
            )
            raise JobError(message)


def _has_palette(state: State, group: str) -> bool:
    """Return whether a palette was fitted to a group that is too large for one task."""
    return state.is_resumed and find_outcome(state, _name_outcome(group)) is not None


def _name_outcome(group: str | None) -> str:
    """Return what the palette of a group, or of all images, is kept as."""
    return OUTCOME_NAME.replace(".json", f"{_suffix_group(group)}.json")


def _suffix_group(group: str | None) -> str:
    """Return how names of what is kept of a group end."""
    if group is None:
        return ""
    return f"-{hashlib.blake2b(group.encode(), digest_size=8).hexdigest()}"


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
        dither=job.dither,
        suffix=job.suffix,
        max_pixels=max_pixels,
        memory_limit_bytes=limit,
        is_isolated=isolated,
    )


def is_isolated(index: Index, *, on_cluster: bool) -> bool:
    """Return whether the tasks of a collection run in processes of their own."""
    return on_cluster or len(index) >= MIN_ISOLATED


def count_many(job: Job, sources: Sources) -> ColorHistogram:
    """Count the colours of many images together; those that cannot be read are warned of."""
    with _counting(job, sources) as (run, histogram, _):
        for row in _list_quarantined(run):
            job.listener(Notice(f"Left out {row.path}: {row.error}"))
        return histogram


def fit_many(job: Job, sources: Sources, out: Path) -> Report:
    """Write the one palette of many images."""
    with _counting(job, sources) as (run, counted, n_ignored):
        histogram = job.saved.extend(counted)
        with job.watch.measure("fit"):
            fit = fit_or_take(job, histogram)
        return make_report(
            job,
            write_palette_file(job, describe_fit(histogram, fit), out),
            n_images=run.index.count_counted(),
            n_ignored=n_ignored,
            input_bytes=sum(map(_count_stored, run.index.list_counted())),
            outputs=(str(out),),
            quarantined=tuple(row.quarantined for row in _list_quarantined(run)),
            peak=run.executor.peak_rss_bytes(),
        )


@contextmanager
def _counting(job: Job, sources: Sources) -> Iterator[tuple[CollectionRun, ColorHistogram, int]]:
    """Yield many images, their colours together, and how many other entries were ignored."""
    with ExitStack() as stack:
        index, n_ignored = stack.enter_context(open_index(job, sources, None))
        executor = stack.enter_context(open_executor(job.run.cluster, job.listener, job.watch))
        work = _plan_work(job, index, executor)
        stack.enter_context(_working(work, executor, len(index)))
        run = CollectionRun(index=index, executor=executor, work=work, strict=job.run.strict)
        with job.watch.measure("count"):
            histogram = run.count(None)
        if len(histogram) == 0:
            raise JobError(_nothing_left_message(_list_quarantined(run)))
        run.tell_warnings()
        yield run, histogram, n_ignored


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
