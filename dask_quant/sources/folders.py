"""Images below a folder, and those that a glob matches: one listing in memory at a time."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from dask_quant.errors import SourceError
from dask_quant.sources.found import Found, Root, is_zarr_store, look_at_image
from dask_quant.sources.header import show_cause, show_path
from dask_quant.sources.shards import ShardPlace, find_in_shard, is_named_shard, is_shard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask_quant.sources.found import Search

_MAX_STORES = 1024
"""Folders of which it is kept whether they lie in a store (arbitrary): matches are sorted."""


@dataclass(frozen=True)
class Folder:
    """A folder that is searched with all folders in it."""

    path: str
    """As the user named it."""

    @property
    def shown(self) -> str:
        """What messages call it."""
        return f"the folder {show_path(self.path)}"

    def list_roots(self, search: Search) -> Iterator[Root]:
        """Yield where the search begins."""
        yield Root(search.resolve(self.path), is_deep=True)

    def find(self, search: Search) -> Iterator[Found]:
        """Yield its images by name, folders and files alike; links to folders are not followed."""
        root = search.resolve(self.path)
        n_above, top = search.count_above(root), os.path.join(root, "")
        levels = [_list_folder(self.path, "", top, search)]
        while levels:  # not by recursion: folders may lie in folders a thousand deep
            level = levels[-1]
            if not level.names:
                levels.pop()
                continue
            name = level.names.pop()
            path, below = level.path + name, level.below + name
            if name not in level.folders:
                status = look_at_image(path)
                if status is not None:
                    size, modified = status.st_size, str(status.st_mtime_ns)
                    yield Found(path, top + below, below, root, False, n_above, size, modified)
                else:
                    search.n_shards += is_named_shard(name)
                    search.ignore(top + below)
            elif is_zarr_store(path):
                yield Found(path, top + below, below, root, named=False, n_above=n_above)
            else:
                levels.append(_list_folder(path, below, top, search))


@dataclass(frozen=True, slots=True)
class _Level:
    """What is right inside a folder, and was not come to yet."""

    path: str
    """The folder, with a separator behind."""
    below: str
    """Its path below the folder where the search began, with a separator behind; empty: that."""
    names: list[str]
    """Files and folders by name, from the last one on."""
    folders: frozenset[str]
    """Which of them are folders."""


def _list_folder(path: str, below: str, top: str, search: Search) -> _Level:
    """Return what is right inside a folder, and count what is ignored by its name or kind."""
    place = os.path.join(below, "") if below else ""
    above = top + place
    excluded = search.find_excluded(os.path.dirname(above))
    names, folders = [], []
    try:
        with os.scandir(path) as listing:
            for entry in listing:
                name, is_folder = entry.name, _is_folder(entry)
                if above + name in excluded or _is_passed_over(entry, is_folder):
                    search.ignore(above + name)
                    continue
                names.append(name)
                if is_folder:
                    folders.append(name)
    except OSError as error:
        message = f"Cannot list the folder {show_path(path)}: {show_cause(error)}."
        raise SourceError(message) from error
    names.sort(reverse=True)
    return _Level(os.path.join(path, ""), place, names, frozenset(folders))


def _is_passed_over(entry: os.DirEntry[str], is_folder: bool) -> bool:
    """Return whether an entry is hidden, or a link to a folder."""
    return entry.name.startswith(".") or (is_folder and entry.is_symlink())


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder; a link to what may not be looked at is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


@dataclass(frozen=True)
class Glob:
    """A pattern of paths; folders that it matches are not descended into."""

    pattern: str
    """As the user wrote it."""

    @property
    def shown(self) -> str:
        """What messages call it."""
        return f"the glob {show_path(self.pattern)}"

    def list_roots(self, search: Search) -> Iterator[Root]:
        """Yield where the search begins."""
        yield Root(search.resolve(find_fixed_part(self.pattern)), is_deep=False)

    def find(self, search: Search) -> Iterator[Found]:
        """Yield what matches and is an image, sorted part by part. All matches are held."""
        start = find_fixed_part(self.pattern)
        root = search.resolve(start)
        n_above = search.count_above(root)
        for path in _pass_by(_match(self.pattern, start), root, search):
            below, identity = _place_below(path, start), search.identify(path)
            if self._takes_shard(path):
                yield from find_in_shard(path, identity, ShardPlace(root, below, n_above), search)
                continue
            status = look_at_image(path)
            if status is not None:
                size, modified = status.st_size, str(status.st_mtime_ns)
                yield Found(path, identity, below, root, False, n_above, size, modified)
            elif not os.path.isdir(path):
                search.ignore(identity)
            elif is_zarr_store(path):
                yield Found(path, identity, below, root, named=False, n_above=n_above)

    def _takes_shard(self, path: str) -> bool:
        """Return whether a match is a shard; compressed ones are if the pattern asks for them."""
        is_asked = is_shard(path) or (is_named_shard(self.pattern) and is_named_shard(path))
        return is_asked and os.path.isfile(path)


def _match(pattern: str, start: str) -> Iterator[str]:
    """Yield what a pattern matches, but what lies in Zarr stores, sorted part by part."""
    is_inside = lru_cache(maxsize=_MAX_STORES)(_is_inside)
    # No name has a null character, so that it sorts parts as a tuple of them would.
    matches = sorted(
        glob.iglob(pattern, recursive=True), key=lambda path: path.replace(os.sep, "\0")
    )
    return (path for path in matches if not is_inside(os.path.dirname(path), start))


def _pass_by(paths: Iterator[str], root: str, search: Search) -> Iterator[str]:
    """Yield paths, but those in what is excluded, which counts once as ignored."""
    excluded = search.find_excluded(root)
    if not excluded:
        yield from paths
        return
    met: set[str] = set()
    for path in paths:
        identity = search.identify(path)
        place = next((each for each in excluded if _is_within(identity, each)), None)
        if place is None:
            yield path
        elif place not in met:
            met.add(place)
            search.ignore(place)


def _is_within(identity: str, folder: str) -> bool:
    """Return whether a path is a folder or lies in it."""
    return identity == folder or identity.startswith(os.path.join(folder, ""))


def _place_below(path: str, start: str) -> str:
    """Return the path of a match below the fixed part; where it does not lie in it, its name."""
    prefix = "" if start == os.curdir else os.path.join(start, "")
    is_plain = os.pardir not in path and path.startswith(
        prefix
    )  # nearly always; else it takes long
    below = os.path.normpath(path[len(prefix) :]) if is_plain else os.path.relpath(path, start)
    # Of "*/../x" the output must not leave OUT; "x/**" matches x itself, which may be a store.
    is_outside = below == os.curdir or below.startswith(os.pardir)
    return os.path.basename(os.path.abspath(path)) if is_outside else below


def find_fixed_part(pattern: str) -> str:
    """Return the folder in front of the first part of a glob that has a wildcard.

    Examples
    --------
    >>> find_fixed_part("photos/2024/*/a?.jpg"), find_fixed_part("*.png")
    ('photos/2024', '.')
    """
    path = Path(pattern)
    fixed: list[str] = []
    for part in path.parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return str(Path(*fixed))


def _is_inside(folder: str, start: str) -> bool:
    """Return whether a folder is a Zarr store, or one between ``start`` and it is."""
    for each in (Path(folder), *Path(folder).parents):
        if str(each) == start:
            return False
        if is_zarr_store(each):
            return True
    return False
