"""A command in a process of its own, watched from outside: what it says, seconds, memory."""

from __future__ import annotations

import contextlib
import resource
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERVAL_S = 0.05
"""Seconds between two looks at the memory (arbitrary)."""


@dataclass(frozen=True)
class Run:
    """A command that has ended well."""

    output: str
    """What it wrote to standard output."""
    seconds: float
    """Wall seconds from start to end."""
    cpu_seconds: float
    """Processor seconds of it and of the children that it waited for."""
    peak_bytes: int
    """Most memory that it and its children held at once, each page counted once."""


def run_watched(command: Sequence[str], *, timeout_s: float | None = None) -> Run:
    """Run a command to its end and look at the memory of its processes all the while.

    Raises
    ------
    RuntimeError
        When it fails; with what it wrote to standard error.
    TimeoutError
        When it takes longer than ``timeout_s`` seconds: it is ended, with its children.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        begin, cpu_begin = time.perf_counter(), _children_cpu_seconds()
        with out.open("wb") as out_file, err.open("wb") as err_file:
            process = subprocess.Popen(command, stdout=out_file, stderr=err_file)
            peak = 0
            while process.poll() is None:
                peak = max(peak, _tree_bytes(process.pid))
                if timeout_s is not None and time.perf_counter() - begin > timeout_s:
                    _kill_tree(process)
                    message = f"{command[0]} took more than {timeout_s:g} seconds"
                    raise TimeoutError(message)
                time.sleep(INTERVAL_S)
        seconds = time.perf_counter() - begin
        cpu_seconds = _children_cpu_seconds() - cpu_begin
        if process.returncode:
            message = f"{' '.join(command)} ended with {process.returncode}: {err.read_text()}"
            raise RuntimeError(message)
        return Run(out.read_text(), seconds, cpu_seconds, peak)


def _kill_tree(process: subprocess.Popen[bytes]) -> None:
    """End a process that was started here, and all its children."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
    process.kill()
    process.wait()


def _children_cpu_seconds() -> float:
    """Return the processor seconds of all children that have ended so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _tree_bytes(pid: int) -> int:
    """Return the memory of a process and all its children; those that just ended hold none."""
    try:
        root = psutil.Process(pid)
        members = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    return sum(_process_bytes(member) for member in members)


def _process_bytes(process: psutil.Process) -> int:
    """Return the resident memory of a process, shared pages by their share where Linux says so."""
    try:
        full = process.memory_full_info()
        return int(getattr(full, "pss", full.rss))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
