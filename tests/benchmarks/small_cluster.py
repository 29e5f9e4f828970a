"""A scheduler and workers of one core each, as processes of this machine, and what they cost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import psutil
from distributed import Client

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

START_TIMEOUT_S = 60
"""Seconds to wait for a scheduler (arbitrary)."""

_SATURATION = "DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION"

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
    def standing_still(self) -> Iterator[None]:
        """Stop its processes meanwhile: idle, a worker takes 6 % of a core, a scheduler 3 %.

        For less than 5 minutes, after which a scheduler gives up workers that it hears nothing of.
        """
        processes = (self.scheduler, *self.workers)
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()


@contextmanager
def start_cluster(
    folder: Path,
    n_workers: int,
    *,
    n_threads: int = 1,
    is_pinned: bool = True,
    first_core: int = 0,
    saturation: float | None = None,
) -> Iterator[SmallCluster]:
    """Start a scheduler and workers, each on one core where that is asked for.

    Parameters
    ----------
    folder : Path
        Where they keep their files.
    n_workers, n_threads : int
        Worker processes, and tasks at a time in each.
    is_pinned : bool, default True
        Whether each worker runs on a core of its own alone, whatever its libraries start.
    first_core : int, default 0
        Core of the first of them.
    saturation : float, optional
        Tasks that a worker has for each of its threads, the running one included. When not given,
        what Dask is set to: 1.1, rounded up for the worker, which is 2 for one of one thread.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "scheduler.json"
    file.unlink(missing_ok=True)
    setting = {} if saturation is None else {_SATURATION: str(saturation)}
    shared = ["--host=127.0.0.1", f"--scheduler-file={file}", "--no-dashboard"]
    with ExitStack() as stack:
        scheduler = _start(stack, "scheduler", *shared, "--port=0", setting=setting)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (file.exists() and file.read_text().endswith("}")):
            assert time.monotonic() < deadline, "the scheduler did not start"
            time.sleep(0.05)
        options = [f"--nthreads={n_threads}", "--no-nanny", f"--local-directory={folder}"]
        options += [f"--death-timeout={START_TIMEOUT_S}"]  # they end when their scheduler is killed
        workers = []
        for number in range(n_workers):
            core = (first_core + number) % (os.cpu_count() or 1) if is_pinned else None
            workers.append(_start(stack, "worker", *shared, *options, core=core))
        with Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(n_workers, timeout=START_TIMEOUT_S)
            address: str = client.scheduler.address
        process, *others = (psutil.Process(each.pid) for each in (scheduler, *workers))
        yield SmallCluster(address, process, tuple(others), n_workers * n_threads)


def _start(
    stack: ExitStack,
    role: str,
    *options: str,
    core: int | None = None,
    setting: Mapping[str, str] = MappingProxyType({}),
) -> subprocess.Popen[bytes]:
    """Start a process that ends with a stack."""
    command = [sys.executable, "-c", _START.format(role=role), *options]
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **setting, "PYTHONPATH": os.pathsep.join(paths)},
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
