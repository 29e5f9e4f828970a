"""What is known about this process: whose it is, and what the operating system says of it."""

from __future__ import annotations

import os
import re
import resource
import sys
from pathlib import Path

_LINUX_STATUS = Path("/proc/self/status")
"""Where Linux tells the peak of this process alone."""

_is_ours = False

_helpers: dict[int, int] = {}
"""Peak of each process that this one started, by its number."""


def claim_process() -> None:
    """Say that this process is a command of ours: nobody else's code runs in it.

    To be called before anything else of the package is loaded.
    """
    global _is_ours
    _is_ours = True


def is_process_ours() -> bool:
    """Return whether this process is a command of ours, and not one that imports the package."""
    return _is_ours


def note_helper(pid: int, peak: int) -> None:
    """Remember the peak resident memory of a process that this one started, in bytes."""
    _helpers[pid] = peak


def forget_helper(pid: int) -> None:
    """Forget a process that this one started and ended."""
    _helpers.pop(pid, None)


def peak_rss_bytes() -> int:
    """Return the peak resident memory of this process and of helpers that it has now, in bytes."""
    return _peak_own_bytes() + sum(list(_helpers.values()))


def _peak_own_bytes() -> int:
    """Return the peak resident memory of this process alone, in bytes."""
    # Linux's getrusage starts from the peak of the process that started this one.
    if _LINUX_STATUS.exists():
        line = re.search(r"^VmHWM:\s*(\d+) kB$", _LINUX_STATUS.read_text(), re.MULTILINE)
        if line:
            return int(line[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts KiB


def count_cpus() -> int:
    """Return how many processors this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
