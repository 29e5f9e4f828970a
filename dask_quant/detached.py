"""Jobs whose driver runs on the cluster: who asked for one may leave, and come back.

A task on a worker starts the command in a process of its own, beside the worker, and waits for it
without taking a thread from other tasks. What the command tells is on the board
(`dask_quant.board`) under the name that the job was given, for whoever asks. When the worker dies,
the driver ends with it, and the scheduler has another worker start it again, which goes on where
the first one was, if the command can.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dask_quant.board import (
    CANCELLED,
    DONE,
    FAILED,
    LOST_DRIVER,
    PUT_OPERATION,
    RUNNING,
    end_job,
)
from dask_quant.board_client import read_job, read_jobs
from dask_quant.cluster import find_tls_options, open_client, use_connection
from dask_quant.errors import DaskQuantError, JobError
from dask_quant.events import Event, ignore_event
from dask_quant.job_record import NAME_VARIABLE, JobRecord
from dask_quant.options import ClusterOptions
from dask_quant.sources.addresses import hide_secrets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distributed import Client, Worker

    from dask_quant.events import Listener

KEY_PREFIX = "dask-quant-driver-"
"""Beginning of the keys of tasks that drive jobs, before the name of the job."""

RETRIES = 3
"""Times that a driver is started again that could not be looked after (arbitrary). How many workers
of it may die Dask's ``distributed.scheduler.allowed-failures`` says."""

_POLL_S = 0.5

_MISSING_POLLS = 4
"""How often in a row a job is seen that nobody drives before it is given up (arbitrary): its task
comes a moment after it."""

_TELL_TRIES = 5
"""How often it is tried to tell the board how a job ended (arbitrary)."""

_END_TIMEOUT_S = 60.0
"""Seconds that a driver has to end in once it was told to, before it is killed; as long is waited
for one whose worker died (arbitrary)."""

_TOLD_CHARACTERS = 2_000
"""Characters of what a driver said that are told when it failed early."""

_NO_DRIVER = (
    "The cluster gave its driver up: workers died with it, or there were none; where the command "
    "has --resume, it goes on."
)
"""What is said of a job whose driver never came, or came back."""

_MAIN = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "from dask_quant.faces.driver import main; "
    "main(int(sys.argv.pop(1)), is_again=bool(int(sys.argv.pop(1))))"
)
"""What a driver runs: the package of the worker, wherever that has it from."""

_DONE_CODES = (0, 3)
"""Exit codes of a job that is done: of all inputs, or of those that were not set aside."""

_LEAVING = ("stopping", "stopped", "closing", "closed", "failed")
"""States of a worker that no driver stays on. One that is paused, or is to close when what it has
is done, is none."""


def submit_job(
    client: Client | ClusterOptions,
    command: str,
    arguments: Sequence[str],
    *,
    listener: Listener = ignore_event,
) -> str:
    """Have a cluster run a command, and return the name of the job at once. **Eager**.

    Parameters
    ----------
    client : Client or ClusterOptions
        Of a cluster whose workers have dask_quant, or where its scheduler is.
    command : str
        The command, such as ``quantize``.
    arguments : sequence of str
        What follows ``dask-quant``, but for what says where the scheduler is. Paths are seen from
        the working directory of this process.
    listener : callable
        Told where the first worker of a scheduler that is named has to be waited for.

    Returns
    -------
    str
        What the job is called on the board.

    Raises
    ------
    ClusterError
        When no scheduler answers, it gets no workers, it can keep no board, or workers lack the
        software.
    """
    if isinstance(client, ClusterOptions):
        with open_client(client, listener) as opened:
            assert opened is not None, "a scheduler is named"
            return submit_job(opened, command, arguments)
    from distributed import fire_and_forget

    read_jobs(client)  # has the scheduler keep a board
    call = shlex.join(["dask-quant", *map(hide_secrets, arguments)])
    record = JobRecord(command, call, time.time)
    _put(client, record.to_json() | {"driver": {}})
    task = client.submit(
        run_driver,
        *(record.name, list(arguments), os.getcwd()),
        key=KEY_PREFIX + record.name,
        retries=RETRIES,
        pure=False,
    )
    fire_and_forget(task)
    return record.name


def cancel_job(client: Client | ClusterOptions, name: str) -> dict[str, Any]:
    """End the driver of a job that runs on a cluster, and return what is known of it. **Eager**.

    What is finished stays, and the same command goes on with ``--resume``.

    Parameters
    ----------
    client : Client or ClusterOptions
        A client, or where a running scheduler is.
    name : str
        What the job is called, or how that begins.

    Returns
    -------
    dict
        The job, as `dask_quant.board` describes it.

    Raises
    ------
    JobError
        When there is no such job, it does not run any more, or its driver is not on the cluster.
    ClusterError
        When no scheduler answers.
    """
    from distributed import Future

    with use_connection(client) as opened:
        job = read_job(opened, name)
        has_task = is_driven(opened, job["name"])
        # One whose worker died is not running until another goes on.
        if job["status"] == DONE or not (job["status"] == RUNNING or has_task):
            message = f"The job {job['name']} does not run any more: {job['outcome']}"
            raise JobError(message)
        driver = job["driver"]
        is_telling = bool(driver.get("client"))
        if is_telling and not has_task:
            message = (
                f"The driver of {job['name']} is no task of the cluster but process "
                f"{driver.get('pid')} on {driver.get('host')}; interrupt it there."
            )
            raise JobError(message)
        if has_task:
            opened.cancel([Future(KEY_PREFIX + job["name"], opened)], force=True)
        if is_telling and job["status"] == RUNNING:
            return _wait_for_end(opened, job["name"])
        end_job(job, CANCELLED, "Cancelled while it had no driver.", time.time())
        _put(opened, job)
        return job


def is_driven(client: Client, name: str) -> bool:
    """Return whether the driver of a job is a task of the cluster that is not done. **Eager**."""
    return not client.run_on_scheduler(_lacks_task, KEY_PREFIX + name)


def follow_job(
    client: Client | ClusterOptions, name: str, listener: Listener = ignore_event
) -> dict[str, Any]:
    """Tell a listener of a job's progress until it ends; return what is known of it. **Eager**.

    Parameters
    ----------
    client : Client or ClusterOptions
        A client, or where a running scheduler is.
    name : str
        What the job is called, or how that begins.
    listener : callable
        Told of each stage, as the listener of the job itself is.

    Returns
    -------
    dict
        The job, as `dask_quant.board` describes it.

    Raises
    ------
    JobError
        When there is no such job.
    ClusterError
        When the scheduler is gone.
    """
    told: dict[str, int] = {}
    n_missing = 0
    with use_connection(client) as opened:
        while True:
            job = read_job(opened, name)
            for stage in job["stages"]:
                if told.get(stage["name"]) != stage["done"]:
                    told[stage["name"]] = stage["done"]
                    listener(Event(stage["name"], stage["done"], stage["total"], stage["unit"]))
            if not is_driven(opened, job["name"]):
                if job["status"] != RUNNING:
                    return job
                n_missing = 0 if job["driver"].get("client") else n_missing + 1
                if n_missing == _MISSING_POLLS:
                    end_job(job, FAILED, _NO_DRIVER, time.time())
                    _put(opened, job)
                    return job
            time.sleep(_POLL_S)


def _lacks_task(key: str, dask_scheduler: Any) -> bool:
    """Return whether a scheduler has no such task."""
    return key not in dask_scheduler.tasks


def _wait_for_end(client: Client, name: str) -> dict[str, Any]:
    """Return what is known of a job once it does not run any more, or after a while."""
    deadline = time.monotonic() + _END_TIMEOUT_S
    job = read_job(client, name)
    while job["status"] == RUNNING and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        job = read_job(client, name)
    return job


def _put(client: Client, job: dict[str, Any]) -> None:
    """Put a job on the board."""
    client.sync(getattr(client.scheduler, PUT_OPERATION), job=job)


# --- On a worker.


def run_driver(name: str, arguments: list[str], folder: str) -> int:
    """Run a command in a process of its own, and return its exit code. **Eager**; a task."""
    from distributed import Reschedule, get_client, get_worker, secede

    worker, client = get_worker(), get_client()
    secede()
    key = KEY_PREFIX + name
    job = read_job(client, name)
    is_again = bool(job["driver"])
    if is_again:
        if job["driver"].get("client"):  # its worker died, and it may need a moment to follow
            job = _wait_for_end(client, name)
        if job["status"] == DONE:
            return 0
        if _is_cancelled(worker, key):
            return 1
        driver = job["driver"] | {"client": None}
        _put(client, job | {"status": RUNNING, "outcome": None, "ended": None, "driver": driver})
    with tempfile.TemporaryFile() as said:
        try:
            process = _start(worker, name, arguments, folder, said.fileno(), is_again)
        except OSError as error:
            outcome = f"Cannot start a driver in {folder!r}: {error.strerror}."
            _tell_end(client, name, FAILED, outcome)
            return 1
        code = _wait(worker, key, process)
        said.seek(max(0, said.seek(0, os.SEEK_END) - _TOLD_CHARACTERS))
        text = said.read().decode("utf-8", "replace").strip()
    if code in _DONE_CODES:
        _tell_end(client, name, DONE, "Done.")
    elif worker.status.name in _LEAVING:
        raise Reschedule  # another goes on
    elif _is_cancelled(worker, key):
        _tell_end(client, name, CANCELLED, "Cancelled.")
    else:
        outcome = text.rpartition("\n")[2] or f"It ended with exit code {code}."
        _tell_end(client, name, FAILED, outcome)
    return code


def _start(
    worker: Worker, name: str, arguments: Sequence[str], folder: str, said: int, is_again: bool
) -> subprocess.Popen[bytes]:
    """Start a command beside a worker; ``is_again`` where another driver had begun it."""
    told = [str(os.getpid()), str(int(is_again))]
    where = [f"--scheduler={worker.scheduler.address}", *find_tls_options(worker.security)]
    return subprocess.Popen(
        [sys.executable, "-c", _MAIN, json.dumps(sys.path), *told, *arguments, *where],
        cwd=folder,
        env={**os.environ, NAME_VARIABLE: name},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=said,
    )


def _wait(worker: Worker, key: str, process: subprocess.Popen[bytes]) -> int:
    """Wait for a driver, which is ended when its task is cancelled; return its exit code."""
    while process.poll() is None and not _is_cancelled(worker, key):
        time.sleep(_POLL_S)
    process.terminate()  # nothing to one that has ended
    try:
        return process.wait(_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _is_cancelled(worker: Worker, key: str) -> bool:
    """Return whether nobody wants a task any more that a worker runs, or it closes."""
    task = worker.state.tasks.get(key)
    return task is None or task.state == "cancelled" or worker.status.name in _LEAVING


def _tell_end(client: Client, name: str, status: str, outcome: str) -> None:
    """Tell the board how a job ended whose driver did not tell it."""
    for _ in range(_TELL_TRIES):
        with suppress(DaskQuantError, OSError):  # the scheduler is busy, or gone
            job = read_job(client, name)
            was_not_told = status == DONE and job["outcome"] == LOST_DRIVER
            if job["status"] == RUNNING or was_not_told:
                end_job(job, status, outcome, time.time())
                _put(client, job)
            return
        time.sleep(_POLL_S)
