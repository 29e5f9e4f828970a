"""What lies below a folder of an object store, in order, a page or a folder in memory at a time.

S3 lists all keys that begin alike, a thousand to a request, so that a million images in a hundred
thousand folders take a thousand requests. Other stores are listed folder by folder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from dask_quant.sources.file_systems import open_file_system
from dask_quant.sources.object_ranges import find_version, insist

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PAGE_KEYS = 1000
"""Keys in a page: the most that S3 gives."""

_LAST = "\U0010fffd"
"""A character behind which no key is expected."""


class Entry(NamedTuple):
    """An object, or a folder at which a search ends."""

    below: str
    """Its path below the folder where the search began, as the store writes it."""
    is_folder: bool
    """Whether it is a folder."""
    size: int | None = None
    """Bytes of an object."""
    version: str | None = None
    """What changes with an object, as far as its store tells."""


def look_for(url: str) -> Entry:
    """Return what is at an address, by a request or two.

    Raises
    ------
    SourceNotFoundError, SourceError
        When nothing is, or the store does not tell.
    """
    file_system, path = open_file_system(url)
    file_system.invalidate_cache()
    info = insist(url, partial(file_system.info, path))
    if info.get("type") == "directory":
        return Entry("", is_folder=True)
    return Entry("", False, info.get("size"), find_version(info) or None)


def walk_objects(
    url: str, stops: Callable[[str], bool], descends: Callable[[str], bool] | None = None
) -> Iterator[Entry]:
    """Yield all objects below a folder of a store, and folders that a search does not enter.

    Parameters
    ----------
    url : str
        Address of the folder.
    stops : callable
        From a folder's path below that to whether it is told of, instead of what is in it.
    descends : callable, optional
        From another folder's path to whether it is looked into; None: all are.

    Yields
    ------
    Entry
        S3, where all folders are looked into: in the order of keys. Else by name in each folder.
    """
    file_system, path = open_file_system(url)
    if not hasattr(file_system, "call_s3"):
        yield from _walk_folders(partial(_list_folder, url, file_system, path), stops, descends)
    elif descends is None:
        yield from _walk_keys(_KeyPages(url, file_system, path, delimiter=""), stops)
    else:
        yield from _walk_folders(partial(_list_keys, url, file_system, path), stops, descends)


def _walk_folders(
    list_folder: Callable[[str], list[Entry]],
    stops: Callable[[str], bool],
    descends: Callable[[str], bool] | None,
) -> Iterator[Entry]:
    """Yield what `walk_objects` does, folder by folder."""
    levels = [list_folder("")]
    while levels:
        if not levels[-1]:
            levels.pop()
            continue
        entry = levels[-1].pop()
        if not entry.is_folder or stops(entry.below):
            yield entry
        elif descends is None or descends(entry.below):
            levels.append(list_folder(entry.below))


def _list_folder(url: str, file_system: Any, root: str, below: str) -> list[Entry]:
    """Return what is right inside a folder, by name from the last one on."""
    path = f"{root.rstrip('/')}/{below}" if below else root
    listing = insist(url, partial(file_system.ls, path, detail=True))
    file_system.invalidate_cache()  # which else has every entry of every folder, for good
    place = f"{below}/" if below else ""
    found = (_describe(info, place) for info in listing if not _is_same(info["name"], path))
    return sorted((entry for entry in found if entry is not None), reverse=True)


def _is_same(path: str, other: str) -> bool:
    """Return whether two paths are of one folder; some stores list it as if it were in itself."""
    return path.rstrip("/") == other.rstrip("/")


def _describe(info: dict[str, Any], place: str) -> Entry | None:
    """Return an entry of a listing; links to folders, which may lead in circles, are none."""
    name = info["name"].rstrip("/").rpartition("/")[2]
    if info["type"] != "directory":
        return Entry(place + name, False, info.get("size"), find_version(info) or None)
    return None if info.get("islink") else Entry(place + name, is_folder=True)


def _list_keys(url: str, file_system: Any, root: str, below: str) -> list[Entry]:
    """Return what is right inside a folder in S3, by name from the last one on."""
    path = f"{root.rstrip('/')}/{below}" if below else root
    place = f"{below}/" if below else ""
    pages = _KeyPages(url, file_system, path, delimiter="/")
    entries = (entry._replace(below=place + entry.below) for page in pages for entry in page)
    return sorted(entries, reverse=True)


@dataclass
class _KeyPages:
    """Pages of the keys below a folder in S3, asked for one after another."""

    url: str = field(repr=False)
    """Address of the folder."""
    file_system: Any = field(repr=False)
    """What is asked."""
    path: str
    """Bucket and key of the folder."""
    delimiter: str
    """What ends a key, so that all longer ones are one entry; empty: nothing."""
    _start: dict[str, str] = field(default_factory=dict)
    """Where the next page starts."""

    def skip(self, behind: str) -> None:
        """Go on behind a path below the folder."""
        self._start = {"StartAfter": self._split()[1] + behind}

    def __iter__(self) -> Iterator[list[Entry]]:
        """Yield pages."""
        bucket, prefix = self._split()
        options = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": _PAGE_KEYS}
        options |= {"Delimiter": self.delimiter, **self.file_system.req_kw}
        while True:
            ask = partial(self.file_system.call_s3, "list_objects_v2", **options, **self._start)
            page = insist(self.url, ask)
            is_last = not page.get("IsTruncated")
            self._start = {} if is_last else {"ContinuationToken": page["NextContinuationToken"]}
            yield list(_read_page(page, len(prefix)))
            if is_last:
                return

    def _split(self) -> tuple[str, str]:
        """Return the bucket, and how keys below the folder begin."""
        bucket, key, _ = self.file_system.split_path(self.path)
        return bucket, f"{key.rstrip('/')}/" if key else ""


def _read_page(page: dict[str, Any], n_prefix: int) -> Iterator[Entry]:
    """Yield the entries of a page; objects that stand for folders are none."""
    for each in page.get("CommonPrefixes", ()):
        yield Entry(each["Prefix"][n_prefix:-1], is_folder=True)
    for each in page.get("Contents", ()):
        if not each["Key"].endswith("/"):
            yield Entry(each["Key"][n_prefix:], False, each["Size"], find_version(each) or None)


def _walk_keys(pages: _KeyPages, stops: Callable[[str], bool]) -> Iterator[Entry]:
    """Yield what `walk_objects` does, key by key; pages of a folder not entered are skipped."""
    folder, stop = "", ""
    for page in pages:
        for entry in page:
            place = entry.below.rpartition("/")[0]
            if stop and entry.below.startswith(f"{stop}/"):
                continue
            if place != folder:
                folder, stop = place, _find_stop(place, stops)
                if stop:
                    yield Entry(stop, is_folder=True)
                    continue
            yield entry
        if stop and page and page[-1].below.startswith(f"{stop}/"):
            pages.skip(max(page[-1].below, f"{stop}/{_LAST}"))


def _find_stop(folder: str, stops: Callable[[str], bool]) -> str:
    """Return the first folder on the way to one at which a search ends; empty: none."""
    parts = folder.split("/") if folder else []
    above = ("/".join(parts[:count]) for count in range(1, len(parts) + 1))
    return next((each for each in above if stops(each)), "")
