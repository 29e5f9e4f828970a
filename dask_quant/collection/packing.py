"""How tar shards are packed: each by a task, as soon as all of its images are done.

A sample of WebDataset is of use as a whole: one of which an image was set aside is left out with
all of its members, since who reads it would look for that image.
"""

from __future__ import annotations

import os
import tarfile
from collections import deque
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dask_quant.collection.task import Done
from dask_quant.errors import DaskQuantError, SourceError
from dask_quant.image_rows import QUARANTINED, ImageRow
from dask_quant.sinks.tar_shard import PackedImage, find_sample, pack_shard
from dask_quant.sources.addresses import hide_secrets, is_url
from dask_quant.sources.header import show_cause, show_path
from dask_quant.sources.held_bytes import find_unchanged
from dask_quant.sources.shards import open_ahead

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dask_quant.collection.items import Item
    from dask_quant.collection.output import Rows
    from dask_quant.collection.shard_index import Shard, ShardIndex
    from dask_quant.sinks.shard_store import ShardStore


@dataclass(frozen=True, repr=False)
class PackTask:
    """A shard that is to be packed; it has no repr of its own, as `Work` has none."""

    shard: Shard
    """Which; its path is absolute."""
    images: dict[int, tuple[str, str]]
    """Name, and what it is known by, of the image whose bytes begin at an offset of the shard."""
    left_out: frozenset[str]
    """Samples that are left out."""
    suffix: str
    """Of the images."""
    store: ShardStore
    """Where it goes."""

    def pack(self) -> Done:
        """Pack the shard. **Eager**.

        Raises
        ------
        SourceError
            When it is gone, was changed, or cannot be read.
        OutputError
            When what is packed cannot be written.
        """
        shard, waiting = self.shard, self.store.waiting / self.shard.key
        if self.store.is_packed(shard.key, shard.place, shard.version):
            # By a worker that died when it had; the images may be gone already.
            self.store.discard_images(shard.key)
            return Done()
        images = {
            start: PackedImage(name, os.path.join(waiting, id + self.suffix))
            for start, (name, id) in self.images.items()
        }
        container = find_unchanged(shard.path, shard.version, shard.path)
        with _telling(shard.path), closing(open_ahead(container)) as file:
            chunks = _tell(shard.path, pack_shard(file, images, self.left_out))
            self.store.pack(shard.key, shard.place, shard.version, chunks)
        return Done()


@contextmanager
def _telling(path: str) -> Iterator[None]:
    """Turn what goes wrong while a shard is read into a `SourceError`."""
    try:
        yield
    except DaskQuantError:
        raise
    except (OSError, tarfile.TarError) as error:
        message = f"Cannot read {show_path(path)}: {show_cause(error)}."
        raise SourceError(message) from error


def _tell(path: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield chunks; what goes wrong is told before whoever writes them takes it for their fault."""
    with _telling(path):
        yield from chunks


class Packing:
    """The shards of a job, and which of them are packed.

    Parameters
    ----------
    index : ShardIndex
        The images.
    store : ShardStore
        Where shards go.
    folder : str
        Where relative paths of shards start.
    suffix : str
        Of the images in them.
    """

    def __init__(self, index: ShardIndex, store: ShardStore, folder: str, suffix: str) -> None:
        self._index, self._store, self._folder, self._suffix = index, store, folder, suffix
        self._ready: deque[int] = deque()
        self._opened: list[int] = []
        shards = enumerate(index.shards)
        self._packed = {number for number, each in shards if self._is_packed(each)}
        self._keys = frozenset(index.shards[number].key for number in self._packed)
        for key in self._keys:  # of a run that was ended right after it packed them
            store.discard_images(key)

    def _is_packed(self, shard: Shard) -> bool:
        """Return whether a shard was packed, and nothing changed since."""
        return self._store.is_packed(shard.key, shard.place, shard.version)

    def measure(self, waiting: str) -> int | None:
        """Return the bytes of an image that waits, -1 if its shard is packed, None if neither."""
        if waiting.partition("/")[0] in self._keys:
            return -1
        return self._store.measure(waiting)

    def open_parted(self) -> list[str]:
        """Have all images done again of packed shards of which some are; return which were done.

        What was packed holds the other images, and these no longer wait.
        """
        opened = self._index.list_open(self._packed)
        self._packed.difference_update(opened)
        self._opened += opened
        return [id for number in opened for id in self._index.open_shard(number)]

    def start(self) -> None:
        """Begin to pack, once it is known which images are to be done again. **Eager**."""
        self._store.forget(self._index.shards[number].key for number in self._opened)
        self._queue(self._index.list_done())

    def note(self, rows: Iterable[ImageRow]) -> None:
        """Take note of images that are done."""
        self._queue(self._index.list_done(row.id for row in rows))

    def _queue(self, numbers: Iterable[int]) -> None:
        """Have shards packed that are not."""
        for number in numbers:
            if number not in self._packed:
                self._packed.add(number)
                self._ready.append(number)

    @property
    def n_ready(self) -> int:
        """Shards that are to be packed by now."""
        return len(self._ready)

    def take_tasks(self) -> Iterator[PackTask]:
        """Yield the shards that are to be packed by now."""
        while self._ready:
            yield self._plan(self._ready.popleft())

    def weave(self, batches: Iterable[list[Item]]) -> Iterator[list[Item] | PackTask]:
        """Yield tasks, and shards between them as soon as their images are done."""
        for batch in batches:
            yield from self.take_tasks()
            yield batch

    def _plan(self, number: int) -> PackTask:
        """Return what packs a shard."""
        shard = self._index.shards[number]
        if not is_url(shard.path):
            shard = shard._replace(path=os.path.join(self._folder, shard.path))
        images = list(self._index.list_images(number))
        samples = (find_sample(each.member) for each in images if not each.is_written)
        left_out = frozenset(sample for sample in samples if sample is not None)
        kept = {
            each.start: (each.name, each.id)
            for each in images
            if find_sample(each.member) not in left_out
        }
        return PackTask(shard, kept, left_out, self._suffix, self._store)

    def leave_out(self, manifest: Rows) -> None:
        """Have a manifest say which images are left out with others of their samples. **Eager**."""
        reasons = dict(self._index.list_companions())
        if not reasons:
            return
        rows = (row for row in manifest.read_rows() if row.id in reasons)
        others = {row.id: _set_aside(row, reasons[row.id]) for row in rows}
        manifest.rewrite(lambda row: others.get(row.id, row))
        self._index.note_rows(others.values())

    def finish(self) -> None:
        """Remove all that waits. **Eager**."""
        self._store.finish()


def _set_aside(row: ImageRow, reason: str) -> ImageRow:
    """Return the row of an image that was written, and is left out of its shard."""
    kept = ("path", "frame", "group", "input_bytes", "seconds", "modified", "finished", "id")
    known: dict[str, Any] = {name: getattr(row, name) for name in kept}
    return ImageRow(**known, status=QUARANTINED, error=hide_secrets(reason))
