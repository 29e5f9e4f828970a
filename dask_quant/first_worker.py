"""The first worker of a cluster that scales, which is asked for by having something to do.

Whatever scales a cluster (Dask's adaptive scaling, an autoscaler of Kubernetes) starts workers
where tasks wait for some, and stops those that hold nothing and have nothing to do.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dask_quant.errors import ClusterError
from dask_quant.events import Notice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Client

    from dask_quant.events import Listener

FIRST_WORKER_TIMEOUT_S = 300.0
"""Seconds to wait for the first worker: a node of Kubernetes or a job of a queue that is not busy
comes up in two to four minutes, and who waits at a screen would look after five."""

NOTICE_AFTER_S = 2.0
"""Seconds after which it is told that a worker is waited for: a process of this machine is up by
then (arbitrary)."""


@contextmanager
def holding_worker(client: Client, listener: Listener) -> Iterator[None]:
    """Wait until a cluster has a worker; have adaptive scaling keep one until the block ends.

    **Eager**. One tiny task is the demand; its result, held until the end, is what a worker is
    kept for while the job does something in this process.

    Parameters
    ----------
    client : Client
        Of the cluster.
    listener : callable
        Told when the wait is noticeable.

    Raises
    ------
    ClusterError
        When there is no worker within `FIRST_WORKER_TIMEOUT_S`, or the scheduler goes away.
    """
    # A builtin, so that a worker that lacks dask_quant is told so by the check of its software.
    demand = client.submit(int, key=f"dask-quant-demand-{secrets.token_hex(8)}")
    try:
        wait_for_worker(client, listener)
        yield
    finally:
        demand.release()


def wait_for_worker(client: Client, listener: Listener) -> None:
    """Wait until a cluster has a worker. **Eager**; see `holding_worker`."""
    if _comes(client, NOTICE_AFTER_S):
        return
    address, limit = client.scheduler.address, _show_seconds(FIRST_WORKER_TIMEOUT_S)
    start = f"dask worker {address}"
    listener(
        Notice(
            f"The scheduler at {address} has no workers yet; waiting for the first, up to {limit} "
            f"({start} starts one)."
        )
    )
    if not _comes(client, FIRST_WORKER_TIMEOUT_S - NOTICE_AFTER_S):
        message = (
            f"The scheduler at {address} has no workers after {limit}; start some with: {start}"
        )
        raise ClusterError(message)


def _comes(client: Client, timeout_s: float) -> bool:
    """Return whether a worker is there within as many seconds."""
    try:
        client.wait_for_workers(1, timeout=timeout_s)
    except TimeoutError:
        return False
    except OSError as error:
        message = f"The scheduler at {client.scheduler.address} went away; is it running?"
        raise ClusterError(message) from error
    return True


def _show_seconds(seconds: float) -> str:
    """Return a time for people."""
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:g} s"
