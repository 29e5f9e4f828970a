"""The members of a tar file, one after another, by their headers alone.

What lies between headers is not read, and nothing of it is held. A file of which some is damaged
gives what is in front of that, and then the damage: without a header nobody knows where the next
one is.
"""

from __future__ import annotations

import io
import tarfile
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

DAMAGED, CUT_OFF, UNFINISHED, COMPRESSED = "damaged", "cut off", "unfinished", "compressed"
"""What can be wrong with a tar file."""

_BLOCK_BYTES = 512

_MAX_HEADER_BYTES = 1 << 20
"""Bytes that a header may take (arbitrary): a long name takes some hundred, and one that claims
more would be read into memory."""

_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
"""How files of gzip, bzip2, xz and Zstandard begin."""

_DAMAGE = (tarfile.TarError, ValueError, OverflowError, RecursionError)
"""What headers that are damaged, or made to do harm, raise."""


class Member(NamedTuple):
    """A member that is not a folder."""

    name: str
    """As written: it may be absolute, or lead out of a folder."""
    offset: int
    """Where its bytes begin."""
    size: int
    """How many there are."""
    is_plain: bool = True
    """Whether it is a file, and all of its bytes are in one place; not a link."""


class Damage(NamedTuple):
    """Where a file cannot be read any further."""

    offset: int
    """From which byte on."""
    kind: str
    """`DAMAGED`, `CUT_OFF`, `UNFINISHED` or `COMPRESSED`."""


class _Headers:
    """A file of which no long stretch is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, n_bytes: int) -> bytes:
        """Return so many bytes, or raise `tarfile.ReadError`."""
        if not 0 <= n_bytes <= _MAX_HEADER_BYTES:
            raise tarfile.ReadError("a header that is too long")
        return self._file.read(n_bytes)


class Entry(NamedTuple):
    """A member of any kind, as its header has it."""

    header: tarfile.TarInfo
    """What its header says."""
    opened: tarfile.TarFile
    """What reads its bytes."""

    @property
    def is_plain(self) -> bool:
        """As in `Member`."""
        return self.header.isreg() and not self.header.issparse()


def list_members(file: IO[bytes]) -> Iterator[Member | Damage]:
    """Yield the members of a tar file, and at its end what is wrong with it, if anything is.

    Parameters
    ----------
    file : binary file
        It can be sought; reading it raises what it likes.

    Notes
    -----
    Peak memory: one header, of a megabyte at most.
    """
    for found in walk_entries(file):
        if isinstance(found, Damage):
            yield found
        elif not found.header.isdir():
            header = found.header
            yield Member(header.name, header.offset_data, header.size, found.is_plain)


def walk_entries(file: IO[bytes]) -> Iterator[Entry | Damage]:
    """Yield all members of a tar file, folders included, otherwise as `list_members` does.

    Whoever is given one may read its bytes before asking for the next.
    """
    n_bytes, at = file.seek(0, io.SEEK_END), 0
    file.seek(0)
    if file.read(8).startswith(_COMPRESSED):
        yield Damage(0, COMPRESSED)
        return
    file.seek(0)
    try:
        headers = tarfile.TarFile(
            fileobj=_Headers(file),  # type: ignore[arg-type]
            encoding="utf-8",
            errors="surrogateescape",
        )
        while (found := headers.next()) is not None:
            if found.offset < at or found.size < 0:  # made to have us go round in circles
                yield Damage(at, DAMAGED)
                return
            # What a sparse file has is less than its size.
            if not found.issparse() and found.offset_data + found.size > n_bytes:
                yield Damage(found.offset, CUT_OFF)
                return
            at = headers.offset
            headers.members.clear()  # type: ignore[attr-defined]  # it would keep all
            yield Entry(found, headers)
    except _DAMAGE:
        yield Damage(at, CUT_OFF if at + _BLOCK_BYTES > n_bytes else DAMAGED)
        return
    yield from _look_at_end(file, at)


def _look_at_end(file: IO[bytes], at: int) -> Iterator[Damage]:
    """Yield what is wrong with a file behind its last member: a block of zeros has to follow."""
    file.seek(at)
    block = file.read(_BLOCK_BYTES)
    if not block:
        yield Damage(at, UNFINISHED)
    elif len(block) < _BLOCK_BYTES:
        yield Damage(at, CUT_OFF)
    elif any(block):
        yield Damage(at, DAMAGED)
