"""Many images: one palette for all, or one for each."""

from __future__ import annotations

import math
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dask_quant.chunking import check_budget, plan_collection
from dask_quant.dithering import Tally
from dask_quant.errors import DaskQuantError, OptionError, OutputExistsError
from dask_quant.events import Notice
from dask_quant.flow import ImageOutcome, describe_fit, retell_outcome
from dask_quant.job import Item, count_collection, quantize_each, relabel_collection
from dask_quant.routes.common import (
    LABEL_SUFFIXES,
    count_file_bytes,
    fit_or_take,
    make_report,
    plan_saved_bytes,
    warn_fewer,
    write_palette_file,
)
from dask_quant.routes.executing import open_executor
from dask_quant.sinks.atomic import check_output, resolve_all_below
from dask_quant.sinks.label_file import check_palette
from dask_quant.sources.discover import STDIN, is_zarr_store
from dask_quant.sources.isolated import close_decoders, start_decoders
from dask_quant.sources.output_names import plan_output_names
from dask_quant.sources.reading import read_any_header

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dask_quant.execute import Executor
    from dask_quant.histogram import ColorHistogram
    from dask_quant.job import CountedImages, WrittenImages
    from dask_quant.results import Report
    from dask_quant.routes.common import Job
    from dask_quant.sources.discover import Discovery
    from dask_quant.sources.header import ImageHeader

MIN_ISOLATED = 1000
"""Images from which on they are decoded in other processes: what a crash costs grows with the job.

To start them, and to hand pixels over, took 1.2 s of a job of 3.0 s on 200 images of 256 x 256."""


def relabel_many(job: Job, found: Discovery, out: Path) -> Report:
    """Relabel many images, with one palette or one each."""
    _check_plain_collection(job, found)
    _check_palette_size(job)
    items = plan_items(found, out, job)
    with (
        open_executor(job.run.cluster, job.listener, job.watch) as executor,
        _decoding(items, executor),
    ):
        _check_collection_budget(job, items, executor)
        if job.per_image:
            return _relabel_each(job, items, executor, found.n_ignored)
        return _relabel_shared(job, items, executor, found.n_ignored)


def _relabel_each(job: Job, items: Sequence[Item], executor: Executor, n_ignored: int) -> Report:
    """Give each image its own palette."""
    with job.watch.measure("relabel"):
        written = quantize_each(items, job.fit, executor, dither=job.dither)
    outcomes = [outcome for _, outcome in written.outcomes]
    n_poorer = sum(len(outcome.palette) < job.fit.n_colors for outcome in outcomes)
    if n_poorer and job.fit.target is None:
        warn_fewer(f"{n_poorer} of {len(outcomes)} images hold", job.fit.n_colors)
    totals = ImageOutcome(
        n_pixels=sum(outcome.n_pixels for outcome in outcomes),
        n_unique_colors=0,
        squared_error=sum(outcome.squared_error for outcome in outcomes),
        inertia=math.fsum(outcome.inertia for outcome in outcomes),
        mean_color_error=math.fsum(outcome.mean_color_error for outcome in outcomes),
        palette=max((outcome.palette for outcome in outcomes), key=len),
        engine=outcomes[0].engine,
        n_iter=max(outcome.n_iter for outcome in outcomes),
        output_bytes=sum(n_bytes for _, n_bytes in written.written),
    )
    report = make_report(
        job,
        totals,
        n_images=len(outcomes),
        n_ignored=n_ignored,
        input_bytes=count_stored_bytes(items, [position for position, _ in written.written]),
        outputs=_name_outputs(items, written),
        quarantined=tuple(quarantined for _, quarantined in written.quarantined),
        peak=executor.peak_rss_bytes(),
    )
    return replace(report, palette=None, n_unique_colors=None)


def _relabel_shared(job: Job, items: Sequence[Item], executor: Executor, n_ignored: int) -> Report:
    """Fit one palette to all images together, or take the one given."""
    with job.watch.measure("count"):
        counted = count_collection(items, executor)
    with job.watch.measure("fit"):
        fit = fit_or_take(job, counted.histogram)
    with job.watch.measure("relabel"):
        written = relabel_collection(
            *(items, counted, fit.palette, job.fit.space, executor),
            dither=job.dither,
            classes=fit.classes,
        )
    totals = describe_fit(counted.histogram, fit)
    if written.tallies:
        totals = retell_outcome(totals, Tally.merge(written.tallies), job.fit.space)
    n_bytes = sum(size for _, size in written.written)
    return make_report(
        job,
        replace(totals, output_bytes=n_bytes),
        n_images=len(written.written),
        n_ignored=n_ignored,
        input_bytes=count_stored_bytes(items, [position for position, _ in written.written]),
        outputs=_name_outputs(items, written),
        quarantined=tuple(q for _, q in counted.quarantined),
        peak=executor.peak_rss_bytes(),
    )


def _name_outputs(items: Sequence[Item], written: WrittenImages) -> tuple[str, ...]:
    """Return the files written, in the order of the inputs."""
    return tuple(str(items[position].out) for position, _ in sorted(written.written))


def count_many(job: Job, found: Discovery) -> ColorHistogram:
    """Count the colours of many images together; those that cannot be read are warned of."""
    _, counted, _ = _count_items(job, found, Path())
    for _, quarantined in counted.quarantined:
        job.listener(Notice(f"Left out {quarantined.path}: {quarantined.reason}"))
    return counted.histogram


def _count_items(job: Job, found: Discovery, out: Path) -> tuple[list[Item], CountedImages, int]:
    """Return many images, their colours, and the peak memory of counting them."""
    _check_plain_collection(job, found)
    is_isolated = is_many(found)
    items = [
        Item(entry.path, out, job.reads, frame=entry.frame, is_isolated=is_isolated)
        for entry in found.inputs
    ]
    with (
        open_executor(job.run.cluster, job.listener, job.watch) as executor,
        _decoding(items, executor),
    ):
        _check_collection_budget(job, items, executor)
        with job.watch.measure("count"):
            counted = count_collection(items, executor)
        return items, counted, executor.peak_rss_bytes()


def fit_many(job: Job, found: Discovery, out: Path) -> Report:
    """Write the one palette of many images."""
    items, counted, peak = _count_items(job, found, out)
    histogram = job.saved.extend(counted.histogram)
    with job.watch.measure("fit"):
        fit = fit_or_take(job, histogram)
    return make_report(
        job,
        write_palette_file(job, describe_fit(histogram, fit), out),
        n_images=len(counted.readable),
        n_ignored=found.n_ignored,
        input_bytes=count_stored_bytes(items, counted.readable),
        outputs=(str(out),),
        quarantined=tuple(quarantined for _, quarantined in counted.quarantined),
        peak=peak,
    )


def _check_plain_collection(job: Job, found: Discovery) -> None:
    """Raise `OptionError` for options that are made for a single image."""
    for given, name in (
        (job.fit.fits_pixels, f"--engine {job.fit.engine}"),
        (job.run.persist is not None, "--persist"),
        (job.run.chunks.given, "--chunks"),
        (job.run.page.given, "--page or --level"),
        (any(entry.path == STDIN for entry in found.inputs), "standard input"),
    ):
        if given:
            message = (
                f"Got {name} with an output folder; it works on one image with an OUT that ends "
                f"in {' or '.join(LABEL_SUFFIXES)}."
            )
            raise OptionError(message)


def _check_palette_size(job: Job) -> None:
    """Raise `OutputError` when a palette that is given has too many colours for the files."""
    if job.palette is not None:
        check_palette(Path(f"x{job.suffix}"), job.palette)


def plan_items(found: Discovery, out: Path, job: Job) -> list[Item]:
    """Return what is read and written for each input, having checked that the outputs are free."""
    if out.exists() and not out.is_dir():
        message = f"Got the output {str(out)!r} for images in a folder, but it is a file."
        raise OutputExistsError(message)
    if not job.run.overwrite and out.is_dir() and any(out.iterdir()):
        message = f"{str(out)!r} exists and is not empty; use --overwrite to write into it."
        raise OutputExistsError(message)
    is_isolated = is_many(found)
    names = plan_output_names([entry.relative for entry in found.inputs], job.suffix)
    items = [
        Item(entry.path, target, job.reads, frame=entry.frame, is_isolated=is_isolated)
        for entry, target in zip(found.inputs, resolve_all_below(out, names), strict=True)
    ]
    for item in items:
        check_output(item.out, overwrite=job.run.overwrite)
    return items


def _check_collection_budget(job: Job, items: Sequence[Item], executor: Executor) -> None:
    """Refuse a collection whose largest images do not fit the memory limit."""
    limit = job.run.cluster.memory_limit_bytes
    if limit is None:
        return
    n_decoders = executor.n_threads if items[0].is_isolated else 0
    headers = read_headers(items)
    sides = (executor.n_processes, executor.n_threads, n_decoders)
    projected = plan_headers(job, headers, *sides)
    check_budget(projected, limit, f"{executor.n_threads} images side by side")


def is_many(found: Discovery) -> bool:
    """Return whether there are so many images that processes to decode them in are worth it."""
    return len(found.inputs) >= MIN_ISOLATED


@contextmanager
def _decoding(items: Sequence[Item], executor: Executor) -> Iterator[None]:
    """Have processes that decode come up where this process asks them; end them after the block."""
    if executor.client is None and items[0].is_isolated:
        start_decoders(min(executor.n_threads, len(items)))
    try:
        yield
    finally:
        close_decoders()


def count_stored_bytes(items: Sequence[Item], positions: Sequence[int]) -> int:
    """Return the bytes of the inputs at ``positions``."""
    return sum(_count_source_bytes(items[position].source) for position in positions)


def _count_source_bytes(path: str) -> int:
    """Return the bytes of a file, or of all files of a store; 0 when it is gone."""
    if not is_zarr_store(path):
        return count_file_bytes(path)
    try:
        return read_any_header(path).input_bytes
    except DaskQuantError:
        return 0


def read_headers(items: Sequence[Item]) -> list[ImageHeader]:
    """Return what images say about themselves; those that cannot be read say nothing."""
    headers = []
    for item in items:
        with suppress(DaskQuantError):
            headers.append(read_any_header(item.source))
    return headers


def plan_headers(
    job: Job,
    headers: Sequence[ImageHeader],
    n_processes: int,
    n_threads: int,
    n_decoders: int,
) -> int:
    """Return the bytes that images which say this of themselves take at most, saved counts too."""
    sizes = [header.n_pixels for header in headers]
    has_alpha = any(header.has_alpha for header in headers)
    projected = plan_collection(
        sizes,
        codec_bytes=max((header.codec_bytes for header in headers), default=0),
        n_processes=n_processes,
        n_threads=n_threads,
        n_decoders=n_decoders,
        weight_power=job.fit.weight_power,
        transparency=job.find_transparency(has_alpha),
    )
    return projected + plan_saved_bytes(job, sum(sizes), has_alpha=has_alpha)
