"""Commands about jobs that run on a cluster: which there are, how far they are, to end one."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

import dask_quant as dq
from dask_quant.faces import terminal
from dask_quant.faces.cli_command import Command
from dask_quant.faces.cli_options import SCHEDULER_OPTIONS, SHOW_OPTIONS, scheduler_options
from dask_quant.faces.job_views import find_exit_code, view_job, view_jobs

_STOPPED = "jobs of the cluster go on, but for one that cancel has told to end"
"""What is said of jobs where a command about them is stopped."""

_run_command = partial(terminal.run_command, stopped=_STOPPED)

_NAME = click.argument("name", metavar="NAME")


@click.command(cls=Command)
@SCHEDULER_OPTIONS
@SHOW_OPTIONS
def jobs(quiet: bool, as_json: bool, **given: Any) -> None:
    """List the jobs of a cluster, the one that began last first."""
    with _run_command("jobs", quiet=quiet, as_json=as_json) as screen:
        found = dq.read_jobs(scheduler_options(given))
        screen.show_view({"command": "jobs", "jobs": found}, view_jobs(found))


@click.command(cls=Command)
@_NAME
@SCHEDULER_OPTIONS
@SHOW_OPTIONS
def status(name: str, quiet: bool, as_json: bool, **given: Any) -> None:
    """Say how far a job of a cluster is."""
    with _run_command("status", quiet=quiet, as_json=as_json) as screen:
        job = dq.read_job(scheduler_options(given), name)
        screen.show_view({**job, "command": "status"}, view_job(job))


@click.command(cls=Command)
@_NAME
@SCHEDULER_OPTIONS
@SHOW_OPTIONS
def attach(name: str, quiet: bool, as_json: bool, **given: Any) -> None:
    """Watch a job of a cluster until it ends, and exit as it does; Ctrl-C leaves it running."""
    with _run_command("attach", quiet=quiet, as_json=as_json) as screen:
        job = dq.follow_job(scheduler_options(given), name, screen.listen)
        screen.show_view({**job, "command": "attach"}, view_job(job))
        screen.exit_code = find_exit_code(job)


@click.command(cls=Command)
@_NAME
@SCHEDULER_OPTIONS
@SHOW_OPTIONS
def cancel(name: str, quiet: bool, as_json: bool, **given: Any) -> None:
    """End a job that was started with --detach; --resume goes on with it later."""
    with _run_command("cancel", quiet=quiet, as_json=as_json) as screen:
        job = dq.cancel_job(scheduler_options(given), name)
        screen.show_view({**job, "command": "cancel"}, view_job(job))
