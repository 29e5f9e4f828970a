"""Opened rasters to blocks that can be worked on: planned, persisted, kept."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.chunking import check_budget
from dask_quant.options import format_bytes
from dask_quant.persist import persist_rasters, persisted_unit
from dask_quant.raster_flow import CutRaster, cut_rasters, keep_pixels
from dask_quant.raster_plan import plan_raster_chunks, plan_rasters
from dask_quant.row_flow import SAMPLE_NUMBERS
from dask_quant.sinks.sieve import SIEVE_BYTES
from dask_quant.sinks.store_layout import label_shards

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dask_quant.execute import Executor
    from dask_quant.routes.segment_job import SegmentJob
    from dask_quant.sources.rasters import Raster


def cut_sources(
    job: SegmentJob, rasters: Sequence[Raster], executor: Executor
) -> tuple[list[CutRaster], int]:
    """Return rasters in blocks, and the bytes that all is planned to take.

    They are persisted and kept where asked for; what does not fit in memory is refused before.
    """
    projected, what = _project(job, rasters, executor)
    if job.run.persist is not None:
        units = [replace(each, unit=persisted_unit(each), is_marked=True) for each in rasters]
        projected, what = max((projected, what), _project(job, units, executor))
    check_budget(projected, job.run.cluster.memory_limit_bytes, what)
    if job.run.persist is not None:
        with job.watch.measure("persist"):
            rasters = persist_rasters(rasters, job.run.persist, executor)
    cut = cut_rasters(rasters, _plan_chunks(job, rasters, executor))
    if job.in_memory:
        with job.watch.measure("persist"):
            cut = keep_pixels(cut, executor)
    return cut, projected


def _plan_chunks(
    job: SegmentJob, rasters: Sequence[Raster], executor: Executor
) -> list[tuple[int, int]]:
    """Return rows and columns of the blocks of each raster."""
    return [
        plan_raster_chunks(
            *(raster.shape, raster.unit, raster.pixel_bytes),
            on_threads=executor.n_processes == 0,
            requested=job.run.chunks,
        )
        for raster in rasters
    ]


def _project(job: SegmentJob, rasters: Sequence[Raster], executor: Executor) -> tuple[int, str]:
    """Return an upper bound of the bytes that a job takes, and what for, in words."""
    chunks = _plan_chunks(job, rasters, executor)
    pixels = [rows * columns for rows, columns in chunks]
    shards = [label_shards(raster.shape) for raster in rasters]
    n_clusters = job.fit.n_clusters if job.model is None else len(job.model)
    projected = plan_rasters(
        max(
            n_pixels * raster.pixel_bytes for n_pixels, raster in zip(pixels, rasters, strict=True)
        ),
        max(pixels),
        label_bytes=max(rows * columns for rows, columns in shards) * (1 + (n_clusters > 255)),
        sample_bytes=8 * SAMPLE_NUMBERS,
        n_processes=executor.n_processes,
        n_threads=executor.n_threads,
    )
    rows, columns = chunks[int(np.argmax(pixels))]
    what = f"tasks of up to {rows} x {columns} pixels"
    if job.sieve > 1:
        whole = SIEVE_BYTES * max(math.prod(raster.shape) for raster in rasters)
        projected, what = projected + whole, f"{what} and {format_bytes(whole)} to sieve"
    if job.in_memory:
        kept = sum((1 + raster.pixel_bytes) * math.prod(raster.shape) for raster in rasters)
        projected, what = projected + kept, f"{what} and {format_bytes(kept)} that are kept"
    return projected, what
