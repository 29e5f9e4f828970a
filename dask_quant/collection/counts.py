"""The colours that were counted so far, kept so that a long count can go on after a kill.

Each time, two names more: lines that say which images were counted since the last time, and what
their pixels were; then an ``.npz`` of the counts of all so far. That is what makes the lines true,
up to its number: the images of others are counted again.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from dask_quant.collection.task import CountedImage
from dask_quant.errors import DaskQuantError
from dask_quant.histogram import ColorHistogram
from dask_quant.sinks.histogram_file import histogram_chunks
from dask_quant.sources.histogram_file import read_histogram

if TYPE_CHECKING:
    from dask_quant.collection.index import Index
    from dask_quant.collection.output import State
    from dask_quant.collection.task import Done

CHECKPOINT_S = 20.0
"""Seconds of counting that a kill costs at most, but for `CHECKPOINT_SHARE` (arbitrary)."""

CHECKPOINT_SHARE = 0.05
"""Share of the time that keeping counts may take: 16 million of them are 200 MB (arbitrary)."""

_MERGE_COLORS = 1 << 22
"""Distinct colours that wait at least to be merged into a total, beside as many as it has
(arbitrary: 50 MB)."""


class GrowingCounts:
    """Counts of a collection while it is counted, merged now and then."""

    def __init__(self) -> None:
        self._total = ColorHistogram.empty()
        self._waiting: list[ColorHistogram] = []
        self._n_waiting = 0

    def add(self, histogram: ColorHistogram) -> None:
        """Add the counts of some images."""
        self._waiting.append(histogram)
        self._n_waiting += len(histogram)
        if self._n_waiting > max(_MERGE_COLORS, len(self._total)):
            self.merge()

    def merge(self) -> ColorHistogram:
        """Return the counts of all images so far."""
        if self._waiting:
            self._total = ColorHistogram.merge_all([self._total, *self._waiting])
            self._waiting, self._n_waiting = [], 0
        return self._total


class KeptCounts:
    """Counts that are kept in the state of a job as they grow. **Eager**.

    Parameters
    ----------
    state : State
        Of the job.
    name : str
        Beginning of the names.
    """

    def __init__(self, state: State, name: str) -> None:
        self._state, self._name = state, name
        self._growing = GrowingCounts()
        self._kept_at = time.monotonic()
        self._cost = 0.0
        self._n_kept = 0
        self._lines: list[bytes] = []

    def load(self, index: Index, *, is_fitted: bool = False) -> bool:
        """Take over what an earlier run kept, the most that is whole.

        Returns whether all images that were counted are there, as they were; else nothing is taken
        over, nor kept any more. Once a palette ``is_fitted`` to them that is no question.
        """
        for number in sorted(self._list_kept(), reverse=True):
            histogram, lines = self._read_counts(number), self._read_lines(number)
            if histogram is None or lines is None:
                continue
            if not (is_fitted or all(index.is_as_then(each.id, each.modified) for each in lines)):
                self._state.discard(*self._list_names())
                return False
            self._growing.add(histogram)
            self._n_kept = number
            index.note_counted(lines)
            return True
        return True

    def _read_lines(self, number: int) -> list[CountedImage] | None:
        """Return what the lines up to a number say, None where some are missing or damaged."""
        found: list[CountedImage] = []
        for each in range(1, number + 1):
            lines = self._state.read(f"{self._name}-{each}.jsonl")
            try:
                found += [CountedImage(*each) for each in map(json.loads, _split(lines))]
            except (TypeError, ValueError):
                return None
        return found

    def _list_kept(self) -> list[int]:
        """Return the numbers of all counts that are there."""
        names = [name for name in self._list_names() if name.endswith(".npz")]
        return [int(name.rpartition("-")[2].removesuffix(".npz")) for name in names]

    def _list_names(self) -> list[str]:
        """Return all names that are of these counts."""
        pattern = re.compile(rf"{re.escape(self._name)}-\d+\.(npz|jsonl)")
        return [name for name in self._state.list_names() if pattern.fullmatch(name)]

    def _read_counts(self, number: int) -> ColorHistogram | None:
        """Return counts, None where they are damaged."""
        data = self._state.read(f"{self._name}-{number}.npz")
        with tempfile.NamedTemporaryFile(suffix=".npz") as file, suppress(DaskQuantError):
            file.write(data or b"")
            file.flush()
            return read_histogram(file.name)
        return None

    def add(self, done: Done) -> None:
        """Add what a task counted, and keep all so far once in a while."""
        assert done.histogram is not None, "the task was to count"
        self._growing.add(done.histogram)
        self._lines += [json.dumps(each).encode() + b"\n" for each in done.counted]
        waited = time.monotonic() - self._kept_at
        if waited > CHECKPOINT_S and waited * CHECKPOINT_SHARE > self._cost:
            self.keep()

    def keep(self) -> ColorHistogram:
        """Keep all so far, and return the counts."""
        begin = time.monotonic()
        histogram = self._growing.merge()
        if self._lines:
            self._n_kept += 1
            self._state.write(f"{self._name}-{self._n_kept}.jsonl", self._lines)
            self._state.write(f"{self._name}-{self._n_kept}.npz", histogram_chunks(histogram))
            self._state.discard(f"{self._name}-{self._n_kept - 1}.npz")
            self._lines = []
        self._kept_at = time.monotonic()
        self._cost = self._kept_at - begin
        return histogram


def _split(lines: bytes | None) -> list[bytes]:
    """Return lines; raise `ValueError` where there are none, or the last is torn."""
    if lines is None or not lines.endswith(b"\n"):
        raise ValueError("torn")
    return lines.splitlines()
