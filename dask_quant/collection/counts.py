"""The colours that were counted so far, kept so that a long count can go on after a kill.

Each time, two names more, of a number and a token of their own: an ``.npz`` of the counts of all so
far; then lines that say which images were counted since the last time, and what their pixels were.
The lines make the counts true, together with those of all numbers before: other counts may be of a
worker that wrote them late, for a run that was gone.
"""

from __future__ import annotations

import json
import re
import secrets
import tempfile
import time
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

from dask_quant.collection.task import CountedImage
from dask_quant.errors import JobError, SourceError
from dask_quant.graphs.counting import merge_histograms
from dask_quant.histogram import ColorHistogram
from dask_quant.sinks.histogram_file import histogram_chunks
from dask_quant.sources.histogram_file import read_histogram

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dask_quant.collection.index import Index
    from dask_quant.collection.output import State
    from dask_quant.collection.task import Done
    from dask_quant.execute import Executor

CHECKPOINT_S = 20.0
"""Seconds of counting that a kill costs at most, but for `CHECKPOINT_SHARE` (arbitrary)."""

CHECKPOINT_SHARE = 0.05
"""Share of the time that keeping counts may take: 16 million of them are 200 MB (arbitrary)."""

_MERGE_COLORS = 1 << 22
"""Distinct colours that wait at least to be merged into a total, beside as many as it has
(arbitrary: 50 MB)."""

_HELD_COLORS = 1 << 23
"""Distinct colours that wait on all workers together to be merged by one (arbitrary: 100 MB)."""

_MAX_WAITING = 64
"""Tasks whose colours wait at most (arbitrary)."""


class GrowingCounts(Protocol):
    """Counts of a collection while it is counted. They stay where `Executor.hold` leaves them."""

    def start(self, counts: Any) -> None:
        """Take over counts of earlier images."""

    def add(self, done: Any, n_colors: int) -> None:
        """Add what a task did, which counted as many distinct colours."""

    def merge(self) -> Any:
        """Return the counts of all images so far."""


def grow_counts(executor: Executor) -> GrowingCounts:
    """Return counts of no image that can grow."""
    return HeldCounts(executor) if executor.is_distant else MergedCounts()


class MergedCounts:
    """Counts in this process, merged now and then; methods are those of `GrowingCounts`."""

    def __init__(self) -> None:
        self._total = ColorHistogram.empty()
        self._waiting: list[Done] = []
        self._n_waiting = 0

    def start(self, counts: ColorHistogram) -> None:
        """Take over counts of earlier images."""
        self._total = counts

    def add(self, done: Done, n_colors: int) -> None:
        """Add what a task did, which counted as many distinct colours."""
        self._waiting.append(done)
        self._n_waiting += n_colors
        if self._n_waiting > max(_MERGE_COLORS, len(self._total)):
            self.merge()

    def merge(self) -> ColorHistogram:
        """Return the counts of all images so far."""
        if self._waiting:
            self._total = _merge_tasks(self._waiting, self._total)
            self._waiting, self._n_waiting = [], 0
        return self._total


class HeldCounts:
    """Counts on the workers of a distant cluster, merged there as a tree that grows.

    Two of a level make one of the next, so that merges do not wait for one another. Methods are
    those of `GrowingCounts`.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._levels: list[Any] = []
        self._waiting: list[Any] = []
        self._n_waiting = 0

    def start(self, counts: Any) -> None:
        """Take over counts of earlier images."""
        self._carry(counts)

    def add(self, done: Any, n_colors: int) -> None:
        """Add what a task did, which counted as many distinct colours."""
        self._waiting.append(done)
        self._n_waiting += n_colors
        if self._n_waiting > _HELD_COLORS or len(self._waiting) >= _MAX_WAITING:
            self._carry(self._merge_waiting())

    def _merge_waiting(self) -> Any:
        """Return the counts of tasks that wait, which do so no more."""
        merged = self._executor.hold(_merge_tasks, self._waiting)
        self._waiting, self._n_waiting = [], 0
        return merged

    def _carry(self, counts: Any) -> None:
        """Put counts in the first level that is free, merged with those of the levels before."""
        for level, other in enumerate(self._levels):
            if other is None:
                self._levels[level] = counts
                return
            self._levels[level] = None
            counts = self._executor.hold(merge_histograms, [other, counts])
        self._levels.append(counts)

    def merge(self) -> Any:
        """Return the counts of all images so far."""
        total = self._merge_waiting()
        for other in self._levels:
            if other is not None:
                total = self._executor.hold(merge_histograms, [other, total])
        self._levels = [*[None] * max(0, len(self._levels) - 1), total]
        return total


def _merge_tasks(tasks: Sequence[Done], *others: ColorHistogram) -> ColorHistogram:
    """Merge what tasks counted, and other counts."""
    counted = [done.histogram for done in tasks if done.histogram is not None]
    return ColorHistogram.merge_all([*others, *counted])


class FleetingCounts:
    """Counts of a collection, of which tasks count one part after another. **Eager**."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._growing = grow_counts(executor)
        self._n_pixels = 0

    def add(self, done: Done, held: Any) -> None:
        """Add what a task counted, in figures, and as it is held."""
        self._growing.add(held, done.n_unique_colors)
        self._n_pixels += done.n_pixels

    def keep(self) -> Any:
        """Return the counts of all so far, where they are held.

        Raises
        ------
        JobError
            When images are not what they were when they were counted.
        """
        counts = self._growing.merge()
        _check_pixels(self._executor.call(_count_pixels, counts), self._n_pixels)
        return counts


class KeptCounts(FleetingCounts):
    """Counts that are kept in the state of a job as they grow. **Eager**.

    Parameters
    ----------
    state : State
        Of the job.
    name : str
        Beginning of the names.
    executor : Executor
        The counts stay, and are written and read, where its `hold` leaves them.
    """

    def __init__(self, state: State, name: str, executor: Executor) -> None:
        super().__init__(executor)
        self._state, self._name = state, name
        self._kept_at = time.monotonic()
        self._cost = 0.0
        self._names: list[str] = []
        self._lines: list[bytes] = []

    def load(self, index: Index, *, is_fitted: bool = False) -> bool:
        """Take over what an earlier run kept, the most that is whole.

        Returns whether all images that were counted are there, as they were; else nothing is taken
        over, nor kept any more. Once a palette ``is_fitted`` to them that is no question.
        """
        names = self._list_names()
        for number in range(len(names), 0, -1):
            stem = names[number - 1]
            lines = self._read_lines(names[:number])
            if lines is None or not (is_fitted or self._take_over(stem)):
                continue
            if not (is_fitted or all(index.is_as_then(each.id, each.modified) for each in lines)):
                self._discard_others([])
                self._growing, self._n_pixels = grow_counts(self._executor), 0
                return False
            self._names = names[:number]
            index.note_counted(lines)
            break
        if not is_fitted:
            self._discard_others(self._names)
        return True

    def _take_over(self, stem: str) -> bool:
        """Begin with counts that were kept; return whether these are whole."""
        try:
            self._begin_with(stem)
        except SourceError:
            return False
        return True

    def _begin_with(self, stem: str) -> Any:
        """Begin, or go on, with counts that were kept, and return them.

        To go on with them where they come from a file spares a worker that makes up for one that
        died what they were made of before, down to the file before, which is removed.
        """
        counts = self._executor.hold(_read_counts, self._state, f"{stem}.npz")
        self._n_pixels = self._executor.call(_count_pixels, counts)
        self._growing = grow_counts(self._executor)
        self._growing.start(counts)
        return counts

    def _read_lines(self, stems: Sequence[str]) -> list[CountedImage] | None:
        """Return what the lines of names say, None where some are missing or damaged."""
        found: list[CountedImage] = []
        for stem in stems:
            lines = self._state.read(f"{stem}.jsonl")
            try:
                found += [CountedImage(*each) for each in map(json.loads, _split(lines))]
            except (TypeError, ValueError):
                return None
        return found

    def _list_names(self) -> list[str]:
        """Return the names of all lines that are there, from the first, less their suffix."""
        pattern = re.compile(rf"{re.escape(self._name)}-(\d+)-[0-9a-f]+\.jsonl")
        found = {}
        for name in self._state.list_names():
            match = pattern.fullmatch(name)
            if match is not None:
                found[int(match[1])] = name.removesuffix(".jsonl")
        n_whole = next(number for number in count(1) if number not in found) - 1
        return [found[number] for number in range(1, n_whole + 1)]

    def _discard_others(self, stems: Sequence[str]) -> None:
        """Remove all of these counts but the lines of ``stems``, and what the last came to."""
        pattern = re.compile(rf"{re.escape(self._name)}-\d+-[0-9a-f]+\.(npz|jsonl)")
        kept = {f"{stem}.jsonl" for stem in stems} | {f"{stem}.npz" for stem in stems[-1:]}
        names = [name for name in self._state.list_names() if pattern.fullmatch(name)]
        self._state.discard(*(name for name in names if name not in kept))

    def add(self, done: Done, held: Any) -> None:
        """Add what a task counted, and keep all so far once in a while."""
        super().add(done, held)
        self._lines += [json.dumps(each).encode() + b"\n" for each in done.counted]
        waited = time.monotonic() - self._kept_at
        if waited > CHECKPOINT_S and waited * CHECKPOINT_SHARE > self._cost:
            self.keep()

    def keep(self) -> Any:
        """Keep all so far, and return the counts; errors are those of `FleetingCounts.keep`."""
        begin = time.monotonic()
        counts = super().keep()
        if self._lines:
            stem = f"{self._name}-{len(self._names) + 1}-{secrets.token_hex(4)}"
            self._executor.call(_write_counts, self._state, f"{stem}.npz", counts)
            if self._executor.is_distant:
                counts = self._begin_with(stem)
            self._state.write(f"{stem}.jsonl", self._lines)
            self._state.discard(*(f"{earlier}.npz" for earlier in self._names[-1:]))
            self._names.append(stem)
            self._lines = []
        self._kept_at = time.monotonic()
        self._cost = self._kept_at - begin
        return counts


def _check_pixels(n_merged: int, n_counted: int) -> None:
    """Raise `JobError` unless as many pixels came together as tasks have counted.

    Where a worker dies, what it counted is counted once more, if images are still as they were.
    """
    if n_merged != n_counted:
        message = (
            f"Got {n_merged:,} pixels where {n_counted:,} were counted: images changed, or went, "
            "while a worker that had died was made up for; go on with --resume."
        )
        raise JobError(message)


def _count_pixels(counts: ColorHistogram) -> int:
    """Return the pixels of counts."""
    return counts.n_pixels


def _write_counts(state: State, name: str, counts: ColorHistogram) -> None:
    """Keep counts. **Eager**."""
    state.write(name, histogram_chunks(counts))


def _read_counts(state: State, name: str) -> ColorHistogram:
    """Return counts that were kept. **Eager**.

    Raises
    ------
    SourceError
        When there are none, or they are damaged.
    """
    data = state.read(name)
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        file.write(data or b"")
        file.flush()
        return read_histogram(file.name)


def _split(lines: bytes | None) -> list[bytes]:
    """Return lines; raise `ValueError` where there are none, or the last is torn."""
    if lines is None or not lines.endswith(b"\n"):
        raise ValueError("torn")
    return lines.splitlines()
