"""One image that fits in memory, without Dask: read, fit, write, report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.chunking import check_budget, plan_collection
from dask_quant.flow import describe_fit, quantize_file
from dask_quant.histogram import ColorHistogram
from dask_quant.kept_outcome import keep_outcome
from dask_quant.process import peak_rss_bytes
from dask_quant.routes.common import (
    fit_or_take,
    plan_saved_bytes,
    read_source,
    report_one,
    write_palette_file,
)
from dask_quant.routes.resuming import finish_state, keep_state, report_done
from dask_quant.sinks.atomic import check_output
from dask_quant.sinks.label_file import check_image_shape, check_palette
from dask_quant.sources.image_file import count_held_bytes, read_header, read_image
from dask_quant.workplace import OutputPlaces

if TYPE_CHECKING:
    from io import BytesIO
    from pathlib import Path

    from dask_quant.flow import ImageOutcome
    from dask_quant.results import Report
    from dask_quant.routes.common import Job
    from dask_quant.sinks.state_folder import StateFolder
    from dask_quant.sources.header import ImageHeader


def relabel_in_memory(job: Job, path: str, out: Path, n_ignored: int) -> Report:
    """Relabel one image without Dask."""
    if not job.run.resume:
        check_output(out, overwrite=job.run.overwrite)
        if job.outline is not None:
            check_output(job.outline, overwrite=job.run.overwrite)
    if job.palette is not None:
        check_palette(out, job.palette)
    with keep_state(job, path, out) as state:
        done = report_done(job, state, path, out, n_ignored)
        return done or _relabel_image(job, path, out, n_ignored, state)


def _relabel_image(
    job: Job, path: str, out: Path, n_ignored: int, state: StateFolder | None
) -> Report:
    """Relabel one image that is not done."""
    source, input_bytes = read_source(path)
    if out.suffix.lower() == ".gif":
        header = read_header(source, page=job.run.page)
        check_image_shape(out, (header.height, header.width))
    _check_memory(job, source)
    outcome = _write_image(job, source, out, state)
    return report_one(job, outcome, out, n_ignored, input_bytes, peak_rss_bytes())


def _write_image(
    job: Job, source: str | BytesIO, out: Path, state: StateFolder | None
) -> ImageOutcome:
    """Write the outputs of one image; where there is a state, in it, until all are whole."""
    where = OutputPlaces(out, job.outline, state)
    outcome = quantize_file(
        source,
        where.out,
        job.fit,
        palette=job.palette,
        dither=job.dither,
        outline=where.outline,
        saved=job.saved,
        alpha=job.reads,
        overwrite=job.run.overwrite or job.run.resume,
        listener=job.listener,
        watch=job.watch,
        page=job.run.page,
    )
    if state is not None:
        keep_outcome(state, outcome)
        where.put_all()
        finish_state(state)
    return outcome


def fit_in_memory(job: Job, path: str, out: Path, n_ignored: int) -> Report:
    """Write the palette of one image without Dask."""
    source, input_bytes = read_source(path)
    histogram = job.saved.extend(_count_source(job, source))
    with job.watch.measure("fit"):
        fit = fit_or_take(job, histogram)
    outcome = write_palette_file(job, describe_fit(histogram, fit), out)
    return report_one(job, outcome, out, n_ignored, input_bytes, peak_rss_bytes())


def count_in_memory(job: Job, path: str) -> ColorHistogram:
    """Count the colours of one image without Dask."""
    source, _ = read_source(path)
    return _count_source(job, source)


def _count_source(job: Job, source: str | BytesIO) -> ColorHistogram:
    """Decode an image and count its colours."""
    _check_memory(job, source)
    with job.watch.measure("decode"):
        pixels = read_image(source, page=job.run.page, alpha=job.reads)
    with job.watch.measure("count"):
        return ColorHistogram.from_pixels(pixels)


def _check_memory(job: Job, source: str | BytesIO) -> None:
    """Refuse an image that does not fit the memory limit, where there is one."""
    limit = job.run.cluster.memory_limit_bytes
    if limit is not None:
        header = read_header(source, page=job.run.page)
        projected = plan_in_memory(job, header) + count_held_bytes(source, job.run.page)
        check_budget(projected, limit, "one image in memory")


def plan_in_memory(job: Job, header: ImageHeader) -> int:
    """Return the bytes that a job on one image without Dask takes at most."""
    projected = plan_collection(
        header.n_pixels,
        codec_bytes=header.codec_bytes,
        weight_power=job.fit.weight_power,
        transparency=job.find_transparency(header.has_alpha),
    )
    return projected + plan_saved_bytes(job, header.n_pixels, has_alpha=header.has_alpha)
