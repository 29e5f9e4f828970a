"""The board: what is known of the jobs on a cluster, as plain values for whoever watches them.

A scheduler holds one `Board` (`dask_quant.dashboard`), drivers put their jobs on it
(`dask_quant.watching`), and `dask_quant.board_client.read_jobs` reads it. A job is a ``dict`` that
JSON and msgpack can hold, with these keys; what is not known is None, or empty:

``name``
    What the job is called on the board: its command and six hexadecimal digits.
``command``, ``call``, ``version``
    The command; the whole command line or call of Python in one line, without secrets; the version
    of dask_quant.
``driver``
    ``{"user", "host", "pid", "client"}``: who runs it, where, and which client of the scheduler.
``status``, ``outcome``
    ``running``, ``done``, ``failed`` or ``cancelled``; how it ended in one line, None while it
    runs.
``started``, ``updated``, ``ended``
    Seconds since 1970, UTC, by the driver's clock.
``silent_s``
    Seconds since its driver last told of it, by the scheduler's clock; of a job that runs it is at
    most some ten, else its driver is in trouble.
``stages``
    In the order in which they began: ``{"name", "unit", "done", "total", "started", "ended",
    "rate", "remaining_s", "history"}``. ``done`` of ``total`` units, which is None where it is not
    known; ``rate`` in units a second, of late while it runs, over all of it once it has ended;
    ``history`` is ``[[seconds since the job started, rate], ...]``.
``n_images``, ``n_pixels``, ``input_bytes``, ``output_bytes``, ``n_quarantined``
    What was written, or set aside, so far.
``palette``, ``n_colors``
    Colours ``#rrggbb``, at most `MAX_COLORS` of them, as they form and in the end; how many there
    are in all.
``errors``
    ``[[seconds since the job started, error], ...]``: the lowest mean squared error that the search
    for a palette has found so far, in sRGB levels, summed over the channels; in another working
    space, in its units.
``mse``
    The error of what was written, as the report says.
"""

from __future__ import annotations

from typing import Any

PLUGIN_NAME = "dask-quant-board"
"""What the plugin that keeps the board is called on a scheduler, which has one at most."""

PUT_OPERATION = "dask_quant_put_job"
"""The operation of the scheduler by which a driver tells of its ``job``."""

LIST_OPERATION = "dask_quant_list_jobs"
"""The operation of the scheduler that returns all jobs."""

MAX_JOBS = 50
"""Jobs on a board; of more, those that ended first, or else began first, go (arbitrary)."""

MAX_STAGES = 24
"""Stages of a job that are told of; no command has as many."""

MAX_POINTS = 200
"""Points of a history: more than a small chart shows (arbitrary)."""

MAX_COLORS = 256
"""Colours of a palette that are told; the number of all is told as well."""

MAX_TEXT = 2_000
"""Characters of a text; what is cut off ends in an ellipsis (arbitrary)."""

RUNNING, DONE, FAILED, CANCELLED = "running", "done", "failed", "cancelled"
"""What a job may be."""

LOST_DRIVER = (
    "The driver left without a word: it was killed, or its machine or network failed; where the "
    "command has --resume, it goes on."
)
"""What is said of a job whose client left while it ran."""

_EMPTY: dict[str, Any] = {
    "name": "",
    "command": "",
    "call": "",
    "version": "",
    "driver": {},
    "status": RUNNING,
    "outcome": None,
    "started": 0.0,
    "updated": 0.0,
    "ended": None,
    "stages": [],
    "n_images": None,
    "n_pixels": None,
    "input_bytes": None,
    "output_bytes": None,
    "n_quarantined": 0,
    "palette": [],
    "n_colors": None,
    "errors": [],
    "mse": None,
}
"""Every key, and what stands there where nothing is known."""

_EMPTY_STAGE: dict[str, Any] = {
    "name": "",
    "unit": "",
    "done": 0,
    "total": None,
    "started": 0.0,
    "ended": None,
    "rate": None,
    "remaining_s": None,
    "history": [],
}


class Board:
    """What is known of some tens of jobs, the last told of each."""

    def __init__(self) -> None:
        self._jobs: dict[str, dict[str, Any]] = {}
        self._heard: dict[str, float] = {}

    def put(self, job: dict[str, Any], now: float) -> None:
        """Take what is told of a job at a time, in seconds, in place of what was.

        Keys that are not known are left out.
        """
        clipped = clip_job(job)
        self._jobs[clipped["name"]], self._heard[clipped["name"]] = clipped, now
        while len(self._jobs) > MAX_JOBS:
            oldest = min(self._jobs, key=self._rank)
            del self._jobs[oldest], self._heard[oldest]

    def list_jobs(self, now: float) -> list[dict[str, Any]]:
        """Return all jobs as they are known at a time, the one that began last first."""
        found = sorted(self._jobs.values(), key=lambda job: float(job["started"]), reverse=True)
        return [job | {"silent_s": round(now - self._heard[job["name"]], 1)} for job in found]

    def lose_client(self, client: str, now: float) -> None:
        """Take note that a client left: its jobs that run have failed."""
        for job in self._jobs.values():
            if job["status"] == RUNNING and job["driver"].get("client") == client:
                end_job(job, FAILED, LOST_DRIVER, now)

    def _rank(self, name: str) -> tuple[bool, float]:
        """Return what jobs are let go by, the least first."""
        job = self._jobs[name]
        return job["status"] == RUNNING, job["ended"] or job["started"]


def end_job(job: dict[str, Any], status: str, outcome: str, now: float) -> None:
    """Have a job end whose driver can tell of it no more: its last stage stands where it is."""
    job.update(status=status, outcome=outcome, ended=now, updated=now)
    for stage in job["stages"]:
        stage.update(remaining_s=None, ended=now if stage["ended"] is None else stage["ended"])


def clip_job(job: dict[str, Any]) -> dict[str, Any]:
    """Return a job with all known keys and no others, and no value larger than a board holds.

    Examples
    --------
    >>> clip_job({"name": "quantize-1", "anything": 1})["status"]
    'running'
    """
    known = _clip(job, _EMPTY)
    known["stages"] = [_clip(stage, _EMPTY_STAGE) for stage in known["stages"][-MAX_STAGES:]]
    known["driver"] = {key: clip_text(value) for key, value in list(known["driver"].items())[:4]}
    known["palette"] = known["palette"][:MAX_COLORS]
    return known


def _clip(values: dict[str, Any], empty: dict[str, Any]) -> dict[str, Any]:
    """Return values under the keys of ``empty``: texts cut, and of histories the last points."""
    clipped = {key: clip_text(values.get(key, default)) for key, default in empty.items()}
    for key in ("errors", "history"):
        if key in clipped:
            clipped[key] = clipped[key][-MAX_POINTS:]
    return clipped


def clip_text(value: Any) -> Any:
    """Return a value, a text cut where it is too long."""
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return value[: MAX_TEXT - 1] + "…"
    return value
