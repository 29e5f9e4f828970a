"""The bytes of an image that lies in another file, by one seek and one read.

The file has to be what it was when its images were listed, or the bytes would be those of anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.errors import SourceError, SourceNotFoundError
from dask_quant.options import format_bytes
from dask_quant.sources.addresses import is_url
from dask_quant.sources.byte_ranges import DiskFile
from dask_quant.sources.header import show_cause, show_path
from dask_quant.sources.held import DAMAGE, PARQUET, Held
from dask_quant.sources.parquet_rows import read_row
from dask_quant.sources.tar_members import COMPRESSED, CUT_OFF, DAMAGED, UNFINISHED

if TYPE_CHECKING:
    from dask_quant.sources.byte_ranges import ByteSource

_MAX_IMAGE_BYTES = 1 << 28
"""Most bytes of an image in a tar file, which is read as a whole (arbitrary; what its header claims
is not known to be true)."""

_REASONS = {
    DAMAGED: "there is no header of a member where one has to be",
    CUT_OFF: "the file is cut off there",
    UNFINISHED: "the mark of its end is missing, so it was cut off, or is not finished",
    COMPRESSED: (
        "the file is compressed, so no image in it can be read by itself; unpack it with gunzip, "
        "bunzip2, unxz or unzstd"
    ),
}


def find_container(file: str) -> tuple[ByteSource, str]:
    """Return a file that holds images, and what changes with it.

    Raises
    ------
    SourceNotFoundError, SourceError
        When it is not there, or cannot be read.
    """
    if is_url(file):
        from dask_quant.sources.remote_file import RemoteFile

        remote = RemoteFile.find(file)
        return remote, remote.version
    try:
        found = DiskFile.find(file)
    except FileNotFoundError:
        message = f"Cannot read {show_path(file)}: there is no such file."
        raise SourceNotFoundError(message) from None
    except OSError as error:
        message = f"Cannot read {show_path(file)}: {show_cause(error)}."
        raise SourceError(message) from error
    return found, str(found.modified_ns)


def read_held(held: Held) -> bytes:
    """Return the bytes of an image in another file. **Eager**.

    Raises
    ------
    SourceNotFoundError, SourceError
        When the file is gone, was changed since it was listed, or cannot be read there; for what
        is listed as damage; for more than 268 MB.
    """
    if held.kind == DAMAGE:
        raise SourceError(_damage_message(held))
    if held.size > _MAX_IMAGE_BYTES:
        message = (
            f"Cannot read {show_path(held.to_path())}: it has {format_bytes(held.size)}, and an "
            f"image in another file is read as a whole, which is done up to "
            f"{format_bytes(_MAX_IMAGE_BYTES)}; take it out of that file first."
        )
        raise SourceError(message)
    container = find_unchanged(held.file, held.version, held.to_path())
    return read_row(container, held) if held.kind == PARQUET else _read_member(container, held)


def find_unchanged(file: str, version: str, shown: str) -> ByteSource:
    """Return a file that holds images, which has to be what it was when they were listed.

    Parameters
    ----------
    file : str
        Its path or address.
    version : str
        What changes with it, as in `Held`.
    shown : str
        What messages call what is read.

    Raises
    ------
    SourceNotFoundError, SourceError
        When it is gone, or was changed.
    """
    container, now = find_container(file)
    if now == version:
        return container
    message = (
        f"Cannot read {show_path(shown)}: the file was changed after its images were listed; "
        "leave it unchanged until the job is done."
    )
    raise SourceError(message)


def _damage_message(held: Held) -> str:
    """Return the message for what is damaged."""
    reason = _REASONS.get(held.name, held.name)
    in_front = "; images in front of that are read" if held.start else ""
    return f"Cannot read {show_path(held.file)} from byte {held.start:,} on: {reason}{in_front}."


def _read_member(container: ByteSource, held: Held) -> bytes:
    """Return the bytes of a member of a tar file."""
    try:
        data = next(iter(container.read([(held.start, held.size)])))
    except SourceError:
        raise
    except OSError as error:
        message = f"Cannot read {show_path(held.to_path())}: {show_cause(error)}."
        raise SourceError(message) from error
    if len(data) < held.size:
        message = f"Cannot read {show_path(held.to_path())}: the file is cut off in it."
        raise SourceError(message)
    return data
