"""Sharded Zarr arrays, read without the detours of a general reader.

A store that ``--persist`` writes is read twice in a job, and that is most of the job's time. Zarr
decodes each chunk into fresh memory, a shard into an array of its own, and copies both, all copies
on one thread. Here a chunk is decoded where the caller runs, and copied to the result while it is
in the cache of the processor: a third less time. Whatever is not as expected is left to zarr, which
then reads it, or says what is wrong with it.

References
----------
"Sharding codec" (ZEP 2), zarr-specs.readthedocs.io: an index of offset and length of each chunk, as
little-endian 64-bit numbers, ends the shard, with a CRC-32C of it.
Y. Collet, M. Kucherawy, "Zstandard Compression and the 'application/zstd' Media Type", RFC 8878,
2021, doi:10.17487/RFC8878, section 3.1.1.1 on the header of a frame.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np
from numcodecs import Zstd
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec, ZstdCodec
from zarr.storage import LocalStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    import zarr
    from numpy.typing import NDArray

    Box = tuple[slice, ...]

_CHECKSUM_BYTES = 4
_ENTRY_BYTES = 16

_MISSING = 2**64 - 1
"""Offset and length of a chunk that a shard leaves out, since it is all fill value."""

_SHARD_CODECS = (BytesCodec, ZstdCodec, Crc32cCodec)
_INDEX_CODECS = (BytesCodec, Crc32cCodec)


class _Unexpected(Exception):
    """Something that is left to zarr."""


@dataclass(frozen=True)
class ShardedArray:
    """An array that is read like the zarr array that it holds, and quicker."""

    array: zarr.Array
    """Of uint8, in shards as `can_read` takes them."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        shape: tuple[int, ...] = self.array.shape
        return shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the array."""
        return np.dtype(np.uint8)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, selection: Box) -> NDArray[np.uint8]:
        """Return a part of the array; quickly when it is one slice without step for each axis."""
        try:
            return self._read(selection)
        except (_Unexpected, OSError, RuntimeError, ValueError, IndexError):
            part: NDArray[np.uint8] = np.asarray(self.array[selection])
            return part

    def _read(self, selection: Box) -> NDArray[np.uint8]:
        """Read the shards that hold a part; raise when one is not as expected."""
        if not all(isinstance(part, slice) and part.step in (None, 1) for part in selection):
            raise _Unexpected
        box = tuple(
            slice(*part.indices(size)[:2]) for part, size in zip(selection, self.shape, strict=True)
        )
        out = np.empty([part.stop - part.start for part in box], dtype=np.uint8)
        # One for all chunks: it stays in the cache, and fresh memory takes time.
        chunk = np.empty(self.array.chunks, dtype=np.uint8)
        for number in _numbers_within(box, self.array.shards):
            with open(self._shard_path(number), "rb") as file:
                self._read_shard(file, number, box, chunk, out)
        return out

    def _shard_path(self, number: tuple[int, ...]) -> str:
        """Return the file of a shard."""
        key = self.array.metadata.encode_chunk_key(number)
        return str(os.path.join(self.array.store.root, self.array.path, key))

    def _read_shard(
        self,
        file: BinaryIO,
        number: tuple[int, ...],
        box: Box,
        chunk: NDArray[np.uint8],
        out: NDArray[np.uint8],
    ) -> None:
        """Decode what a shard holds of ``box`` into ``out``, by way of ``chunk``."""
        shards, chunks = self.array.shards, self.array.chunks
        index = _read_index(file, [s // c for s, c in zip(shards, chunks, strict=True)])
        shard = _box_of(number, shards, self.shape)
        for at in _numbers_within(_intersect(box, shard), chunks):
            cell = _box_of(at, chunks, self.shape)
            inside = _intersect(box, cell)
            within = tuple(
                i - n * s // c for i, n, s, c in zip(at, number, shards, chunks, strict=True)
            )
            offset, n_bytes = index[within].tolist()
            _read_chunk(file, offset, n_bytes, chunk)
            out[_shift(inside, box)] = chunk[_shift(inside, cell)]


def can_read(array: zarr.Array) -> bool:
    """Return whether an array is what `ShardedArray` reads: local, uint8, zstd, with checksums."""
    codecs: Sequence[Any] = getattr(array.metadata, "codecs", ())
    sharding = codecs[0] if len(codecs) == 1 else None
    return (
        isinstance(array.store, LocalStore)
        and array.dtype == np.uint8
        and isinstance(sharding, ShardingCodec)
        and tuple(map(type, sharding.codecs)) == _SHARD_CODECS
        and tuple(map(type, sharding.index_codecs)) == _INDEX_CODECS
        and sharding.index_location.value == "end"
    )


def is_whole_shard(
    path: str | os.PathLike[str], grid: Sequence[int], inside: Sequence[int]
) -> bool:
    """Return whether a shard is there and all checksums of it agree; nothing is decoded. **Eager**.

    Parameters
    ----------
    path : str or path
        File whose index ends it, each chunk of which ends with a CRC-32C.
    grid : sequence of int
        Chunks of the shard along each axis.
    inside : sequence of int
        How many of them, from the first on, are within the array; those have to be there.
    """
    try:
        with open(path, "rb") as file:
            index = _read_index(file, list(grid))
            for at in np.ndindex(*inside):
                offset, n_bytes = index[at].tolist()
                if offset == _MISSING:
                    return False
                file.seek(offset)
                _read_checked(file, n_bytes)
    except (_Unexpected, OSError, ValueError, IndexError):
        return False
    return True


def _numbers_within(box: Box, sides: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the numbers of the grid cells that hold some of ``box``."""
    return product(*(range(b.start // s, -(-b.stop // s)) for b, s in zip(box, sides, strict=True)))


def _box_of(number: tuple[int, ...], sides: tuple[int, ...], shape: tuple[int, ...]) -> Box:
    """Return where a grid cell lies in the array."""
    return tuple(
        slice(n * s, min((n + 1) * s, size))
        for n, s, size in zip(number, sides, shape, strict=True)
    )


def _intersect(first: Box, second: Box) -> Box:
    """Return what two boxes have in common."""
    return tuple(
        slice(max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(first, second, strict=True)
    )


def _shift(box: Box, origin: Box) -> Box:
    """Return where ``box`` lies within ``origin``."""
    return tuple(
        slice(b.start - o.start, b.stop - o.start) for b, o in zip(box, origin, strict=True)
    )


def _read_index(file: BinaryIO, grid: list[int]) -> NDArray[np.uint64]:
    """Return offset and length of each chunk of a shard, ``(*grid, 2)``."""
    n_bytes = _ENTRY_BYTES * int(np.prod(grid)) + _CHECKSUM_BYTES
    file.seek(-n_bytes, os.SEEK_END)
    return _read_checked(file, n_bytes).view("<u8").reshape(*grid, 2)


def _read_chunk(file: BinaryIO, offset: int, n_bytes: int, chunk: NDArray[np.uint8]) -> None:
    """Decode a chunk; raise when it is not there, damaged, or of another size."""
    if offset == _MISSING:
        raise _Unexpected
    file.seek(offset)
    frame = _read_checked(file, n_bytes)
    if _content_bytes(frame) != chunk.nbytes:
        raise _Unexpected
    Zstd().decode(frame, out=chunk)


def _content_bytes(frame: NDArray[np.uint8]) -> int:
    """Return the bytes that a zstd frame says it holds; 0 when it does not say.

    Decoding into less than there is room for is no error.
    """
    descriptor = int(frame[4])
    is_single = descriptor >> 5 & 1
    n_bytes = (is_single, 2, 4, 8)[descriptor >> 6]
    begin = 6 - is_single + (0, 1, 2, 4)[descriptor & 3]
    content = int.from_bytes(frame[begin : begin + n_bytes].tobytes(), "little")
    return content + (256 if n_bytes == 2 else 0)


def _read_checked(file: BinaryIO, n_bytes: int) -> NDArray[np.uint8]:
    """Return what comes next in a file, without its checksum; raise when that is wrong."""
    data = np.fromfile(file, dtype=np.uint8, count=n_bytes)
    payload, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    is_whole = len(data) == n_bytes >= _CHECKSUM_BYTES
    if not is_whole or google_crc32c.value(payload) != int.from_bytes(checksum.tobytes(), "little"):
        raise _Unexpected
    return payload
