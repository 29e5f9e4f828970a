"""Tasks on threads of this process: a pool of the job's own, results as they end.

What `dask_quant.execute` does where there is no client.
"""

from __future__ import annotations

import sys
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import dask
import dask.threaded

from dask_quant.process import count_cpus

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Callable, Generator, Iterator

_SPARE_TASKS = 1
"""Tasks that wait for a thread of this process, so that none has to wait for a task."""

_THREADS = (None, "threads", "threading")
"""What Dask's ``scheduler`` setting says where its threads do the work."""


def stream_on_threads(
    n_threads: int,
    function: Callable[[Any], Any],
    tasks: Iterator[Any],
    stop: Callable[[], object] | None,
) -> Generator[Any]:
    """Yield what threads of this process return; see `Executor.stream`."""
    pool = ThreadPoolExecutor(n_threads)
    running: set[concurrent.futures.Future[Any]] = set()
    try:
        while True:
            ahead = islice(tasks, n_threads + _SPARE_TASKS - len(running))
            running.update(pool.submit(function, task) for task in ahead)
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BaseException:
        if stop is not None:
            stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def own_threads() -> Iterator[None]:
    """Give Dask a pool of threads in which nothing runs any more when the block ends.

    In Dask's own, the tasks of a job that failed or was interrupted run on for a while, and could
    write again what the job is about to remove. Pools and schedulers that the user set are kept.
    """
    setting = dask.config.get("scheduler", None)
    if setting not in _THREADS or dask.config.get("pool", None) is not None:
        yield
        return
    pool = ThreadPoolExecutor(dask.config.get("num_workers", None) or count_cpus())
    try:
        with dask.config.set(pool=pool):
            yield
    finally:
        pool.shutdown(cancel_futures=True)


def find_get() -> Callable[..., Any] | None:
    """Return the function by which Dask's threads compute; None leaves the choice to Dask.

    To choose, Dask imports distributed, which takes as long as a small job.
    """
    if "distributed" in sys.modules or dask.config.get("scheduler", None) not in _THREADS:
        return None
    return cast("Callable[..., Any]", dask.threaded.get)
