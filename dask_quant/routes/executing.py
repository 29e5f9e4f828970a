"""Opening what computes a job."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from dask_quant.board_client import page_link, telling_board
from dask_quant.cluster import LOCAL_SCHEDULERS, dashboard_link, open_client
from dask_quant.events import Notice
from dask_quant.execute import Executor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask_quant.events import Listener, Stopwatch
    from dask_quant.options import ClusterOptions


@contextmanager
def open_executor(
    options: ClusterOptions, listener: Listener, watch: Stopwatch
) -> Iterator[Executor]:
    """Open what computes, and close it at the end."""
    scheduler = options.scheduler if options.scheduler in LOCAL_SCHEDULERS else None
    with watch.measure("connect"):
        stack = ExitStack()
        client = stack.enter_context(open_client(options))
    with stack:
        link = dashboard_link(client) if client is not None and options.dashboard else None
        if link:
            listener(Notice(f"Dashboard: {link}"))
        is_private = options.workers is not None and not options.dashboard
        stack.enter_context(telling_board(None if is_private else client, listener))
        if link:
            listener(Notice(f"Jobs: {page_link(client)}"))
        yield Executor(client, scheduler, listener)
