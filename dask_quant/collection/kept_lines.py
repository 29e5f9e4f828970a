"""What tasks tell of images one by one, kept in the state of a job as it comes.

Each time a name more: lines of JSON, and before them, under another name, bytes that they are
about. The lines are what makes the bytes true, so that a kill costs what was not kept yet.
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dask_quant.collection.output import State

CHECKPOINT_S = 20.0
"""Seconds of work that a kill costs at most (arbitrary)."""


class KeptLines:
    """Lines that are kept in the state of a job. **Eager**.

    Parameters
    ----------
    state : State
        Of the job.
    name : str
        Beginning of the names.
    """

    def __init__(self, state: State, name: str) -> None:
        self._state, self._name = state, name
        self._lines: list[bytes] = []
        self._data: list[bytes] = []
        self._numbers = sorted(self._list_numbers())
        self._kept_at = time.monotonic()

    def _list_numbers(self) -> Iterator[int]:
        """Yield the numbers of what an earlier run kept."""
        pattern = re.compile(rf"{re.escape(self._name)}-(\d+)\.jsonl")
        for match in map(pattern.fullmatch, self._state.list_names()):
            if match is not None:
                yield int(match[1])

    def add(self, lines: Iterable[Any], data: bytes = b"") -> None:
        """Add JSON-ready values and bytes that they are about; keep all so far once in a while."""
        self._lines += [json.dumps(each).encode() + b"\n" for each in lines]
        self._data.append(data)
        if time.monotonic() - self._kept_at > CHECKPOINT_S:
            self.keep()

    def keep(self) -> None:
        """Keep all so far."""
        if self._lines:
            number = self._numbers[-1] + 1 if self._numbers else 1
            if any(self._data):
                self._state.write(f"{self._name}-{number}.bin", self._data)
            self._state.write(f"{self._name}-{number}.jsonl", self._lines)
            self._numbers.append(number)
            self._lines, self._data = [], []
        self._kept_at = time.monotonic()

    def read(self) -> Iterator[tuple[list[Any], bytes]]:
        """Yield what was kept, values and bytes, in the order in which it was."""
        for number in self._numbers:
            lines = self._state.read(f"{self._name}-{number}.jsonl") or b""
            yield _parse(lines), self._state.read(f"{self._name}-{number}.bin") or b""


def _parse(lines: bytes) -> list[Any]:
    """Return the values of lines, none where they are damaged."""
    try:
        return [json.loads(line) for line in lines.splitlines()]
    except ValueError:
        return []
