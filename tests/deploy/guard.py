"""Run a command, and end it with all that came of it when whoever started it is done or dead.

    python guard.py COMMAND...

Standard input tells: it ends when who holds its other side closes it, or dies in whatever way.
The command is asked to stop (SIGTERM) and killed when it does not; what it leaves behind is killed,
also what has a session of its own or was left to itself: this process adopts orphans.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time

import psutil

STOP_TIMEOUT_S = 20
"""Seconds that the command and its children have to stop by themselves (arbitrary)."""

POLL_S = 0.05

_SET_CHILD_SUBREAPER = 36
"""``PR_SET_CHILD_SUBREAPER`` of ``linux/prctl.h``."""


def adopt_orphans() -> None:
    """Become the parent of descendants whose parents end; raise `OSError` where that is refused."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def reap(main: int) -> int | None:
    """Collect children that have ended; return the status of ``main`` when it is among them."""
    status = None
    while True:
        try:
            pid, found = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == main:
            status = os.waitstatus_to_exitcode(found)


def watch(main: int) -> int | None:
    """Wait until standard input ends, or ``main``, whose status is returned then."""
    while not (select.select([sys.stdin], [], [], POLL_S)[0] and os.read(0, 4096) == b""):
        status = reap(main)
        if status is not None:
            return status
    return None


def end_all(main: int, *, running: bool) -> None:
    """Ask ``main`` to stop where it still runs, then kill what is left, however often."""
    if running:
        os.kill(main, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while left := psutil.Process().children(recursive=True):
        if not running or time.monotonic() > deadline:
            for process in left:
                kill(process)
        running = reap(main) is None and running
        time.sleep(POLL_S)


def kill(process: psutil.Process) -> None:
    """Kill a process, unless it is gone."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def main() -> int:
    """Run the command; return its status when it ended by itself, else 0."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the end of standard input counts
    adopt_orphans()
    child = subprocess.Popen(
        sys.argv[1:],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=restore_defaults,  # safe, for there is one thread
    )
    status = watch(child.pid)
    end_all(child.pid, running=status is None)
    if status is None:
        return 0
    return status if status >= 0 else 128 - status


def restore_defaults() -> None:
    """Let the command be interrupted, as it would be by itself."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
