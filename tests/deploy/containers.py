"""What containers would run, run as processes of this machine: their commands, not the containers.

A file of Compose, or a manifest, is read for the commands and variables of scheduler, workers and
job. Names of hosts, ports and folders, which only exist in containers, are replaced.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml
from daemons import free_port, running_daemon, start_again

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

PROGRAMS = {
    "dask": [sys.executable, "-m", "dask"],
    "dask-quant": [sys.executable, "-m", "dask_quant.faces.cli"],
    "python": [sys.executable],
}
"""What the first words of commands mean here."""

CERTIFICATES = ("ca", "node", "node-key", "client", "client-key")
"""Names of the files that `deploy/tls` writes, without their suffix."""


@dataclass(frozen=True)
class Container:
    """What one container runs."""

    command: list[str]
    """Program and arguments."""
    variables: dict[str, str]
    """Variables of its environment."""


@dataclass(frozen=True)
class Processes:
    """What a scheduler and a worker of containers run as."""

    port: int
    """The scheduler's port."""
    dashboard_port: int
    """The port of its dashboard."""
    replace: dict[str, str]
    """What stands for names that only containers know."""

    def run(self, stack: ExitStack, container: Container, folder: Path, name: str) -> Any:
        """Start a container's command as a process; what it says goes to a file of ``folder``."""
        command, variables = translate(container, self.replace)
        return stack.enter_context(
            running_daemon(
                command, folder / f"{name}.log", env={**os.environ, **variables}, cwd=folder
            )
        )


def read_compose(path: Path) -> dict[str, Any]:
    """Return a file of Compose, with what its variables are by default."""
    text = path.read_text(encoding="utf-8")
    return yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text))


def compose_containers(path: Path) -> dict[str, Container]:
    """Return what the services of a file of Compose run, by name."""
    services = read_compose(path)["services"]
    return {
        name: Container(service["command"], dict(service.get("environment", {})))
        for name, service in services.items()
    }


def pod_container(pod: Mapping[str, Any], kind: str = "containers") -> Container:
    """Return what the only container of a pod's specification runs."""
    (container,) = pod[kind]
    variables = {each["name"]: each["value"] for each in container.get("env", ())}
    return Container(container["args"], variables)


def translate(container: Container, replace: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return the command and the variables of a container for this machine."""
    variables = {name: replace_all(value, replace) for name, value in container.variables.items()}
    known = {"DASK_WORKER_NAME": "worker-1", **variables}
    words = (
        re.sub(r"\$\((\w+)\)", lambda name: known[name[1]], word) for word in container.command
    )
    program, *arguments = (replace_all(word, replace) for word in words)
    return [*PROGRAMS[program], *arguments], variables


def replace_all(text: str, replace: Mapping[str, str]) -> str:
    """Return a text with names replaced; longer ones first, for some begin like others."""
    for name in sorted(replace, key=len, reverse=True):
        text = text.replace(name, replace[name])
    return text


@contextmanager
def running_processes(
    scheduler: Container,
    workers: Sequence[Container],
    folder: Path,
    *,
    host: str,
    secrets: Mapping[str, Path],
) -> Iterator[Processes]:
    """Run what scheduler and workers run, on loopback.

    ``host`` is the name by which containers know the scheduler, ``secrets`` where files lie that
    they find elsewhere.
    """

    def start(stack: ExitStack) -> Processes:
        port, dashboard_port = free_port(), free_port()
        replace = {name: str(path) for name, path in secrets.items()} | {
            f"tls://{host}:8786": f"tls://127.0.0.1:{port}",
            "--port=8786": f"--port={port}",
            "0.0.0.0:8787": f"127.0.0.1:{dashboard_port}",
            "127.0.0.1:8787": f"127.0.0.1:{dashboard_port}",
            "0.0.0.0": "127.0.0.1",
            "--local-directory=/tmp": f"--local-directory={folder}",
        }
        processes = Processes(port, dashboard_port, replace)
        with ExitStack() as attempt:
            daemon = processes.run(attempt, scheduler, folder, "scheduler")
            daemon.wait_until(lambda: f"tls://127.0.0.1:{port}" in daemon.read_log())
            stack.push(attempt.pop_all())
        return processes

    with ExitStack() as stack:
        processes = start_again(lambda: start(stack))
        for number, worker in enumerate(workers):
            daemon = processes.run(stack, worker, folder, f"worker-{number}")
            daemon.wait_until(lambda daemon=daemon: "Registered to" in daemon.read_log())
        yield processes
