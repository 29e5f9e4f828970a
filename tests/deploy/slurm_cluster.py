"""SLURM on this machine: a controller and two nodes on loopback, with a key of their own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daemons import (
    POLL_S,
    Daemon,
    StartError,
    find_missing,
    find_program,
    free_port,
    running_daemon,
    start_again,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NODES = ("node-1", "node-2")

DONE = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")
"""States that a job does not leave."""

CONFIG = """
ClusterName=throwaway
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_min_interval=0
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
KillWait=60
NodeName=node-1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4 RealMemory=8000
NodeName=node-2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4 RealMemory=8000
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
"""No control groups, which take rights that a container lacks, and nothing but loopback.

CPUs and memory are what we say: no more runs at once for that.
"""


def find_reason() -> str | None:
    """Return what is missing to run it, or None."""
    missing = find_missing("munged", "slurmctld", "slurmd", "srun", "sbatch")
    if missing:
        packages = "munge slurmctld slurmd slurm-client"
        return f"{missing[0]} is not installed: apt-get install {packages}"
    if os.geteuid() != 0:
        return "slurmd starts jobs of any user, for which it must run as root"
    return None


@dataclass(frozen=True)
class SlurmCluster:
    """SLURM that runs."""

    folder: Path
    """Where its files are."""

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which commands find it, and jobs the programs of this Python."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def call(self, *command: str, **variables: str) -> str:
        """Return what a command of SLURM's says."""
        done = subprocess.run(
            command,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if done.returncode:
            message = f"{' '.join(command)} ended with {done.returncode}: {done.stderr}"
            raise RuntimeError(message)
        return done.stdout

    def describe_job(self, job: str) -> dict[str, str]:
        """Return what the controller knows of a job."""
        words = self.call("scontrol", "show", "--oneliner", "job", job).split()
        return dict(word.partition("=")[::2] for word in words)

    def wait_for_job(self, job: str, timeout_s: float = 240) -> dict[str, str]:
        """Wait until a job has ended, and its processes; return what the controller knows of it."""
        deadline = time.monotonic() + timeout_s
        while (found := self.describe_job(job))["JobState"] not in DONE:
            if time.monotonic() > deadline:
                message = f"Job {job} is {found['JobState']} after {timeout_s} s."
                raise TimeoutError(message)
            time.sleep(POLL_S)
        return found


@contextmanager
def running_slurm() -> Iterator[SlurmCluster]:
    """Run it for as long as the block runs."""
    # Not below the folder of a test: munged wants every folder above its socket open to all, and
    # the path of a socket has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="dask-quant-slurm-", dir="/tmp"))
    try:
        folder.chmod(0o755)
        with ExitStack() as stack:
            yield start_again(lambda: start(stack, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start(stack: ExitStack, folder: Path) -> SlurmCluster:
    """Start all daemons on free ports, and wait until both nodes take jobs."""
    cluster = SlurmCluster(folder)
    shutil.rmtree(folder / "state", ignore_errors=True)
    (folder / "state").mkdir()
    ports = [free_port() for _ in range(3)]
    text = CONFIG.format(folder=folder, ports=ports, host=socket.gethostname().split(".")[0])
    (folder / "slurm.conf").write_text(text, encoding="utf-8")
    with ExitStack() as attempt:
        start_munge(attempt, folder)
        commands = [("slurmctld", "-D"), *(("slurmd", "-D", "-N", node) for node in NODES)]
        daemons = [
            attempt.enter_context(
                running_daemon(find_daemon(command), folder / f"{command[0]}-{number}.log",
                               env=cluster.environment)
            )
            for number, command in enumerate(commands)
        ]  # fmt: skip
        daemons[0].wait_until(lambda: are_idle(cluster, daemons))
        stack.push(attempt.pop_all())
    return cluster


def find_daemon(command: Sequence[str]) -> list[str]:
    """Return a command with the path of its program."""
    return [str(find_program(command[0])), *command[1:]]


def start_munge(stack: ExitStack, folder: Path) -> None:
    """Start what vouches for who sends a message, with a key of its own."""
    key = folder / "munge.key"
    key.unlink(missing_ok=True)
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(1024))
    files = ("key-file", "munge.key"), ("pid-file", "munged.pid"), ("seed-file", "munged.seed")
    command = [
        *find_daemon(("munged", "--foreground", "--force", f"--socket={folder}/socket")),
        *(f"--{option}={folder / name}" for option, name in files),
        f"--log-file={folder}/munged-file.log",
    ]
    daemon = stack.enter_context(running_daemon(command, folder / "munged.log"))
    daemon.wait_until((folder / "socket").exists)


def are_idle(cluster: SlurmCluster, daemons: Sequence[Daemon]) -> bool:
    """Return whether both nodes take jobs; raise `StartError` when a daemon has ended."""
    for daemon in daemons:
        if daemon.process.poll() is not None:
            message = f"{daemon.name} did not start: {daemon.read_log()}"
            raise StartError(message)
    try:
        states = cluster.call("sinfo", "--noheader", "--Node", "--format=%T").split()
    except RuntimeError:  # the controller does not answer yet
        return False
    return states == ["idle"] * len(NODES)
