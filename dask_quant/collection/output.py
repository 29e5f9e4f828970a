"""Where the outputs of a collection go, with its manifest and the state of its job.

A folder of this machine, or one of an object store: what runs a job does not know which.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dask_quant.collection.manifest import Manifest, parse_rows
from dask_quant.errors import DaskQuantError, OutputExistsError
from dask_quant.sinks.atomic import report_os_errors, sync_folder
from dask_quant.sinks.batch_files import LocalPlace, ObjectPlace
from dask_quant.sinks.object_folder import ObjectFolder
from dask_quant.sinks.object_state import check_empty, explain_taken, open_object_state
from dask_quant.sinks.state_folder import (
    LOCK_NAME,
    MANIFEST_NAME,
    STATE_NAME,
    holds_state,
    open_state,
)
from dask_quant.sources.addresses import join_url
from dask_quant.sources.header import show_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from dask_quant.collection.items import ImageRow
    from dask_quant.sinks.batch_files import Place

_SCRATCH_NAME = "scratch"
"""Beginning of the name of the folder of the state in which outputs wait for their names."""

_PUT_S = 5.0
"""Seconds of rows that are put into an object store together at least (arbitrary): what a kill
loses of them is done again."""

_PUT_SHARE = 0.01
"""Share of the time so far that such rows may be of (arbitrary): ten hours are 500 segments."""


class State(Protocol):
    """The state of a job; see `dask_quant.sinks.state_folder.StateFolder`."""

    @property
    def is_resumed(self) -> bool:
        """Whether it holds what an earlier run of the same job left."""

    @property
    def notice(self) -> str | None:
        """A line for the user where the earlier run had other software; None otherwise."""

    def write_json(self, name: str, value: Any) -> None:
        """Keep a JSON-ready value."""

    def read_json(self, name: str) -> Any:
        """Return the value of a name, None where there is none."""

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        """Keep bytes."""

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a name, None where there are none."""

    def list_names(self) -> list[str]:
        """Return all names."""

    def discard(self, *names: str) -> None:
        """Forget names."""


class Rows(Protocol):
    """The manifest of a job; see `dask_quant.collection.manifest.Manifest`."""

    def append(self, rows: Iterable[ImageRow]) -> None:
        """Add rows."""

    def drop(self, is_dropped: Callable[[ImageRow], bool]) -> None:
        """Remove rows."""

    def read_rows(self) -> Iterator[ImageRow]:
        """Yield all rows."""


@dataclass(frozen=True)
class Output:
    """An output folder that a run may write to."""

    target: Path | str
    """The folder, or its address."""
    state: State
    """The state of the job."""
    manifest: Rows
    """Its manifest."""
    place: Place
    """What tasks write to."""

    def name(self, relative: str) -> str:
        """Return what a report calls an output."""
        return name_output(self.target, relative)

    def measure(self, relative: str) -> int | None:
        """Return the bytes of an output, None where it is gone; objects are not asked for: -1."""
        if not isinstance(self.target, Path):
            return -1
        try:
            return os.lstat(self.target / relative).st_size
        except OSError:
            return None


def name_output(target: Path | str, relative: str) -> str:
    """Return what a report calls an output below a folder, or below an address."""
    if isinstance(target, Path):
        return str(target / relative)
    return show_path(join_url(target, relative))


@contextmanager
def open_output(
    target: Path | str, identity: Mapping[str, Any], *, resume: bool, overwrite: bool
) -> Iterator[Output]:
    """Open an output folder, or one of an object store by its address, for one job. **Eager**.

    Raises
    ------
    OutputExistsError
        When it is not empty, and neither to be replaced nor to be gone on with.
    JobError
        When another run writes there, or the job to go on with is another.
    OutputError
        When it cannot be written.
    """
    opened = _open_local if isinstance(target, Path) else _open_remote
    with opened(target, identity, resume, overwrite) as output:
        yield output


@contextmanager
def _open_local(
    target: Any, identity: Mapping[str, Any], resume: bool, overwrite: bool
) -> Iterator[Output]:
    """Open a folder of this machine."""
    path, manifest_path = target / STATE_NAME, target / MANIFEST_NAME

    def start() -> None:
        """Let no earlier manifest be taken for that of this job."""
        check_target(target, resume=resume, overwrite=overwrite)
        with report_os_errors(manifest_path):
            manifest_path.unlink(missing_ok=True)
            sync_folder(target)

    reusing = {"resume": resume, "overwrite": overwrite}
    with open_state(path, identity, shown=str(target), start=start, **reusing) as state:
        manifest = Manifest(manifest_path, keeps=state.is_resumed)
        # A name of its own: tasks of an earlier run, wherever they still are, then write nothing.
        scratch = path.absolute() / f"{_SCRATCH_NAME}-{secrets.token_hex(6)}"
        try:
            with report_os_errors(scratch):
                for left in path.glob(f"{_SCRATCH_NAME}-*"):
                    shutil.rmtree(left, ignore_errors=True)
                scratch.mkdir()
            place = LocalPlace(os.path.abspath(target), str(scratch), keeps_same=state.is_resumed)
            yield Output(target, state, manifest, place)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            manifest.close()


@contextmanager
def _open_remote(
    target: Any, identity: Mapping[str, Any], resume: bool, overwrite: bool
) -> Iterator[Output]:
    """Open a folder of an object store."""
    folder = ObjectFolder(target)
    with open_object_state(folder, identity, resume=resume, overwrite=overwrite) as state:
        rows = _PutRows(folder)
        try:
            yield Output(target, state, rows, ObjectPlace(folder))
        except BaseException:
            with suppress(DaskQuantError):  # what went wrong first is what counts
                rows.flush()
            raise
        rows.flush()
        folder.join_rows()


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

    def drop(self, is_dropped: Callable[[ImageRow], bool]) -> None:
        """Remove rows, all at once."""
        if any(map(is_dropped, self.read_rows())):
            self._folder.join_rows()
            self._folder.rewrite_rows(
                lambda: (row.to_line() for row in self.read_rows() if not is_dropped(row))
            )

    def read_rows(self) -> Iterator[ImageRow]:
        """Yield all rows, one after another."""
        self.flush()
        for lines in self._folder.read_rows():
            yield from parse_rows(lines.splitlines(keepends=True))


def check_target(target: Path | str, *, resume: bool, overwrite: bool) -> None:
    """Raise `OutputExistsError` where something is in the way. **Eager**."""
    if not isinstance(target, Path):
        check_empty(ObjectFolder(target), resume=resume, overwrite=overwrite)
        return
    if os.path.lexists(target) and not target.is_dir():
        message = f"Got the output {str(target)!r} for images in a folder, but it is a file."
        raise OutputExistsError(message)
    if overwrite or not target.is_dir() or not any(map(_is_in_the_way, target.iterdir())):
        return
    is_ours = holds_state(target / STATE_NAME)
    if not (resume and is_ours):
        raise OutputExistsError(explain_taken(str(target), is_ours=is_ours, resume=resume))


def _is_in_the_way(path: Path) -> bool:
    """Return whether an entry of a folder is more than what a job leaves that never started."""
    if path.name != STATE_NAME or path.is_symlink() or not path.is_dir():
        return True
    return any(each.name != LOCK_NAME for each in path.iterdir())
