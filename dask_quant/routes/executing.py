"""Opening what computes a job."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

from dask_quant.board_client import telling_board
from dask_quant.cluster import LOCAL_SCHEDULERS, open_client
from dask_quant.execute import Executor
from dask_quant.performance import reporting_performance
from dask_quant.watching import name_call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask_quant.events import Listener, Stopwatch
    from dask_quant.options import RunOptions


class AnyJob(Protocol):
    """What a job of any kind says of how it is carried out."""

    @property
    def run(self) -> RunOptions:
        """How to carry it out."""

    @property
    def listener(self) -> Listener:
        """Told of progress."""

    @property
    def watch(self) -> Stopwatch:
        """Measures the stages."""


@contextmanager
def open_executor(job: AnyJob) -> Iterator[Executor]:
    """Open what computes, and close it at the end; whoever watches the job hears of it."""
    options, listener = job.run.cluster, job.listener
    scheduler = options.scheduler if options.scheduler in LOCAL_SCHEDULERS else None
    with job.watch.measure("connect"):
        stack = ExitStack()
        client = stack.enter_context(open_client(options, listener))
    with stack:
        stack.enter_context(telling_board(client, options, listener))
        stack.enter_context(
            reporting_performance(
                *(client, options.performance_report, name_call(listener), listener),
                overwrite=job.run.overwrite or job.run.resume,
            )
        )
        yield Executor(client, scheduler, listener, options.most_workers)
