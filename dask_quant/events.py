"""Progress as values: work tells how far it is, faces decide what to draw."""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Tally:
    """What of a collection was written, and set aside, so far."""

    n_images: int = 0
    """Images written."""
    n_pixels: int = 0
    """Their pixels."""
    input_bytes: int = 0
    """Bytes of these inputs as stored."""
    output_bytes: int = 0
    """Bytes of these outputs."""
    n_quarantined: int = 0
    """Inputs that were set aside."""


@dataclass(frozen=True)
class Event:
    """How far one stage of the work is."""

    stage: str
    """Name of the stage: ``count``, ``fit``, ``relabel``, ``persist``, ..."""
    done: int
    """Units finished so far."""
    total: int | None
    """Units in all; None while that is unknown."""
    unit: str = "tasks"
    """What is counted: ``tasks``, ``images``, ``restarts``, ..."""
    error: float | None = None
    """Where a palette is searched for, the lowest mean squared error so far, in the working space
    (sRGB: levels, summed over the channels)."""
    palette: tuple[str, ...] | None = None
    """The palette of that error as it stands, ``#rrggbb``."""
    tally: Tally | None = None
    """What of a collection is done."""


@dataclass(frozen=True)
class Notice:
    """Something worth a line to whoever watches."""

    message: str
    """The line."""


if TYPE_CHECKING:
    Listener = Callable[[Event | Notice], None]


def ignore_event(event: Event | Notice) -> None:
    """Listen to nothing: the default listener."""


@dataclass
class Stopwatch:
    """Wall seconds per stage, summed over the times that a stage was entered."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Seconds by stage name."""
    started: float = field(default_factory=time.perf_counter)
    """When the whole job began, on the clock of ``time.perf_counter``."""

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the time spent inside the ``with`` block to ``stage``."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - begin

    def summary(self) -> dict[str, float]:
        """Return seconds by stage, ``total`` first, rounded to 0.1 ms."""
        total = time.perf_counter() - self.started
        return {"total": round(total, 4)} | {k: round(v, 4) for k, v in self.seconds.items()}
