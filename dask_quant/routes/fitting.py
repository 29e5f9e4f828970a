"""The palette of what was counted, found where the counts are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dask_quant.fit.fitting import fit_given, fit_histogram
from dask_quant.flow import describe_fit
from dask_quant.histogram import ColorHistogram
from dask_quant.routes.common import fit_or_take
from dask_quant.watching import tell_palette

if TYPE_CHECKING:
    from dask_quant.events import Listener
    from dask_quant.execute import Executor
    from dask_quant.fit_options import FitOptions
    from dask_quant.flow import ImageOutcome
    from dask_quant.palette import Palette
    from dask_quant.routes.common import Job


def extend_counts(job: Job, counts: Any, executor: Executor) -> Any:
    """Return the counts that figures are of, from those of the pixels of a job. **Eager**.

    ``counts`` is a `ColorHistogram`, or where `Executor.hold` left it, and so is what comes back.
    """
    return job.saved.extend(bring(counts, executor)) if job.saved.is_used else counts


def bring(counts: Any, executor: Executor) -> ColorHistogram:
    """Return counts in this process. **Eager**."""
    if isinstance(counts, ColorHistogram):
        return counts
    here: ColorHistogram = executor.fetch(counts)
    return here


def count_colors(counts: Any, executor: Executor) -> int:
    """Return how many distinct colours were counted. **Eager**."""
    if isinstance(counts, ColorHistogram):
        return len(counts)
    n_colors: int = executor.call(len, counts)
    return n_colors


def fit_counted(job: Job, counts: Any, executor: Executor) -> ImageOutcome:
    """Fit, or take, the palette of what `extend_counts` returned, and measure it. **Eager**.

    On a distant cluster a worker does so, unless counts of this machine are merged into them, or
    they are to be saved here.
    """
    if isinstance(counts, ColorHistogram) or job.saved.is_used:
        histogram = bring(counts, executor)
        return describe_fit(histogram, fit_or_take(job, histogram))
    outcome: ImageOutcome = executor.call(_fit_there, counts, job.palette, job.fit, listens=True)
    tell_palette(job.listener, outcome.palette)
    return outcome


def _fit_there(
    histogram: ColorHistogram, palette: Palette | None, options: FitOptions, listener: Listener
) -> ImageOutcome:
    """Do what `fit_counted` does, in a task."""
    if palette is None:
        return describe_fit(histogram, fit_histogram(histogram, options, listener))
    return describe_fit(histogram, fit_given(histogram, palette, options.space))
