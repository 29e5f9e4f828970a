"""Processes that serve for as long as a block runs, and what they need: ports, patience."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import guard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

TIMEOUT_S = 120
"""Seconds for anything to start or to end (arbitrary: far more than it takes)."""

POLL_S = 0.1

PORTS = range(20_000, 32_000)
"""Ports below those that Linux hands out by itself, so that only what picks one can have it."""

SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where daemons lie, which is not always in ``PATH``."""


class StartError(RuntimeError):
    """A daemon did not start; with what it logged."""


def find_program(name: str) -> str | None:
    """Return the path of a program or a daemon, or None where it is not installed."""
    return shutil.which(name) or shutil.which(name, path=SYSTEM_PATH)


def find_missing(*programs: str) -> list[str]:
    """Return which of the programs are not installed."""
    return [name for name in programs if find_program(name) is None]


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as attempt:
            try:
                attempt.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@contextmanager
def running(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a command under `guard` for as long as the block runs.

    It ends with the block, with all that came of it, and also when this process is killed.
    """
    process = subprocess.Popen(
        [sys.executable, guard.__file__, *command],
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for this process, which then ends the block
        **options,
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        if process.stdout is not None:
            process.stdout.close()
        process.wait(TIMEOUT_S)


@contextmanager
def running_daemon(command: Sequence[str], log: Path, **options: Any) -> Iterator[Daemon]:
    """Run a command under `guard`; all that it says goes to a file."""
    with (
        log.open("w", encoding="utf-8") as file,
        running(command, stdout=file, stderr=file, **options) as process,
    ):
        yield Daemon(command[0], process, log)


class Daemon:
    """A process that runs, and its log."""

    def __init__(self, name: str, process: subprocess.Popen[str], log: Path) -> None:
        self.name, self.process, self.log = name, process, log

    def read_log(self) -> str:
        """Return what it has said so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        """Wait until ``is_ready``; raise `StartError` when the process ends, or takes too long."""
        deadline = time.monotonic() + TIMEOUT_S
        while not is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                message = f"{self.name} did not start: {self.read_log()}"
                raise StartError(message)
            time.sleep(POLL_S)


def start_again(start: Callable[[], Any], attempts: int = 5) -> Any:
    """Return what ``start`` returns; call it again when somebody else got a port first."""
    for attempt in range(attempts):
        try:
            return start()
        except StartError as error:
            if "already in use" not in str(error) or attempt == attempts - 1:
                raise
    raise AssertionError
