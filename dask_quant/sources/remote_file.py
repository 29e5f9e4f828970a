"""Files by their addresses, as byte ranges: only what is asked for is fetched.

A process keeps the first bytes of the files that it looked at last, which is where headers are, and
the last one that is read as a whole.
"""

from __future__ import annotations

import io
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar

from dask_quant.errors import SourceError
from dask_quant.sources import http_ranges, object_ranges
from dask_quant.sources.addresses import hide_secrets, is_web
from dask_quant.sources.header import show_path
from dask_quant.sources.range_batches import (
    BATCH_BYTES,
    cut_ranges,
    join_ranges,
    split_batches,
)
from dask_quant.sources.remote_glimpse import Glimpse, refuse_changed, refuse_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

Key = TypeVar("Key")
Value = TypeVar("Value")

_MAX_STARTS = 64
"""Files whose first bytes are kept, `START_BYTES` of each (arbitrary)."""

_PIECE_BYTES = 1 << 14
"""Bytes that are fetched at a time where tags are looked for (arbitrary)."""

_MAX_PIECES = 256
"""Such pieces that are kept: headers are read by several, one after another (arbitrary)."""

_FRESH_S = 5.0
"""Seconds for which a file that was looked at is not looked at again (arbitrary): a job asks for
size and header of each input several times. One that changes meanwhile is found out when read."""


@dataclass(frozen=True)
class RemoteFile:
    """A file far away, as it was when it was first looked at. Small, and can be pickled."""

    url: str = field(repr=False)
    """Where it is, with all that its server asks for."""
    n_bytes: int
    """Its size."""
    version: str
    """What changes with it, where the server tells."""
    has_ranges: bool = True
    """Whether parts of it can be had."""

    @classmethod
    def find(cls, url: str) -> RemoteFile:
        """Return a file as it is now, give or take some seconds.

        Raises
        ------
        SourceNotFoundError, SourceError
            When it is not there, or cannot be read.
        """
        found = _found.get(url)
        if found is not None and time.monotonic() - found[1] < _FRESH_S:
            return found[0]
        glimpse = _transport(url).look(url)
        if not glimpse.n_bytes:
            message = f"Cannot read {show_path(url)}: the file is empty."
            raise SourceError(message)
        file = cls(url, glimpse.n_bytes, glimpse.version, glimpse.has_ranges)
        (_starts if glimpse.has_ranges else _wholes).put(file, glimpse.start)
        _found.put(url, (file, time.monotonic()))
        return file

    @property
    def name(self) -> str:
        """What messages call it: its address, less names, passwords and queries."""
        return hide_secrets(self.url)

    @property
    def held_bytes(self) -> int:
        """What a process holds of it however little is read."""
        return 0 if self.has_ranges else self.n_bytes

    @property
    def batch_bytes(self) -> int:
        """What a task holds of it as stored."""
        return BATCH_BYTES if self.has_ranges else 0

    def __dask_tokenize__(self) -> Any:
        """Return what tells it from others; it is hashed, and shows nowhere."""
        return self.url, self.n_bytes, self.version

    def size(self) -> int:
        """Return its bytes."""
        return self.n_bytes

    def open(self, ahead_bytes: int = _PIECE_BYTES) -> IO[bytes]:
        """Return it as a file that can be sought, and fetches so many bytes at a time."""
        if not self.has_ranges:
            return io.BytesIO(self.read_all())
        return io.BufferedReader(_RangeReader(self), ahead_bytes)

    def read(self, ranges: Iterable[tuple[int, int]]) -> Iterator[bytes]:
        """Yield the bytes of each range ``(offset, length)``; fewer where the file ends before.

        Neighbours are fetched together, and no more than `BATCH_BYTES` ahead of their use.
        """
        for batch in split_batches(map(self._clip, ranges)):
            spans = join_ranges(batch)
            yield from cut_ranges(batch, spans, self._fetch(spans))

    def read_all(self) -> bytes:
        """Return all of its bytes, if they are not too many.

        Raises
        ------
        SourceError
            When they are, or cannot be read.
        """
        kept = _wholes.get(self)
        if kept is not None:
            return kept
        refuse_whole(self.url, self.n_bytes)
        if self.has_ranges:
            steps = range(0, self.n_bytes, BATCH_BYTES)
            whole = b"".join(self.read((step, BATCH_BYTES) for step in steps))
        else:
            glimpse = _transport(self.url).look(self.url)
            if glimpse.has_ranges or not glimpse.is_same(self._glimpse()):
                refuse_changed(self.url)
            whole = glimpse.start
        _wholes.put(self, whole)
        return whole

    def _clip(self, given: tuple[int, int]) -> tuple[int, int]:
        """Return the part of a range that lies in the file."""
        offset, length = given
        return offset, max(0, min(length, self.n_bytes - offset))

    def _fetch(self, spans: list[tuple[int, int]]) -> list[bytes]:
        """Return the bytes of spans, from what is kept or from the server."""
        try:
            return self._fetch_now(spans)
        except SourceError:
            _found.drop(self.url)  # whoever tries again sees it as it is then
            raise

    def _fetch_now(self, spans: list[tuple[int, int]]) -> list[bytes]:
        """Return what `_fetch` does."""
        if not spans:
            return []
        kept = (_starts if self.has_ranges else _wholes).get(self)
        if kept is None and not self.has_ranges:
            kept = self.read_all()
        if kept is not None and spans[-1][1] <= len(kept):
            return [kept[start:stop] for start, stop in spans]
        found: list[bytes] = _transport(self.url).fetch(self.url, spans, self._glimpse())
        return found

    def _glimpse(self) -> Glimpse:
        """Return what it was when it was looked at, without its bytes."""
        return Glimpse(self.n_bytes, self.version, b"", self.has_ranges)


Piece = tuple[RemoteFile, int, int]
"""A file, an offset and a length."""


class _RangeReader(io.RawIOBase):
    """A remote file that is read from where it is sought to."""

    def __init__(self, file: RemoteFile) -> None:
        super().__init__()
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        origin = (0, self._at, self._file.n_bytes)[whence]
        self._at = max(0, origin + offset)
        return self._at

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read on from the place."""
        data = self._read_piece((self._file, self._at, len(buffer)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    @staticmethod
    def _read_piece(piece: Piece) -> bytes:
        """Return a piece of a file, fetched once by a process if it is small."""
        file, offset, length = piece
        kept = _pieces.get(piece)
        if kept is None:
            (kept,) = file.read([(offset, length)])
            if length <= _PIECE_BYTES:
                _pieces.put(piece, kept)
        return kept


class _Kept(Generic[Key, Value]):
    """Values by their keys, of those used last, for all threads."""

    def __init__(self, most: int) -> None:
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._most = most
        self._lock = threading.Lock()

    def get(self, key: Key) -> Value | None:
        """Return the value of a key, or None."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: Key, value: Value) -> None:
        """Keep a value, and drop the one that was not used for longest."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)

    def drop(self, key: Key) -> None:
        """Keep a value no longer."""
        with self._lock:
            self._values.pop(key, None)

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._values.clear()


_found: _Kept[str, tuple[RemoteFile, float]] = _Kept(_MAX_STARTS)
_starts: _Kept[RemoteFile, bytes] = _Kept(_MAX_STARTS)
_wholes: _Kept[RemoteFile, bytes] = _Kept(1)
_pieces: _Kept[Piece, bytes] = _Kept(_MAX_PIECES)


def forget_files() -> None:
    """Keep nothing of any file, so that each is looked at anew."""
    for kept in (_found, _starts, _wholes, _pieces):
        kept.clear()


def fetch_bytes(url: str) -> bytes:
    """Return all bytes of a file by its address, by one request, and keep nothing of it.

    For images that are decoded as a whole, each once. Servers that fail now and then are asked
    again.

    Raises
    ------
    SourceNotFoundError, SourceError
        When it is not there, may not be read, has more than `MAX_WHOLE_BYTES`, or is empty.
    """
    data: bytes = _transport(url).fetch_whole(url)
    return data


def _transport(url: str) -> ModuleType:
    """Return what fetches from an address."""
    return http_ranges if is_web(url) else object_ranges
