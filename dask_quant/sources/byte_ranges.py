"""Bytes of a file by their places: of one on disk, or of one that is held in memory or open.

Those of files far away are in `dask_quant.sources.remote_file`.

What reads a format in parts asks for ranges; nothing here knows a format.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Protocol

from dask_quant.errors import SourceError
from dask_quant.sources.header import show_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


class ByteSource(Protocol):
    """Something that hands out bytes by their places; equal ones hold the same."""

    def __hash__(self) -> int:
        """Return a number that equal ones share."""

    @property
    def name(self) -> str:
        """What the user calls it."""

    @property
    def held_bytes(self) -> int:
        """What a process holds of it however little is read."""

    @property
    def batch_bytes(self) -> int:
        """What a task holds of it as stored, beside what it is decoding."""

    def size(self) -> int:
        """Return its bytes."""

    def open(self) -> IO[bytes]:
        """Return it as a file that can be read and sought; whoever opens it closes it."""

    def read(self, ranges: Iterable[tuple[int, int]]) -> Iterator[bytes]:
        """Yield the bytes of each range ``(offset, length)``; fewer where it ends before."""


@dataclass(frozen=True)
class DiskFile:
    """A file on disk, as it was when it was first looked at."""

    name: str
    """What the user calls it."""
    path: str
    """Where it is, whatever the working folder."""
    n_bytes: int
    """Its size."""
    modified_ns: int
    """When it was last written."""

    held_bytes = batch_bytes = 0

    @classmethod
    def find(cls, path: str | Path) -> DiskFile:
        """Return a file as it is now; `OSError` when it is not there."""
        absolute = os.path.abspath(path)
        status = os.stat(absolute)
        return cls(str(path), absolute, status.st_size, status.st_mtime_ns)

    def size(self) -> int:
        """Return its bytes."""
        return self.n_bytes

    def __dask_tokenize__(self) -> Any:
        """Return what tells it from others; names need not be UTF-8."""
        return os.fsencode(self.path), self.n_bytes, self.modified_ns

    def open(self) -> IO[bytes]:
        """Return it opened; raise `SourceError` when it is no longer what it was."""
        file = open(self.path, "rb")  # noqa: SIM115 - whoever opens it closes it
        status = os.fstat(file.fileno())
        if (status.st_size, status.st_mtime_ns) == (self.n_bytes, self.modified_ns):
            return file
        file.close()
        message = (
            f"Cannot read {show_path(self.name)}: it was changed after it was opened; leave it "
            "unchanged until the job is done."
        )
        raise SourceError(message)

    def read(self, ranges: Iterable[tuple[int, int]]) -> Iterator[bytes]:
        """Yield the bytes of each range ``(offset, length)``; fewer where the file ends before."""
        with self.open() as file:
            for offset, length in ranges:
                yield os.pread(file.fileno(), length, offset)


@dataclass(frozen=True)
class OpenFile:
    """A file that someone else has opened, such as standard input held in memory."""

    file: IO[bytes]
    """The file, which can be sought."""

    held_bytes = batch_bytes = 0

    @property
    def name(self) -> str:
        """Its name where it has one."""
        name = getattr(self.file, "name", None)
        return name if isinstance(name, str) else "<stream>"

    def size(self) -> int:
        """Return its bytes."""
        return self.file.seek(0, io.SEEK_END)

    def open(self) -> IO[bytes]:
        """Return a copy of it in memory, so that closing it closes nothing else."""
        self.file.seek(0)
        return io.BytesIO(self.file.read())

    def read(self, ranges: Iterable[tuple[int, int]]) -> Iterator[bytes]:
        """Yield the bytes of each range ``(offset, length)``; fewer where it ends before."""
        for offset, length in ranges:
            self.file.seek(offset)
            yield self.file.read(length)
