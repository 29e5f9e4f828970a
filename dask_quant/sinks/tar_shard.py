"""A shard packed anew: a tar file with other images at the places of those that it has.

What is written depends on the shard and the images alone: every header is made afresh, with the
name, the size and the time of change of its member, mode 644 (755 of folders), and nobody's user
and group. Names that are long, or not ASCII, are told by pax headers, as POSIX has them.
"""

from __future__ import annotations

import errno
import os
import tarfile
from typing import IO, TYPE_CHECKING, NamedTuple

from dask_quant.errors import OutputError
from dask_quant.sources.tar_members import Damage, Entry, walk_entries

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

_RECORD_BYTES = tarfile.RECORDSIZE
"""What the size of a tar file is a multiple of, by default of all programs that write them."""

_CHUNK_BYTES = 1 << 18
"""Bytes of a member that are copied at a time (arbitrary)."""

_FILE_MODE, _FOLDER_MODE = 0o644, 0o755


class PackedImage(NamedTuple):
    """What takes the place of an image."""

    name: str
    """Its name in the shard."""
    path: str
    """Where its bytes are."""


def pack_shard(
    shard: IO[bytes],
    images: Mapping[int, PackedImage],
    left_out: Container[str] = frozenset(),
) -> Iterator[bytes]:
    """Yield the bytes of a shard with other images in it. **Lazy**.

    Parameters
    ----------
    shard : binary file
        The shard as it is, which can be sought; reading it raises what it likes.
    images : mapping
        What takes the place of the member whose bytes begin at an offset.
    left_out : container of str
        Samples, as `find_sample` names them, of which no member is taken over.

    Yields
    ------
    bytes
        Of members in the order of the shard: the images; files, byte for byte; folders. Links and
        devices are left out, and so is what is behind damage.

    Raises
    ------
    OutputError
        When the bytes of an image cannot be read.
    OSError, tarfile.ReadError
        When those of the shard cannot.

    Notes
    -----
    Peak memory: 256 KB, beside one header.
    """
    n_bytes = 0
    for chunk in _pack_members(shard, images, left_out):
        n_bytes += len(chunk)
        yield chunk
    end = 2 * tarfile.BLOCKSIZE
    yield bytes(end + -(n_bytes + end) % _RECORD_BYTES)


def _pack_members(
    shard: IO[bytes], images: Mapping[int, PackedImage], left_out: Container[str]
) -> Iterator[bytes]:
    """Yield the bytes of all members."""
    for found in walk_entries(shard):
        if isinstance(found, Damage):
            return
        header = found.header
        image = images.get(header.offset_data) if found.is_plain else None
        if image is not None:
            yield from _pack_image(header, image)
        elif find_sample(header.name) in left_out and not header.isdir():
            continue
        elif header.isreg() or header.isdir():
            yield from _copy(found)


def find_sample(name: str) -> str | None:
    """Return the sample that a member belongs to: its name up to the first dot behind its folders.

    So WebDataset has it; None where there is no dot, or nothing in front of it.

    Examples
    --------
    >>> find_sample("a.b/7.seg.png"), find_sample("7.json"), find_sample("a/.7"), find_sample("a/7")
    ('a.b/7', '7', None, None)
    """
    folder, slash, base = name.rpartition("/")
    stem, dot, _ = base.partition(".")
    return f"{folder}{slash}{stem}" if stem and dot else None


def _pack_image(header: tarfile.TarInfo, image: PackedImage) -> Iterator[bytes]:
    """Yield the bytes of a member with an image that takes the place of another."""
    try:
        with open(image.path, "rb") as file:
            n_bytes = os.fstat(file.fileno()).st_size
            yield _make_header(image.name, n_bytes, header)
            yield from _read(file, n_bytes)
    except OSError as error:
        message = (
            f"Cannot read {image.path!r}, an image that waits to be packed: {error.strerror}; go "
            "on with --resume."
        )
        raise OutputError(message) from error


def _copy(found: Entry) -> Iterator[bytes]:
    """Yield the bytes of a member as it is."""
    header = found.header
    if header.isdir():
        yield _make_header(header.name, 0, header)
        return
    yield _make_header(header.name, header.size, header)
    file = found.opened.extractfile(header)
    assert file is not None, "it is a file"
    yield from _read(file, header.size)


def _make_header(name: str, n_bytes: int, old: tarfile.TarInfo) -> bytes:
    """Return the header of a member that an older one stands for."""
    new = tarfile.TarInfo(name)
    new.size = n_bytes
    new.type, new.mode = tarfile.REGTYPE, _FILE_MODE
    if old.isdir():
        new.type, new.mode = tarfile.DIRTYPE, _FOLDER_MODE
    new.mtime = _count_seconds(old.mtime)
    return new.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _count_seconds(mtime: float) -> int:
    """Return a time of change in whole seconds, 0 where it is none that can be."""
    try:
        return max(0, int(mtime))
    except (ValueError, OverflowError):  # nan, inf
        return 0


def _read(file: IO[bytes], n_bytes: int) -> Iterator[bytes]:
    """Yield as many bytes of a file, and zeros up to a whole block."""
    n_left = n_bytes
    while n_left:
        chunk = file.read(min(n_left, _CHUNK_BYTES))
        if not chunk:
            raise OSError(errno.EIO, "it is cut off")
        n_left -= len(chunk)
        yield chunk
    yield bytes(-n_bytes % tarfile.BLOCKSIZE)
