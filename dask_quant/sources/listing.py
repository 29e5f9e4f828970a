"""One image after another of what a user names: files, folders, globs, stores, lists, addresses.

Nothing that grows with the number of images is held, but the names in one folder or shard at a
time, and the matches of a glob. Folders that are named are known before anything is listed, since
where outputs go depends on all of them: lists are gone through twice.
"""

from __future__ import annotations

import glob
import os
import shutil
import stat
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

from dask_quant.errors import SourceError, SourceNotFoundError
from dask_quant.sources.addresses import is_pattern, is_store_url, is_url, is_web, split_url
from dask_quant.sources.folders import Folder, Glob
from dask_quant.sources.found import STDIN, Found, Root, Search, is_zarr_store
from dask_quant.sources.header import show_cause, show_path
from dask_quant.sources.places import plan_own_parts
from dask_quant.sources.shards import Shard, is_named_shard, split_member
from dask_quant.sources.signatures import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class _Source(Protocol):
    """What one source names."""

    def list_roots(self, search: Search) -> Iterator[Root]:
        """Yield where searches through folders begin."""

    def find(self, search: Search) -> Iterator[Found]:
        """Yield its images."""


class _Place(_Source, Protocol):
    """What is searched for images."""

    @property
    def shown(self) -> str:
        """What messages call it."""


def find_images(
    sources: Sequence[str | Path],
    *,
    exclude: str | Path | None = None,
    on_ignored: Callable[[str], object] = lambda identity: None,
) -> Iterator[Found]:
    """Find the images that the sources name, one after another.

    **Eager**, when it is asked for the first.

    Parameters
    ----------
    sources : sequence of str or Path
        As for `discover`.
    exclude : str or Path, optional
        As for `discover`.
    on_ignored : callable, optional
        Is told the identity of whatever is found and is no image, also where that is the same one
        twice, since sources overlap; what it returns is not used.

    Yields
    ------
    Found
        In the order of the sources, inside a folder by name. An image that is reached twice comes
        twice, with one ``identity``; places that coincide are not told apart.

    Raises
    ------
    SourceNotFoundError
        When a source does not exist, before the first image; when it holds none, once it was gone
        through.
    SourceError
        When a source cannot be listed.

    Notes
    -----
    Peak memory: the names in one folder or shard, and those not yet come to in the folders above
    it; the matches of one glob; the folders that are named.
    """
    search = Search(exclude, on_ignored)
    with ExitStack() as stack:
        opened = [_open_source(source, stack) for source in sources]
        search.own_parts = plan_own_parts(
            root for source in opened for root in source.list_roots(search)
        )
        is_empty = True
        for source in opened:
            for item in source.find(search):
                is_empty = False
                yield item
    if is_empty:
        message = "Got no source; name at least one file, folder, glob or Zarr store."
        raise SourceNotFoundError(message)


def _open_source(source: str | Path, stack: ExitStack) -> _Source:
    """Return what one source names; what it opens is closed with the stack."""
    if isinstance(source, str) and source.startswith("@"):
        return _List(source[1:], stack.enter_context(_open_list(source[1:])))
    if source == STDIN:
        return _File(STDIN)
    if is_url(source):
        return _open_url(source, may_match=True)
    text = str(source)
    found = _open_path(text)
    if found is None and isinstance(source, str):
        found = split_member(source)
    if found is not None:
        return found
    if isinstance(source, str) and glob.has_magic(source):
        return _Searched(Glob(source))
    message = f"Cannot read {show_path(text)}: there is no such file or folder."
    raise SourceNotFoundError(message)


def _open_url(url: str, *, may_match: bool) -> _Source:
    """Return what is at an address, or, where it has wildcards and nothing is, what it matches."""
    may_match = may_match and is_pattern(url)
    if is_named_shard(url) and not may_match:
        return _Searched(Shard(url))
    member = split_member(url)
    if member is not None:
        return member
    if _is_file_by_name(url) and (is_web(url) or not may_match):
        return _File(url)
    # Who reads local files must not wait for what lists others.
    from dask_quant.sources.object_listing import StoreFolder, StoreGlob
    from dask_quant.sources.object_pages import look_for

    if url.endswith("/") and not may_match:
        return _Searched(StoreFolder(url))
    try:
        entry = look_for(url)
    except SourceNotFoundError:
        if may_match:
            return _Searched(StoreGlob(url))
        raise
    return _Searched(StoreFolder(url)) if entry.is_folder else _File(url, *entry[2:])


def _is_file_by_name(url: str) -> bool:
    """Return whether an address is of a file or a Zarr store by its name, so that none is asked."""
    suffix = os.path.splitext(split_url(url)[1])[1].lower()
    return is_web(url) or is_store_url(url) or (suffix in SUFFIXES and not url.endswith("/"))


def _open_path(path: str) -> _Source | None:
    """Return a file, a store or a folder; None where there is nothing."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # a null character
        return None
    if stat.S_ISREG(status.st_mode) and is_named_shard(path):
        return _Searched(Shard(path))
    if stat.S_ISREG(status.st_mode):
        return _File(path, status.st_size, str(status.st_mtime_ns))
    if not stat.S_ISDIR(status.st_mode) or is_zarr_store(path):
        return _File(path)
    return _Searched(Folder(path))


@dataclass(frozen=True)
class _File:
    """A file or a store given by its name or its address, or standard input."""

    path: str
    """As the user named it."""
    size: int | None = None
    """As in `Found`."""
    modified: str | None = None
    """As in `Found`."""

    def list_roots(self, search: Search) -> Iterator[Root]:
        """Yield nothing."""
        yield from ()

    def find(self, search: Search) -> Iterator[Found]:
        """Yield it."""
        if is_url(self.path):
            folder, name = split_url(self.path)
            yield Found(self.path, self.path, name, folder, True, 0, self.size, self.modified)
            return
        identity = search.identify(self.path)
        folder, name = os.path.split(identity)
        yield Found(self.path, identity, name, folder, True, 0, self.size, self.modified)


@dataclass(frozen=True)
class _Searched:
    """A folder or a glob, which has to hold an image."""

    place: _Place
    """What is searched."""

    def list_roots(self, search: Search) -> Iterator[Root]:
        """Yield where the search begins."""
        return self.place.list_roots(search)

    def find(self, search: Search) -> Iterator[Found]:
        """Yield images, or raise `SourceNotFoundError` when there is none."""
        before, is_empty = (search.n_ignored, search.n_shards), True
        for item in self.place.find(search):
            is_empty = False
            yield item
        if is_empty:
            n_ignored, n_shards = search.n_ignored - before[0], search.n_shards - before[1]
            hint = f"; {n_shards} hold images, maybe: name them, or a glob of them" * bool(n_shards)
            message = (
                f"Found no image in {self.place.shown}; {n_ignored} other files were ignored{hint}."
            )
            raise SourceNotFoundError(message)


@dataclass(frozen=True)
class _List:
    """A file with one path or address per line."""

    path: str
    """Where the file is."""
    file: IO[bytes]
    """The file, open."""

    def list_roots(self, search: Search) -> Iterator[Root]:
        """Yield the folders in it; raise `SourceNotFoundError` where a path does not exist."""
        for source in self._read():
            yield from source.list_roots(search)

    def find(self, search: Search) -> Iterator[Found]:
        """Yield images line by line."""
        for source in self._read():
            yield from source.find(search)

    def _read(self) -> Iterator[_Source]:
        """Yield what each line names."""
        for number, entry in enumerate(self._read_lines(), start=1):
            if not entry.strip():
                continue
            found = _open_entry(entry)
            if found is None:
                message = (
                    f"Cannot read {show_path(entry)}, line {number} of the list "
                    f"{show_path(self.path)}: there is no such file or folder."
                )
                raise SourceNotFoundError(message)
            yield found

    def _read_lines(self) -> Iterator[str]:
        """Yield the lines, from the first one on."""
        try:
            self.file.seek(0)
            if self.file.read(len(_BYTE_ORDER_MARK)) != _BYTE_ORDER_MARK:
                self.file.seek(0)
            for line in self.file:
                yield from map(os.fsdecode, line.splitlines())
        except OSError as error:
            raise _fail_list(self.path, error) from error


def _open_entry(entry: str) -> _Source | None:
    """Return what a line of a list names, None where there is nothing."""
    if is_url(entry):
        return _open_url(entry, may_match=False)
    return _open_path(entry) or split_member(entry)


def _open_list(path: str) -> IO[bytes]:
    """Open a list, of what can be read but once a copy."""
    try:
        file = open(path, "rb")  # noqa: SIM115 - whoever asked closes it
        return file if file.seekable() else _copy(file)
    except FileNotFoundError:
        message = f"Cannot read the list {show_path(path)}: there is no such file."
        raise SourceNotFoundError(message) from None
    except (OSError, ValueError) as error:
        raise _fail_list(path, error) from error


def _copy(file: IO[bytes]) -> IO[bytes]:
    """Return a file without a name that holds what another one has left."""
    copied = tempfile.TemporaryFile()  # noqa: SIM115 - as above
    with file:
        shutil.copyfileobj(file, copied)
    return copied


def _fail_list(path: str, error: Exception) -> SourceError:
    """Return the error of a list that cannot be read."""
    return SourceError(f"Cannot read the list {show_path(path)}: {show_cause(error)}.")
