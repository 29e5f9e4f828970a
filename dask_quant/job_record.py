"""What a driver knows of its job, kept as events come: what it tells the board."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

from dask_quant import __version__
from dask_quant.board import CANCELLED, DONE, FAILED, MAX_COLORS, MAX_POINTS, RUNNING, clip_job
from dask_quant.sources.addresses import hide_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dask_quant.events import Event, Tally

NAME_VARIABLE = "DASK_QUANT_JOB"
"""Environment variable that names the job of a driver that a worker starts."""

RATE_WINDOW_S = 20.0
"""Seconds that a rate is measured over while a stage runs: it follows what changes, and does not
jump with every task (arbitrary)."""

_MAX_MARKS = 256
"""Marks of progress that a rate is measured from; of more, the oldest go (arbitrary)."""

_FIRST_GAP_S = 0.5
"""Least seconds between points of a history; doubled whenever it is full (arbitrary)."""


class History:
    """Points over time, thinned out evenly where there would be too many.

    Examples
    --------
    >>> history = History()
    >>> history.add(0.0, 5.0)
    >>> history.add(0.1, 4.0)
    >>> history.points
    [[0.0, 5.0], [0.1, 4.0]]
    """

    def __init__(self) -> None:
        self._kept: list[list[float]] = []
        self._last: list[float] | None = None
        self._gap_s = _FIRST_GAP_S

    def add(self, seconds: float, value: float) -> None:
        """Add a point, later than all others."""
        self._last = [round(seconds, 3), value]
        if self._kept and seconds - self._kept[-1][0] < self._gap_s:
            return
        self._kept.append(self._last)
        if len(self._kept) >= MAX_POINTS - 1:
            self._kept = self._kept[::2]
            self._gap_s *= 2

    @property
    def points(self) -> list[list[float]]:
        """``[[seconds, value], ...]``, the last that was added at the end."""
        is_kept = not self._kept or self._last is None or self._kept[-1] is self._last
        return [*self._kept] if is_kept or self._last is None else [*self._kept, self._last]


class StageRecord:
    """How far a stage is, and how fast it goes."""

    def __init__(self, event: Event, now: float) -> None:
        self.name = event.stage
        self._started, self._ended = now, None if event.total != 0 else now
        self._begin(event, now)
        self._history = History()

    def _begin(self, event: Event, now: float) -> None:
        """Measure from here on."""
        self._done, self._total, self._unit = event.done, event.total, event.unit
        self._marks = deque([(now, event.done)], _MAX_MARKS)
        self._first, self._updated = (now, event.done), now

    def take(self, event: Event, now: float, job_seconds: float) -> None:
        """Take note of an event of this stage."""
        if event.done < self._done or event.unit != self._unit:
            self._begin(event, now)  # the stage is entered once more, for something else
        self._done, self._total, self._updated = event.done, event.total, now
        self._ended = now if event.total is not None and event.done >= event.total else None
        self._marks.append((now, event.done))
        while len(self._marks) > 2 and now - self._marks[1][0] > RATE_WINDOW_S:
            self._marks.popleft()
        rate = self._find_rate(now)
        if rate is not None:
            self._history.add(job_seconds, rate)

    def end(self) -> None:
        """Take note that another stage has begun, or the job ended."""
        if self._ended is None:
            self._ended = self._updated

    def _find_rate(self, now: float) -> float | None:
        """Return units a second, None while nothing can be said."""
        begin, done = self._first if self._ended is not None else self._marks[0]
        seconds = (self._ended or now) - begin
        if seconds <= 0 or self._done <= done:
            return None
        return round((self._done - done) / seconds, 4)

    def to_json(self, now: float) -> dict[str, Any]:
        """Return the stage as the board tells it."""
        rate, remaining = self._find_rate(now), None
        if self._ended is None and rate and self._total is not None:
            remaining = round((self._total - self._done) / rate, 1)
        return {
            "name": self.name,
            "unit": self._unit,
            "done": self._done,
            "total": self._total,
            "started": self._started,
            "ended": self._ended,
            "rate": rate,
            "remaining_s": remaining,
            "history": self._history.points,
        }


class JobRecord:
    """All that the board is told of one job.

    Parameters
    ----------
    command, call : str
        The command, and the whole call, without secrets.
    clock : callable
        Returns seconds since 1970.
    """

    def __init__(self, command: str, call: str, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._stages: dict[str, StageRecord] = {}
        self._errors = History()
        self._started = clock()
        self._fields: dict[str, Any] = {
            "name": os.environ.get(NAME_VARIABLE) or f"{command}-{secrets.token_hex(3)}",
            "command": command,
            "call": show_printable(call),
            "version": __version__,
            "driver": describe_driver(),
            "status": RUNNING,
            "started": self._started,
            "n_quarantined": 0,
        }

    @property
    def name(self) -> str:
        """What the job is called."""
        return str(self._fields["name"])

    def take_event(self, event: Event) -> None:
        """Take note of progress."""
        now = self._clock()
        seconds = now - self._started
        stage = self._stages.get(event.stage)
        if stage is None:
            for earlier in self._stages.values():
                earlier.end()
            self._stages[event.stage] = StageRecord(event, now)
        else:
            stage.take(event, now, seconds)
        if event.error is not None:
            self._errors.add(seconds, event.error)
        if event.palette is not None:
            self.take_palette(event.palette)
        if event.tally is not None:
            self._take_tally(event.tally)

    def take_palette(self, colors: Sequence[str]) -> None:
        """Take note of a palette as it stands, ``#rrggbb``."""
        self._fields |= {"palette": list(colors[:MAX_COLORS]), "n_colors": len(colors)}

    def _take_tally(self, tally: Tally) -> None:
        """Take note of what was written and set aside so far."""
        self._fields |= {
            "n_images": tally.n_images,
            "n_pixels": tally.n_pixels,
            "input_bytes": tally.input_bytes,
            "output_bytes": tally.output_bytes,
            "n_quarantined": tally.n_quarantined,
        }

    def take_report(self, report: Mapping[str, Any]) -> None:
        """Take note of the report of a job that is done, as JSON-ready values."""
        same = ("n_images", "n_pixels", "input_bytes", "output_bytes", "n_colors", "mse")
        self._fields |= {key: report[key] for key in same if key in report}
        self._fields["n_quarantined"] = len(report.get("quarantined", ()))
        if report.get("palette"):
            self._fields["palette"] = list(report["palette"][:MAX_COLORS])

    def start(self, client: str) -> None:
        """Take note of the client that the job runs by, once more where it had ended."""
        self._fields["driver"] = {**self._fields["driver"], "client": client}
        self._fields |= {"status": RUNNING, "outcome": None, "ended": None}

    def end(self, error: BaseException | None) -> None:
        """Take note that the job ended, and how."""
        for stage in self._stages.values():
            stage.end()
        status, outcome = self._describe_end(error)
        self._fields |= {"status": status, "outcome": outcome, "ended": self._clock()}

    def _describe_end(self, error: BaseException | None) -> tuple[str, str]:
        """Return the status and the line that a job ends with."""
        if error is None:
            n_left = self._fields["n_quarantined"]
            return DONE, f"Done; {n_left:,} inputs were set aside." if n_left else "Done."
        if isinstance(error, Exception):
            return FAILED, show_line(f"{type(error).__name__}: {error}")
        return CANCELLED, "Cancelled by whoever ran it."

    def to_json(self) -> dict[str, Any]:
        """Return the job as `dask_quant.board` describes it."""
        now = self._clock()
        stages = [stage.to_json(now) for stage in self._stages.values()]
        told = {"stages": stages, "errors": self._errors.points, "updated": now}
        return clip_job(self._fields | told)


def describe_driver() -> dict[str, Any]:
    """Return who runs this process, and where."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        user = str(os.getuid())
    return {"user": show_line(user), "host": show_line(socket.gethostname()), "pid": os.getpid()}


def show_line(text: str) -> str:
    r"""Return a text in one line, without secrets; what cannot be printed is named.

    Examples
    --------
    >>> show_line("cannot read s3://me:pass@b/a.png\nwhat?")
    'cannot read s3://***@b/a.png\\nwhat?'
    """
    return show_printable(hide_secrets(text))


def show_printable(text: str) -> str:
    r"""Return a text in one line; what cannot be printed is named.

    Examples
    --------
    >>> show_printable("a\tb \udce9")
    'a\\tb \\udce9'
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
