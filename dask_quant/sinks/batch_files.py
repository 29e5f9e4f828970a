"""The files of a task, which get their names together once all of them are on disk.

They wait under OUT in a folder of the job's own state, so that whatever kills the job leaves
nothing beside the outputs. To force each one to disk by itself as it is written would have the task
wait as many times; written first, they go to disk nearly as one.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from dask_quant.errors import OutputError
from dask_quant.sinks.atomic import report_os_errors, resolve_below, sync_file, sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dask_quant.sinks.object_folder import ObjectFolder


class Batch(Protocol):
    """Writes the files of a task."""

    def write(self, relative: str, chunks: Iterable[bytes]) -> int:
        """Write a file, which may wait for its name, and return its bytes."""

    def commit(self) -> None:
        """Have all files under their names, and where no failure of power reaches them."""

    def close(self) -> None:
        """Remove what waits."""


class Place(Protocol):
    """Where the outputs of tasks go; it can be pickled."""

    def open_batch(self) -> Batch:
        """Return what writes the files of a task."""


@dataclass(frozen=True)
class ObjectPlace:
    """A folder of an object store, where each output is whole from the first: it is one request."""

    folder: ObjectFolder
    """It."""

    def open_batch(self) -> Batch:
        """Return what writes the files of a task."""
        return self

    def write(self, relative: str, chunks: Iterable[bytes]) -> int:
        """Put a file, and return its bytes; errors are those of `ObjectFolder.write`."""
        data = b"".join(chunks)
        self.folder.write(relative, data)
        return len(data)

    def commit(self) -> None:
        """Do nothing: what was put is there."""

    def close(self) -> None:
        """Do nothing: nothing waits."""


@dataclass(frozen=True)
class LocalPlace:
    """A folder that outputs go to, and where they wait until they are whole."""

    root: str
    """The folder, as an absolute path."""
    scratch: str
    """Folder on the same file system, which the job removes."""
    keeps_same: bool = False
    """Whether a file that is there already, with the very same bytes, is left as it is."""

    def open_batch(self) -> Batch:
        """Return what writes the files of a task."""
        return BatchFiles(self)


class BatchFiles:
    """Writes files below a folder; `commit` gives them their names."""

    def __init__(self, place: LocalPlace) -> None:
        self._place = place
        self._root = Path(place.root)
        with report_os_errors(Path(place.scratch)):
            self._folder = tempfile.mkdtemp(dir=place.scratch)
        self._waiting: dict[Path, str] = {}
        self._folders: set[Path] = set()

    def write(self, relative: str, chunks: Iterable[bytes]) -> int:
        """Write a file that waits for its name, and return its bytes.

        Raises
        ------
        OutputError
            When it cannot be written, or would lie outside of the folder.
        """
        final = self._root / relative
        if final.parent not in self._folders:
            resolve_below(self._root, PurePosixPath(relative))
            with report_os_errors(final):
                final.parent.mkdir(parents=True, exist_ok=True)
            self._folders.add(final.parent)
        waiting = os.path.join(self._folder, str(len(self._waiting)))
        with report_os_errors(final), open(waiting, "wb") as file:
            file.writelines(chunks)
            n_bytes = file.tell()
        self._waiting[final] = waiting
        return n_bytes

    def commit(self) -> None:
        """Force all files to disk, and give them their names.

        Raises
        ------
        OutputError
            When the system refuses; then some may have their names already.
        """
        for final, waiting in self._waiting.items():
            with report_os_errors(final):
                sync_file(Path(waiting))
        for final, waiting in self._waiting.items():
            if self._place.keeps_same and _is_same_file(waiting, final):
                continue
            if final.is_dir():
                message = f"Cannot write {str(final)!r}: it is a folder; remove it, or rename it."
                raise OutputError(message)
            with report_os_errors(final):
                os.replace(waiting, final)
        for folder in {final.parent for final in self._waiting}:
            with report_os_errors(folder):
                sync_folder(folder)
        self.close()

    def close(self) -> None:
        """Remove what waits."""
        with suppress(OSError):
            shutil.rmtree(self._folder)


def _is_same_file(waiting: str, final: Path) -> bool:
    """Return whether there is a file already that is no link and holds the same bytes."""
    try:
        return not final.is_symlink() and filecmp.cmp(waiting, final, shallow=False)
    except OSError:
        return False
