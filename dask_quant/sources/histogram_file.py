"""Files of counted colours: NumPy's ``.npz``, which anybody opens, read in bounded memory.

Three arrays: ``colors`` uint8 ``(n, 3)``, ascending by red, green, blue, or ``(n, 4)`` with alpha,
first of all by descending alpha; ``counts`` int64 ``(n,)``, pixels of each; ``version``, 1. A file
may come from anywhere, so nothing in it is believed: types and lengths are looked at before
anything is read, and what is read goes part by part.
"""

from __future__ import annotations

import os
import struct
import zipfile
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from dask_quant.errors import SourceError, SourceNotFoundError
from dask_quant.histogram import ColorHistogram
from dask_quant.kernels.count_block import pack_colors
from dask_quant.options import as_path
from dask_quant.sources.header import show_cause, show_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

FORMAT_VERSION = 1
"""Version of the files that are written, and the only one that is read."""

SLICE_COLORS = 1 << 20
"""Colours read or written at a time."""

MAX_PIXELS = 1 << 45
"""Pixels of a file at most: sums of squared levels over three bands then fit in 64 bits."""

MAX_COLORS = 1 << 28
"""Colours of a file with alpha at most (arbitrary); without alpha there are no more than 2^24."""

_CLEAR = 0xFF000000
"""Packed colour of all pixels that are fully transparent."""

_END = struct.Struct("<4s4x2H2LH")
"""End of an archive: its mark, entries here and in all, bytes of the directory, its place, comment.
"""

_END_MARK = b"PK\5\6"
"""What the end of an archive begins with."""

_MAX_DIRECTORY_BYTES = 1 << 16
"""Most that the directory of an archive of three arrays takes (arbitrary)."""

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How the arrays of an ``.npz`` are stored."""


def read_histogram(path: str | Path) -> ColorHistogram:
    """Read the counts that `write_histogram`, or ``--save-histogram``, wrote. **Eager**.

    Parameters
    ----------
    path : str or Path
        The ``.npz`` file.

    Returns
    -------
    ColorHistogram
        Equal to what was written.

    Raises
    ------
    SourceNotFoundError
        When there is no such file.
    SourceError
        When it cannot be read, is damaged, or holds something else: colours that do not ascend,
        counts below 1, arrays of other types.

    Notes
    -----
    O(colours), 15 bytes per colour at the peak and some 30 MB for a while.
    """
    file = as_path(path, "histogram")
    cannot = f"Cannot read counts from {show_path(str(file))}"
    try:
        with file.open("rb") as stored, _open_archive(stored) as archive:
            _check_version(archive)
            codes = _read_codes(archive)
            return ColorHistogram(codes, _read_counts(archive, len(codes)))
    except FileNotFoundError:
        message = f"{cannot}: there is no such file."
        raise SourceNotFoundError(message) from None
    except Exception as error:  # of Python and NumPy, any type for one damaged file or another
        reason = error.strerror if isinstance(error, OSError) else None
        message = f"{cannot}: {reason or show_cause(error)}."
        raise SourceError(message) from error


def _open_archive(stored: IO[bytes]) -> zipfile.ZipFile:
    """Return the archive; raise `ValueError` where its directory could fill the memory.

    It is read as a whole by `zipfile`, at some ten times its bytes.
    """
    n_bytes = stored.seek(0, os.SEEK_END)
    stored.seek(max(0, n_bytes - _END.size))
    tail = stored.read().ljust(_END.size, b"\0")
    mark, _, _, directory_bytes, begin, _ = _END.unpack(tail)
    is_plain = begin + directory_bytes + _END.size == n_bytes  # so that none is of 64 bits
    if mark != _END_MARK or not is_plain or directory_bytes > _MAX_DIRECTORY_BYTES:
        message = "it is no archive (zip) of a few arrays, or is torn"
        raise ValueError(message)
    return zipfile.ZipFile(stored)


def _check_version(archive: zipfile.ZipFile) -> None:
    """Raise `ValueError` unless the archive has the arrays of a version that is known."""
    ways = {info.filename: info.compress_type for info in archive.infolist()}
    for name in ("colors", "counts", "version"):
        if ways.get(f"{name}.npy") not in _COMPRESSIONS:
            message = f"it is no file of counted colours, for it holds no {name} as NumPy stores it"
            raise ValueError(message)
    with archive.open("version.npy") as member:
        ((version,),) = _read_parts(member, "version", "<i8", (), limit=1)
    if version != FORMAT_VERSION:
        message = f"it is of version {version}, and version {FORMAT_VERSION} is read here"
        raise ValueError(message)


def _read_codes(archive: zipfile.ZipFile) -> NDArray[np.uint32]:
    """Return the packed colours, uint32 ``(n,)``; raise `ValueError` unless they ascend."""
    parts = [np.empty(0, dtype=np.uint32)]
    with archive.open("colors.npy") as member:
        for part in _read_parts(member, "colors", "|u1", (3,), (4,), limit=MAX_COLORS):
            codes = pack_colors(part)
            # Part by part, so that a file that claims too many is not read to its end.
            if (codes[1:] <= codes[:-1]).any() or (parts[-1][-1:] >= codes[:1]).any():
                message = "its colours do not ascend, each once"
                raise ValueError(message)
            if codes[-1] > _CLEAR:
                message = "it has a colour that is fully transparent and not black"
                raise ValueError(message)
            parts.append(codes)
    return np.concatenate(parts)


def _read_counts(archive: zipfile.ZipFile, n_colors: int) -> NDArray[np.int64]:
    """Return the pixels of each colour, int64 ``(n,)``; raise `ValueError` where one has none."""
    counts, n_read, n_pixels = np.empty(n_colors, dtype=np.int64), 0, 0
    with archive.open("counts.npy") as member:
        for part in _read_parts(member, "counts", "<i8", (), limit=n_colors):
            if part.min() < 1 or part.max() > MAX_PIXELS:
                worst = part.min() if part.min() < 1 else part.max()
                message = f"it counts {worst} pixels of a colour, which are 1 to 2**45"
                raise ValueError(message)
            counts[n_read : n_read + len(part)] = part
            n_read, n_pixels = n_read + len(part), n_pixels + int(part.sum())
    if n_read != n_colors:
        message = f"it has {n_read} counts for {n_colors} colours"
        raise ValueError(message)
    if n_pixels > MAX_PIXELS:
        message = f"it counts {n_pixels} pixels, which are at most 2**45"
        raise ValueError(message)
    return counts


def _read_parts(
    member: IO[bytes], name: str, dtype: str, *shapes: tuple[int, ...], limit: int
) -> Iterator[NDArray[Any]]:
    """Yield parts of the array in a member of an archive, ``(n, *shape)``, ``n`` up to ``limit``.

    The shape is one of ``shapes``. A single number counts as one row.

    Raises
    ------
    ValueError
        When it is of another type or shape, longer or shorter than it says.
    """
    found, is_fortran, found_dtype = _read_array_header(member)
    rows = found or (1,)
    shape = rows[1:]
    if found_dtype != np.dtype(dtype) or shape not in shapes or (is_fortran and len(rows) > 1):
        wanted = " or ".join(f"({', '.join(('n', *map(str, each)))})" for each in shapes)
        message = f"its {name} are {found_dtype} {found} and not {np.dtype(dtype)} {wanted}"
        raise ValueError(message)
    if not 0 <= rows[0] <= limit:
        message = f"it has {rows[0]} {name}, where there are at most {limit}"
        raise ValueError(message)
    row_bytes = found_dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    for begin in range(0, rows[0], SLICE_COLORS):
        n_rows = min(SLICE_COLORS, rows[0] - begin)
        data = member.read(n_rows * row_bytes)
        if len(data) < n_rows * row_bytes:
            message = f"its {name} end early"
            raise ValueError(message)
        yield np.frombuffer(data, found_dtype).reshape(n_rows, *shape)
    if member.read(1):  # which also has the archive compare the checksum
        message = f"its {name} go on after their end"
        raise ValueError(message)


def _read_array_header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, whether columns come first, and type, from the header of a ``.npy``."""
    version = np.lib.format.read_magic(member)
    if version == (1, 0):  # the header of others may claim 4 GB, and have them by deflate
        return np.lib.format.read_array_header_1_0(member)
    message = f"it holds an array of NumPy's format {version[0]}.{version[1]}"
    raise ValueError(message)
