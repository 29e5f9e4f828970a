"""A scheduler and workers of one core each, as processes of this machine, and what they cost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from distributed import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

START_TIMEOUT_S = 60
"""Seconds to wait for a scheduler (arbitrary)."""

_START = "import sys; from distributed.cli.dask_{role} import main; main(sys.argv[1:])"


@dataclass(frozen=True)
class SmallCluster:
    """A cluster on loopback."""

    address: str
    """Of its scheduler."""
    scheduler: psutil.Process
    """Its process."""
    workers: tuple[psutil.Process, ...]
    """Processes of its workers."""
    n_threads: int
    """Tasks that can run side by side."""

    def connect(self) -> Client:
        """Return a client of the cluster."""
        return Client(self.address, set_as_default=False)


@contextmanager
def start_cluster(
    folder: Path, n_workers: int, *, n_threads: int = 1, is_pinned: bool = True
) -> Iterator[SmallCluster]:
    """Start a scheduler and workers, each on one core where that is asked for.

    Parameters
    ----------
    folder : Path
        Where they keep their files.
    n_workers, n_threads : int
        Worker processes, and tasks at a time in each.
    is_pinned : bool, default True
        Whether worker number i runs on core i alone, whatever its libraries start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "scheduler.json"
    file.unlink(missing_ok=True)
    shared = ["--host=127.0.0.1", f"--scheduler-file={file}", "--no-dashboard"]
    with ExitStack() as stack:
        scheduler = _start(stack, "scheduler", *shared, "--port=0")
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (file.exists() and file.read_text().endswith("}")):
            assert time.monotonic() < deadline, "the scheduler did not start"
            time.sleep(0.05)
        options = [f"--nthreads={n_threads}", "--no-nanny", f"--local-directory={folder}"]
        options += [f"--death-timeout={START_TIMEOUT_S}"]  # they end when their scheduler is killed
        workers = []
        for number in range(n_workers):
            core = number % (os.cpu_count() or 1) if is_pinned else None
            workers.append(_start(stack, "worker", *shared, *options, core=core))
        with Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(n_workers, timeout=START_TIMEOUT_S)
            address: str = client.scheduler.address
        process, *others = (psutil.Process(each.pid) for each in (scheduler, *workers))
        yield SmallCluster(address, process, tuple(others), n_workers * n_threads)


def _start(
    stack: ExitStack, role: str, *options: str, core: int | None = None
) -> subprocess.Popen[bytes]:
    """Start a process that ends with a stack."""
    command = [sys.executable, "-c", _START.format(role=role), *options]
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    if core is not None:
        os.sched_setaffinity(process.pid, {core})
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return process


def sum_cpu_seconds(*processes: psutil.Process) -> float:
    """Return the processor seconds that processes have taken."""
    times = [process.cpu_times() for process in processes]
    return sum(float(each.user + each.system) for each in times)


def count_received_bytes(client: Client) -> int:
    """Return the bytes that workers have received from one another so far."""
    return sum(client.run(_tell_received).values())


def _tell_received(dask_worker: Any) -> int:
    """Return the bytes that a worker has received from others."""
    return sum(transfer["total"] for transfer in dask_worker.transfer_incoming_log)
