"""Where the outputs of a collection go, with its manifest and the state of its job.

A folder of this machine, or one of an object store: what runs a job does not know which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from dask_quant.kept_outcome import JsonState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from dask_quant.image_rows import ImageRow
    from dask_quant.sinks.batch_files import Place
    from dask_quant.sinks.shard_store import ShardStore


class State(JsonState, Protocol):
    """The state of a job; see `dask_quant.sinks.state_folder.StateFolder`."""

    @property
    def is_resumed(self) -> bool:
        """Whether it holds what an earlier run of the same job left."""

    @property
    def notice(self) -> str | None:
        """A line for the user where the earlier run had other software; None otherwise."""

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        """Keep bytes."""

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a name, None where there are none."""

    def list_names(self) -> list[str]:
        """Return all names."""

    def discard(self, *names: str) -> None:
        """Forget names."""


class Rows(Protocol):
    """The manifest of a job; see `dask_quant.collection.manifest.Manifest`."""

    def append(self, rows: Iterable[ImageRow]) -> None:
        """Add rows."""

    def rewrite(self, change: Callable[[ImageRow], ImageRow | None]) -> None:
        """Put what ``change`` returns in place of each row; None: nothing."""

    def read_rows(self) -> Iterator[ImageRow]:
        """Yield all rows."""


@dataclass(frozen=True)
class Output:
    """An output folder that a run may write to."""

    state: State
    """The state of the job."""
    manifest: Rows
    """Its manifest."""
    place: Place
    """What tasks write to."""
    shards: ShardStore | None = None
    """Where tar shards are packed that the outputs are members of; None: outputs are files."""


class OutputFolder(Protocol):
    """An output folder, which a run may not write to before it has opened it."""

    @property
    def target(self) -> Path | str:
        """The folder, or its address."""

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Raise `OutputExistsError` where something is in the way. **Eager**."""

    def open(
        self, identity: Mapping[str, Any], *, resume: bool, overwrite: bool
    ) -> AbstractContextManager[Output]:
        """Open it for one job. **Eager**.

        Raises
        ------
        OutputExistsError
            When it is not empty, and neither to be replaced nor to be gone on with.
        JobError
            When another run writes there, or the job to go on with is another.
        OutputError
            When it cannot be written.
        """

    def name(self, relative: str) -> str:
        """Return what a report calls an output."""

    def measure(self, relative: str) -> int | None:
        """Return the bytes of an output, None where it is gone, -1 where that is not asked for."""
