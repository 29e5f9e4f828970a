"""The state of a job whose output is in an object store, kept beside the outputs.

It is to `ObjectFolder` what `state_folder` is to a folder of this machine: ``job.json`` is put last
of what starting does.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from dask_quant.errors import OutputExistsError
from dask_quant.sinks.object_folder import LOCK, ObjectFolder
from dask_quant.sinks.state_folder import (
    JOB_NAME,
    MANIFEST_NAME,
    STATE_NAME,
    check_identity,
    compare_software,
    describe_job,
    explain_taken,
    parse_job,
    parse_json,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_JOB = f"{STATE_NAME}/{JOB_NAME}"


@dataclass(frozen=True)
class ObjectState:
    """What a run has of the state of its job; methods are those of `StateFolder`."""

    folder: ObjectFolder
    """Where outputs go."""
    is_resumed: bool
    """Whether it holds what an earlier run of the same job left."""
    notice: str | None = None
    """A line for the user where the earlier run had other software; None otherwise."""

    def write_json(self, name: str, value: Any) -> None:
        """Keep a JSON-ready value, or raise `OutputError`. **Eager**."""
        self.write(name, [json.dumps(value, indent=1).encode(), b"\n"])

    def read_json(self, name: str) -> Any:
        """Return the value of a name, None where there is none or it is torn. **Eager**."""
        return parse_json(self.read(name))

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        """Keep bytes, by one request, or raise `OutputError`. **Eager**."""
        self.folder.write(f"{STATE_NAME}/{name}", b"".join(chunks))

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a name, None where there are none. **Eager**."""
        return self.folder.read(f"{STATE_NAME}/{name}")

    def list_names(self) -> list[str]:
        """Return all names. **Eager**."""
        return [path.removeprefix(f"{STATE_NAME}/") for path in self.folder.list(STATE_NAME)]

    def discard(self, *names: str) -> None:
        """Forget names, those that are there. **Eager**."""
        for name in names:
            self.folder.remove(f"{STATE_NAME}/{name}")


@contextmanager
def open_object_state(
    folder: ObjectFolder, identity: Mapping[str, Any], *, resume: bool, overwrite: bool
) -> Iterator[ObjectState]:
    """Make or find the state of a job, and keep other runs away during the block. **Eager**.

    Parameters are those of `dask_quant.sinks.state_folder.open_state`.

    Raises
    ------
    OutputExistsError
        When there are objects below the folder that are to be neither replaced nor gone on with.
    JobError
        When another run is at it, or the one to go on with is of another job.
    """
    with folder.lock():
        check_empty(folder, resume=resume, overwrite=overwrite)
        data = folder.read(_JOB) if resume and not overwrite else None
        earlier = parse_job(data, folder.name)
        if earlier is None:
            _clear(folder)
            state = ObjectState(folder, is_resumed=False)
            state.write_json(JOB_NAME, describe_job(identity))
        else:
            check_identity(earlier["identity"], identity, folder.name)
            notice = compare_software(earlier.get("software"), folder.name)
            state = ObjectState(folder, is_resumed=True, notice=notice)
        yield state


def _clear(folder: ObjectFolder) -> None:
    """Remove what an earlier job kept, what it is first: a kill on the way leaves no half of it."""
    folder.remove(_JOB)
    names = [path for path in folder.list(STATE_NAME) if path != LOCK]
    for path in (*names, MANIFEST_NAME):
        folder.remove(path)


def check_empty(folder: ObjectFolder, *, resume: bool, overwrite: bool) -> None:
    """Raise `OutputExistsError` where something is in the way. **Eager**."""
    if overwrite or all(path == LOCK for path in islice(folder.list(), 2)):
        return
    is_ours = folder.exists(_JOB)
    if resume and is_ours:
        return
    raise OutputExistsError(explain_taken(folder.name, is_ours=is_ours, resume=resume))
