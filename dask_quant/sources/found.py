"""What a search through sources comes upon: one image, and what is known of it without reading."""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from dask_quant.sources.addresses import is_store_url, is_url
from dask_quant.sources.signatures import SUFFIXES, looks_like_image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STDIN = "-"
"""Name of standard input as a source."""

_ZARR_MARKS = ("zarr.json", ".zarray", ".zgroup")

_MAX_FOLDERS = 4096
"""Folders whose links are kept resolved (arbitrary): images come folder by folder."""


class Found(NamedTuple):
    """One image, before it is opened."""

    path: str
    """Where it is, as the user named it or below a folder that the user named; ``-`` is stdin; of
    an image in another file what `dask_quant.sources.held` makes of it."""
    identity: str
    """What is equal for one image that is reached twice: its absolute path, links to folders
    resolved, a link at its end left as it is; of an address, itself."""
    below: str
    """Its path below the folder that was named; its name where it was given by name."""
    folder: str
    """Absolute path, links resolved, of the folder that ``below`` starts from."""
    named: bool
    """Whether it was given by name."""
    n_above: int = 0
    """How many trailing parts of ``folder`` stand in front of ``below`` in its output's place."""
    size: int | None = None
    """Bytes as stored; None where that is not known without asking: stores, files by address. Of a
    row in Parquet, its share of its row group."""
    modified: str | None = None
    """What changes with it: nanoseconds since 1970 when it was last written, as decimal text, or
    the entity tag of an object; None where neither is known."""


class Root(NamedTuple):
    """Where a search through a folder or by a glob begins."""

    folder: str
    """Absolute path, links resolved; of an address, what `split_url` makes of it."""
    is_deep: bool
    """Whether all below it is searched, but for what is hidden."""


class Search:
    """What is the same for all sources of a search."""

    def __init__(self, exclude: str | Path | None, on_ignored: Callable[[str], object]) -> None:
        self.n_ignored = 0
        self.n_shards = 0
        self.own_parts: dict[str, int] = {}
        self.resolve = lru_cache(maxsize=_MAX_FOLDERS)(os.path.realpath)
        self._on_ignored = on_ignored
        self._excluded = frozenset[str]()
        self.excluded_url = str(exclude).rstrip("/") if is_url(exclude) else ""
        if exclude is not None and not self.excluded_url:
            self._excluded = frozenset({self.identify(str(exclude)), os.path.realpath(exclude)})

    def identify(self, path: str) -> str:
        """Return the absolute path, links to folders resolved, a link at its end left as it is."""
        if path == STDIN:
            return os.path.join(os.sep, "stdin")
        folder, name = os.path.split(path)
        if name in ("", os.curdir, os.pardir):
            folder, name = os.path.split(os.path.abspath(path))
        return os.path.join(self.resolve(folder), name)

    def ignore(self, identity: str) -> None:
        """Count what is no image."""
        self.n_ignored += 1
        self._on_ignored(identity)

    def find_excluded(self, root: str) -> frozenset[str]:
        """Return identities of what is left out below a root.

        What holds the root itself is no part of it: then nothing is left out.
        """
        top = os.path.join(root, "")
        return frozenset(path for path in self._excluded if path.startswith(top))

    def count_above(self, root: str) -> int:
        """Return how many parts of a root stand in front of what is below it."""
        return self.own_parts.get(root, 0)


def look_at_image(path: str) -> os.stat_result | None:
    """Return the status of a file that is an image by its suffix or its signature, or None."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):  # a pipe, a device
        return None
    is_image = os.path.splitext(path)[1].lower() in SUFFIXES or looks_like_image(path)
    return status if is_image else None


def is_zarr_store(path: str | Path) -> bool:
    """Return whether ``path`` is a folder with Zarr metadata in it, or an address named like one.

    Nothing is opened.
    """
    if is_url(path):
        return is_store_url(path)
    try:
        return any(os.path.exists(os.path.join(path, mark)) for mark in _ZARR_MARKS)
    except ValueError:  # a null character
        return False
