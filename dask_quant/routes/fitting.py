"""The palette of what was counted, found where the counts are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dask_quant.flow import describe_fit
from dask_quant.routes.common import take_or_fit
from dask_quant.watching import tell_palette

if TYPE_CHECKING:
    from dask_quant.events import Listener
    from dask_quant.execute import Executor
    from dask_quant.fit_options import FitOptions
    from dask_quant.flow import ImageOutcome
    from dask_quant.histogram import ColorHistogram
    from dask_quant.palette import Palette
    from dask_quant.routes.common import Job
    from dask_quant.saved_counts import SavedCounts


def extend_counts(job: Job, counts: Any, executor: Executor) -> Any:
    """Return the counts that figures are of, from those of the pixels of a job. **Eager**.

    ``counts`` is a `ColorHistogram`, or where `Executor.hold` left it, and so is what comes back:
    here, where counts of this machine are merged into it, or it is to be saved here.
    """
    return job.saved.extend(executor.fetch(counts)) if job.saved.is_used else counts


def fit_counted(job: Job, counts: Any, executor: Executor) -> ImageOutcome:
    """Fit, or take, the palette of counts, and measure it; parameters are as above. **Eager**."""
    counts = executor.fetch(counts) if job.saved.is_used else counts
    given = (counts, job.palette, job.fit, job.saved)
    outcome: ImageOutcome = executor.call(_fit_and_measure, *given, listens=True)
    tell_palette(job.listener, outcome.palette)
    return outcome


def _fit_and_measure(
    histogram: ColorHistogram,
    palette: Palette | None,
    options: FitOptions,
    saved: SavedCounts,
    listener: Listener,
) -> ImageOutcome:
    """Do what `fit_counted` does, where the counts are."""
    return describe_fit(histogram, take_or_fit(histogram, palette, options, saved, listener))
