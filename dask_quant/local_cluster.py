"""Worker processes of this machine, for one job.

Everything that is started listens on loopback alone: who reaches a scheduler's port can run code
there. Workers preload this module, for `dask_setup`.
"""

from __future__ import annotations

import logging
import signal
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

import dask

from dask_quant.connections import (
    CONNECT_TIMEOUT_S,
    close_quietly,
    first_line,
    lacks_remark,
    leaving_out,
)
from dask_quant.errors import ClusterError, MemoryBudgetError
from dask_quant.events import ignore_event
from dask_quant.first_worker import holding_worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Client, LocalCluster

    from dask_quant.options import ClusterOptions

DRIVER_SHARE = 0.25
"""Share of a job's memory limit kept for the driver and scheduler, the rest being the workers'.

Arbitrary: the driver merges histograms and fits, and each worker holds a block at a time.
"""

MIN_WORKER_BYTES = 200_000_000
"""Least memory in bytes for a worker: about 65 MB bare, 150 MB with Numba and `dask.array`."""

NO_WORKERS_TIMEOUT = "2 minutes"
"""After this long without any worker, tasks of a local cluster fail instead of waiting for ever.

A killed worker is back within seconds; this only has to be well above that.
"""

LOST_WORKER_TIMEOUT = "10 minutes"
"""How long a local cluster leaves a lost worker to its nanny before it gives the worker up."""

START_TIMEOUT = "2 minutes"
"""After this long a worker that does not come up is given up: a start cannot be interrupted."""

SCALE_UP_S = 1.0
"""Seconds of work for each worker beyond which another one is started: about what it takes to
start one. Dask's own 5 s are for machines that have to be asked for."""

IDLE_LOOKS = 10
"""Times that a worker must be found idle, a second apart, before it is stopped: a fit in this
process between two passes is to cost no worker, which Dask's own 3 would (arbitrary)."""

_REMARKS_ON_CLOSING = {
    # Of a task that it was running, and of nothing else.
    "distributed.worker.state_machine": "ended with CancelledError",
    # Of a heartbeat that met its own removal on the way.
    "distributed.worker": "Scheduler was unaware of this worker",
}
"""What a worker says when it is closed, by who says it."""

_REMARKS_ON_SCALING = {
    # Heartbeats of a worker that was just removed; it may then wait for who waits for it.
    "distributed.scheduler": "Received heartbeat from unregistered worker",
    "distributed.nanny": "Worker process still alive after",
}
"""What this process says when Dask scales workers down, by who says it."""

_LOOPBACK = "127.0.0.1"
_LOOPBACK_ANY_PORT = f"{_LOOPBACK}:0"


def plan_worker_bytes(memory_limit_bytes: int, workers: int) -> int:
    """Return the memory limit of each worker when a whole job may use ``memory_limit_bytes``.

    Parameters
    ----------
    memory_limit_bytes : int
        Bytes for driver and workers together.
    workers : int
        Number of workers, at least 1.

    Returns
    -------
    int
        Bytes per worker, at least `MIN_WORKER_BYTES`.

    Raises
    ------
    MemoryBudgetError
        When less than `MIN_WORKER_BYTES` would be left for each.

    Examples
    --------
    >>> plan_worker_bytes(1_600_000_000, workers=2)
    600000000
    """
    each = int(memory_limit_bytes * (1 - DRIVER_SHARE)) // workers
    if each < MIN_WORKER_BYTES:
        needed = int(MIN_WORKER_BYTES * workers / (1 - DRIVER_SHARE))
        message = (
            f"A memory limit of {memory_limit_bytes / 1e6:.0f} MB leaves {each / 1e6:.0f} MB for "
            f"each of {workers} workers, which need {MIN_WORKER_BYTES / 1e6:.0f} MB; "
            f"allow at least {needed / 1e6:.0f} MB or use fewer workers."
        )
        raise MemoryBudgetError(message)
    return each


@contextmanager
def start_local(options: ClusterOptions) -> Iterator[Client]:
    """Run a cluster of one-thread processes on loopback and yield its client, which is current.

    **Eager**: starts processes. One that scales starts with a worker, whatever the fewest are: the
    job needs one at once, and that none can be started is found here.

    Raises
    ------
    ClusterError
        When processes cannot be started.
    MemoryBudgetError
        When ``memory_limit_bytes`` is too small for the most workers that there may be.
    """
    import distributed

    limit, given = options.memory_limit_bytes, options.workers or 1
    fewest, most = options.adapt or (given, given)
    n_first = max(1, fewest)
    memory_limit = "auto" if limit is None else plan_worker_bytes(limit, most)
    timeouts = {
        "distributed.deploy.lost-worker-timeout": LOST_WORKER_TIMEOUT,
        "distributed.scheduler.no-workers-timeout": NO_WORKERS_TIMEOUT,
    }
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(timeouts))
        if options.adapt is not None:
            stack.enter_context(leaving_out(_REMARKS_ON_SCALING))
        # A worker that was killed may still be writing its spill files when the folder goes.
        scratch = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="dask-quant-", ignore_cleanup_errors=True)
        )
        try:
            with _deferring_signals():
                cluster = distributed.LocalCluster(
                    n_workers=n_first,
                    threads_per_worker=1,
                    processes=True,
                    host=_LOOPBACK,
                    # An address even without a dashboard: None still serves HTTP, on port 8787.
                    dashboard_address=_LOOPBACK_ANY_PORT,
                    worker_dashboard_address=_LOOPBACK_ANY_PORT,
                    scheduler_kwargs={"dashboard": options.dashboard},
                    memory_limit=memory_limit,
                    local_directory=scratch,
                    death_timeout=START_TIMEOUT,
                    preload=[*dask.config.get("distributed.worker.preload"), __name__],
                )
                stack.callback(close_quietly, cluster)
        except (OSError, RuntimeError, TimeoutError) as error:
            message = (
                f"Could not start {n_first} worker processes: {first_line(error)}; "
                'a script must call this under: if __name__ == "__main__":'
            )
            raise ClusterError(message) from error
        client = distributed.Client(cluster, timeout=CONNECT_TIMEOUT_S)
        stack.callback(close_quietly, client)
        if options.adapt is not None:
            stack.enter_context(_scaling(cluster, client, fewest, most))
        with client.as_current():
            yield client


@contextmanager
def _scaling(cluster: LocalCluster, client: Client, fewest: int, most: int) -> Iterator[None]:
    """Have a cluster scale as work demands, but keep a worker, until the block ends."""
    with holding_worker(client, ignore_event):
        cluster.adapt(
            minimum=fewest, maximum=most, target_duration=SCALE_UP_S, wait_count=IDLE_LOOKS
        )
        yield


@contextmanager
def _deferring_signals() -> Iterator[None]:
    """Hear of SIGINT and SIGTERM at the end of the block, which is not left half done.

    Threads that start in it, and all their processes, are never interrupted: Ctrl-C in a terminal
    reaches a worker whenever one starts, and before that can say that it leaves it to the driver.
    """
    heard: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM) if is_main else ()
    handlers = {each: handler for each in numbers if callable(handler := signal.getsignal(each))}
    try:
        with ExitStack() as stack:
            for each, handler in handlers.items():
                signal.signal(each, lambda number, frame: heard.append(number))
                stack.callback(signal.signal, each, handler)
            stack.enter_context(_blocking_interrupts())
            yield
    finally:
        if heard:
            signal.raise_signal(heard[0])


@contextmanager
def _blocking_interrupts() -> Iterator[None]:
    """Keep SIGINT from this thread, and from what starts in it, where that can be."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # it would lift the block in the thread that starts it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def dask_setup(worker: object) -> None:
    """Prepare a worker of `open_client`'s local cluster: Dask calls this as it starts.

    Workers leave Ctrl-C to the driver, which closes them, instead of writing a traceback each. Nor
    do they tell that they were closed, as those are that have nothing to do.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What LocalCluster asks for by handlers, which a worker sets back before it is all closed.
    logging.getLogger("distributed").setLevel(logging.WARNING)
    for name, remark in _REMARKS_ON_CLOSING.items():
        logging.getLogger(name).addFilter(lacks_remark(remark))
