"""Commands about jobs that run on a cluster: which there are, how far they are, to end one."""

from __future__ import annotations

from typing import Any

import click

from dask_quant.board import CANCELLED, DONE
from dask_quant.board_client import read_job, read_jobs
from dask_quant.cluster import open_connection
from dask_quant.detached import cancel_job, follow_job
from dask_quant.faces import terminal
from dask_quant.faces.cli_command import Command
from dask_quant.faces.cli_options import SCHEDULER_OPTIONS, SHOW_OPTIONS, scheduler_options

_NAME = click.argument("name", metavar="NAME")


@click.command(cls=Command)
@SCHEDULER_OPTIONS
@SHOW_OPTIONS
def jobs(quiet: bool, as_json: bool, **given: Any) -> None:
    """List the jobs of a cluster, the one that began last first."""
    with terminal.run_command("jobs", quiet=quiet, as_json=as_json) as screen:
        screen.show_jobs(read_jobs(scheduler_options(given)))


@click.command(cls=Command)
@_NAME
@SCHEDULER_OPTIONS
@SHOW_OPTIONS
def status(name: str, quiet: bool, as_json: bool, **given: Any) -> None:
    """Say how far a job of a cluster is."""
    with terminal.run_command("status", quiet=quiet, as_json=as_json) as screen:
        screen.show_job(read_job(scheduler_options(given), name))


@click.command(cls=Command)
@_NAME
@SCHEDULER_OPTIONS
@SHOW_OPTIONS
def attach(name: str, quiet: bool, as_json: bool, **given: Any) -> None:
    """Watch a job of a cluster until it ends, and exit as it does; Ctrl-C leaves it running."""
    with terminal.run_command("attach", quiet=quiet, as_json=as_json) as screen:
        with open_connection(scheduler_options(given)) as client:
            job = follow_job(client, name, screen.listen)
        screen.show_job(job)
        if job["status"] == CANCELLED:
            screen.exit_code = terminal.EXIT_INTERRUPTED
        elif job["status"] != DONE:
            screen.exit_code = terminal.EXIT_ERROR
        elif job["n_quarantined"]:
            screen.exit_code = terminal.EXIT_QUARANTINED


@click.command(cls=Command)
@_NAME
@SCHEDULER_OPTIONS
@SHOW_OPTIONS
def cancel(name: str, quiet: bool, as_json: bool, **given: Any) -> None:
    """End a job that was started with --detach; --resume goes on with it later."""
    with terminal.run_command("cancel", quiet=quiet, as_json=as_json) as screen:
        with open_connection(scheduler_options(given)) as client:
            job = cancel_job(client, name)
        screen.show_job(job)
