"""What a scheduler runs for the board: two operations for clients, two addresses for browsers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import SchedulerPlugin

from dask_quant.board import LIST_OPERATION, PLUGIN_NAME, PUT_OPERATION, Board
from dask_quant.dashboard.handlers import add_routes

if TYPE_CHECKING:
    from distributed import Scheduler


class BoardPlugin(SchedulerPlugin):  # type: ignore[misc]  # distributed is not annotated
    """Keeps the board of a scheduler."""

    idempotent = True
    name = PLUGIN_NAME

    def __init__(self) -> None:
        self.board = Board()
        self._is_there = False

    async def start(self, scheduler: Scheduler) -> None:
        """Answer to clients and browsers: distributed calls this, for a preload even twice."""
        if self._is_there:
            return
        self._is_there = True
        scheduler.handlers |= {PUT_OPERATION: self.put_job, LIST_OPERATION: self.list_jobs}
        add_routes(scheduler, self.board)

    def put_job(self, job: dict[str, Any]) -> bool:
        """Take what a driver tells of its job."""
        self.board.put(job, time.time())
        return True

    def list_jobs(self) -> list[dict[str, Any]]:
        """Return all jobs, the one that began last first."""
        return self.board.list_jobs(time.time())

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Take note that a client left."""
        self.board.lose_client(client, time.time())
