"""The board of a scheduler, and its page: ``dask scheduler --preload dask_quant.dashboard``.

A preload is not needed where the scheduler's environment has this package: the first job that runs
on it registers the same plugin. The page is at ``/dask-quant`` of the scheduler's HTTP server, next
to Dask's own dashboard, and what it shows at ``/dask-quant/jobs.json``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.board import PLUGIN_NAME
from dask_quant.dashboard.plugin import BoardPlugin

if TYPE_CHECKING:
    from distributed import Scheduler


async def dask_setup(scheduler: Scheduler) -> None:
    """Give a scheduler that starts its board: Dask calls this for ``--preload``."""
    await scheduler.register_scheduler_plugin(BoardPlugin(), name=PLUGIN_NAME, idempotent=True)
