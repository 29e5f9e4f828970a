"""Parts of a file that tasks write on their own, and one last task joins.

A part is data with a table of its pieces at the end. It gets its name when it is whole: run again,
a task writes the same bytes under the same name, and a worker that was given up for dead may still
do so while another one joins.
"""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant.errors import OutputError
from dask_quant.sinks.atomic import partial_path, report_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

PIECE = np.dtype([("offset", "<u8"), ("size", "<u8"), ("crc", "<u4")])
"""A piece in the table of a part: where it begins, its bytes, and their CRC-32."""

_MAGIC = b"dqparts1"
_END = struct.Struct("<8sQI")
"""Magic, number of pieces, CRC-32 of their table."""


def write_part(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Write a part that appears under its name only when it is whole. **Eager**.

    Peak memory: one piece.

    Raises
    ------
    OutputError
        When it cannot be written.
    """
    temporary, rows, offset = partial_path(path), [], 0
    with report_os_errors(path), open(temporary, "wb") as file:
        for piece in pieces:
            file.write(piece)
            rows.append((offset, len(piece), zlib.crc32(piece)))
            offset += len(piece)
        table = np.array(rows, dtype=PIECE).tobytes()
        file.write(table + _END.pack(_MAGIC, len(rows), zlib.crc32(table)))
    with report_os_errors(path):
        temporary.replace(path)


@dataclass(frozen=True)
class OpenPart:
    """A part that is open to be read."""

    path: Path
    """Its name."""
    descriptor: int
    """The open file."""
    table: NDArray[Any]
    """Its pieces, as `PIECE`."""

    def read(self, number: int) -> bytes:
        """Return a piece; raise `OutputError` when it is torn or altered."""
        offset, size, crc = self.table[number].tolist()
        with report_os_errors(self.path):
            data = os.pread(self.descriptor, size, offset)
        if len(data) != size or zlib.crc32(data) != crc:
            raise OutputError(_torn_message(self.path))
        return data


@contextmanager
def open_part(path: Path) -> Iterator[OpenPart]:
    """Open a part that `write_part` wrote.

    Raises
    ------
    OutputError
        When it is missing on this machine, torn or altered.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        message = (
            f"{path.name} in {str(path.parent)!r} is missing on this worker; all workers must see "
            "the folder of the output under the same path."
        )
        raise OutputError(message) from error
    try:
        yield OpenPart(path, descriptor, _read_table(path, descriptor))
    finally:
        os.close(descriptor)


def is_whole_part(path: Path) -> bool:
    """Return whether a part is there and all of its checksums agree. **Eager**."""
    try:
        with open_part(path) as part:
            for number in range(len(part.table)):
                part.read(number)
    except OutputError:
        return False
    return True


def _read_table(path: Path, descriptor: int) -> NDArray[Any]:
    """Return the pieces of an open part."""
    n_bytes = os.fstat(descriptor).st_size
    end = os.pread(descriptor, _END.size, max(0, n_bytes - _END.size))
    if len(end) == _END.size:
        magic, n_pieces, crc = _END.unpack(end)
        begin = n_bytes - _END.size - n_pieces * PIECE.itemsize
        table = os.pread(descriptor, n_pieces * PIECE.itemsize, begin) if begin >= 0 else b""
        if magic == _MAGIC and begin >= 0 and zlib.crc32(table) == crc:
            return np.frombuffer(table, dtype=PIECE)
    raise OutputError(_torn_message(path))


def _torn_message(path: Path) -> str:
    """Return the message for a part that is not what was written."""
    return f"Got a torn part {path.name} in {str(path.parent)!r}; write the image again."
