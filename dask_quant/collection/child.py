"""What runs in a process that does tasks for another one, which an image may take down.

It is sent tasks, pickled, by a process that it trusts, and answers in JSON, with colours and their
counts behind it: nothing that it says is run, since the image may be made to take it over.
Before it decodes an image it says which, and how long that may take. It ends when who asked is
gone, whatever it is doing, so that a job that was killed writes nothing more.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import select
import signal
import threading
import warnings
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from dask_quant.collection.task import find_source
from dask_quant.collection.work import do_work
from dask_quant.errors import DaskQuantError
from dask_quant.process import claim_process, peak_rss_bytes
from dask_quant.sources.decode_limits import PLANNED, limit_decoding
from dask_quant.sources.header import show_path
from dask_quant.sources.helper_process import explain_memory

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator, Sequence

    from dask_quant.collection.items import Item
    from dask_quant.collection.task import Done, Work

_HANG_UP = getattr(select, "POLLRDHUP", 0) | select.POLLHUP


def serve(descriptor: int) -> None:
    """Do the tasks that come through a socket until it is closed at the other end."""
    claim_process()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    threading.Thread(target=_end_with_asker, args=[descriptor], daemon=True).start()
    with Connection(descriptor) as pipe:
        while True:
            try:
                _answer(pipe, pipe.recv_bytes())
            except (EOFError, ConnectionError):
                return


def _end_with_asker(descriptor: int) -> None:
    """End this process once the other end of the socket is closed."""
    waiting = select.poll()
    waiting.register(descriptor, _HANG_UP)
    waiting.poll()
    os._exit(1)


def _answer(pipe: Connection, task: bytes) -> None:
    """Do a task and send what came of it."""
    try:
        work, items = pickle.loads(task)
    except Exception as error:  # what it needs is not here
        said = f"A process for tasks cannot take them: {type(error).__name__}: {error}"
        _send(pipe, {"error": "JobError", "said": said})
        return
    _do_task(pipe, work, items)


def _do_task(pipe: Connection, work: Work, items: Sequence[Item]) -> None:
    """Do a task and send what came of it."""

    @contextmanager
    def limit(item: Item, source: str | io.BytesIO) -> Iterator[int]:
        limit_bytes = 0

        def tell(seconds: float, n_bytes: int) -> None:
            nonlocal limit_bytes
            limit_bytes = n_bytes
            _send(pipe, {"at": item.position, "seconds": seconds})

        try:
            with limit_decoding(source, PLANNED, tell) as n_pixels:
                yield n_pixels
        except (MemoryError, DaskQuantError) as error:
            if isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError):
                raise explain_memory(show_path(find_source(work, item)), limit_bytes) from error
            raise
        finally:
            _send(pipe, {"at": None})

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            done = do_work(work, items, limit)
    except DaskQuantError as error:
        _send(pipe, {"error": type(error).__name__, "said": str(error)})
    except Exception as error:  # a fault of ours, which the other process is to tell
        _send(pipe, {"error": "JobError", "said": f"{type(error).__name__}: {error}"})
    else:
        warned = tuple((each.category.__name__, str(each.message)) for each in caught)
        _send_done(pipe, replace(done, warned=warned))


def _send(pipe: Connection, message: dict[str, Any]) -> None:
    """Send a message."""
    pipe.send_bytes(json.dumps(message).encode())


def _send_done(pipe: Connection, done: Done) -> None:
    """Send what a task did: the message, and the colours that it told of, or counted."""
    histogram = done.histogram
    message = {
        "rows": [row.to_line().decode() for row in done.rows],
        "counted": done.counted,
        "seconds": done.n_seconds,
        "warned": done.warned,
        "peak": peak_rss_bytes(),
        "codes": None if histogram is None else histogram.codes.dtype.str,
        "summarized": done.summarized,
        "verdicts": done.verdicts,
    }
    _send(pipe, message)
    if done.summarized:
        pipe.send_bytes(done.colors)
    if histogram is not None:
        pipe.send_bytes(histogram.codes.data.cast("B"))
        pipe.send_bytes(histogram.counts.data.cast("B"))
