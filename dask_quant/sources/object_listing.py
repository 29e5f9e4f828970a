"""Images in folders of object stores, and those that a pattern of addresses matches.

What is an image is told by its name alone: to look into an object takes a request, and a bucket may
hold millions. Zarr stores are told by ``.zarr`` in their names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from dask_quant.sources.addresses import is_pattern, join_url, split_folder_url
from dask_quant.sources.found import Found, Root
from dask_quant.sources.header import show_path
from dask_quant.sources.object_pages import walk_objects
from dask_quant.sources.shards import ShardPlace, find_in_shard, is_shard
from dask_quant.sources.signatures import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dask_quant.sources.found import Search
    from dask_quant.sources.object_pages import Entry

_ANY_DEPTH = "**"


@dataclass(frozen=True)
class StoreFolder:
    """A folder in an object store, with all folders in it."""

    url: str
    """Its address."""

    @property
    def shown(self) -> str:
        """What messages call it."""
        return f"the folder {show_path(self.url)}"

    def list_roots(self, search: Search) -> Iterator[Root]:
        """Yield where the search begins."""
        yield Root(split_folder_url(self.url), is_deep=True)

    def find(self, search: Search) -> Iterator[Found]:
        """Yield its images."""
        finder = _Finder(self.url, search)
        for entry in walk_objects(self.url, finder.stops):
            yield from finder.take(entry)


@dataclass(frozen=True)
class StoreGlob:
    """A pattern of addresses in an object store; ``**`` is any depth."""

    url: str
    """As the user wrote it."""

    @property
    def shown(self) -> str:
        """What messages call it."""
        return f"the glob {show_path(self.url)}"

    def list_roots(self, search: Search) -> Iterator[Root]:
        """Yield where the search begins."""
        yield Root(split_folder_url(split_pattern(self.url)[0]), is_deep=False)

    def find(self, search: Search) -> Iterator[Found]:
        """Yield what matches and is an image. No folder is looked into that cannot hold any."""
        start, patterns = split_pattern(self.url)
        finder = _Finder(start, search, takes_hidden=True, takes_shards=True)  # as it says
        descends: Callable[[str], bool] | None = None
        if _ANY_DEPTH not in patterns:
            descends = lambda folder: _may_hold(folder.split("/"), patterns)  # noqa: E731
        for entry in walk_objects(start, finder.stops, descends):
            is_match = match_parts(entry.below.split("/"), patterns)
            if is_match or finder.is_excluded(entry.below):
                yield from finder.take(entry)


@dataclass(frozen=True)
class _Finder:
    """Tells images from what is ignored."""

    url: str
    """Address where the search begins."""
    search: Search
    """Which search."""
    takes_hidden: bool = False
    """Whether names that begin with a dot are searched and taken."""
    takes_shards: bool = False
    """Whether what lies in tar and Parquet files is taken."""

    def stops(self, folder: str) -> bool:
        """Return whether a folder below the root is not searched: hidden, a store, excluded."""
        name = folder.rpartition("/")[2]
        return self._is_hidden(name) or _is_store(name) or self.is_excluded(folder)

    def take(self, entry: Entry) -> Iterator[Found]:
        """Yield an image, or count what is none."""
        url, name = join_url(self.url, entry.below), entry.below.rpartition("/")[2]
        suffix = PurePosixPath(name).suffix.lower()
        is_image = _is_store(name) if entry.is_folder else suffix in SUFFIXES
        is_holder = not entry.is_folder and is_shard(name)
        is_taken = is_image or (is_holder and self.takes_shards)
        if self._is_hidden(name) or not is_taken or self.is_excluded(entry.below):
            self.search.n_shards += is_holder
            self.search.ignore(url)
            return
        root = split_folder_url(self.url)
        place = "/".join(part for part in entry.below.split("/") if part not in ("", ".", ".."))
        n_above = self.search.count_above(root)
        if is_holder:
            yield from find_in_shard(url, url, ShardPlace(root, place, n_above), self.search)
            return
        yield Found(url, url, place, root, False, n_above, entry.size, entry.version)

    def is_excluded(self, below: str) -> bool:
        """Return whether something is where outputs go."""
        excluded = self.search.excluded_url
        return bool(excluded) and join_url(self.url, below) == excluded

    def _is_hidden(self, name: str) -> bool:
        """Return whether a name is passed over."""
        return name.startswith(".") and not self.takes_hidden


def _is_store(name: str) -> bool:
    """Return whether a folder is called as Zarr stores are."""
    return name.lower().endswith(".zarr")


def split_pattern(url: str) -> tuple[str, list[str]]:
    """Return the folder in front of the first part with a wildcard, and all parts from there on.

    Examples
    --------
    >>> split_pattern("s3://bucket/2024/*/a?.jpg")
    ('s3://bucket/2024', ['*', 'a?.jpg'])
    """
    scheme, _, place = url.partition("://")
    parts = place.split("/")
    n_fixed = next((at for at, part in enumerate(parts[:-1]) if is_pattern(part)), len(parts) - 1)
    return f"{scheme}://{'/'.join(parts[:n_fixed])}", parts[n_fixed:]


def match_parts(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    """Return whether the parts of a path match those of a pattern, hidden ones not by wildcards.

    Examples
    --------
    >>> match_parts(["a", "b", "1.png"], ["**", "*.png"]), match_parts([".a", "1.png"], ["*", "*"])
    (True, False)
    """
    if not patterns:
        return not parts
    if patterns[0] == _ANY_DEPTH and match_parts(parts, patterns[1:]):
        return True
    if not parts or not _match_part(parts[0], patterns[0]):
        return False
    return match_parts(parts[1:], patterns if patterns[0] == _ANY_DEPTH else patterns[1:])


def _may_hold(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    """Return whether a folder can hold what matches a pattern of one depth."""
    return len(parts) < len(patterns) and match_parts(parts, patterns[: len(parts)])


def _match_part(name: str, pattern: str) -> bool:
    """Return whether a name matches a pattern without a slash."""
    if name.startswith(".") and not pattern.startswith("."):
        return False
    return _compile(pattern).match(name) is not None


@lru_cache(maxsize=64)
def _compile(pattern: str) -> re.Pattern[str]:
    """Return a pattern as a regular expression."""
    return re.compile(translate(pattern))
