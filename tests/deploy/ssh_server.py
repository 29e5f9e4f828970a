"""An sshd of its own on loopback, with keys that nobody else knows."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from daemons import Daemon, find_missing, find_program, free_port, running_daemon, start_again

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"

HANDED_ON = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "NUMBA_CACHE_DIR")
"""Variables of this process that a session gets as well, where they are set."""

PRIVILEGE_SEPARATION = Path("/run/sshd")
"""An empty folder that sshd wants to see when root starts it; services make it at boot."""


def find_reason() -> str | None:
    """Return what is missing to run it, or None."""
    missing = find_missing("sshd", "ssh-keygen")
    if missing:
        return f"{missing[0]} is not installed: apt-get install openssh-server"
    if importlib.util.find_spec("asyncssh") is None:
        return "asyncssh is not installed: pip install 'dask-quant[ssh]'"
    return None


@dataclass(frozen=True)
class SshServer:
    """An sshd that runs."""

    config: Path
    """Configuration of clients that leads there."""
    process: psutil.Process
    """The process below which all sessions are, and what they left behind."""

    def list_commands(self) -> list[list[str]]:
        """Return the commands of all that runs for sessions."""
        commands = [each.cmdline() for each in self.process.children(recursive=True)]
        return [command for command in commands if command and "sshd" not in command[0]]


@contextmanager
def running_ssh_server(folder: Path) -> Iterator[SshServer]:
    """Run it for as long as the block runs."""
    for name in ("host", "user"):
        make_key(folder / name)
    if os.geteuid() == 0:
        PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    with ExitStack() as stack:
        port, daemon = start_again(lambda: start(stack, folder))
        process = psutil.Process(daemon.process.pid)
        yield SshServer(write_client_config(folder, port), process)


def make_key(path: Path) -> None:
    """Write a pair of keys, without a passphrase."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def start(stack: ExitStack, folder: Path) -> tuple[int, Daemon]:
    """Start it on a free port; return that as well."""
    port = free_port()
    config = folder / "sshd_config"
    config.write_text(server_config(folder, port), encoding="utf-8")
    command = [str(find_program("sshd")), "-D", "-e", "-f", str(config)]
    with ExitStack() as attempt:
        daemon = attempt.enter_context(running_daemon(command, folder / "sshd.log"))
        daemon.wait_until(lambda: f"listening on {HOST} port {port}" in daemon.read_log())
        stack.push(attempt.pop_all())
    return port, daemon


def server_config(folder: Path, port: int) -> str:
    """Return the configuration of sshd: one key gets in, from this machine alone."""
    variables = " ".join(f'"{name}={os.environ[name]}"' for name in HANDED_ON if name in os.environ)
    lines = [
        f"Port {port}",
        f"ListenAddress {HOST}",
        f"HostKey {folder / 'host'}",
        f"AuthorizedKeysFile {folder / 'user.pub'}",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "UsePAM no",
        "StrictModes no",  # the folder may lie below /tmp, which anybody writes to
        "PidFile none",
    ]
    if variables:
        lines.append(f"SetEnv {variables}")
    return "\n".join(lines) + "\n"


def write_client_config(folder: Path, port: int) -> Path:
    """Write what a client needs to know: the port, its key, and the key of the server."""
    known, config = folder / "known_hosts", folder / "ssh_config"
    host_key = (folder / "host.pub").read_text(encoding="utf-8")
    known.write_text(f"[{HOST}]:{port} {host_key}", encoding="utf-8")
    config.write_text(
        f"Host *\n  Port {port}\n  IdentityFile {folder / 'user'}\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {known}\n",
        encoding="utf-8",
    )
    return config
