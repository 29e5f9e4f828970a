"""Outputs below a folder of an object store: each appears whole, by one request, or not at all.

Objects cannot be appended to, so that the rows of a manifest are put as segments, numbered in the
order in which they come, and joined to one object when the job is done::

    manifest.jsonl                          rows of runs that were joined
    .dask-quant/manifest-000001.jsonl       rows since then
    .dask-quant/joining                     while they are joined: see `ObjectFolder.join_rows`
    .dask-quant/lock                        while a run writes here: see `object_lock`

Whatever a store refuses is tried again; text of libraries is passed on without names and passwords.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask_quant.errors import OutputError, OutputExistsError, SourceNotFoundError
from dask_quant.sinks.atomic import write_file_atomically
from dask_quant.sinks.object_lock import hold_lock
from dask_quant.sinks.state_folder import MANIFEST_NAME, STATE_NAME
from dask_quant.sources.addresses import join_url
from dask_quant.sources.file_systems import open_file_system
from dask_quant.sources.header import show_path
from dask_quant.sources.object_pages import walk_objects
from dask_quant.sources.object_ranges import insist, read_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dask_quant.sinks.object_lock import ObjectLock

LOCK = f"{STATE_NAME}/lock"
_JOINING = f"{STATE_NAME}/joining"

_SEGMENT = re.compile(rf"{re.escape(STATE_NAME)}/manifest-(\d+)\.jsonl")

_N_DIGITS = 6
"""Digits of a segment's number, with zeros in front; more where it is larger (arbitrary)."""

_PART_BYTES = 1 << 26
"""Bytes of a long object that are put, or asked for, at a time (arbitrary); S3 takes 10,000."""


@dataclass
class ObjectFolder:
    """A folder of an object store that outputs are written to. Small, and can be pickled."""

    url: str = field(repr=False)
    """Its address, with all that its store asks for."""
    _n_segments: int | None = None
    """Number of the last segment that is known to be there; None: they were not looked for."""

    _held: ObjectLock | None = None
    """The lock, while this process holds it."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what it is made of in another process, which holds no lock and puts no rows."""
        return ObjectFolder, (self.url,)

    @property
    def name(self) -> str:
        """What messages call it: its address, less names, passwords and queries."""
        return show_path(self.url)

    def write(self, relative: str, data: bytes) -> None:
        """Put an object, in place of one that is there.

        Parameters
        ----------
        relative : str
            Its path below the folder, with slashes.
        data : bytes
            What it holds.

        Raises
        ------
        OutputError
            When the path leads out of the folder, or the store refuses.
        """
        file_system, path = self._open(relative)
        self._insist("write", relative, partial(_put, file_system, path, data))

    def create(self, relative: str, data: bytes) -> bool:
        """Put an object unless there is one, and return whether there is none but this.

        Stores that can make sure of it are asked to, and those that cannot are looked at before.

        Raises
        ------
        OutputError
            As for `write`.
        """
        file_system, path = self._open(relative)
        try:
            self._insist("write", relative, partial(_create, file_system, path, data))
        except OutputExistsError:
            # Where the answer to an earlier attempt was lost, it is this one that is there.
            return self.read(relative) == data
        return True

    def read(self, relative: str) -> bytes | None:
        """Return what an object holds; None where there is none.

        Raises
        ------
        SourceError
            When it cannot be read.
        """
        file_system, path = self._open(relative)
        url = join_url(self.url, relative)
        try:
            return insist(url, partial(read_object, file_system, path))
        except SourceNotFoundError:
            return None

    def exists(self, relative: str) -> bool:
        """Return whether there is an object; errors are those of `read`."""
        return self._look(relative) is not None

    def list(self, folder: str = "") -> Iterator[str]:
        """Yield the paths of all objects below the folder, or below one in it, a page at a time.

        Raises
        ------
        SourceError
            When they cannot be listed.
        """
        url = join_url(self.url, folder) if folder else self.url
        place = f"{folder.rstrip('/')}/" if folder else ""
        try:
            for entry in walk_objects(url, lambda below: False):
                yield place + entry.below
        except SourceNotFoundError:  # stores with folders say so of one that is not there
            return

    def remove(self, relative: str) -> None:
        """Remove an object, if there is one.

        Raises
        ------
        OutputError
            When the store refuses.
        """
        file_system, path = self._open(relative)
        self._insist("remove", relative, partial(_remove, file_system, path))

    def put_rows(self, lines: bytes) -> None:
        """Put rows of the manifest as a segment of their own, behind all others.

        Parameters
        ----------
        lines : bytes
            Whole lines, each with its end.

        Raises
        ------
        OutputError, SourceError
            When the store refuses.
        """
        if self._held is not None:
            self._held.check()
        if self._n_segments is None:
            self._finish_joining()  # else rows would get numbers of which it says they are joined
            self._n_segments = max((number for number, _ in self._list_segments()), default=0)
        while True:
            self._n_segments += 1
            name = f"{STATE_NAME}/manifest-{self._n_segments:0{_N_DIGITS}}.jsonl"
            if self.create(name, lines):
                return

    def read_rows(self) -> Iterator[bytes]:
        """Yield rows of the manifest, in the order in which they were put, an object at a time.

        Raises
        ------
        SourceError
            When one cannot be read.
        """
        n_joined = self._count_joined() or 0
        yield from self._read_long(MANIFEST_NAME)
        for number, name in self._list_segments():
            if number > n_joined and (data := self.read(name)):
                yield data

    def join_rows(self) -> None:
        """Make one manifest of all rows, and remove their segments.

        What is to become of the manifest is put first, by its digest. Whoever comes after a run
        that ended midway then knows whether the segments are in it.

        Raises
        ------
        OutputError, SourceError
            When the store refuses.

        Notes
        -----
        Peak memory: some parts of `_PART_BYTES`, or one segment. Rows are read twice.
        """
        self._finish_joining()
        segments = list(self._list_segments())
        if not segments:
            return
        mark = {"last": segments[-1][0], "digest": _digest(self.read_rows())}
        self.write(_JOINING, json.dumps(mark).encode())
        self.rewrite_rows(self.read_rows)
        self._finish_joining()

    def rewrite_rows(self, read: Callable[[], Iterator[bytes]]) -> None:
        """Put others in place of the rows that were joined.

        Parameters
        ----------
        read : callable
            Returns the rows, as often as it is called.

        Raises
        ------
        OutputError, SourceError
            When the store refuses.
        """
        if self._held is not None:
            self._held.check()
        file_system, path = self._open(MANIFEST_NAME)
        self._insist("write", MANIFEST_NAME, partial(_write_long, file_system, path, read))

    @contextmanager
    def lock(self, shown: str | None = None) -> Iterator[ObjectLock]:
        """Keep other runs from writing here for as long as the block runs.

        Parameters
        ----------
        shown : str, optional
            What messages call the folder; by default its address.

        Raises
        ------
        JobError
            When another run writes here.
        """
        with hold_lock(self, LOCK, shown or self.name) as self._held:
            try:
                yield self._held
            finally:
                self._held = None

    def _open(self, relative: str) -> tuple[Any, str]:
        """Return the file system, and the path there of what lies below the folder."""
        parts = relative.split("/")
        if not relative or any(part in ("", ".", "..") for part in parts):
            message = f"Got the output name {show_path(relative)!r}; it must lie below {self.name}."
            raise OutputError(message)
        file_system, root = open_file_system(self.url)
        return file_system, f"{root.rstrip('/')}/{relative}"

    def _insist(self, verb: str, relative: str, act: Callable[[], Any]) -> None:
        """Do something with an object, patiently."""
        insist(join_url(self.url, relative), act, verb=verb, family=OutputError)

    def _list_segments(self) -> Iterator[tuple[int, str]]:
        """Yield number and path of each segment, in order."""
        matches = filter(None, map(_SEGMENT.fullmatch, self.list(STATE_NAME)))
        yield from sorted((int(match[1]), match[0]) for match in matches)

    def _read_long(self, relative: str) -> Iterator[bytes]:
        """Yield whole lines of an object, if it is there, a part at a time."""
        file_system, path = self._open(relative)
        url, rest = join_url(self.url, relative), b""
        for start in range(0, self._look(relative) or 0, _PART_BYTES):
            read = partial(file_system.cat_file, path, start=start, end=start + _PART_BYTES)
            lines, end, rest = (rest + insist(url, read)).rpartition(b"\n")
            yield lines + end
        if rest:
            yield rest

    def _look(self, relative: str) -> int | None:
        """Return the size of an object; None where there is none."""
        file_system, path = self._open(relative)
        file_system.invalidate_cache()
        try:
            info = insist(join_url(self.url, relative), partial(file_system.info, path))
        except SourceNotFoundError:
            return None
        return None if info["type"] == "directory" else int(info["size"])

    def _count_joined(self) -> int | None:
        """Return the number of the last segment that is in the manifest, and may be there still.

        None where no rows are being joined.
        """
        mark = self.read(_JOINING)
        if mark is None:
            return None
        joining = json.loads(mark)
        is_joined = _digest(self._read_long(MANIFEST_NAME)) == joining["digest"]
        return int(joining["last"]) if is_joined else 0

    def _finish_joining(self) -> None:
        """Remove what a run that joined rows left behind."""
        n_joined = self._count_joined()
        if n_joined is None:
            return
        for number, name in self._list_segments():
            if number <= n_joined:
                self.remove(name)
        self.remove(_JOINING)
        self._n_segments = None


def _digest(chunks: Iterable[bytes]) -> str:
    """Return the digest of bytes, however they are cut."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _put(file_system: Any, path: str, data: bytes) -> None:
    """Put an object, in place of one that is there."""
    if _is_local(file_system):
        write_file_atomically(Path(path), [data], overwrite=True)
    else:
        file_system.pipe_file(path, data)


def _is_local(file_system: Any) -> bool:
    """Return whether a file system is this machine's, which fsspec writes to in place."""
    return bool(getattr(file_system, "local_file", False))


def _create(file_system: Any, path: str, data: bytes) -> None:
    """Put an object, or raise `OutputExistsError` where there is one."""
    if _is_local(file_system):
        write_file_atomically(Path(path), [data], overwrite=False)
        return
    try:
        file_system.pipe_file(path, data, mode="create")
    except (OSError, TypeError, ValueError, NotImplementedError) as error:
        if _is_taken(error):
            raise OutputExistsError("There is such an object.") from None
        if isinstance(error, OSError) and error.errno != errno.ENOSYS:
            raise
    else:
        return
    # A store that cannot make sure of it.
    if file_system.exists(path):
        raise OutputExistsError("There is such an object.")
    file_system.pipe_file(path, data)


def _is_taken(error: Exception) -> bool:
    """Return whether a store says that there is such an object."""
    return isinstance(error, FileExistsError) or "precondition" in str(error).lower()


def _remove(file_system: Any, path: str) -> None:
    """Remove an object, if there is one."""
    with suppress(FileNotFoundError):
        file_system.rm_file(path)


def _write_long(file_system: Any, path: str, read: Callable[[], Iterator[bytes]]) -> None:
    """Put an object in one go, or, where it is long, part by part."""
    if _is_local(file_system):
        write_file_atomically(Path(path), read(), overwrite=True)
        return
    chunks = read()
    start: list[bytes] = []
    for chunk in chunks:
        start.append(chunk)
        if sum(map(len, start)) >= _PART_BYTES:
            break
    else:
        file_system.pipe_file(path, b"".join(start))
        return
    file = file_system.open(path, "wb", block_size=_PART_BYTES, autocommit=False)
    try:
        for chunk in chain(start, chunks):
            file.write(chunk)
        file.close()
    except BaseException:
        with suppress(Exception):  # what went wrong first is what counts
            file.discard()
        raise
    file.commit()
