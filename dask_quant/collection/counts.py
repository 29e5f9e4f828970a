"""The colours that were counted so far, kept so that a long count can go on after a kill.

Two files: lines that say which images were counted, and what their pixels were, and an ``.npz`` of
the counts of all that stand in the first so many bytes of these lines, a number that is in its
name. Its rename is what makes them true: the images of lines beyond are counted again.
"""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from dask_quant.errors import DaskQuantError
from dask_quant.histogram import ColorHistogram
from dask_quant.sinks.atomic import report_os_errors, sync_file, write_file_atomically
from dask_quant.sinks.histogram_file import histogram_chunks
from dask_quant.sources.histogram_file import read_histogram

if TYPE_CHECKING:
    from pathlib import Path

    from dask_quant.collection.index import Index
    from dask_quant.collection.work import Done

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
    """Counts that are kept in a folder as they grow. **Eager**.

    Parameters
    ----------
    folder : Path
        Of the state of the job.
    name : str
        Beginning of the names of the files.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._lines_path = folder / f"{name}.jsonl"
        self._growing = GrowingCounts()
        self._kept_at = time.monotonic()
        self._cost = 0.0
        self._n_bytes = 0
        self._lines: list[bytes] = []

    def load(self, index: Index) -> None:
        """Take over what an earlier run kept."""
        found = self._find_kept()
        if found is None:
            self._lines_path.unlink(missing_ok=True)
            return
        self._n_bytes, histogram = found
        self._growing.add(histogram)
        with report_os_errors(self._lines_path):
            os.truncate(self._lines_path, self._n_bytes)
            with open(self._lines_path, "rb") as file:
                index.note_checksums(tuple(json.loads(line)) for line in file)

    def _find_kept(self) -> tuple[int, ColorHistogram] | None:
        """Return the most that was kept: how many bytes of lines, and their counts."""
        pattern = re.compile(rf"{re.escape(self._name)}-(\d+)\.npz")
        numbers = [
            int(match[1]) for name in os.listdir(self._folder) if (match := pattern.fullmatch(name))
        ]
        size = self._lines_path.stat().st_size if self._lines_path.is_file() else 0
        for number in sorted(numbers, reverse=True):
            with suppress(DaskQuantError):
                if number <= size:
                    return number, read_histogram(self._path_of(number))
        return None

    def _path_of(self, n_bytes: int) -> Path:
        """Return the file of the counts of so many bytes of lines."""
        return self._folder / f"{self._name}-{n_bytes}.npz"

    def add(self, done: Done) -> None:
        """Add what a task counted, and keep all so far once in a while."""
        assert done.histogram is not None, "the task was to count"
        self._growing.add(done.histogram)
        self._lines += [json.dumps(each).encode() + b"\n" for each in done.checksums]
        waited = time.monotonic() - self._kept_at
        if waited > CHECKPOINT_S and waited * CHECKPOINT_SHARE > self._cost:
            self.keep()

    def keep(self) -> ColorHistogram:
        """Keep all so far on disk, and return the counts."""
        begin = time.monotonic()
        histogram = self._growing.merge()
        data, self._lines = b"".join(self._lines), []
        earlier = self._path_of(self._n_bytes)
        with report_os_errors(self._lines_path):
            with open(self._lines_path, "ab") as file:
                file.truncate(self._n_bytes)
                file.write(data)
            sync_file(self._lines_path)
        self._n_bytes += len(data)
        path = self._path_of(self._n_bytes)
        write_file_atomically(path, histogram_chunks(histogram), overwrite=True)
        if earlier != path:
            earlier.unlink(missing_ok=True)
        self._kept_at = time.monotonic()
        self._cost = self._kept_at - begin
        return histogram

    def remove(self) -> None:
        """Forget what was kept, which is of no more use."""
        for path in (self._lines_path, self._path_of(self._n_bytes)):
            path.unlink(missing_ok=True)
