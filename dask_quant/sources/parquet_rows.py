"""Images in rows of Parquet files: one in each, encoded, in a column of bytes.

Data sets of Hugging Face have a column of structs with the ``bytes`` of a file and its ``path``; a
plain column of bytes will do. Rows of a group are decoded one after another, so that whoever asks
for them in their order decodes each once. That takes some three times the bytes of a page, which
is all of a row group where whoever wrote the file made it so.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from dask_quant.errors import DaskQuantError, SourceError
from dask_quant.sources.byte_ranges import DiskFile
from dask_quant.sources.header import show_cause, show_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask_quant.sources.byte_ranges import ByteSource
    from dask_quant.sources.held import Held

_USUAL_NAMES = ("image", "img")
"""What the column of images is called where there are several columns that could be it."""

_ROWS = 16
"""Rows that are decoded together (arbitrary)."""

_LISTED_ROWS = 4096
"""Rows of which the paths are listed together (arbitrary)."""

_BUFFER_BYTES = 1 << 20
"""Bytes of a column that are read at a time (arbitrary)."""


class Row(NamedTuple):
    """A row with an image."""

    number: int
    """Which, from 0."""
    name: str
    """The path that it states; its number where it states none."""
    size: int
    """Its share of the bytes that its row group takes: what it takes itself is not told."""


class _Column(NamedTuple):
    """Where the images are."""

    name: str
    """Of the column."""
    is_struct: bool
    """Whether it has the bytes in a field of that name."""
    has_paths: bool
    """Whether it has paths, too."""

    @property
    def leaf(self) -> str:
        """What Parquet calls the bytes."""
        return f"{self.name}.bytes" if self.is_struct else self.name


class ImageTable:
    """A Parquet file with images.

    Parameters
    ----------
    source : ByteSource
        The file.

    Raises
    ------
    SourceError
        When it cannot be read, or has no column of images, or several.
    """

    def __init__(self, source: ByteSource) -> None:
        import pyarrow.parquet

        self.source = source
        with _explain(source.name):
            # Arrow closes its own files when nobody has them any more, as a thread that ends.
            file = pyarrow.OSFile(source.path) if isinstance(source, DiskFile) else source.open()
            self._file = pyarrow.parquet.ParquetFile(file, buffer_size=_BUFFER_BYTES)
            self._column = _find_column(self._file.schema_arrow, source.name)
            metadata = self._file.metadata
            counts = (metadata.row_group(at).num_rows for at in range(metadata.num_row_groups))
            self._starts = [0, *accumulate(counts)]
        self._batches: Iterator[Any] = iter(())
        self._group, self._first = -1, 0
        self._values: Any = ()

    def close(self) -> None:
        """Close the file."""
        self._batches = iter(())
        self._file.close(force=True)

    def list_rows(self) -> Iterator[Row]:
        """Yield all rows, by the column of paths alone. **Eager**."""
        digits = max(6, len(str(self._starts[-1])))
        paths = self._read_paths()
        for group in range(len(self._starts) - 1):
            size = self._measure_row(group)
            for number in range(self._starts[group], self._starts[group + 1]):
                yield Row(number, next(paths, None) or f"{number:0{digits}d}", size)

    def _read_paths(self) -> Iterator[str | None]:
        """Yield the path of every row, if there are paths."""
        if not self._column.has_paths:
            return
        with _explain(self.source.name):
            leaf = f"{self._column.name}.path"
            for batch in self._file.iter_batches(batch_size=_LISTED_ROWS, columns=[leaf]):
                yield from batch.column(0).field("path").to_pylist()

    def _measure_row(self, group: int) -> int:
        """Return the mean bytes of an image of a row group, as stored."""
        metadata = self._file.metadata.row_group(group)
        columns = map(metadata.column, range(metadata.num_columns))
        sizes = [c.total_compressed_size for c in columns if c.path_in_schema == self._column.leaf]
        return int(sum(sizes) // max(1, metadata.num_rows))

    def read(self, number: int) -> bytes | None:
        """Return the image of a row, None where there is none. **Eager**."""
        group = bisect_right(self._starts, number) - 1
        if group != self._group or number < self._first:
            self._batches = self._file.iter_batches(
                batch_size=_ROWS, row_groups=[group], columns=[self._column.leaf]
            )
            self._group, self._first, self._values = group, self._starts[group], ()
        with _explain(self.source.name):
            while number >= self._first + len(self._values):
                self._first += len(self._values)
                column = next(self._batches).column(0)
                self._values = column.field("bytes") if self._column.is_struct else column
        value: bytes | None = self._values[number - self._first].as_py()
        return value


def _find_column(schema: Any, name: str) -> _Column:
    """Return the column of images, or raise `SourceError`."""
    found = [each for each in map(_as_column, schema) if each is not None]
    structs = [each for each in found if each.is_struct]
    usual = [each for each in structs or found if each.name.lower() in _USUAL_NAMES]
    for chosen in (structs, found, usual):
        if len(chosen) == 1:
            return chosen[0]
    how = (
        f"has several columns that could be of images ({', '.join(each.name for each in found)}); "
        "call one of them 'image'"
        if found
        else "has no column of images, as structs of bytes and path, or as bytes; store them so"
    )
    message = f"Cannot read {show_path(name)}: it {how}."
    raise SourceError(message)


def _as_column(field: Any) -> _Column | None:
    """Return a field of a schema as a column of images, None where it is none."""
    if _is_binary(field.type):
        return _Column(field.name, is_struct=False, has_paths=False)
    if not hasattr(field.type, "fields"):
        return None
    types = {inner.name: inner.type for inner in field.type.fields}
    if not _is_binary(types.get("bytes")):
        return None
    return _Column(field.name, is_struct=True, has_paths=str(types.get("path")) in _TEXTS)


_TEXTS = ("string", "large_string", "string_view")


def _is_binary(kind: Any) -> bool:
    """Return whether a type is that of bytes."""
    return str(kind) in ("binary", "large_binary", "binary_view")


@contextmanager
def _explain(name: str) -> Iterator[None]:
    """Have what a file raises that is damaged be an error of ours."""
    try:
        yield
    except DaskQuantError:
        raise
    except Exception as error:  # Arrow raises many types for one damage or another
        message = f"Cannot read {show_path(name)}: {show_cause(error)}."
        raise SourceError(message) from error


class _Kept(threading.local):
    """The table that a thread read last."""

    table: ImageTable | None = None


_kept = _Kept()


def read_row(source: ByteSource, held: Held) -> bytes:
    """Return the image in a row of a Parquet file. **Eager**.

    Raises
    ------
    SourceError
        When there is none, or the file is damaged there.

    Notes
    -----
    A thread keeps the table that it read last: rows in their order are decoded once. Peak memory:
    three times the images of a row group, of 1,000 images of 100 kB 300 MB.
    """
    if _kept.table is None or _kept.table.source != source:
        if _kept.table is not None:
            _kept.table.close()
        _kept.table = None
        _kept.table = ImageTable(source)
    data = _kept.table.read(held.start)
    if not data:
        message = f"Cannot read {show_path(held.to_path())}: the row holds no image."
        raise SourceError(message)
    return data
