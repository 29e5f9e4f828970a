"""Every deployment that this machine can run, each as a block with a way to send it a job."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import ssh_server
import yaml
from containers import (
    CERTIFICATES,
    compose_containers,
    pod_container,
    running_processes,
    translate,
)
from daemons import StartError, find_missing, running
from same_job import TIMEOUT_S, run_command
from slurm_cluster import find_reason as find_reason_against_slurm
from slurm_cluster import running_slurm
from ssh_server import find_reason as find_reason_against_ssh
from ssh_server import running_ssh_server

from dask_quant.options import ClusterOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from containers import Container, Processes
    from same_job import Quantize
    from slurm_cluster import SlurmCluster

DEPLOY = Path(__file__).parents[2] / "deploy"

ANY_PORT = ("--port=0", "--dashboard-port=0")


@dataclass(frozen=True)
class Deployment:
    """What runs, and how to use it."""

    quantize: Quantize
    """Runs ``dask-quant quantize`` with arguments there, to its end."""
    cluster: ClusterOptions | None = None
    """How a client finds its scheduler; None when there is none between jobs."""
    processes: Processes | None = None
    """What runs instead of containers."""


@dataclass(frozen=True)
class Kind:
    """A deployment that can be started."""

    start: Callable[[Path], AbstractContextManager[Deployment]]
    """Starts it, with a folder for its files, for as long as the block runs."""
    find_reason: Callable[[], str | None]
    """Says what is missing to run it, or None."""


def use_scheduler(cluster: ClusterOptions) -> Deployment:
    """Return the deployment with a scheduler that runs all the time."""
    options = {
        "--scheduler": cluster.scheduler,
        "--scheduler-file": cluster.scheduler_file,
        "--tls-ca-file": cluster.tls_ca_file,
        "--tls-cert": cluster.tls_cert,
        "--tls-key": cluster.tls_key,
    }
    given = [f"{name}={value}" for name, value in options.items() if value is not None]
    return Deployment(lambda arguments: run_command([*arguments, *given]), cluster)


@contextmanager
def threads(folder: Path) -> Iterator[Deployment]:
    """No cluster: what the others are compared with."""
    yield Deployment(lambda arguments: run_command([*arguments, "--scheduler=threads"]))


@contextmanager
def started(
    script: Path, arguments: Sequence[str], folder: Path
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a ``start.py``; yield its scheduler's address and its guard when it is ready."""
    log = folder / "start.log"
    command = [sys.executable, str(script), *arguments]
    with (
        log.open("w", encoding="utf-8") as file,
        running(command, stdout=subprocess.PIPE, stderr=file, cwd=folder) as process,
    ):
        said: dict[str, str] = {}
        for line in process.stdout or ():
            word, _, rest = line.strip().partition(" ")
            said[word] = rest.strip()
            if word == "ready;":
                break
        else:
            message = f"{script} did not start: {log.read_text(encoding='utf-8')}"
            raise StartError(message)
        yield said["scheduler"], process


@contextmanager
def local(folder: Path) -> Iterator[Deployment]:
    """Processes on loopback, by `deploy/local`."""
    with started(DEPLOY / "local" / "start.py", ANY_PORT, folder) as (address, _):
        yield use_scheduler(ClusterOptions(scheduler=address))


@contextmanager
def tls(folder: Path) -> Iterator[Deployment]:
    """The same with certificates of `deploy/tls`."""
    certificates = make_certificates(folder / "certificates")
    arguments = [*ANY_PORT, *tls_options(certificates, "node")]
    with started(DEPLOY / "local" / "start.py", arguments, folder) as (address, _):
        yield use_scheduler(ClusterOptions(scheduler=address, **client_files(certificates)))


def make_certificates(folder: Path) -> Path:
    """Make an authority and certificates in a folder; return that."""
    script = DEPLOY / "tls" / "make_certificates.py"
    subprocess.run(
        [sys.executable, str(script), str(folder)], check=True, capture_output=True, timeout=60
    )
    return folder


def tls_options(certificates: Path, name: str) -> list[str]:
    """Return options of a command that uses a certificate."""
    files = {"ca-file": "ca.pem", "cert": f"{name}.pem", "key": f"{name}-key.pem"}
    return [f"--tls-{option}={certificates / file}" for option, file in files.items()]


def client_files(certificates: Path) -> dict[str, Path]:
    """Return TLS files of a client as options of Python."""
    return {
        "tls_ca_file": certificates / "ca.pem",
        "tls_cert": certificates / "client.pem",
        "tls_key": certificates / "client-key.pem",
    }


@contextmanager
def ssh(folder: Path) -> Iterator[Deployment]:
    """Processes that an sshd on loopback starts, by `deploy/ssh`."""
    script, host = DEPLOY / "ssh" / "start.py", ssh_server.HOST
    with running_ssh_server(folder) as server:
        arguments = [host, host, host, *ANY_PORT, f"--ssh-config={server.config}"]
        with started(script, arguments, folder) as (address, _):
            yield use_scheduler(ClusterOptions(scheduler=address))


@contextmanager
def slurm(folder: Path) -> Iterator[Deployment]:
    """Jobs on two nodes of a SLURM on loopback, by `deploy/slurm`."""
    with running_slurm() as cluster:
        yield Deployment(partial(run_batch, cluster, folder))


def run_batch(cluster: SlurmCluster, folder: Path, arguments: Sequence[str]) -> None:
    """Submit a job that quantizes, and wait for its end."""
    job = submit(cluster, folder, arguments)
    state = cluster.wait_for_job(job)["JobState"]
    if state != "COMPLETED":
        log = (folder / f"slurm-{job}.out").read_text(encoding="utf-8")
        message = f"Job {job} is {state}: {log}"
        raise RuntimeError(message)


def submit(cluster: SlurmCluster, folder: Path, arguments: Sequence[str]) -> str:
    """Submit a job of two workers, one on each node; return its number."""
    size = ("--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--mem-per-cpu=1500M")
    place = (f"--chdir={folder}", f"--output={folder}/slurm-%j.out")
    script = DEPLOY / "slurm" / "quantize.sbatch"
    said = cluster.call(
        *("sbatch", "--parsable", *size, *place, str(script), *arguments),
        DASK_QUANT_INTERFACE="lo",
    )
    return said.strip()


@contextmanager
def compose(folder: Path) -> Iterator[Deployment]:
    """The commands of `deploy/docker/compose.yaml`, without containers."""
    containers = compose_containers(DEPLOY / "docker" / "compose.yaml")
    files = certificate_files(folder)
    secrets = {f"/run/secrets/{name}": files[name] for name in CERTIFICATES}
    workers = [containers["worker"]] * 2
    with running_processes(
        containers["scheduler"], workers, folder, host="scheduler", secrets=secrets
    ) as processes:
        yield use_job(containers["job"], processes)


@contextmanager
def kubernetes(folder: Path) -> Iterator[Deployment]:
    """The commands of `deploy/kubernetes/job.yaml`, without containers."""
    spec = yaml.safe_load((DEPLOY / "kubernetes" / "job.yaml").read_text("utf-8"))["spec"]
    cluster, files = spec["cluster"]["spec"], certificate_files(folder)
    secrets = {f"/etc/dask-quant/tls/{name}.pem": files[name] for name in CERTIFICATES}
    host = "dask-quant-job-scheduler"
    scheduler, worker = (pod_container(cluster[name]["spec"]) for name in ("scheduler", "worker"))
    with running_processes(scheduler, [worker], folder, host=host, secrets=secrets) as processes:
        waiting = pod_container(spec["job"]["spec"], "initContainers")
        command, variables = translate(waiting, processes.replace)
        subprocess.run(command, env={**os.environ, **variables}, check=True, timeout=TIMEOUT_S)
        yield use_job(pod_container(spec["job"]["spec"]), processes)


def certificate_files(folder: Path) -> dict[str, Path]:
    """Make certificates; return their files by name."""
    certificates = make_certificates(folder / "certificates")
    return {name: certificates / f"{name}.pem" for name in CERTIFICATES}


def use_job(job: Container, processes: Processes) -> Deployment:
    """Return the deployment that jobs reach as the container of a job does."""
    command, _ = translate(job, processes.replace)
    given = [word for word in command if word.startswith(("--scheduler=", "--tls-"))]
    options = (word.removeprefix("--").split("=", 1) for word in given)
    cluster = ClusterOptions(**{name.replace("-", "_"): value for name, value in options})
    return Deployment(lambda arguments: run_command([*arguments, *given]), cluster, processes)


def needs_openssl() -> str | None:
    """Return what is missing to make certificates, or None."""
    missing = find_missing("openssl")
    return "openssl is not installed: apt-get install openssl" if missing else None


KINDS = {
    "local": Kind(local, lambda: None),
    "ssh": Kind(ssh, find_reason_against_ssh),
    "slurm": Kind(slurm, find_reason_against_slurm),
    "tls": Kind(tls, needs_openssl),
    "docker-commands": Kind(compose, needs_openssl),
    "kubernetes-commands": Kind(kubernetes, needs_openssl),
}
"""What can be compared with threads; the last two are commands of containers without these."""
