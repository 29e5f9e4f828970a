"""Files that hold many images: tar files, such as shards of WebDataset, and Parquet files.

A shard counts as a folder: what it holds lies below its name, less the suffix. It is searched where
it is named, or matched by a pattern; in a folder that is searched it is a file like any other.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from dask_quant.errors import SourceError, SourceNotFoundError
from dask_quant.sources.addresses import is_url, split_url
from dask_quant.sources.byte_ranges import DiskFile
from dask_quant.sources.found import Found, Root
from dask_quant.sources.header import show_cause, show_path
from dask_quant.sources.held import DAMAGE, PARQUET, SEPARATOR, TAR, Held
from dask_quant.sources.held_bytes import find_container
from dask_quant.sources.parquet_rows import ImageTable
from dask_quant.sources.range_batches import BATCH_BYTES
from dask_quant.sources.signatures import SUFFIXES
from dask_quant.sources.tar_members import Damage, list_members

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask_quant.sources.byte_ranges import ByteSource
    from dask_quant.sources.found import Search

_TAR_SUFFIX, _PARQUET_SUFFIX = ".tar", ".parquet"

COMPRESSED_SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
"""Suffixes of tar files that are refused: to reach an image, all in front of it is unpacked."""

_MAX_PART_BYTES = 200
"""Bytes of a part of a name in a shard that its output has (arbitrary): file systems take 255
bytes, and a suffix follows."""


def is_shard(path: str) -> bool:
    """Return whether a file holds images by its name.

    Examples
    --------
    >>> is_shard("a/train-000.TAR"), is_shard("a.tar.gz")
    (True, False)
    """
    return _find_name(path).lower().endswith((_TAR_SUFFIX, _PARQUET_SUFFIX))


def is_parquet(path: str) -> bool:
    """Return whether a shard is a Parquet file by its name."""
    return path.lower().endswith(_PARQUET_SUFFIX)


def is_named_shard(path: str) -> bool:
    """Return whether a file that a user named is a shard, one that cannot be read included."""
    return is_shard(path) or _find_name(path).lower().endswith(COMPRESSED_SUFFIXES)


def _find_name(path: str) -> str:
    """Return the name of a file, less what else is in its address."""
    return split_url(path)[1] if is_url(path) else os.path.basename(path)


@dataclass(frozen=True)
class ShardPlace:
    """Where the outputs of the images in a shard go."""

    folder: str
    """As in `Found`."""
    below: str
    """Path of the shard below that, with its suffix; empty: the folder is called as it is."""
    n_above: int
    """As in `Found`."""

    def place(self, name: str) -> str:
        """Return the place of what has a name in the shard, which never leads out of it.

        Examples
        --------
        >>> ShardPlace("/data", "s/train-000.tar", 0).place("/a/../../b.jpg")
        's/train-000/a/b.jpg'
        """
        return os.path.join(remove_suffix(self.below), *clean_parts(name))


def clean_parts(name: str) -> list[str]:
    """Return the parts of a name in a shard that its place has, at least one.

    Examples
    --------
    >>> clean_parts("/a/../../b.jpg"), clean_parts("..")
    (['a', 'b.jpg'], ['image'])
    """
    parts = (part.replace("\0", "") for part in name.split("/"))
    return [_shorten(part) for part in parts if part not in ("", ".", "..")] or ["image"]


def _shorten(part: str) -> str:
    """Return a part of a name so that a file system takes it."""
    return os.fsdecode(os.fsencode(part)[:_MAX_PART_BYTES])


def remove_suffix(path: str) -> str:
    """Return the path of a shard less its suffix.

    Examples
    --------
    >>> remove_suffix("s/train-000.tar"), remove_suffix("data.tar.gz"), remove_suffix(".tar")
    ('s/train-000', 'data', '.tar')
    """
    folder, name = os.path.split(path)
    for suffix in (*COMPRESSED_SUFFIXES, _TAR_SUFFIX, _PARQUET_SUFFIX):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return os.path.join(folder, name[: -len(suffix)])
    return path


def find_in_shard(path: str, identity: str, place: ShardPlace, search: Search) -> Iterator[Found]:
    """Yield the images in a shard; what is no image counts as ignored. **Eager**.

    Parameters
    ----------
    path : str
        As the user named it.
    identity : str
        As in `Found`, of the shard.
    place : ShardPlace
        Where it is.
    search : Search
        Told what is ignored.

    Yields
    ------
    Found
        Of a shard that is damaged, what is in front of the damage, and then one more, which
        cannot be read and says why.

    Raises
    ------
    SourceNotFoundError, SourceError
        When the shard cannot be opened.

    Notes
    -----
    Peak memory: the names in the shard, or in Parquet some thousand of them.
    """
    container, version = find_container(path)
    lists = _list_rows if is_parquet(path) else _list_images
    for mark, held in lists(container, Held(path, TAR, 0, 0, version, "")):
        own_identity = f"{identity}\0{mark}"
        if held is None:
            search.ignore(own_identity)
            continue
        below = place.place(held.name)
        size = max(0, held.size)
        given = (held.to_path(), own_identity, below, place.folder, False, place.n_above)
        yield Found(*given, size, version or None)


def _list_images(container: ByteSource, shard: Held) -> Iterator[tuple[str, Held | None]]:
    """Yield what tells each member of a tar file from others, and it, None where it is no image."""
    seen: Counter[str] = Counter()
    try:
        with closing(open_ahead(container)) as file:
            for found in list_members(file):
                if isinstance(found, Damage):
                    yield "damage", shard._replace(kind=DAMAGE, start=found.offset, name=found.kind)
                    continue
                held = shard._replace(start=found.offset, size=found.size, name=found.name)
                is_image = found.is_plain and _is_image_name(found.name)
                if is_image:
                    seen[found.name] += 1
                yield f"{seen[found.name]}/{found.name}", held if is_image else None
    except SourceError:
        raise
    except OSError as error:
        message = f"Cannot list the images in {show_path(shard.file)}: {show_cause(error)}."
        raise SourceError(message) from error


def _is_image_name(name: str) -> bool:
    """Return whether a member is an image by its name; hidden ones, such as ``._a.jpg``, are not.

    Examples
    --------
    >>> _is_image_name("./a/b.seg.PNG"), _is_image_name("a/._b.png"), _is_image_name("a/b.cls")
    (True, False, False)
    """
    if os.path.splitext(name)[1].lower() not in SUFFIXES:
        return False
    return not any(part.startswith(".") and part not in (".", "..") for part in name.split("/"))


def open_ahead(container: ByteSource) -> IO[bytes]:
    """Return a file from far away so that small members are fetched together, and others not."""
    if isinstance(container, DiskFile):
        return container.open()
    return container.open(BATCH_BYTES)  # type: ignore[call-arg]


def _list_rows(container: ByteSource, shard: Held) -> Iterator[tuple[str, Held | None]]:
    """Yield what tells each row of a Parquet file from others, and the image in it."""
    try:
        with closing(ImageTable(container)) as table:
            for row in table.list_rows():
                held = shard._replace(kind=PARQUET, start=row.number, size=row.size, name=row.name)
                yield str(row.number), held
    except SourceError as error:
        cause = str(error).partition(": ")[2].rstrip(".")
        yield "damage", shard._replace(kind=DAMAGE, name=cause or str(error))


@dataclass(frozen=True)
class Shard:
    """A shard that was named by a path or an address."""

    path: str
    """As the user named it."""

    @property
    def shown(self) -> str:
        """What messages call it."""
        return f"the shard {show_path(self.path)}"

    def list_roots(self, search: Search) -> Iterator[Root]:
        """Yield the folder that the shard stands for."""
        yield Root(remove_suffix(identify(self.path, search)), is_deep=False)

    def find(self, search: Search) -> Iterator[Found]:
        """Yield its images."""
        identity = identify(self.path, search)
        folder = remove_suffix(identity)
        # One shard alone, too, has its name in front, as in a folder of several.
        place = ShardPlace(folder, "", max(1, search.count_above(folder)))
        return find_in_shard(self.path, _as_identity(self.path, identity), place, search)


@dataclass(frozen=True)
class Member:
    """An image in a shard that was named, ``train-000.tar::a/b.jpg``."""

    path: str
    """The shard."""
    name: str
    """The image."""

    def list_roots(self, search: Search) -> Iterator[Root]:
        """Yield nothing."""
        yield from ()

    def find(self, search: Search) -> Iterator[Found]:
        """Yield it, and others of that name; `SourceNotFoundError` where there is none."""
        is_empty = True
        for found in Shard(self.path).find(search):
            if found.path.endswith(f"\0{self.name}"):
                is_empty = False
                folder, name = os.path.split(os.path.join(found.folder, found.below))
                yield found._replace(below=name, folder=folder, named=True, n_above=0)
        if is_empty:
            shown = show_path(f"{self.path}{SEPARATOR}{self.name}")
            message = f"Cannot read {shown}: there is no such image in that file."
            raise SourceNotFoundError(message)


def split_member(text: str) -> Member | None:
    """Return the image in a shard that a text names, None where it names none; nothing is opened.

    Examples
    --------
    >>> split_member("s3://a::b/s.tar::x::1.jpg"), split_member("s3://a/s.tar")
    (Member(path='s3://a::b/s.tar', name='x::1.jpg'), None)
    """
    parts = text.split(SEPARATOR)
    for stop in range(1, len(parts)):
        path = SEPARATOR.join(parts[:stop])
        if is_shard(path) and (is_url(path) or os.path.isfile(path)):
            return Member(path, SEPARATOR.join(parts[stop:]))
    return None


def identify(path: str, search: Search) -> str:
    """Return the absolute path of a shard; of an address, what `split_url` makes of it."""
    return "/".join(split_url(path)) if is_url(path) else search.identify(path)


def _as_identity(path: str, absolute: str) -> str:
    """Return what a shard is known by, as in `Found`."""
    return path if is_url(path) else absolute
