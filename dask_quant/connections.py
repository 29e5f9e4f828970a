"""Connections of distributed that go away without a word, and what its errors say, in one line."""

from __future__ import annotations

import logging
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from distributed import Client, LocalCluster

CONNECT_TIMEOUT_S = 10
"""Seconds to wait for a scheduler's answer (arbitrary: a slow link, not a wrong address)."""


def close_quietly(closable: Client | LocalCluster) -> None:
    """Close a client or cluster, without distributed's remarks on connections that go away."""
    with logging_at(logging.CRITICAL):
        closable.close()


@contextmanager
def logging_at(level: int) -> Iterator[None]:
    """Log of distributed only what is of ``level`` or above, for as long as the block runs."""
    from distributed.utils import silence_logging_cmgr

    with silence_logging_cmgr(level):
        yield


@contextmanager
def leaving_out(remarks: Mapping[str, str]) -> Iterator[None]:
    """Leave a remark out of each of some logs, for as long as the block runs."""
    with ExitStack() as stack:
        for name, remark in remarks.items():
            logger, lacks = logging.getLogger(name), lacks_remark(remark)
            logger.addFilter(lacks)
            stack.callback(logger.removeFilter, lacks)
        yield


def lacks_remark(remark: str) -> Callable[[logging.LogRecord], bool]:
    """Return a filter that leaves out of a log what contains ``remark``, and what was cancelled."""

    def lacks(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        # By its name: a job without a cluster is not to pay for importing asyncio.
        return remark not in record.getMessage() and type(error).__name__ != "CancelledError"

    return lacks


def first_line(value: object) -> str:
    """Return the first line of what an error says, or its type when it says nothing."""
    return str(value).strip().split("\n", 1)[0].rstrip(".") or type(value).__name__
