"""Tasks done in processes of their own, so that an image costs itself at most, and not the job.

A decoder that crashes, hangs or takes all memory ends the process. The image is set aside, and what
the task still has to do goes to a new process. Processes are kept for the next task, one for each
thread that asks at the same time.
"""

from __future__ import annotations

import atexit
import json
import os
import pickle
import threading
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant import errors
from dask_quant.collection.packing import PackTask
from dask_quant.collection.reading import set_aside
from dask_quant.collection.task import (
    CountedImage,
    Done,
    SummarizedImage,
    Verdict,
    find_source,
)
from dask_quant.collection.work import do_work
from dask_quant.errors import DecoderError, JobError
from dask_quant.histogram import ColorHistogram
from dask_quant.image_rows import ImageRow
from dask_quant.process import note_helper
from dask_quant.sources.header import show_path
from dask_quant.sources.helper_process import HelperProcess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dask_quant.collection.items import Item
    from dask_quant.collection.task import Work

_LOOK_S = 5.0
"""Seconds after which a process that says nothing is looked at (arbitrary)."""

_GRACE_S = 30.0
"""Seconds beyond its limit after which an image is given up, had the alarm not rung (arbitrary)."""

_MAX_LOSSES = 5
"""Times that a task is begun again whose process was ended from outside (arbitrary: out of memory,
or somebody who tidies up)."""


class _Lost(Exception):
    """The process of a task is gone; for an image, or for no fault of one."""

    def __init__(self, error: DecoderError, position: int | None) -> None:
        super().__init__(str(error))
        self.error = error
        self.position = position


class TaskProcess(HelperProcess):
    """A process that does one task at a time, see `HelperProcess`. **Eager**."""

    def __init__(self) -> None:
        super().__init__("dask_quant.collection.child")
        self._connection = Connection(os.dup(self.pipe.fileno()))

    def do_work(self, work: Work, items: Sequence[Item]) -> Done:
        """Do a task there; raise `_Lost` when the process is lost on the way."""
        told: dict[str, Any] = {"at": None}
        try:
            self._connection.send_bytes(pickle.dumps((work, list(items))))
            while True:
                message = self._receive(told)
                if "at" not in message:
                    break
                told = message | {"since": time.monotonic()}
            if "error" in message:
                raise getattr(errors, message["error"])(message["said"])
            return self._take_done(message)
        except (EOFError, ConnectionError) as error:
            raise _Lost(self._explain(work, items, told), told["at"]) from error

    def _receive(self, told: dict[str, Any]) -> dict[str, Any]:
        """Return the next message; end the process where none can come any more."""
        n_stopped = 0
        while not self._connection.poll(_LOOK_S):
            n_stopped = n_stopped + 1 if _is_stopped(self.process.pid) else 0
            limit = told.get("seconds")
            is_late = limit is not None and time.monotonic() > told["since"] + limit + _GRACE_S
            if n_stopped > 1 or is_late:
                self.process.kill()
        message: dict[str, Any] = json.loads(self._connection.recv_bytes())
        return message

    def _take_done(self, message: dict[str, Any]) -> Done:
        """Return what a message, and the numbers behind it, say that a task did."""
        histogram = None
        colors = self._connection.recv_bytes() if message["summarized"] else b""
        if message["codes"] is not None:
            codes = np.frombuffer(self._connection.recv_bytes(), dtype=np.dtype(message["codes"]))
            counts = np.frombuffer(self._connection.recv_bytes(), dtype=np.int64)
            histogram = ColorHistogram(codes, counts)
        note_helper(self.process.pid, message["peak"])
        rows = (ImageRow.from_line(line.encode()) for line in message["rows"])
        return Done(
            rows=tuple(row for row in rows if row is not None),
            counted=tuple(CountedImage(*each) for each in message["counted"]),
            n_seconds=message["seconds"],
            histogram=histogram,
            summarized=tuple(SummarizedImage(*each) for each in message["summarized"]),
            colors=colors,
            verdicts=tuple(Verdict(*each) for each in message["verdicts"]),
            warned=tuple((category, words) for category, words in message["warned"]),
        )

    def _explain(self, work: Work, items: Sequence[Item], told: dict[str, Any]) -> DecoderError:
        """Return the error for the image that was decoded as the process ended, or for none."""
        name = "an image"
        for item in items:
            if item.position == told["at"]:
                name = show_path(find_source(work, item))
        return self.explain_death(name, told)

    def close(self) -> None:
        """End the process, whatever it does."""
        self._connection.close()
        super().close()


def _is_stopped(pid: int) -> bool:
    """Return whether a process was told to stand still; False where the system does not say."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] in ("T", "t")


_idle: list[TaskProcess] = []
_busy: dict[TaskProcess, str] = {}
_stopped: set[str] = set()
_lock = threading.Lock()


def do_task(work: Work, items: Sequence[Item] | PackTask) -> Done:
    """Do a task, in a process of its own where the work is to be isolated. **Eager**.

    Parameters and errors are those of `dask_quant.collection.work.do_work`; a shard that is to be
    packed may take the place of images, and is packed in this process, since nothing is decoded.

    Raises
    ------
    JobError
        When the process is ended from outside again and again.
    """
    if isinstance(items, PackTask):
        return items.pack()
    if not work.is_isolated:
        return do_work(work, items)
    left, n_losses = list(items), 0
    rows: list[ImageRow] = []
    suspects: set[int] = set()
    while True:
        try:
            done = _do_once(work, left)
        except _Lost as loss:
            culprit = _find_culprit(loss, suspects)
            if culprit is None:
                n_losses += 1
                if n_losses > _MAX_LOSSES:
                    raise JobError(_loss_message(loss)) from loss
                continue
            rows += [set_aside(work, item, loss.error) for item in left if item.position == culprit]
            left = [item for item in left if item.position != culprit]
            n_losses = 0
        else:
            return replace(done, rows=(*rows, *done.rows), n_images=len(items))


def _find_culprit(loss: _Lost, suspects: set[int]) -> int | None:
    """Return the position of the image of which a process died, None where it was not its fault.

    An image during which it was killed from outside, twice, is taken to be the reason for it.
    """
    position = loss.position
    if position is None or (loss.error.from_outside and position not in suspects):
        suspects.update([] if position is None else [position])
        return None
    return position


def _loss_message(loss: _Lost) -> str:
    """Return the message for a task that cannot be finished."""
    return (
        f"The process that works on images was ended {_MAX_LOSSES + 1} times ({loss}); is there "
        "too little memory? Use fewer workers, or --memory-limit, and go on with --resume."
    )


def _do_once(work: Work, items: Sequence[Item]) -> Done:
    """Do a task in a process that waits, or in a new one."""
    process = _take_process(work.run_id)
    try:
        done = process.do_work(work, items)
    except errors.DaskQuantError:
        _give_back(process)
        raise
    except BaseException:
        with _lock:
            _busy.pop(process, None)
            is_stopped = work.run_id in _stopped
        process.close()
        if is_stopped:
            raise JobError("The job was stopped.") from None
        raise
    _give_back(process)
    return done


def _take_process(run_id: str) -> TaskProcess:
    """Return a process for a task of a job that was not stopped."""
    with _lock:
        if run_id in _stopped:
            raise JobError("The job was stopped.")
        process = _pop_idle() or TaskProcess()
        _busy[process] = run_id
        return process


def _pop_idle() -> TaskProcess | None:
    """Return a process that waits and lives, None where there is none."""
    while _idle:
        process = _idle.pop()
        if process.process.poll() is None:
            return process
        process.close()
    return None


def _give_back(process: TaskProcess) -> None:
    """Keep a process for the next task."""
    with _lock:
        _busy.pop(process, None)
        _idle.append(process)


def start_processes(n: int) -> None:
    """Start processes that will be asked soon, so that they come up in the meantime. **Eager**."""
    with _lock:
        _idle.extend(TaskProcess() for _ in range(n - len(_idle)))


def stop_tasks(run_id: str) -> None:
    """End the tasks of a job in this process, and have it begin no others. **Eager**."""
    with _lock:
        _stopped.add(run_id)
        busy = [process for process, owner in _busy.items() if owner == run_id]
    for process in busy:
        process.process.kill()


def close_processes() -> None:
    """End the processes that wait. **Eager**."""
    with _lock:
        waiting, _idle[:] = _idle[:], []
    for process in waiting:
        process.close()


atexit.register(close_processes)
