"""Tasks of a distributed cluster: handed over, watched, taken back when a job fails.

What `dask_quant.execute` does where there is a client. ``distributed`` is imported in the functions
that need it: it takes half a second, which a job on threads must not pay.
"""

from __future__ import annotations

import queue
import secrets
import threading
import time
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from dask_quant.errors import ClusterError
from dask_quant.events import Event, Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Hashable, Iterator, Sequence

    from dask.delayed import Delayed
    from distributed import Client, Future, Worker

    from dask_quant.events import Listener

RETRIES = 3
"""Times that a failed task is tried again on a cluster."""

STOP_TIMEOUT_S = 30
"""Seconds to wait, when a job stops early, for its running tasks to end (arbitrary)."""

MAX_LOSSES = 3
"""Times that a task is handed over again whose workers died, as often as the scheduler allows, for
reasons that are not its own: what may crash runs in a process of its own."""

_TASKS_PER_THREAD = 3
"""Tasks that a cluster has for each of its threads, the running one included (arbitrary: while one
is told of and the next is sent, there is another)."""

_EARLY = 1
"""Priority of tasks that make less of what others left on the workers."""

_POLL_S = 0.05

_LOOK_S = 1.0
"""Seconds without a word from a task after which it is looked at (arbitrary)."""

_TELL_S = 0.2
"""Seconds between what a task tells of one stage at least (arbitrary)."""


def keep_graph(
    client: Client, tasks: Sequence[Delayed], count: Callable[[Hashable], object]
) -> list[Delayed]:
    """Compute ``tasks``, leave the results on the workers, and return what stands for them.

    **Eager**. ``count`` is called with the key of each that is done.
    """
    from distributed import as_completed, futures_of

    kept: list[Delayed] = client.persist(list(tasks), retries=RETRIES)
    # Each may depend on those before it.
    last_first = [{task.key} for task in reversed(tasks)]
    with stopping_on_failure(client, lambda: last_first), telling_lost_work():
        futures = [future for each in kept for future in futures_of(each)]
        for future in as_completed(futures, loop=client.loop):
            if future.status in ("error", "cancelled"):
                future.result()  # raises what the task raised, or that it was cancelled
            count(future.key)
    return kept


def stream_tasks(
    client: Client,
    function: Callable[[Any], Any],
    tasks: Iterator[Any],
    stop: Callable[[], object] | None,
    brief: Callable[[Any], Any] | None = None,
    *,
    count: Callable[[], int],
) -> Generator[Any]:
    """Yield what workers return; see `dask_quant.execute.Executor.stream`. **Eager**.

    With ``brief``, what that makes of each result comes back, and the result's future with it.
    ``count`` tells the threads that there are, or may be: a cluster scales up only for tasks that
    it was handed.
    """
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    running: dict[Hashable, tuple[Any, int, Future]] = {}
    waiting = as_completed(loop=client.loop)

    def submit(task: Any, n_losses: int = 0) -> None:
        whole = future = client.submit(function, task, pure=False, retries=RETRIES)
        if brief is not None:
            future = client.submit(brief, whole, pure=False, priority=_EARLY)
        running[future.key] = (task, n_losses, whole)
        waiting.add(future)

    try:
        with telling_lost_work():
            while True:
                room = _TASKS_PER_THREAD * count() - len(running)
                for task in islice(tasks, max(0, room)):
                    submit(task)
                if not running:
                    return
                future = next(waiting)
                task, n_losses, whole = running.pop(future.key)
                error = future.exception() if future.status == "error" else None
                if isinstance(error, KilledWorker) and n_losses < MAX_LOSSES:
                    submit(task, n_losses + 1)
                    continue
                result = future.result()
                yield result if brief is None else (result, whole)
    except BaseException:
        if client.status == "running":
            if stop is not None:
                client.run(stop, on_error="ignore")
            wholes = [whole.key for _, _, whole in running.values()]
            _stop_tasks(client, [set(running), wholes])
        raise


def submit_early(client: Client, function: Callable[..., Any], args: Sequence[Any]) -> Future:
    """Have a worker call a function of values and futures, before tasks that wait. **Lazy**."""
    return client.submit(function, *args, pure=False, retries=RETRIES, priority=_EARLY)


def is_held(value: Any) -> bool:
    """Return whether a value is one that stays on a worker."""
    from distributed import Future

    return isinstance(value, Future)


def fetch_result(value: Any) -> Any:
    """Return a value, from its worker where it stays on one. **Eager**."""
    if not is_held(value):
        return value
    with telling_lost_work():
        return value.result()


def run_task(
    client: Client,
    function: Callable[..., Any],
    args: Sequence[Any],
    listener: Listener | None,
    *,
    retries: int,
    keeps: bool,
) -> Any:
    """Have a worker call a function of values and futures, and return what it returns. **Eager**.

    Parameters
    ----------
    client : Client
        Of the cluster.
    function, args
        What is called with what.
    listener : callable, optional
        Told here of what ``function`` tells one that it is given there, as its last argument.
    retries : int
        Times that it is tried again when it fails.
    keeps : bool
        Whether the result stays on its worker, and its future comes back.
    """
    heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
    topic = f"dask-quant-{secrets.token_hex(8)}"
    given = (*args, TopicListener(topic)) if listener is not None else args
    with telling_lost_work():
        if listener is not None:
            client.subscribe_topic(topic, heard.put)
        future = client.submit(function, *given, pure=False, retries=retries, priority=_EARLY)
        try:
            with stopping_on_failure(client, lambda: [{future.key}]):
                if listener is not None:
                    future.add_done_callback(lambda _: heard.put(None))
                    _listen(future, heard, listener)
                return _wait(future) if keeps else future.result()
        finally:
            if listener is not None and client.status == "running":
                client.unsubscribe_topic(topic)


def _wait(future: Future) -> Future:
    """Wait for a task that was handed over, and return its future; raise what it raised."""
    if future.exception() is not None:
        future.result()
    return future


def _listen(future: Future, heard: queue.SimpleQueue[Any], listener: Listener) -> None:
    """Tell a listener what a task says, until it is done."""
    while True:
        try:
            told = heard.get(timeout=_LOOK_S)
        except queue.Empty:
            if future.done():
                return
            continue
        if told is None:
            return
        listener(_parse_event(told[1]))


class TopicListener:
    """A listener of a task, which tells what it hears to whoever follows a topic. Pickled.

    It ends the task when that was cancelled, which Dask itself cannot while its function runs.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._told: dict[str, float] = {}

    def __call__(self, event: Event | Notice) -> None:
        """Tell of an event, unless there was one of its stage just now, and it is not the last."""
        from distributed import get_worker

        worker = get_worker()
        _end_if_cancelled(worker)
        if isinstance(event, Event) and event.done != event.total:
            now = time.monotonic()
            if now - self._told.get(event.stage, -_TELL_S) < _TELL_S:
                return
            self._told[event.stage] = now
        worker.log_event(self._topic, _show_event(event))


def _end_if_cancelled(worker: Worker) -> None:
    """Leave the task that this thread runs if nobody wants it any more."""
    from distributed import Reschedule

    key = worker.active_threads.get(threading.get_ident())
    task = worker.state.tasks.get(key)
    if key is not None and (task is None or task.state == "cancelled"):
        raise Reschedule  # of a cancelled task, Dask passes over this without a word


def _show_event(event: Event | Notice) -> dict[str, Any]:
    """Return an event as plain values."""
    if isinstance(event, Notice):
        return {"message": event.message}
    return {
        "stage": event.stage,
        "done": int(event.done),
        "total": None if event.total is None else int(event.total),
        "unit": event.unit,
        "error": None if event.error is None else float(event.error),
        "palette": None if event.palette is None else list(event.palette),
    }


def _parse_event(told: dict[str, Any]) -> Event | Notice:
    """Return the event that `_show_event` showed."""
    if "message" in told:
        return Notice(told["message"])
    palette = told["palette"]
    return Event(
        stage=told["stage"],
        done=told["done"],
        total=told["total"],
        unit=told["unit"],
        error=told["error"],
        palette=None if palette is None else tuple(palette),
    )


@contextmanager
def telling_lost_work() -> Iterator[None]:
    """Raise `ClusterError` where a cluster gives work up."""
    from distributed.client import ClosedClientError, FutureCancelledError
    from distributed.scheduler import KilledWorker, NoValidWorkerError, NoWorkerError

    no_worker = (KilledWorker, NoValidWorkerError, NoWorkerError)
    lost = (*no_worker, FutureCancelledError, ClosedClientError)
    try:
        yield
    except lost as error:
        message = f"The cluster lost the work: {_one_line(error)}"
        raise ClusterError(message) from error


@contextmanager
def stopping_on_failure(
    client: Client, list_keys: Callable[[], Sequence[Collection[Hashable]]]
) -> Iterator[None]:
    """When the block fails, cancel tasks and wait until none of them runs.

    A task that still ran could write again what its job, having failed, is about to remove.
    ``list_keys`` is called then, and returns groups of keys: what depends on others comes first.
    """
    try:
        yield
    except BaseException:
        if client.status == "running":
            _stop_tasks(client, list_keys())
        raise


def _stop_tasks(client: Client, groups: Sequence[Collection[Hashable]]) -> None:
    """Cancel tasks, and wait a while for those that run, which cannot be interrupted.

    Groups are cancelled one after another. Where others depend on a task that no client wants, as
    between leaves and their root, Dask's scheduler fails to cancel these, and drops the client:
    they have to be gone before, as they are once what needs them was cancelled.
    """
    from distributed import Future

    for keys in groups:
        client.cancel([Future(key, client) for key in keys])
    every = set().union(*groups)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while any(client.run(_runs_any, every, on_error="ignore").values()):
        if time.monotonic() > deadline:
            return
        time.sleep(_POLL_S)


def _runs_any(keys: set[Hashable], dask_worker: Worker) -> bool:
    """Return whether a worker runs one of these tasks, cancelled or not."""
    return not keys.isdisjoint(dask_worker.active_threads.values())


def _one_line(error: BaseException) -> str:
    """Return the message of ``error`` on one line, with its type."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
