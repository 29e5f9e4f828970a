"""An output folder of an object store."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dask_quant.collection.output import Output
from dask_quant.errors import DaskQuantError
from dask_quant.image_rows import parse_rows
from dask_quant.sinks.batch_files import ObjectPlace
from dask_quant.sinks.object_folder import ObjectFolder
from dask_quant.sinks.object_state import check_empty, open_object_state
from dask_quant.sources.addresses import join_url
from dask_quant.sources.header import show_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from dask_quant.image_rows import ImageRow

_PUT_S = 5.0
"""Seconds of rows that are put into an object store together at least (arbitrary): what a kill
loses of them is done again."""

_PUT_SHARE = 0.01
"""Share of the time so far that such rows may be of (arbitrary): ten hours are 500 segments."""


@dataclass(frozen=True)
class RemoteFolder:
    """A folder of an object store that outputs go to; see `OutputFolder`."""

    target: str
    """Its address."""

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Raise `OutputExistsError` where something is in the way. **Eager**."""
        check_empty(ObjectFolder(self.target), resume=resume, overwrite=overwrite)

    @contextmanager
    def open(
        self, identity: Mapping[str, Any], *, resume: bool, overwrite: bool
    ) -> Iterator[Output]:
        """Open it for one job; see `OutputFolder`. **Eager**."""
        folder = ObjectFolder(self.target)
        with open_object_state(folder, identity, resume=resume, overwrite=overwrite) as state:
            rows = _PutRows(folder)
            try:
                yield Output(state, rows, ObjectPlace(folder))
            except BaseException:
                with suppress(DaskQuantError):  # what went wrong first is what counts
                    rows.flush()
                raise
            rows.flush()
            folder.join_rows()

    def name(self, relative: str) -> str:
        """Return what a report calls an output, without secrets."""
        return show_path(join_url(self.target, relative))

    def measure(self, relative: str) -> int:
        """Return -1: objects are not asked for, a million requests would take an hour."""
        return -1


class _PutRows:
    """The manifest of an output folder in an object store."""

    def __init__(self, folder: ObjectFolder) -> None:
        self._folder = folder
        self._lines: list[bytes] = []
        self._begun_at = self._put_at = time.monotonic()

    def append(self, rows: Iterable[ImageRow]) -> None:
        """Add rows, which are put once in a while."""
        self._lines += [row.to_line() for row in rows]
        now = time.monotonic()
        if now - self._put_at > max(_PUT_S, _PUT_SHARE * (now - self._begun_at)):
            self.flush()

    def flush(self) -> None:
        """Put the rows that wait."""
        if self._lines:
            self._folder.put_rows(b"".join(self._lines))
            self._lines = []  # what could not be put waits on
        self._put_at = time.monotonic()

    def rewrite(self, change: Callable[[ImageRow], ImageRow | None]) -> None:
        """Put others in place of rows, or remove them, all at once."""
        if all(change(row) is row for row in self.read_rows()):
            return
        self._folder.join_rows()
        self._folder.rewrite_rows(
            lambda: (row.to_line() for row in filter(None, map(change, self.read_rows())))
        )

    def read_rows(self) -> Iterator[ImageRow]:
        """Yield all rows, one after another."""
        self.flush()
        for lines in self._folder.read_rows():
            yield from parse_rows(lines.splitlines(keepends=True))
