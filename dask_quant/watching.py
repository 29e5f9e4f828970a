"""A job that can be watched: what its listener hears is kept, for the board of a cluster.

`watched` wraps the functions that users call for whole jobs. It puts a `Watcher` in the place of
the listener, which hears all that the user's does. Where the job runs on a cluster,
`dask_quant.board_client` tells the board what the watcher knows; elsewhere nobody asks for it.
"""

from __future__ import annotations

import functools
import shlex
import sys
import threading
import time
from dataclasses import fields, is_dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from dask_quant.events import Event, ignore_event
from dask_quant.job_record import JobRecord
from dask_quant.process import is_process_ours
from dask_quant.sources.addresses import hide_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dask_quant.events import Listener, Notice
    from dask_quant.palette import Palette

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")

_MAX_ITEMS = 4
"""Items of a sequence that a call is shown with (arbitrary)."""


class Watcher:
    """A listener that keeps what it hears, and hands it on.

    Parameters
    ----------
    listener : callable
        What events are handed on to.
    command, call : str
        The command, and the whole call.
    """

    def __init__(self, listener: Listener, command: str, call: str) -> None:
        self._listener = listener
        self._lock = threading.Lock()
        self._record = JobRecord(command, call, time.time)
        self._n_changes = 0

    def __call__(self, event: Event | Notice) -> None:
        """Take note of an event, and hand it on."""
        if isinstance(event, Event):
            with self._lock:
                self._record.take_event(event)
                self._n_changes += 1
        self._listener(event)

    @property
    def n_changes(self) -> int:
        """How often there was something new."""
        return self._n_changes

    def take_palette(self, colors: Sequence[str]) -> None:
        """Take note of a palette that is fitted, ``#rrggbb``."""
        with self._lock:
            self._record.take_palette(colors)
            self._n_changes += 1

    def take_report(self, report: Mapping[str, Any]) -> None:
        """Take note of the report of the job, as JSON-ready values."""
        with self._lock:
            self._record.take_report(report)
            self._n_changes += 1

    def start(self, client: str) -> None:
        """Take note of the client that the job runs by."""
        with self._lock:
            self._record.start(client)
            self._n_changes += 1

    def end(self, error: BaseException | None) -> None:
        """Take note that the job ended: well, by an error, or cancelled."""
        with self._lock:
            self._record.end(error)
            self._n_changes += 1

    def to_json(self) -> dict[str, Any]:
        """Return the job as `dask_quant.board` describes it."""
        with self._lock:
            return self._record.to_json()


def watched(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """Have a function that takes a ``listener`` do a job that can be watched."""

    @functools.wraps(function)
    def call(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        listener: Any = kwargs.get("listener", ignore_event)
        text = describe_call(function.__name__, args, kwargs)
        kwargs["listener"] = Watcher(listener, function.__name__, text)
        return function(*args, **kwargs)

    return call


def tell_palette(listener: Listener, palette: Palette) -> None:
    """Have the watcher of a job, where it has one, take note of a palette that is fitted."""
    if isinstance(listener, Watcher):
        listener.take_palette(palette.hex)


def tell_report(listener: Listener, report: Mapping[str, Any]) -> None:
    """Have the watcher of a job, where it has one, take note of the report."""
    if isinstance(listener, Watcher):
        listener.take_report(report)


def name_call(listener: Listener) -> str:
    """Return the whole call of a watched job, without secrets; of another, nothing."""
    return str(listener.to_json()["call"]) if isinstance(listener, Watcher) else ""


def describe_call(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return the command line, or else the call of Python, in one line without secrets.

    Examples
    --------
    >>> describe_call("quantize", ("s3://me:pass@b/in", "out"), {"n_colors": 8, "listener": print})
    "quantize('s3://***@b/in', 'out', n_colors=8)"
    """
    if is_process_ours():
        return shlex.join(["dask-quant", *map(hide_secrets, sys.argv[1:])])
    named = (f"{key}={_show(value)}" for key, value in kwargs.items() if key != "listener")
    return f"{name}({', '.join([*map(_show, args), *named])})"


def _show(value: Any) -> str:
    """Return an argument as it is written, or what it is, where that would be long."""
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, str | PathLike):
        return repr(hide_secrets(str(value)))
    if isinstance(value, list | tuple):
        shown = [*map(_show, value[:_MAX_ITEMS]), *(["..."] if len(value) > _MAX_ITEMS else [])]
        return f"[{', '.join(shown)}]"
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        sides = " x ".join(map(str, value.shape))
        return f"<{sides} {value.dtype}>"
    if is_dataclass(value) and type(value).__name__.endswith("Options"):
        given = ((each.name, getattr(value, each.name), each.default) for each in fields(value))
        shown = [f"{name}={_show(each)}" for name, each, default in given if each != default]
        return f"{type(value).__name__}({', '.join(shown)})"
    return f"<{type(value).__name__}>"
