"""The manifest of a collection: a line of JSON for each image, written as soon as it is done.

Rows are on disk before the job goes on, and none is ever changed, so that a kill at any byte costs
at most the rows that were being written. ``pandas.read_json(path, lines=True)`` reads it, at any
time.
"""

from __future__ import annotations

import math
import os
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.errors import OutputError
from dask_quant.image_rows import WRITTEN, ImageRow, parse_rows
from dask_quant.sinks.atomic import report_os_errors, sync_folder, write_file_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Change = Callable[[ImageRow], ImageRow | None]


class Manifest:
    """The manifest of an output folder, open to be written. **Eager**.

    Parameters
    ----------
    path : Path
        The file.
    keeps : bool
        Whether the rows that are there are kept.

    Raises
    ------
    OutputError
        When it cannot be written, or something else is in its place.
    """

    def __init__(self, path: Path, *, keeps: bool) -> None:
        self.path = path
        if path.is_symlink() or (path.exists() and not path.is_file()):
            message = f"Cannot write {str(path)!r}: it is no file; move it away."
            raise OutputError(message)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        with report_os_errors(path):
            self._descriptor = os.open(path, flags | (0 if keeps else os.O_TRUNC), 0o666)
            sync_folder(path.parent)
            for left in path.parent.glob(f".{path.name}.*.partial"):  # of a kill during `rewrite`
                left.unlink()
        self._cut_torn_line()

    def _cut_torn_line(self) -> None:
        """Remove what a kill left of a row."""
        end = _find_last_end(self._descriptor)
        with report_os_errors(self.path):
            os.ftruncate(self._descriptor, end)
            os.lseek(self._descriptor, 0, os.SEEK_END)

    def append(self, rows: Iterable[ImageRow]) -> None:
        """Add rows, on disk when this returns.

        Raises
        ------
        OutputError
            When they cannot be written; then none of them is there.
        """
        data = b"".join(row.to_line() for row in rows)
        if not data:
            return
        with report_os_errors(self.path):
            start = os.lseek(self._descriptor, 0, os.SEEK_END)
            try:
                left = memoryview(data)
                while left:
                    left = left[os.write(self._descriptor, left) :]
                os.fsync(self._descriptor)
            except OSError:
                os.ftruncate(self._descriptor, start)
                raise

    def rewrite(self, change: Change) -> None:
        """Put others in place of rows, or remove them, all at once, and what is no row of ours."""
        if all(change(row) is row for row in self.read_rows()):
            return
        kept = (row.to_line() for row in filter(None, map(change, self.read_rows())))
        write_file_atomically(self.path, kept, overwrite=True)
        os.close(self._descriptor)
        with report_os_errors(self.path):
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)

    def read_rows(self) -> Iterator[ImageRow]:
        """Yield all rows, one after another."""
        return read_rows(self.path)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def _find_last_end(descriptor: int) -> int:
    """Return where the last whole line of a file ends."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        begin = max(0, end - (1 << 16))
        found = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def read_rows(path: Path) -> Iterator[ImageRow]:
    """Yield the rows of a manifest, one after another; torn ones are passed over. **Eager**."""
    with report_os_errors(path), open(path, "rb") as file:
        yield from parse_rows(file)


class RowList:
    """Rows of a job that writes no images, and so keeps no manifest."""

    def __init__(self) -> None:
        self._rows: list[ImageRow] = []

    def append(self, rows: Iterable[ImageRow]) -> None:
        """Add rows."""
        self._rows += rows

    def rewrite(self, change: Change) -> None:
        """Put others in place of rows, or remove them."""
        self._rows = list(filter(None, map(change, self._rows)))

    def read_rows(self) -> Iterator[ImageRow]:
        """Yield all rows."""
        return iter(self._rows)


@dataclass(frozen=True, kw_only=True)
class Totals:
    """What the rows of a manifest come to."""

    n_written: int
    """Images that were written."""
    n_pixels: int
    """Their pixels."""
    squared_error: float
    """Their squared sRGB error."""
    inertia: float
    """Their squared distances in the working space."""
    mean_color_error: float
    """Their squared error had each been painted its mean colour."""
    input_bytes: int
    """Bytes of their inputs."""
    output_bytes: int
    """Bytes of their outputs."""
    n_colors: int
    """Most colours that one of them has."""
    n_poor: int
    """Those of fewer distinct colours than were asked for."""
    n_iter: int
    """Most iterations of the fit of one of them."""
    n_beyond: int
    """Those that miss the target for each image."""
    label_counts: NDArray[np.int64] | None
    """Pixels of each entry of a palette that all share; None where rows do not say."""
    quarantined: tuple[ImageRow, ...]
    """Rows of those that were set aside."""


def add_up(rows: Iterable[ImageRow], n_asked: int) -> Totals:
    """Add up the rows of a manifest, of which ``n_asked`` colours were asked for.

    The sums are exact, whatever the order of the rows, up to one rounding at the end.
    """
    sums: Sequence[array[float]] = (array("d"), array("d"), array("d"))
    numbers = np.zeros(4, dtype=np.int64)
    n_colors = n_poor = n_iter = n_beyond = 0
    quarantined = []
    counts: NDArray[np.int64] | None = None
    for row in rows:
        if row.status != WRITTEN:
            quarantined.append(row)
            continue
        numbers += (1, row.n_pixels, row.input_bytes or 0, row.output_bytes or 0)
        for values, value in zip(sums, _list_errors(row), strict=True):
            values.append(value)
        n_colors, n_iter = max(n_colors, row.n_colors or 0), max(n_iter, row.n_iter or 0)
        n_beyond += row.meets_target is False
        n_poor += (row.n_unique_colors or 0) < n_asked
        if row.label_counts is not None:
            counts = np.add(row.label_counts, 0 if counts is None else counts, dtype=np.int64)
    error, inertia, mean_color_error = map(math.fsum, sums)
    n_written, n_pixels, input_bytes, output_bytes = numbers.tolist()
    return Totals(
        n_written=n_written,
        n_pixels=n_pixels,
        squared_error=error,
        inertia=inertia,
        mean_color_error=mean_color_error,
        input_bytes=input_bytes,
        output_bytes=output_bytes,
        n_colors=n_colors,
        n_poor=n_poor,
        n_iter=n_iter,
        n_beyond=n_beyond,
        label_counts=counts,
        quarantined=tuple(quarantined),
    )


def _list_errors(row: ImageRow) -> tuple[float, float, float]:
    """Return the sums over the pixels of an image."""
    return row.squared_error or 0.0, row.inertia or 0.0, row.mean_color_error or 0.0
