"""The board from a client's side: a driver tells of its job, anybody reads what is known.

To read it::

    from dask_quant.board_client import read_job, read_jobs

    read_jobs(client)                    # list of dicts, the job that began last first
    read_job(client, "quantize-3f2a9c")  # one of them

``client`` is a `distributed.Client`, or the `ClusterOptions` of a running scheduler, for which one
is opened and closed; what the keys of a job are is told in `dask_quant.board`. `page_link` is where
a browser sees the same.

`telling_board` is what jobs use: it registers the plugin where a scheduler has none, and tells what
the job's `Watcher` knows, at most a few times a second and from a thread of its own, so that the
job never waits for it. Whatever goes wrong with that is no matter to the job.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from dask_quant.board import LIST_OPERATION, PLUGIN_NAME, PUT_OPERATION
from dask_quant.cluster import dashboard_link, use_connection
from dask_quant.errors import ClusterError, JobError
from dask_quant.events import Notice
from dask_quant.watching import Watcher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Client

    from dask_quant.events import Listener
    from dask_quant.options import ClusterOptions

TELL_GAP_S = 0.4
"""Seconds between two tellings of a job (arbitrary: as often as somebody looks)."""

BEAT_S = 10.0
"""Seconds after which a job is told of though nothing is new, so that it is seen to be alive."""

ANSWER_TIMEOUT_S = 2.0
"""Seconds that a telling may take; the last one of a job is waited for as long (arbitrary)."""

_PRELOAD = "dask scheduler --preload dask_quant.dashboard"


def read_jobs(client: Client | ClusterOptions) -> list[dict[str, Any]]:
    """Return all jobs on the board of a scheduler. **Eager**.

    Parameters
    ----------
    client : Client or ClusterOptions
        A client, or where a running scheduler is: ``scheduler`` or ``scheduler_file``, and TLS.

    Returns
    -------
    list of dict
        The jobs, as `dask_quant.board` describes them, the one that began last first.

    Raises
    ------
    ClusterError
        When no scheduler answers, or it has no board and cannot have one.
    """
    with use_connection(client) as opened:
        with suppress(Exception):  # it may lack the package, or allow no plugins, and have a board
            _register_plugin(opened)
        jobs = _ask(opened)
    if jobs is None:
        message = f"The scheduler keeps no board of jobs; start it with: {_PRELOAD}"
        raise ClusterError(message)
    return jobs


def read_job(client: Client | ClusterOptions, name: str) -> dict[str, Any]:
    """Return the job of a name, or of how its name begins, if it is the only one. **Eager**.

    Parameters
    ----------
    client : Client or ClusterOptions
        As for `read_jobs`.
    name : str
        The name, or the beginning of it.

    Returns
    -------
    dict
        The job, as `dask_quant.board` describes it.

    Raises
    ------
    JobError
        When there is no such job, or more than one.
    ClusterError
        As `read_jobs` does.
    """
    jobs = read_jobs(client)
    found = [job for job in jobs if job["name"] == name]
    found = found or [job for job in jobs if job["name"].startswith(name)]
    if len(found) != 1:
        named = ", ".join(job["name"] for job in found or jobs) or "none at all"
        verb = "could be" if found else "is none of the jobs on the board"
        message = f"Got the job {name!r}, which {verb}: {named}."
        raise JobError(message)
    return found[0]


def page_link(client: Client) -> str | None:
    """Return the URL of the page of the board, or None where there is no dashboard."""
    link = dashboard_link(client)
    return None if link is None else link.removesuffix("/").removesuffix("/status") + "/dask-quant"


@contextmanager
def telling_board(
    client: Client | None, options: ClusterOptions, listener: Listener
) -> Iterator[None]:
    """Tell the board of a cluster of the job that runs in the block, where it is watched.

    Where there can be no board, the listener hears so in one `Notice`, and the job goes on. It
    hears as well where the dashboard is that was asked for, and the page of the board. A cluster of
    this job alone has a board where it has a dashboard: nobody else knows of it.
    """
    link = dashboard_link(client) if client is not None and options.dashboard else None
    if link:
        listener(Notice(f"Dashboard: {link}"))
    is_private = options.starts_cluster and not options.dashboard
    if client is None or is_private or not isinstance(listener, Watcher):
        yield
        return
    listener.start(client.id)
    teller = _open_teller(client, listener)
    if link and teller is not None:
        listener(Notice(f"Jobs: {page_link(client)}"))
    try:
        yield
    except BaseException as error:
        listener.end(error)
        raise
    else:
        listener.end(None)
    finally:
        if teller is not None:
            teller.finish()


def _open_teller(client: Client, watcher: Watcher) -> _Teller | None:
    """Return what tells the board of a job, None where there is no board."""
    try:
        _register_plugin(client)
    except Exception as error:  # whatever the scheduler lacks or forbids
        if _ask(client) is None:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            line = f"This job is on no board, for the scheduler has none ({reason}): {_PRELOAD}"
            watcher(Notice(line))
            return None
    teller = _Teller(client, watcher)
    teller.start()
    return teller


def _register_plugin(client: Client) -> None:
    """Register the plugin of the board, which is nothing where there is one."""
    from dask_quant.dashboard.plugin import BoardPlugin

    client.register_plugin(BoardPlugin(), name=PLUGIN_NAME)


def _ask(client: Client) -> list[dict[str, Any]] | None:
    """Return the jobs on the board, None where there is no board, or no answer."""
    with suppress(OSError, TimeoutError):
        found = client.sync(
            getattr(client.scheduler, LIST_OPERATION), callback_timeout=ANSWER_TIMEOUT_S
        )
        # Messages hold tuples where there were lists; of a scheduler of this process, its own jobs.
        return None if found is None else list(json.loads(json.dumps(found)))
    return None


class _Teller(threading.Thread):
    """Tells a board what a watcher knows, until it is finished or the scheduler is gone."""

    def __init__(self, client: Client, watcher: Watcher) -> None:
        super().__init__(name="dask-quant-board", daemon=True)
        self._client, self._watcher = client, watcher
        self._is_over = threading.Event()
        self._n_told, self._told_at = -1, 0.0

    def run(self) -> None:
        """Tell what is new, or that nothing is, until the job ends."""
        while self._client.status == "running":
            if self._watcher.n_changes != self._n_told or time.monotonic() > self._told_at + BEAT_S:
                self._tell()
            if self._is_over.wait(TELL_GAP_S):
                return

    def finish(self) -> None:
        """Tell how the job ended, which is waited for, but not for long."""
        self._is_over.set()
        self.join(2 * ANSWER_TIMEOUT_S)
        if not self.is_alive() and self._client.status == "running":
            self._tell()

    def _tell(self) -> None:
        """Tell what is known; nothing that may come of it is told again."""
        self._n_told, self._told_at = self._watcher.n_changes, time.monotonic()
        put = getattr(self._client.scheduler, PUT_OPERATION)
        with suppress(Exception):  # the scheduler is gone, or busy; the job has its own opinion
            self._client.sync(put, job=self._watcher.to_json(), callback_timeout=ANSWER_TIMEOUT_S)
