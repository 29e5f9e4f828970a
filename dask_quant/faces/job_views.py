"""Jobs of a cluster in rows and lines, from what the board says of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dask_quant.faces import terminal
from dask_quant.faces.views import View
from dask_quant.options import format_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_JOB_HEADER = ("job", "status", "stage", "done", "began", "seconds")
"""Columns of a table of jobs."""

_STAGE_HEADER = ("stage", "done", "rate", "left")
"""Columns of a table of stages."""


def view_jobs(jobs: Sequence[Mapping[str, Any]]) -> View:
    """Return the jobs of a cluster, and how many run."""
    n_running = sum(job["status"] == "running" for job in jobs)
    summary = f"{len(jobs):,} jobs, of which {n_running:,} are running"
    return View(_JOB_HEADER, tuple(map(_make_job_row, jobs)), summary)


def view_job(job: Mapping[str, Any]) -> View:
    """Return the stages of a job, and how it is."""
    rows = tuple(map(_make_stage_row, job["stages"]))
    return View(_STAGE_HEADER, rows, f"{job['name']} {describe_job(job)}")


def find_exit_code(job: Mapping[str, Any]) -> int:
    """Return the exit code of a command that a job was, which has ended."""
    if job["status"] == "done":
        return terminal.EXIT_QUARANTINED if job["n_quarantined"] else 0
    return terminal.EXIT_INTERRUPTED if job["status"] == "cancelled" else terminal.EXIT_ERROR


def _make_job_row(job: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a job as a row of `_JOB_HEADER`."""
    stage = job["stages"][-1] if job["stages"] else None
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job["started"]))
    seconds = (job["ended"] or job["updated"]) - job["started"]
    return (
        job["name"],
        job["status"],
        "-" if stage is None else stage["name"],
        "-" if stage is None else describe_done(stage),
        began,
        f"{seconds:,.0f}",
    )


def _make_stage_row(stage: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a stage as a row of `_STAGE_HEADER`."""
    rate, left = stage["rate"], stage["remaining_s"]
    shown = "-" if rate is None else f"{_describe_amount(rate, stage['unit'])}/s"
    return (stage["name"], describe_done(stage), shown, "-" if left is None else f"{left:,.0f} s")


def describe_done(stage: Mapping[str, Any]) -> str:
    """Return how far a stage is.

    Examples
    --------
    >>> describe_done({"done": 2_500_000, "total": 10_000_000, "unit": "px"})
    '2.5 Mpx of 10.0 Mpx'
    >>> describe_done({"done": 3, "total": None, "unit": "images"})
    '3 images'
    """
    done = _describe_amount(stage["done"], stage["unit"])
    return done if stage["total"] is None else f"{done} of {_describe_total(stage)}"


def _describe_total(stage: Mapping[str, Any]) -> str:
    """Return how far a stage is to go."""
    return _describe_amount(stage["total"], stage["unit"])


def _describe_amount(amount: float, unit: str) -> str:
    """Return an amount with its unit."""
    if unit == "px":
        return f"{amount / 1e6:,.1f} Mpx"
    return f"{amount:,.0f} {unit}" if amount == int(amount) else f"{amount:,.1f} {unit}"


def describe_job(job: Mapping[str, Any]) -> str:
    """Return how a job is, in one line."""
    parts = [f"is {job['status']}"]
    if job["n_images"]:
        parts.append(f"{job['n_images']:,} images, {job['n_pixels'] or 0:,} pixels")
    if job["output_bytes"]:
        parts.append(f"{format_bytes(job['output_bytes'])} written")
    if job["n_quarantined"]:
        parts.append(f"{job['n_quarantined']:,} set aside")
    if job["mse"] is not None:
        parts.append(f"mse {job['mse']:,.2f}")
    if job["outcome"] and job["status"] != "done":
        parts.append(job["outcome"])
    return "; ".join(parts)
