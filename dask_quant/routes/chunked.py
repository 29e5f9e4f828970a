"""One image in chunks: a large file, a store, an array, or any image on a cluster."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dask_quant import row_flow
from dask_quant.array_flow import (
    check_label_output,
    count_image,
    fit_image,
    write_labels,
    write_unit,
)
from dask_quant.chunking import check_budget
from dask_quant.dither_flow import write_dithered
from dask_quant.dither_plan import plan_dithered
from dask_quant.fit.fitting import fit_given
from dask_quant.flow import describe_fit, retell_outcome
from dask_quant.graphs.relabel import relabel_blocks
from dask_quant.graphs.scalable import plan_fit_bytes
from dask_quant.palette import MAX_COLORS_8BIT
from dask_quant.persist import persist_image
from dask_quant.routes.common import check_persist, is_array, report_one, write_palette_file
from dask_quant.routes.executing import open_executor
from dask_quant.sinks.png import bit_depth_for
from dask_quant.sources.arrays import as_image
from dask_quant.sources.discover import is_zarr_store
from dask_quant.sources.opening import open_image
from dask_quant.sources.pillow import read_header
from dask_quant.sources.reading import read_any_header
from dask_quant.sources.zarr_store import (
    decode_unit,
    open_zarr_array,
    read_unit,
    read_zarr_header,
)

if TYPE_CHECKING:
    from pathlib import Path

    from dask_quant.chunking import ChunkPlan
    from dask_quant.execute import Executor
    from dask_quant.flow import ImageOutcome
    from dask_quant.histogram import ColorHistogram
    from dask_quant.palette import Palette
    from dask_quant.results import Report
    from dask_quant.routes.common import Job
    from dask_quant.sources.header import ImageHeader


@dataclass(frozen=True)
class ChunkedSource:
    """One image as the chunked flow reads it."""

    image: Any
    """Path of a file or store, or an array."""
    shape: tuple[int, int]
    """Rows and columns."""
    unit: tuple[int, int]
    """Rows and columns of what storage reads as a whole."""
    part: tuple[int, int]
    """Rows and columns of the least that can be read without decoding anything twice."""
    decodes_whole: bool
    """Whether any part costs a decode of all."""
    input_bytes: int
    """Bytes as stored."""
    has_alpha: bool = False
    """Whether pixels may be transparent."""


def relabel_chunked(job: Job, image: Any, out: Path, *, n_ignored: int) -> Report:
    """Relabel one image as a Dask array."""
    check_label_output(out, overwrite=job.run.overwrite)
    _check_palette_size(job.palette, out)
    with open_executor(job.run.cluster, job.listener, job.watch) as executor:
        source, plan, input_bytes = _prepare_source(job, image, out, executor)
        outcome = _fit_source(job, source, plan, out, executor)
        with job.watch.measure("relabel"):
            chunks = None if _is_dask(source.image) else plan.relabel_chunks
            pixels = open_image(source.image, chunks=chunks, alpha=job.reads)
            outcome = _relabel_source(job, source, pixels, outcome, out, executor)
        peak = executor.peak_rss_bytes()
    return report_one(job, outcome, out, n_ignored, input_bytes, peak)


def _relabel_source(
    job: Job,
    source: ChunkedSource,
    pixels: Any,
    outcome: ImageOutcome,
    out: Path,
    executor: Executor,
) -> ImageOutcome:
    """Write the labels of ``source`` as Dask reads it; return the figures of what was written."""
    palette, overwrite = outcome.palette, job.run.overwrite
    if job.dither == "none":
        labels = relabel_blocks(pixels, outcome.classes or palette, job.fit.space)
        n_bytes = write_labels(labels, palette, out, executor, overwrite=overwrite)
    else:
        n_bytes, tally = write_dithered(
            *(pixels, palette, job.dither, out, executor),
            overwrite=overwrite,
            decodes_whole=source.decodes_whole,
        )
        outcome = retell_outcome(outcome, tally)
    return replace(outcome, output_bytes=n_bytes)


def fit_chunked(job: Job, image: Any, out: Path, *, n_ignored: int) -> Report:
    """Write the palette of one image, read as a Dask array."""
    with open_executor(job.run.cluster, job.listener, job.watch) as executor:
        source, plan, input_bytes = _prepare_source(job, image, out, executor)
        outcome = _fit_source(job, source, plan, out, executor)
        peak = executor.peak_rss_bytes()
    outcome = write_palette_file(job, outcome, out)
    return report_one(job, outcome, out, n_ignored, input_bytes, peak)


def count_chunked(job: Job, path: str) -> tuple[ImageHeader, int]:
    """Return the header of one image and its distinct colours."""
    return read_any_header(path), len(count_pixels(job, path))


def count_pixels(job: Job, image: Any) -> ColorHistogram:
    """Count the colours of one image, read as a Dask array."""
    with open_executor(job.run.cluster, job.listener, job.watch) as executor:
        source = open_source(image)
        n_processes, n_threads = executor.n_processes, executor.n_threads
        plan = plan_source(job, source, None, n_processes=n_processes, n_threads=n_threads)
        with job.watch.measure("count"):
            return count_image(_open_to_count(job, source, plan), executor)


def _open_to_count(job: Job, source: ChunkedSource, plan: ChunkPlan) -> Any:
    """Return the image, a Dask array, in the chunks that its colours are counted in."""
    own_chunks = _is_dask(source.image) and not job.run.chunks.given
    chunks = None if own_chunks else plan.count_chunks
    return open_image(source.image, chunks=chunks, alpha=job.reads)


def _fit_source(
    job: Job, source: ChunkedSource, plan: ChunkPlan, out: Path, executor: Executor
) -> ImageOutcome:
    """Count one image and fit, or take, its palette; what that took is given up here."""
    image = _open_to_count(job, source, plan)
    with job.watch.measure("count"):
        histogram = count_image(image, executor)
    if out.suffix.lower() == ".png":
        bit_depth_for(min(job.fit.n_colors, len(histogram)))  # before the fit, which takes longer
    with job.watch.measure("fit"):
        if job.palette is not None:
            fit = fit_given(histogram, job.palette, job.fit.space)
        else:
            fit = fit_image(image, histogram, job.fit, executor)
        return describe_fit(histogram, fit)


def _prepare_source(
    job: Job, image: Any, out: Path, executor: Executor
) -> tuple[ChunkedSource, ChunkPlan, int]:
    """Return the source to read, its plan, and the bytes of the image as it was given.

    With ``--persist`` the image is decoded into its store first, once its plan was found to fit.
    """
    n_processes, n_threads = executor.n_processes, executor.n_threads
    given = open_source(image)
    plan = plan_source(job, given, out, n_processes=n_processes, n_threads=n_threads)
    if job.run.persist is None:
        return given, plan, given.input_bytes
    check_persist(job.run.persist, out)
    with job.watch.measure("persist"):
        store = persist_image(
            *(image, job.run.persist, executor),
            alpha=job.alpha.refusing,
            overwrite=job.run.overwrite,
        )
    source = open_source(store)
    plan = plan_source(job, source, out, n_processes=n_processes, n_threads=n_threads)
    return source, plan, given.input_bytes


def _check_palette_size(palette: Palette | None, out: Path) -> None:
    """Raise `OutputError` when a palette that is given has too many colours for ``out``."""
    if palette is not None and out.suffix.lower() == ".png":
        bit_depth_for(len(palette))


def _plan_engine_bytes(job: Job, source: ChunkedSource, n_processes: int, n_threads: int) -> int:
    """Return what the engine's fit takes beside the histogram."""
    n_pixels = source.shape[0] * source.shape[1]
    if job.fit.engine == "scalable":
        return row_flow.plan_fit_bytes(n_pixels, n_processes=n_processes, n_threads=n_threads)
    if job.fit.engine == "dask-ml":
        return plan_fit_bytes(n_pixels, n_threads=n_threads, persists=n_processes > 0)
    return 0


def open_source(image: Any) -> ChunkedSource:
    """Return shape and storage unit of an image, from headers alone."""
    if is_array(image):
        array = as_image(image)
        unit = array.chunksize[:2] if _is_dask(image) else (1, array.shape[1])
        has_alpha = image.ndim == 3 and image.shape[2] == 4
        return ChunkedSource(
            image, array.shape[:2], unit, unit, False, int(image.nbytes), has_alpha
        )
    if not is_zarr_store(image):
        header = read_header(image)
        shape, unit = (header.height, header.width), (1, header.width)
        return ChunkedSource(image, shape, unit, unit, True, header.input_bytes, header.has_alpha)
    header = read_zarr_header(image)
    shape, array = (header.height, header.width), open_zarr_array(image)
    unit, part = read_unit(array), decode_unit(array)
    return ChunkedSource(image, shape, unit, part, False, header.input_bytes, header.has_alpha)


def _is_dask(image: Any) -> bool:
    """Return whether ``image`` is a Dask array."""
    return hasattr(image, "dask")


def plan_source(
    job: Job, source: ChunkedSource, out: Path | None, *, n_processes: int, n_threads: int
) -> ChunkPlan:
    """Plan one image in chunks, and refuse what does not fit."""
    plan = plan_dithered(
        source.shape,
        dither=job.dither,
        read_unit=source.unit,
        write_unit=(1, 1) if out is None else write_unit(source.shape, out),
        # Strips are of few rows, and so must be what they are cut from.
        relabel_unit=source.unit if out is None or out.suffix == ".zarr" else source.part,
        label_bytes_per_pixel=1 if job.fit.n_colors <= MAX_COLORS_8BIT else 2,
        n_processes=n_processes,
        n_threads=n_threads,
        decodes_whole=source.decodes_whole,
        engine_bytes=_plan_engine_bytes(job, source, n_processes, n_threads),
        weight_power=job.fit.weight_power,
        has_alpha=source.has_alpha and job.reads.keeps,
        requested=job.run.chunks,
    )
    rows, columns = plan.count_chunks
    tasks = f"{plan.n_tasks} tasks of up to {rows} x {columns} pixels"
    check_budget(plan.projected_bytes, job.run.cluster.memory_limit_bytes, tasks)
    return plan
