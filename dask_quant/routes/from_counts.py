"""A palette of counts alone: no image is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.chunking import check_budget, plan_collection
from dask_quant.errors import OptionError
from dask_quant.flow import describe_fit
from dask_quant.histogram import ColorHistogram
from dask_quant.process import peak_rss_bytes
from dask_quant.routes.common import (
    fit_or_take,
    make_report,
    plan_saved_bytes,
    write_palette_file,
)

if TYPE_CHECKING:
    from pathlib import Path

    from dask_quant.results import Report
    from dask_quant.routes.common import Job


def take_counts(job: Job) -> ColorHistogram:
    """Return the saved counts of a job that has no image, or raise `OptionError`."""
    if len(job.saved.earlier) == 0:
        message = "Got no SOURCE and no counts; give images, or --histogram FILE.npz, or both."
        raise OptionError(message)
    if job.run.cluster.performance_report is not None:
        message = "Got --performance-report without images; nothing runs on a cluster."
        raise OptionError(message)
    projected = plan_collection(0) + plan_saved_bytes(job, 0)
    check_budget(projected, job.run.cluster.memory_limit_bytes, "counted colours")
    return job.saved.extend(ColorHistogram.empty())


def fit_counts(job: Job, out: Path) -> Report:
    """Write the palette of saved counts."""
    histogram = take_counts(job)
    with job.watch.measure("fit"):
        fit = fit_or_take(job, histogram)
    return make_report(
        job,
        write_palette_file(job, describe_fit(histogram, fit), out),
        n_images=0,
        n_ignored=0,
        input_bytes=0,
        outputs=(str(out),),
        quarantined=(),
        peak=peak_rss_bytes(),
    )
