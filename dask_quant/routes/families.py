"""Palette families: images of like colours share a palette that meets the target for each of them.

All images are told of in brief, and gathered by that. Then families are written as groups are, each
with the palette that is fitted to the exact counts of its images; but first that is measured on
every one. A family in which it misses the target for any is not written: it is parted, and what
comes of it is tried in the next round. An image that is alone has its own palette whatever that is
worth, so that in the end each is served within the target, or as well as it can be.

Which family an image is in is kept before any of a round is written, and names are given once. So a
run that goes on needs to know nothing else: what was missed is missed again.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.collection.counts import KeptCounts
from dask_quant.collection.family_index import FamilyIndex
from dask_quant.collection.kept_lines import KeptLines
from dask_quant.collection.run import MAX_GROUP
from dask_quant.collection.summaries import SUMMARIES_NAME, KeptSummaries, SummaryFile
from dask_quant.collection.task import Verdict
from dask_quant.errors import JobError
from dask_quant.events import Event
from dask_quant.fit.families import FamilyFinder
from dask_quant.kept_outcome import find_outcome, keep_outcome
from dask_quant.routes.family_file import FamilyPlan, keep_families
from dask_quant.routes.fitting import fit_counted
from dask_quant.routes.going_on import (
    forget_palettes,
    name_counts,
    name_outcome,
    name_verdicts,
)
from dask_quant.routes.shared_palette import count_shared, list_quarantined, nothing_left_message
from dask_quant.sources.header import show_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from dask_quant.collection.output import State
    from dask_quant.collection.run import CollectionRun
    from dask_quant.collection.summaries import Gathered
    from dask_quant.collection.task import Done
    from dask_quant.flow import ImageOutcome
    from dask_quant.palette import Palette
    from dask_quant.routes.common import Job
    from dask_quant.routes.going_on import Earlier

_MAX_ROUNDS = 4
"""Rounds in which images that their family does not serve are gathered anew; then each of them is
alone (measured: one is the rule, two are enough)."""


class FamilyJob:
    """A job that gathers its images into families. **Eager**.

    Parameters
    ----------
    job : Job
        Whose budget is the target.
    run : CollectionRun
        Of it.
    state : State
        Where families are kept.
    earlier : Earlier
        What an earlier run left.
    """

    def __init__(self, job: Job, run: CollectionRun, state: State, earlier: Earlier) -> None:
        self._job, self._run, self._state, self._earlier = job, run, state, earlier
        self._index = FamilyIndex(run.index)
        self._plan = earlier.families or FamilyPlan()

    def write(self) -> None:
        """Write all images that are not, family by family."""
        with SummaryFile(self._index) as summaries:
            kept = KeptSummaries(self._state)
            for images, data in kept.read():
                summaries.add(images, data)
            if self._earlier.families is None:
                self._summarize(kept, summaries)
                self._gather(summaries.gather())
            else:
                self._take_strays()
            self._write_round()
            while missed := self._index.list_missed():
                self._gather_again(summaries.gather(), missed)
                self._write_round()
        forget_palettes(self._state, (name for name, _ in self._run.index.list_groups()))

    # --- Which images are together.

    def _summarize(self, kept: KeptSummaries, summaries: SummaryFile) -> None:
        """Tell the colours of all images in brief that were not yet."""

        def take(done: Done) -> None:
            kept.add(done)
            summaries.add(done.summarized, done.colors)

        with self._job.watch.measure("summarize"):
            self._run.summarize(take)
            kept.keep()
        if self._run.index.count_counted() == 0:
            raise JobError(nothing_left_message(list_quarantined(self._run)))

    def _gather(self, gathered: Gathered) -> None:
        """Gather all images into families, and keep these."""
        with self._gathering():
            finder, rows = self._make_finder(gathered), np.arange(len(gathered.table))
            alone = np.split(rows[gathered.is_alone], np.arange(1, gathered.is_alone.sum()))
            others = finder.find(rows[~gathered.is_alone])
            families = finder.sort(each for each in (*others, *alone) if len(each))
            self._name_families(gathered.list_positions(each) for each in families)

    def _gather_again(
        self, gathered: Gathered, missed: list[tuple[NDArray[np.int64], NDArray[np.bool_]]]
    ) -> None:
        """Part families whose palettes miss the target, and keep what comes of it."""
        with self._gathering():
            failed = []
            for positions, is_beyond in missed:
                rows, firsts = np.unique(gathered.find_rows(positions), return_index=True)
                failed.append((rows, is_beyond[firsts]))
            is_last = self._plan.n_rounds >= _MAX_ROUNDS
            families = self._make_finder(gathered).part_again(failed, is_last=is_last)
            self._name_families(gathered.list_positions(each) for each in families)

    @contextmanager
    def _gathering(self) -> Iterator[None]:
        """Tell that images are gathered, and measure it."""
        self._job.listener(Event("gather", 0, None, "images"))
        with self._job.watch.measure("gather"):
            yield

    def _make_finder(self, gathered: Gathered) -> FamilyFinder:
        """Return what finds families among the rows of a table."""
        assert self._job.budget is not None, "families have a target"
        return FamilyFinder(gathered.table, self._job.fit, self._job.budget, self._job.listener)

    def _name_families(self, families: Iterable[NDArray[np.int64]]) -> None:
        """Give families names, and keep which images are in them, by their places."""
        n_names = self._plan.n_names
        for positions in families:
            n_names += 1
            self._index.set_family(f"family-{n_names}", positions)
        self._plan = FamilyPlan(self._plan.n_rounds + 1, n_names)
        keep_families(self._state, self._plan, self._index)

    def _take_strays(self) -> None:
        """Make families of images that can be read only now; raise `JobError` for new ones."""
        strays = list(self._index.list_strays())
        # Once all were written, it is not known any more what images in families were like.
        is_known = any(name.startswith(SUMMARIES_NAME) for name in self._earlier.names)
        new = [
            path
            for id, path, _, family in strays
            if id not in self._earlier.again and (is_known or family is None)
        ]
        if new:
            message = (
                f"{len(new):,} images are new, or changed, since families were found among the "
                f"others, such as {show_path(os.fsdecode(new[0]))}; give the sources as they were, "
                "or start afresh with --overwrite."
            )
            raise JobError(message)
        late = [np.array([position]) for _, _, position, group in strays if group is None]
        if late:
            self._name_families(late)

    # --- What is written.

    def _write_round(self) -> None:
        """Write the families whose palettes meet the target, and note where others miss it."""
        names = frozenset(self._state.list_names())
        self._earlier = replace(self._earlier, names=names)
        self._index.forget_counted()
        with self._job.watch.measure("relabel"):
            for name, n_images in self._run.index.list_groups():
                is_large = n_images > MAX_GROUP or self._earlier.has_palette(name)
                if name is not None and is_large:
                    self._write_large(name)
            self._run.quantize(lambda done: self._index.note_verdicts(done.verdicts))

    def _write_large(self, family: str) -> None:
        """Write a family that is too large for one task, if its palette meets the target."""
        if self._run.index.count_pending(group=family) == 0:
            return
        outcome = self._find_palette(family)
        if outcome is None:
            return
        self._measure(outcome.palette, family)
        if not self._index.is_missed(family):
            self._run.relabel(outcome.palette, outcome.classes, family)

    def _find_palette(self, family: str) -> ImageOutcome | None:
        """Return the palette of a family, fitted now or by an earlier run; None: of no image."""
        name = name_outcome(family)
        outcome = find_outcome(self._state, name)
        if outcome is not None:
            return outcome
        kept = KeptCounts(self._state, name_counts(family), self._run.executor)
        counts = count_shared(self._job, self._run, kept, family)
        if counts is None:
            return None
        with self._job.watch.measure("fit"):
            outcome = fit_counted(self._job, counts, self._run.executor)
        keep_outcome(self._state, outcome, name)
        return outcome

    def _measure(self, palette: Palette, family: str) -> None:
        """Tell for which images of a family a palette meets the target, but for what is known."""
        kept = KeptLines(self._state, name_verdicts(family))
        for lines, _ in kept.read():
            self._index.note_verdicts(Verdict(*each) for each in lines)

        def take(done: Done) -> None:
            self._index.note_verdicts(done.verdicts)
            kept.add(done.verdicts)

        with self._job.watch.measure("measure"):
            self._run.measure(palette, family, take)
            kept.keep()
