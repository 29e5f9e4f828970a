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


def claim_process() -> None:
    """Say that this process is a command of ours: nobody else's code runs in it.

    To be called before anything else of the package is loaded.
    """
    global _is_ours
    _is_ours = True


def is_process_ours() -> bool:
    """Return whether this process is a command of ours, and not one that imports the package."""
    return _is_ours


def peak_rss_bytes() -> int:
    """Return the peak resident memory of this process, in bytes."""
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
