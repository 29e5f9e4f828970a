"""Opening what computes a job."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from dask_quant.cluster import LOCAL_SCHEDULERS, dashboard_link, open_client
from dask_quant.events import Notice
from dask_quant.execute import Executor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask_quant.routes.common import Job


@contextmanager
def open_executor(job: Job) -> Iterator[Executor]:
    """Open what computes, and close it at the end."""
    options = job.run.cluster
    scheduler = options.scheduler if options.scheduler in LOCAL_SCHEDULERS else None
    with job.watch.measure("connect"):
        stack = ExitStack()
        client = stack.enter_context(open_client(options))
    with stack:
        link = dashboard_link(client) if client is not None and options.dashboard else None
        if link:
            job.listener(Notice(f"Dashboard: {link}"))
        yield Executor(client, scheduler, job.listener)
