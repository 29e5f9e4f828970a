"""Inputs: from what a user names (files, folders, globs, stores, lists) to one path per image.

Where an input's output goes (``relative``):

- a file or a Zarr store given by name or by its address: its own name;
- a file below one folder, or matched by one glob: its path below that folder, or below the part of
  the glob that has no wildcard;
- with several such folders, each keeps its own name in front, and as many parents of it as tell
  the folders apart. That depends on the folders named alone, not on what is in them, so that a
  job that is resumed finds its outputs where it left them;
- inputs that would still coincide get parents in front until they differ, files given by name
  first.
"""

from __future__ import annotations

import glob
import os
import stat
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dask_quant.errors import SourceError, SourceNotFoundError
from dask_quant.sources.addresses import is_store_url, is_url, split_url
from dask_quant.sources.header import show_cause, show_path
from dask_quant.sources.output_names import plan_output_names
from dask_quant.sources.signatures import SUFFIXES, looks_like_image

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Discovery", "Input", "discover", "is_zarr_store", "plan_output_names"]

STDIN = "-"
"""Name of standard input as a source."""

_ZARR_MARKS = ("zarr.json", ".zarray", ".zgroup")


@dataclass(frozen=True)
class Input:
    """One image to read."""

    path: str
    """Where it is, as the user named it or below a folder that the user named; ``-`` is stdin."""
    relative: PurePosixPath
    """Its place below OUT, with the input's own suffix."""
    frame: int = 0
    """Which frame of an animation."""


@dataclass(frozen=True)
class Discovery:
    """What the sources hold."""

    inputs: tuple[Input, ...]
    """Images, in the order of the sources; inside a folder by name."""
    n_ignored: int
    """What was found in folders and by globs and is no image: other files, hidden entries."""


@dataclass(frozen=True)
class _Found:
    """An input and the folder that it was found below."""

    path: str
    """As in `Input`."""
    below: str
    """Its path below the folder that was named; its name where it was given by name."""
    folder: str
    """Absolute path, links resolved, of the folder that ``below`` starts from."""
    named: bool
    """Whether it was given by name."""


@dataclass
class _Basket:
    """Inputs gathered so far, each once, and what was ignored."""

    found: dict[str, _Found] = field(default_factory=dict)
    """By identity."""
    n_hits: int = 0
    """How often an image was reached, the same one again included."""
    ignored: set[str] = field(default_factory=set)
    """Identities of what is no image."""
    resolved: dict[str, str] = field(default_factory=dict)
    """Folders as written, with their links resolved: asked once for each."""
    excluded: frozenset[str] = frozenset()
    """Identities of what no folder or glob contributes, nor anything below it."""

    def exclude(self, path: Path) -> None:
        """Leave ``path``, and all below it, out of folders and globs from now on."""
        self.excluded |= {self.identify(str(path)), os.path.realpath(path)}

    def ignores(self, path: str, root: str) -> bool:
        """Return whether what was found below ``root`` is excluded, and count it when it is.

        What holds ``root`` itself is no part of it: then nothing is excluded.
        """
        identity, top = self.identify(path), os.path.join(self.resolve(root), "")
        for excluded in self.excluded:
            inside = identity == excluded or identity.startswith(os.path.join(excluded, ""))
            if inside and excluded.startswith(top):
                self.ignored.add(excluded)
                return True
        return False

    def resolve(self, folder: str) -> str:
        """Return the absolute path of a folder, links resolved."""
        if folder not in self.resolved:
            self.resolved[folder] = os.path.realpath(folder)
        return self.resolved[folder]

    def identify(self, path: str) -> str:
        """Return the absolute path, links to folders resolved, a link at its end left as it is."""
        if path == STDIN:
            return os.path.join(os.sep, "stdin")
        folder, name = os.path.split(path)
        if name in ("", os.curdir, os.pardir):
            folder, name = os.path.split(os.path.abspath(path))
        return os.path.join(self.resolve(folder), name)

    def add_named(self, path: str) -> None:
        """Add an input given by name, unless it was reached before."""
        identity = self.identify(path)
        folder, name = os.path.split(identity)
        self.found.setdefault(identity, _Found(path, name, folder, named=True))
        self.n_hits += 1

    def add_address(self, url: str) -> None:
        """Add a file that is given by its address, unless it was reached before."""
        folder, name = split_url(url)
        self.found.setdefault(url, _Found(url, name, folder, named=True))
        self.n_hits += 1

    def add_below(self, path: str, below: str, root: str) -> None:
        """Add an input found below a folder, unless it was reached before."""
        found = _Found(path, below, self.resolve(root), named=False)
        self.found.setdefault(self.identify(path), found)
        self.n_hits += 1

    def ignore(self, path: str) -> None:
        """Count what is no image."""
        self.ignored.add(self.identify(path))

    def size(self) -> tuple[int, int]:
        """Return how often an image was reached, and how many ignored entries there are."""
        return self.n_hits, len(self.ignored)


def discover(sources: Sequence[str | Path], *, exclude: Path | None = None) -> Discovery:
    """Find the images that the sources name.

    **Eager.** Folders are listed, and files without an image suffix are looked into.

    Parameters
    ----------
    sources : sequence of str or Path
        Each a file, a folder (recursive; hidden entries and links to folders are left out), a
        glob (``**`` is any depth), a Zarr store, the address of a file (``https://...``), ``-`` for
        standard input, or ``@list.txt``, a file with one path or address per line. What exists
        under its literal name is that, whatever characters are in it; a `Path` is never anything
        else.
    exclude : Path, optional
        Where outputs go: a folder, file or store that folders and globs contribute nothing of, and
        that counts as one ignored entry where they hold it. It need not exist.

    Returns
    -------
    Discovery
        Folders and globs contribute what has an image suffix, whatever is in it, or an image
        signature, and Zarr stores. A name given explicitly is always an input.

    Raises
    ------
    SourceNotFoundError
        When a source does not exist, or holds no image.
    SourceError
        When a source cannot be listed.
    """
    basket = _Basket()
    if exclude is not None:
        basket.exclude(exclude)
    for source in sources:
        _gather(source, basket)
    if not basket.found:
        message = "Got no source; name at least one file, folder, glob or Zarr store."
        raise SourceNotFoundError(message)
    found = tuple(basket.found.values())
    inputs = tuple(
        Input(item.path, relative) for item, relative in zip(found, _place(found), strict=True)
    )
    return Discovery(inputs, n_ignored=len(basket.ignored - basket.found.keys()))


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


def _gather(source: str | Path, basket: _Basket) -> None:
    """Put what one source names into the basket."""
    text = str(source)
    if source == STDIN:
        basket.add_named(STDIN)
    elif is_url(source):
        basket.add_address(source)
    elif isinstance(source, str) and source.startswith("@"):
        _gather_list(source[1:], basket)
    elif _exists(text):
        _gather_path(text, basket)
    elif isinstance(source, str) and glob.has_magic(source):
        _gather_glob(source, basket)
    else:
        message = f"Cannot read {show_path(text)}: there is no such file or folder."
        raise SourceNotFoundError(message)


def _exists(path: str) -> bool:
    """Return whether a path exists; one that cannot be a path does not."""
    try:
        return os.path.exists(path)
    except ValueError:  # a null character
        return False


def _gather_path(path: str, basket: _Basket) -> None:
    """Put a file, a store, or what a folder holds into the basket."""
    if not os.path.isdir(path) or is_zarr_store(path):
        basket.add_named(path)
        return
    before = basket.size()
    _scan_folder(path, basket)
    _require_image(f"the folder {show_path(path)}", before, basket)


def _gather_list(path: str, basket: _Basket) -> None:
    """Put the paths that a file lists into the basket."""
    try:
        lines = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
    except FileNotFoundError:
        message = f"Cannot read the list {show_path(path)}: there is no such file."
        raise SourceNotFoundError(message) from None
    except (OSError, ValueError) as error:
        message = f"Cannot read the list {show_path(path)}: {show_cause(error)}."
        raise SourceError(message) from error
    for number, line in enumerate(lines, start=1):
        entry = os.fsdecode(line)
        if not entry.strip():
            continue
        if is_url(entry):
            basket.add_address(entry)
            continue
        if not _exists(entry):
            message = (
                f"Cannot read {show_path(entry)}, line {number} of the list {show_path(path)}: "
                "there is no such file or folder."
            )
            raise SourceNotFoundError(message)
        _gather_path(entry, basket)


def _gather_glob(pattern: str, basket: _Basket) -> None:
    """Put what a glob matches into the basket; folders that it matches are not descended into."""
    root = _fixed_part(pattern)
    before = basket.size()
    matches = sorted(glob.glob(pattern, recursive=True), key=lambda path: Path(path).parts)
    stores: set[str] = set()
    for path in matches:
        if _is_inside(path, root, stores) or basket.ignores(path, root):
            continue
        below = os.path.relpath(path, root)
        if below.startswith(os.pardir):  # "*/../x": its output must not leave OUT
            below = os.path.basename(path)
        if not os.path.isdir(path):
            _take_file(path, below, root, basket)
        elif is_zarr_store(path):
            basket.add_below(path, below, root)
    _require_image(f"the glob {show_path(pattern)}", before, basket)


def _fixed_part(pattern: str) -> str:
    """Return the folder in front of the first part of a glob that has a wildcard.

    Examples
    --------
    >>> _fixed_part("photos/2024/*/a?.jpg"), _fixed_part("*.png")
    ('photos/2024', '.')
    """
    path = Path(pattern)
    fixed: list[str] = []
    for part in path.parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return str(Path(*fixed))


def _is_inside(path: str, root: str, stores: set[str]) -> bool:
    """Return whether a folder between ``root`` and ``path`` is a Zarr store; remember stores."""
    for parent in Path(path).parents:
        text = str(parent)
        if text in stores:
            return True
        if text == root:
            return False
        if is_zarr_store(text):
            stores.add(text)
            return True
    return False


def _require_image(what: str, before: tuple[int, int], basket: _Basket) -> None:
    """Raise `SourceNotFoundError` when a source holds no image, not even one reached before."""
    n_found, n_ignored = (now - then for now, then in zip(basket.size(), before, strict=True))
    if n_found:
        return
    message = f"Found no image in {what}; {n_ignored} other files were ignored."
    raise SourceNotFoundError(message)


def _scan_folder(root: str, basket: _Basket) -> None:
    """Put the images below a folder into the basket, by name, folders and files alike."""
    waiting = _list_folder(root, "")  # not by recursion: folders may lie in folders a thousand deep
    while waiting:
        entry, place = waiting.pop()
        path = entry.path
        if basket.ignores(path, root):
            continue
        if entry.name.startswith(".") or (entry.is_symlink() and _is_folder(entry)):
            basket.ignore(path)
        elif not _is_folder(entry):
            _take_file(path, place, root, basket)
        elif is_zarr_store(path):
            basket.add_below(path, place, root)
        else:
            waiting += _list_folder(path, place)


def _list_folder(folder: str, below: str) -> list[tuple[os.DirEntry[str], str]]:
    """Return what is right inside a folder, each with its place, by name from the last one on."""
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name, reverse=True)
    except OSError as error:
        message = f"Cannot list the folder {show_path(folder)}: {show_cause(error)}."
        raise SourceError(message) from error
    return [(entry, os.path.join(below, entry.name)) for entry in entries]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder; a link to what may not be looked at is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _take_file(path: str, below: str, root: str, basket: _Basket) -> None:
    """Put a file into the basket if it is an image by its suffix or its signature."""
    is_image = _is_regular(path) and (
        os.path.splitext(path)[1].lower() in SUFFIXES or looks_like_image(path)
    )
    if is_image:
        basket.add_below(path, below, root)
    else:
        basket.ignore(path)


def _is_regular(path: str) -> bool:
    """Return whether a path is a file, or a link to one; no pipe, no device, no broken link."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def _place(found: Sequence[_Found]) -> list[PurePosixPath]:
    """Return where each input goes below OUT, all different."""
    depths = _count_own_parts(sorted({item.folder for item in found if not item.named}))
    n_above = [0 if item.named else depths[item.folder] for item in found]
    while True:
        places = [_take_parts(item, n) for item, n in zip(found, n_above, strict=True)]
        groups: dict[str, list[int]] = defaultdict(list)
        for index, place in enumerate(places):
            groups[place].append(index)
        growing = list(_choose_growing(groups.values(), found, n_above))
        if not growing:
            return [PurePosixPath(place) for place in places]
        for index in growing:
            n_above[index] += 1


def _choose_growing(
    groups: Iterable[list[int]], found: Sequence[_Found], n_above: list[int]
) -> Iterator[int]:
    """Yield those that share a place and can take one more parent, files given by name first."""
    for group in groups:
        if len(group) < 2:
            continue
        able = [
            index for index in group if n_above[index] < len(Path(found[index].folder).parts) - 1
        ]
        named = [index for index in able if found[index].named]
        yield from named or able


def _take_parts(item: _Found, n_above: int) -> str:
    """Return the last ``n_above`` parts of an input's folder, and its path below it."""
    if n_above == 0:
        return item.below
    return os.path.join(*Path(item.folder).parts[-n_above:], item.below)


def _count_own_parts(roots: Sequence[str]) -> dict[str, int]:
    """Return how many trailing parts of each folder stand in front of what is below it.

    Examples
    --------
    >>> _count_own_parts(["/a/x"]), _count_own_parts(["/a/x", "/b/x", "/c"])
    ({'/a/x': 0}, {'/a/x': 2, '/b/x': 2, '/c': 1})
    """
    if len(roots) < 2:
        return dict.fromkeys(roots, 0)
    parts = {root: Path(root).parts[1:] for root in roots}
    counts = dict.fromkeys(roots, 1)
    while True:
        groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for root, count in counts.items():
            groups[parts[root][-count:]].append(root)
        shared = [
            root
            for group in groups.values()
            for root in group
            if len(group) > 1 and counts[root] < len(parts[root])
        ]
        if not shared:
            return {root: min(count, len(parts[root])) for root, count in counts.items()}
        for root in shared:
            counts[root] += 1
