"""An output folder of this machine."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dask_quant.collection.manifest import Manifest
from dask_quant.collection.output import Output
from dask_quant.errors import OutputExistsError
from dask_quant.sinks.atomic import report_os_errors, sync_folder
from dask_quant.sinks.batch_files import LocalPlace
from dask_quant.sinks.shard_store import ShardStore
from dask_quant.sinks.state_folder import (
    LOCK_NAME,
    MANIFEST_NAME,
    STATE_NAME,
    explain_taken,
    holds_state,
    open_state,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_SCRATCH_NAME = "scratch"
"""Beginning of the name of the folder of the state in which outputs wait for their names."""


@dataclass(frozen=True)
class LocalFolder:
    """A folder of this machine that outputs go to; see `OutputFolder`."""

    target: Path
    """It."""
    packs: bool = False
    """Whether outputs are packed into tar shards."""

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Raise `OutputExistsError` where something is in the way. **Eager**."""
        target = self.target
        if os.path.lexists(target) and not target.is_dir():
            message = f"Got the output {str(target)!r} for images in a folder, but it is a file."
            raise OutputExistsError(message)
        if overwrite or not target.is_dir() or not any(map(_is_in_the_way, target.iterdir())):
            return
        is_ours = holds_state(target / STATE_NAME)
        if not (resume and is_ours):
            raise OutputExistsError(explain_taken(str(target), is_ours=is_ours, resume=resume))

    @contextmanager
    def open(
        self, identity: Mapping[str, Any], *, resume: bool, overwrite: bool
    ) -> Iterator[Output]:
        """Open it for one job; see `OutputFolder`. **Eager**."""
        path, manifest_path = self.target / STATE_NAME, self.target / MANIFEST_NAME
        reusing = {"resume": resume, "overwrite": overwrite}

        def start() -> None:
            """Let no earlier manifest be taken for that of this job."""
            self.check(**reusing)
            with report_os_errors(manifest_path):
                manifest_path.unlink(missing_ok=True)
                sync_folder(self.target)

        shown = str(self.target)
        with open_state(path, identity, shown=shown, start=start, **reusing) as state:
            manifest = Manifest(manifest_path, keeps=state.is_resumed)
            # A name of its own: tasks of an earlier run, wherever they still are, write nothing.
            scratch = path.absolute() / f"{_SCRATCH_NAME}-{secrets.token_hex(6)}"
            try:
                with report_os_errors(scratch):
                    for left in path.glob(f"{_SCRATCH_NAME}-*"):
                        shutil.rmtree(left, ignore_errors=True)
                    scratch.mkdir()
                root = os.path.abspath(self.target)
                place = LocalPlace(root, str(scratch), keeps_same=state.is_resumed)
                shards = ShardStore.open(place, state) if self.packs else None
                tasks_place = place if shards is None else shards.place
                yield Output(state, manifest, tasks_place, shards)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
                manifest.close()

    def name(self, relative: str) -> str:
        """Return what a report calls an output."""
        return str(self.target / relative)

    def measure(self, relative: str) -> int | None:
        """Return the bytes of an output, None where it is gone. **Eager**."""
        try:
            return os.lstat(self.target / relative).st_size
        except OSError:
            return None


def _is_in_the_way(path: Path) -> bool:
    """Return whether an entry of a folder is more than what a job leaves that never started."""
    if path.name != STATE_NAME or path.is_symlink() or not path.is_dir():
        return True
    return any(each.name != LOCK_NAME for each in path.iterdir())
