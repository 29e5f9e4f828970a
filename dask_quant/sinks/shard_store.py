"""Where shards are packed: images wait in the state of the job until all of a shard are there.

::

    a/train-0001.tar                      a shard, whole
    .dask-quant/waiting/KEY/ID            its images until then, KEY being that of the shard
    .dask-quant/packed/KEY.json           its size, and what it was packed from, once it is whole

A shard gets its name, then its record is kept, then its images are removed, so that a kill anywhere
in between costs the packing of that shard at most.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask_quant.sinks.atomic import report_os_errors, sync_folder, write_file_atomically
from dask_quant.sinks.batch_files import LocalPlace
from dask_quant.sinks.state_folder import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dask_quant.sinks.state_folder import StateFolder

_WAITING, _PACKED = "waiting", "packed"
"""Folders of the state."""


@dataclass(frozen=True)
class ShardStore:
    """A folder that shards go to, and where their images wait; it can be pickled. **Eager**."""

    folder: LocalPlace
    """Where shards go."""
    waiting: Path
    """Folder in which images wait."""
    packed: Path
    """Folder of what is known of shards that are whole."""

    @classmethod
    def open(cls, folder: LocalPlace, state: StateFolder) -> ShardStore:
        """Return that of a job, whose folders are made unless they are there."""
        return cls(folder, state.make_folder(_WAITING), state.make_folder(_PACKED))

    @property
    def place(self) -> LocalPlace:
        """What tasks write images to."""
        return LocalPlace(str(self.waiting), self.folder.scratch)

    def measure(self, relative: str) -> int | None:
        """Return the bytes of an image that waits, None where it does not."""
        try:
            return os.lstat(self.waiting / relative).st_size
        except OSError:
            return None

    def is_packed(self, key: str, out: str, version: str) -> bool:
        """Return whether a shard is whole and as it was packed.

        Parameters
        ----------
        key : str
            What it is kept by.
        out : str
            Path of the shard below the folder.
        version : str
            What changes with the shard that it was packed from.
        """
        known = parse_json(_read(self._name_record(key)))
        try:
            n_bytes = os.lstat(Path(self.folder.root) / out).st_size
        except OSError:
            return False
        return bool(known == _describe(out, version, n_bytes))

    def pack(self, key: str, out: str, version: str, chunks: Iterable[bytes]) -> None:
        """Write a shard, and remove the images that waited for it.

        Raises
        ------
        OutputError
            When it cannot be written; then its images wait on.
        """
        files = self.folder.open_batch()
        try:
            n_bytes = files.write(out, chunks)
            files.commit()
        finally:
            files.close()
        record = json.dumps(_describe(out, version, n_bytes)).encode()
        write_file_atomically(self._name_record(key), [record], overwrite=True)
        self.discard_images(key)

    def forget(self, keys: Iterable[str]) -> None:
        """Take shards for ones that are still to be packed."""
        with report_os_errors(self.packed):
            for key in keys:
                self._name_record(key).unlink(missing_ok=True)
            sync_folder(self.packed)

    def discard_images(self, key: str) -> None:
        """Remove the images that wait for a shard."""
        shutil.rmtree(self.waiting / key, ignore_errors=True)

    def finish(self) -> None:
        """Remove all images that wait."""
        shutil.rmtree(self.waiting, ignore_errors=True)

    def _name_record(self, key: str) -> Path:
        """Return where it is kept that a shard is whole."""
        return self.packed / f"{key}.json"


def _describe(out: str, version: str, n_bytes: int) -> dict[str, Any]:
    """Return what is kept of a shard that is whole."""
    return {"output": out, "version": version, "bytes": n_bytes}


def _read(path: Path) -> bytes | None:
    """Return what a file holds, None where there is none."""
    try:
        return path.read_bytes()
    except OSError:
        return None
