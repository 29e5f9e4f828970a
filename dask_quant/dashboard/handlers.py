"""The addresses of the board on a scheduler's HTTP server."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from tornado.web import RequestHandler

from dask_quant.dashboard.page import CONTENT_POLICY, PAGE

if TYPE_CHECKING:
    from distributed import Scheduler

    from dask_quant.board import Board

PAGE_PATH = "/dask-quant"
"""Where the page is, below the prefix of the dashboard."""

_KNOWN_PATH = "/health"
"""An address of every scheduler, by which the prefix of its dashboard is found."""


class _Handler(RequestHandler):
    """Answers with what nobody may keep, frame elsewhere, or take for something else."""

    def set_default_headers(self) -> None:
        """Set the headers of every answer."""
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Security-Policy", CONTENT_POLICY)
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("X-Content-Type-Options", "nosniff")


class PageHandler(_Handler):
    """The page, which asks for the jobs itself."""

    def get(self) -> None:
        """Answer with the page."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.write(PAGE)


class JobsHandler(_Handler):
    """The jobs on the board."""

    def initialize(self, board: Board) -> None:
        """Take the board."""
        self._board = board

    def get(self) -> None:
        """Answer with all jobs."""
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.write(json.dumps({"jobs": self._board.list_jobs(time.time())}))


def add_routes(scheduler: Scheduler, board: Board) -> None:
    """Serve the page and the jobs, wherever the scheduler serves its dashboard."""
    application = scheduler.http_application
    path = find_prefix(application) + PAGE_PATH
    routes: list[tuple[Any, ...]] = [
        (f"{path}/?", PageHandler),
        (rf"{path}/jobs\.json", JobsHandler, {"board": board}),
    ]
    application.add_handlers(r".*", routes)


def find_prefix(application: Any) -> str:
    """Return what all addresses of a scheduler's dashboard begin with; mostly nothing."""
    patterns = (rule.matcher.regex.pattern for rule in application.wildcard_router.rules)
    known = (pattern.rstrip("$") for pattern in patterns)
    return next((path[: -len(_KNOWN_PATH)] for path in known if path.endswith(_KNOWN_PATH)), "")
