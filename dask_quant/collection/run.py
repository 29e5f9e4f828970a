"""How a collection is worked through: batches for tasks, and an account of what comes back.

Nothing waits for the whole of anything: images come out of the index batch by batch, a few batches
are with the workers at a time, and what they say is on disk before it counts as done.
"""

from __future__ import annotations

import warnings
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from dask_quant import errors
from dask_quant.collection.children import do_task, stop_tasks
from dask_quant.collection.packing import PackTask
from dask_quant.collection.reading import set_aside
from dask_quant.collection.task import (
    COUNT,
    MEASURE,
    QUANTIZE,
    RELABEL,
    SUMMARIZE,
    Done,
    tell_briefly,
)
from dask_quant.errors import JobError
from dask_quant.events import Event, Notice, Tally
from dask_quant.image_rows import QUARANTINED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dask_quant.collection.counts import FleetingCounts
    from dask_quant.collection.index import Index
    from dask_quant.collection.items import Item
    from dask_quant.collection.output import Rows
    from dask_quant.collection.packing import Packing
    from dask_quant.collection.task import Work
    from dask_quant.execute import Executor
    from dask_quant.image_rows import ImageRow
    from dask_quant.palette import Palette

MAX_BATCH = 64
"""Images in a task at most: they share one wait for the disk (arbitrary)."""

MAX_GROUP = 64
"""Images up to which a group is counted, fitted and written in one task (arbitrary)."""

_FIRST_BATCH = 4
"""Images in a task before it is known how long they take (arbitrary)."""

_BATCH_S = 2.0
"""Seconds that a task is to take: progress is seen, and a kill costs little (arbitrary)."""

_BATCH_BYTES = 64_000_000
"""Bytes of files in a task, beyond which no further image joins it (arbitrary)."""

_TASKS_PER_THREAD = 4
"""Tasks for each thread at least, where there are enough images, so that none waits long for the
last one (arbitrary)."""

_MAX_WARNINGS = 20
"""Warnings about images that are passed on; how many others there are is said at the end."""


@dataclass(kw_only=True)
class CollectionRun:
    """What a run of a job on a collection has at hand."""

    index: Index
    """Its images."""
    executor: Executor
    """Where tasks run; its listener is told of progress."""
    work: Work
    """What all tasks have in common."""
    manifest: Rows
    """Where rows go."""
    strict: bool = False
    """Whether the first image that is set aside ends the job."""
    packing: Packing | None = None
    """Packs what is written into tar shards; None: outputs are files."""
    n_warnings: int = 0
    """Warnings about images so far."""
    tally: Tally = field(default_factory=Tally)
    """What this run has written and set aside so far."""

    def count(self, kept: FleetingCounts, group: str | None = None) -> Any:
        """Count the colours of all images that were not yet, or of those of a group. **Eager**.

        ``kept`` holds what was counted before. The `ColorHistogram` of all comes back where
        `Executor.hold` leaves it.
        """

        def take(done: Done, held: Any) -> None:
            kept.add(done, held)
            self.index.note_counted(done.counted)

        n_images = self.index.count_pending(uncounted=True, group=group)
        entries = self.index.iterate_pending(uncounted=True, group=group)
        work = replace(self.work, action=COUNT)
        self._run(work, entries, n_images, take, brief=tell_briefly)
        return kept.keep()

    def relabel(self, palette: Palette, classes: Palette | None, group: str | None = None) -> None:
        """Write all images, or those of a group, that are not, with one palette. **Eager**."""
        n_images = self.index.count_pending(group=group)
        entries = self.index.iterate_pending(group=group)
        work = replace(self.work, action=RELABEL, palette=palette, classes=classes)
        self._run(work, entries, n_images)

    def quantize(self, take: Callable[[Done], object] | None = None) -> None:
        """Write all images that are not, with a palette for each group. **Eager**.

        ``take`` is given what tasks did, as it comes.
        """
        n_images = self.index.count_pending(unjudged=True)
        entries = self.index.iterate_pending(unjudged=True, grouped=True)
        self._run(replace(self.work, action=QUANTIZE), entries, n_images, _without_held(take))

    def summarize(self, take: Callable[[Done], object]) -> None:
        """Tell the colours of all images in brief that were not yet. **Eager**.

        ``take`` is given what tasks did, as it comes.
        """
        n_images = self.index.count_pending(uncounted=True)
        entries = self.index.iterate_pending(uncounted=True)
        self._run(replace(self.work, action=SUMMARIZE), entries, n_images, _without_held(take))

    def measure(self, palette: Palette, group: str, take: Callable[[Done], object]) -> None:
        """Tell for which images of a group a palette meets the target, of those to be written.

        **Eager**. ``take`` is given what tasks did, as it comes.
        """
        n_images = self.index.count_pending(unjudged=True, group=group)
        entries = self.index.iterate_pending(unjudged=True, group=group)
        work = replace(self.work, action=MEASURE, palette=palette)
        self._run(work, entries, n_images, _without_held(take))

    def pack(self) -> None:
        """Pack the shards that are left; set images aside that go with others. **Eager**."""
        if self.packing is None:
            return
        n_shards, n_done, listen = self.packing.n_ready, 0, self.executor.listener
        with closing(self.executor.stream(PackTask.pack, self.packing.take_tasks())) as stream:
            for _ in stream:
                n_done += 1
                listen(Event("pack", n_done, n_shards, "shards"))
        self.packing.leave_out(self.manifest)

    def give_up(self, group: str, error: Exception) -> None:
        """Set all images of a group aside, to which no palette can be fitted. **Eager**."""
        entries = list(self.index.iterate_pending(group=group))
        rows = tuple(set_aside(self.work, item, error) for item, _ in entries)
        self._take_over(Done(rows=rows, n_images=len(rows)))

    def _run(
        self,
        work: Work,
        entries: Iterator[tuple[Item, int]],
        n_images: int,
        take: Callable[[Done, Any], object] | None = None,
        brief: Callable[[Done], Done] | None = None,
    ) -> None:
        """Have tasks do the work, and take over what they did.

        ``take`` is given that twice; or what ``brief`` makes of it, and the whole where it is held.
        """
        if n_images == 0:
            return
        n_done, listen = 0, self.executor.listener
        stage = RELABEL if work.action == QUANTIZE else work.action
        pace = _Pace(_most_images(n_images, self.executor.n_threads))
        listen(Event(stage, 0, n_images, "images"))
        batches = _make_batches(entries, pace)
        packing = self.packing if work.action in (QUANTIZE, RELABEL) else None
        stream = self.executor.stream(
            partial(do_task, work),
            batches if packing is None else packing.weave(batches),
            stop=partial(stop_tasks, work.run_id),
            brief=brief,
        )
        with closing(stream):
            for told in stream:
                done, held = (told, told) if brief is None else told
                pace.note(done)
                self._take_over(done)
                if take is not None:
                    take(done, held)
                n_done += done.n_images
                listen(Event(stage, n_done, n_images, "images", tally=self.tally))

    def _take_over(self, done: Done) -> None:
        """Record the rows of a task, and pass on its warnings."""
        self.manifest.append(done.rows)
        self.index.note_rows(done.rows)
        self.tally = add_rows(self.tally, done.rows)
        if self.packing is not None:
            self.packing.note(done.rows)
        first_bad = next((row for row in done.rows if row.status == QUARANTINED), None)
        if first_bad is not None and self.strict:
            message = f"{first_bad.error} The job is strict, and ends here; go on with --resume."
            raise JobError(message)
        for category, words in done.warned:
            self.n_warnings += 1
            if self.n_warnings <= _MAX_WARNINGS:
                warnings.warn(words, getattr(errors, category, UserWarning), stacklevel=2)

    def tell_warnings(self) -> None:
        """Say how many warnings were not passed on."""
        n_others = self.n_warnings - _MAX_WARNINGS
        if n_others > 0:
            self.executor.listener(Notice(f"{n_others:,} more warnings about images like these."))


def _without_held(
    take: Callable[[Done], object] | None,
) -> Callable[[Done, Any], object] | None:
    """Return what is given what tasks did, and not where it is held."""
    return None if take is None else lambda done, held: take(done)


def add_rows(tally: Tally, rows: Iterable[ImageRow]) -> Tally:
    """Return what is done with the images of further rows."""
    for row in rows:
        if row.status == QUARANTINED:
            tally = replace(tally, n_quarantined=tally.n_quarantined + 1)
        else:
            tally = replace(
                tally,
                n_images=tally.n_images + 1,
                n_pixels=tally.n_pixels + row.n_pixels,
                input_bytes=tally.input_bytes + (row.input_bytes or 0),
                output_bytes=tally.output_bytes + (row.output_bytes or 0),
            )
    return tally


def count_tasks(n_images: int, n_threads: int) -> int:
    """Return in how many tasks as many images are handled at least, on as many threads."""
    return -(-n_images // _most_images(n_images, n_threads))


def _most_images(n_images: int, n_threads: int) -> int:
    """Return the images in one task at most."""
    return max(1, min(MAX_BATCH, n_images // (_TASKS_PER_THREAD * n_threads)))


class _Pace:
    """How many images make a task, from how long they took so far."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._n_images, self._seconds = 0, 0.0

    def note(self, done: Done) -> None:
        """Learn from a task."""
        self._n_images += done.n_images
        self._seconds += done.n_seconds

    @property
    def n_images(self) -> int:
        """Images for the next task, at least 1."""
        each = self._seconds / self._n_images if self._n_images else 0.0
        planned = int(_BATCH_S / each) if each else _FIRST_BATCH
        return max(1, min(self._most, planned))


def _make_batches(entries: Iterator[tuple[Item, int]], pace: _Pace) -> Iterator[list[Item]]:
    """Yield images for one task after another; a group is never parted from itself."""
    batch: list[Item] = []
    n_bytes = 0
    for item, size in entries:
        is_inside = bool(batch) and item.group is not None and item.group == batch[-1].group
        if batch and not is_inside and (len(batch) >= pace.n_images or n_bytes > _BATCH_BYTES):
            yield batch
            batch, n_bytes = [], 0
        batch.append(item)
        n_bytes += size
    if batch:
        yield batch
