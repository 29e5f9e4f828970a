"""One palette for all images of a collection, or for those of a group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dask_quant.collection.counts import KeptCounts
from dask_quant.errors import JobError, PixelFormatError
from dask_quant.events import Notice
from dask_quant.image_rows import QUARANTINED
from dask_quant.kept_outcome import find_outcome, keep_outcome
from dask_quant.routes.fitting import fit_counted
from dask_quant.routes.going_on import name_counts, name_outcome
from dask_quant.sources.header import show_path

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from dask_quant.collection.output import State
    from dask_quant.collection.run import CollectionRun
    from dask_quant.flow import ImageOutcome
    from dask_quant.image_rows import ImageRow
    from dask_quant.routes.common import Job
    from dask_quant.routes.going_on import Earlier


def write_group(job: Job, run: CollectionRun, state: State, earlier: Earlier, group: str) -> None:
    """Fit one palette to a group that is too large for one task, and write its images with it."""
    try:
        write_shared(job, run, state, earlier, group)
    except PixelFormatError as error:  # as a task does with a group that is small
        run.give_up(group, error)


def write_shared(
    job: Job,
    run: CollectionRun,
    state: State,
    earlier: Earlier,
    group: str | None = None,
) -> ImageOutcome | None:
    """Fit one palette to all images, or to those of a group, and write them with it."""
    name = name_outcome(group)
    outcome = find_outcome(state, name) if earlier.has_palette(group) else None
    kept = KeptCounts(state, name_counts(group), run.executor)
    if outcome is None:
        counts = count_shared(job, run, kept, group)
        if counts is None:
            return None
        with job.watch.measure("fit"):
            outcome = fit_counted(job, counts, run.executor)
        keep_outcome(state, outcome, name)
    else:
        _check_counted(run, kept, group, earlier.again)
    with job.watch.measure("relabel"):
        run.relabel(outcome.palette, outcome.classes, group)
    return outcome


def count_shared(job: Job, run: CollectionRun, kept: KeptCounts, group: str | None) -> Any:
    """Return the colours of all images, or of those of a group; None where none can be read.

    They are where `Executor.hold` leaves them.
    """
    with job.watch.measure("count"):
        if not kept.load(run.index):
            job.listener(Notice("Images changed since they were counted; all are counted again."))
        counts = run.count(kept, group)
    if run.executor.call(len, counts):
        return counts
    if group is None:
        raise JobError(nothing_left_message(list_quarantined(run)))
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


def list_quarantined(run: CollectionRun) -> list[ImageRow]:
    """Return the rows of images that were set aside, in the order of the sources."""
    return run.index.sort_rows(row for row in run.manifest.read_rows() if row.status == QUARANTINED)


def nothing_left_message(rows: Sequence[ImageRow]) -> str:
    """Return the message for a job of which every image was set aside."""
    first = rows[0].error if rows else "nothing is known of any"
    return f"None of {len(rows)} images can be read; the first: {first}"
