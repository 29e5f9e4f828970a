"""What happens to batch jobs in `chaos`: processes that are killed, or stopped; full disks."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import psutil

from dask_quant.collection.manifest import read_rows
from dask_quant.sinks.state_folder import MANIFEST_NAME

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

TIMEOUT_S = 600
"""Seconds after which a run is taken to hang."""

STATE = ".dask-quant"
"""Folder of the state of a job."""


@dataclass
class Cluster:
    """A scheduler and two workers, in processes of their own."""

    folder: Path
    """Where they keep their files."""
    scheduler: subprocess.Popen[bytes]
    """The scheduler."""
    workers: list[subprocess.Popen[bytes]]
    """The workers that are there now."""

    @classmethod
    def start(cls, folder: Path) -> Cluster:
        """Start a cluster on loopback, and wait for its scheduler."""
        file = folder / "scheduler.json"
        file.unlink(missing_ok=True)
        options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show"]
        scheduler = _start_dask("scheduler", *options, "--scheduler-file", str(file))
        while not file.exists():
            assert scheduler.poll() is None, "the scheduler did not start"
            time.sleep(0.05)
        cluster = cls(folder, scheduler, [])
        cluster.start_workers()
        return cluster

    @property
    def options(self) -> tuple[str, ...]:
        """Options of a command that runs there."""
        return ("--scheduler-file", str(self.folder / "scheduler.json"))

    def start_workers(self) -> None:
        """Start two workers, in place of those that were."""
        file = ["--scheduler-file", str(self.folder / "scheduler.json")]
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
        where = ["--local-directory", str(self.folder)]
        self.workers = [_start_dask("worker", *file, *options, *where) for _ in range(2)]

    def close(self) -> None:
        """Kill what there is of it."""
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


def _start_dask(*words: str) -> subprocess.Popen[bytes]:
    """Start a command of Dask."""
    quiet = subprocess.DEVNULL
    return subprocess.Popen([sys.executable, "-m", "dask", *words], stdout=quiet, stderr=quiet)


@dataclass
class Run:
    """One run of the command, under way."""

    process: subprocess.Popen[bytes]
    """It."""
    out: Path
    """Its output folder."""
    n_images: int
    """Images of the job."""
    seconds: float
    """How long an undisturbed run takes."""
    rng: random.Random
    """What moments are drawn from."""
    cluster: Cluster | None = None
    """The cluster that was there before, if there is one."""

    def count_rows(self) -> int:
        """Return how many images were recorded so far."""
        path = self.out / MANIFEST_NAME
        return sum(1 for _ in read_rows(path)) if path.exists() else 0

    def is_begun(self) -> bool:
        """Return whether the state of the job is there."""
        return (self.out / STATE / "job.json").exists()

    def wait_for_rows(self, share: float) -> bool:
        """Wait until a share of the images was recorded; return whether the job still runs."""
        goal = share * self.n_images
        deadline = time.monotonic() + TIMEOUT_S
        while self.process.poll() is None and time.monotonic() < deadline:
            if self.is_begun() and self.count_rows() >= goal:
                return True
            time.sleep(0.005)
        return False

    def wait_for_moment(self) -> bool:
        """Wait for a moment after the job began; return whether it still runs."""
        if not self.wait_for_rows(0):
            return False
        time.sleep(self.rng.uniform(0, 0.6 * self.seconds))
        return self.process.poll() is None

    def list_helpers(self) -> list[psutil.Process]:
        """Return the processes that this one started and that do tasks for it."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        return [each for each in found if "collection.child" in " ".join(_command_of(each))]

    def list_workers(self) -> list[psutil.Process]:
        """Return the worker processes that it started."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        return [each for each in found if "spawn_main" in " ".join(_command_of(each))]


def _command_of(process: psutil.Process) -> list[str]:
    """Return the command line of a process; nothing when it is gone."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def strike_driver(run: Run, number: int) -> bool:
    """Send the command a signal at any moment after it began."""
    if not run.wait_for_moment():
        return False
    run.process.send_signal(number)
    return True


def strike_rows(run: Run, number: int) -> bool:
    """Send the command a signal once some images were recorded."""
    if not run.wait_for_rows(run.rng.uniform(0.05, 0.9)):
        return False
    run.process.send_signal(number)
    return True


def stop_and_kill(run: Run) -> bool:
    """Have the command stand still for a while, then kill it."""
    if not run.wait_for_rows(run.rng.uniform(0.05, 0.9)):
        return False
    run.process.send_signal(signal.SIGSTOP)
    time.sleep(1)
    run.process.kill()
    return True


def strike_helpers(run: Run, number: int) -> bool:
    """Send a signal to a process that does tasks, now and then, three times."""
    n_struck = 0
    for share in (0.05, 0.3, 0.6):
        if not run.wait_for_rows(share):
            break
        for helper in run.list_helpers()[:1]:
            helper.send_signal(number)
            n_struck += 1
    return n_struck > 0


def kill_workers(run: Run, *, all_of_them: bool) -> bool:
    """Kill workers that the command started, twice."""
    n_struck = 0
    for share in (0.1, 0.5):
        if not run.wait_for_rows(share):
            break
        workers = run.list_workers()
        for worker in workers if all_of_them else workers[:1]:
            worker.kill()
            n_struck += 1
    return n_struck > 0


def kill_scheduler(run: Run) -> bool:
    """Kill the scheduler of a cluster that was there before."""
    if run.cluster is None or not run.wait_for_rows(run.rng.uniform(0.05, 0.9)):
        return False
    run.cluster.scheduler.kill()
    return True


def replace_workers(run: Run) -> bool:
    """Kill all workers of a cluster that was there before, and start others a while later."""
    if run.cluster is None or not run.wait_for_rows(run.rng.uniform(0.05, 0.6)):
        return False
    for worker in run.cluster.workers:
        worker.kill()
    time.sleep(1)
    run.cluster.start_workers()
    return True


def change_nothing(run: Run) -> bool:
    """Let limits that were set before strike."""
    run.process.wait(TIMEOUT_S)
    return True


@dataclass(frozen=True)
class Fault:
    """One thing that happens to a job."""

    name: str
    """What."""
    strike: Callable[[Run], bool]
    """Does it to a run; returns whether it struck in time."""
    codes: tuple[int, ...]
    """Exit codes that the run may have: 0 where it goes on by itself."""
    options: tuple[str, ...] = ()
    """Further options of the command."""
    file_bytes: int | None = None
    """Limit on the size of a file, for the command and its processes."""
    needs_small_disk: bool = False
    """Whether OUT is on a file system that is too small for it."""
    needs_cluster: bool = False
    """Whether it is done to a job on a cluster that was there before."""


_KILL, _STOP = signal.SIGKILL, signal.SIGSTOP
_WORKERS = ("--workers", "2")

FAULTS = (
    Fault("kill -9 at any moment", partial(strike_driver, number=_KILL), (-9,)),
    Fault("kill -9 while it writes", partial(strike_rows, number=_KILL), (-9,)),
    Fault("kill -9 of the driver of workers", partial(strike_rows, number=_KILL), (-9,), _WORKERS),
    Fault("SIGTERM", partial(strike_rows, number=signal.SIGTERM), (143,)),
    Fault("SIGINT", partial(strike_rows, number=signal.SIGINT), (130,)),
    Fault("SIGSTOP, then kill -9", stop_and_kill, (-9,)),
    Fault("kill -9 of processes that do tasks", partial(strike_helpers, number=_KILL), (0,)),
    Fault("SIGSTOP of processes that do tasks", partial(strike_helpers, number=_STOP), (0,)),
    Fault("kill -9 of a worker", partial(kill_workers, all_of_them=False), (0,), _WORKERS),
    Fault("kill -9 of all workers", partial(kill_workers, all_of_them=True), (0,), _WORKERS),
    Fault("kill -9 of the scheduler", kill_scheduler, (1,), needs_cluster=True),
    Fault("other workers for all that were killed", replace_workers, (0,), needs_cluster=True),
    Fault("file too large (RLIMIT_FSIZE)", change_nothing, (1,), file_bytes=1),
    Fault("disk full (tmpfs)", change_nothing, (1,), needs_small_disk=True),
)
"""All that can happen."""
