"""Where an output is until it is whole: beside its name, or in the state of its job.

Beside its name it is gone when the job fails. In the state it stays, and the next run finds it.
There, too, is noted what the output looks like before it gets its name, so that it is known again.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dask_quant.kept_outcome import TALLY_NAME
from dask_quant.sinks.atomic import (
    partial_folder,
    partial_path,
    put_in_place,
    rename_folder,
    report_os_errors,
    sync_folder,
)
from dask_quant.sinks.store_marker import METADATA_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dask_quant.sinks.state_folder import StateFolder

PLACED_NAME = "placed.json"
"""What outputs look like, each under its part in the job."""

STARTED_NAME = "started.json"
"""There once the store is ready to be filled; what is there before may be torn."""

PARTS_FOLDER = "parts"
"""Parts of a label file."""

STORE_FOLDER = "store"
"""A store that is being filled."""

WHOLE_FOLDER = "whole"
"""Outputs that are written at once, until they get their names."""

TALLIES_FOLDER = "tallies"
"""What blocks of dithered labels come to, each when it is written."""

_WRITTEN = (
    *(PARTS_FOLDER, STORE_FOLDER, WHOLE_FOLDER, TALLIES_FOLDER, STARTED_NAME, PLACED_NAME),
    TALLY_NAME,
)
"""What is of no use with another palette."""


@dataclass(frozen=True)
class Workplace:
    """Where one output is made."""

    final: Path
    """Its name."""
    overwrite: bool = False
    """Whether what has that name may be replaced."""
    state: StateFolder | None = None
    """State of the job; None: it keeps none."""

    @property
    def is_resumed(self) -> bool:
        """Whether some of the output may be there already."""
        return self.state is not None and self.state.is_resumed

    @contextmanager
    def open_parts(self) -> Iterator[Path]:
        """Give the folder of parts, which is gone after the block where there is no state."""
        if self.state is not None:
            yield self.state.make_folder(PARTS_FOLDER)
            return
        with partial_folder(self.final) as folder:
            yield folder

    @contextmanager
    def open_store(
        self, start: Callable[..., Path], discard: Callable[[Path], None]
    ) -> Iterator[Path]:
        """Give the store to fill, made by ``start``; it is gone after the block without a state.

        ``start`` is asked to make it at the path ``temporary``, or anywhere.
        """
        if self.state is not None:
            yield self._restart_store(self.state, start)
            return
        store = start()
        try:
            yield store
        finally:
            discard(store)

    def _restart_store(self, state: StateFolder, start: Callable[..., Path]) -> Path:
        """Return the store in the state, made unless it is there."""
        store = state.path.absolute() / STORE_FOLDER
        is_there = store.is_dir() and not store.is_symlink()
        if state.read_json(STARTED_NAME) is None or not is_there:
            state.discard(STORE_FOLDER)
            start(temporary=store)
            state.write_json(STARTED_NAME, True)
        return store

    def note(self, temporary: Path) -> None:
        """Note what a whole output looks like that is about to get its name."""
        if self.state is not None:
            note_output(self.state, "out", temporary)

    def put_file(self, temporary: Path) -> None:
        """Give a file that is whole its name."""
        self.note(temporary)
        put_in_place(temporary, self.final, overwrite=self.overwrite)


@dataclass(frozen=True)
class OutputPlaces:
    """Where the outputs of a job are written that are made at once, and how they get their names.

    Without a state they are written under their names.
    """

    final: Path
    """The output."""
    final_outline: Path | None
    """The picture of borders, where there is one."""
    state: StateFolder | None
    """State of the job; None: it keeps none."""

    @property
    def out(self) -> Path:
        """Where the output is written."""
        return self._place(self.final)

    @cached_property
    def outline(self) -> Path | None:
        """Where the picture of borders is written."""
        return None if self.final_outline is None else self._place(self.final_outline, "outline-")

    def _place(self, final: Path, prefix: str = "") -> Path:
        """Return where what is to be at ``final`` is written."""
        if self.state is None:
            return final
        with report_os_errors(final):
            final.parent.mkdir(parents=True, exist_ok=True)
            folder = self.state.make_folder(WHOLE_FOLDER)
            if folder.stat().st_dev == final.parent.stat().st_dev:
                return folder / f"{prefix}{final.name}"
        return partial_path(final)  # another disk: files cannot be moved there, only renamed

    def put_all(self) -> None:
        """Give all outputs their names, less those that have them."""
        self.put("out", self.out, self.final)
        if self.final_outline is not None and self.outline is not None:
            self.put("outline", self.outline, self.final_outline)

    def put(self, part: str, temporary: Path, final: Path) -> None:
        """Give an output its name unless it has it, whole and on disk, as a file or a store."""
        if self.state is None or is_placed(self.state, part, final):
            return
        note_output(self.state, part, temporary)
        if not temporary.is_dir():
            put_in_place(temporary, final, overwrite=False)
            return
        with report_os_errors(final):
            rename_folder(temporary, final)
            sync_folder(final.parent)


def note_output(state: StateFolder, part: str, temporary: Path) -> None:
    """Note what an output looks like; ``part`` is its part in the job."""
    placed = state.read_json(PLACED_NAME) or {}
    state.write_json(PLACED_NAME, placed | {part: _stamp(temporary)})


def forget_output(state: StateFolder) -> None:
    """Remove what was written of an output, of which the palette is not known any more."""
    state.discard(*_WRITTEN)


def is_placed(state: StateFolder, part: str, final: Path) -> bool:
    """Return whether what has the name of an output is what was noted for it. **Eager**."""
    stamp = _stamp(final)
    return stamp is not None and (state.read_json(PLACED_NAME) or {}).get(part) == stamp


def _stamp(path: Path) -> list[Any] | None:
    """Return bytes and time of a file, or of what describes a store; None where there is none.

    Neither changes with the name.
    """
    for each in (path, path / METADATA_NAME):
        try:
            found = os.lstat(each)
        except OSError:
            return None
        if not os.path.isdir(each):
            return [found.st_size, found.st_mtime_ns]
    return None
