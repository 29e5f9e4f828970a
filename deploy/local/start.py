"""Start a scheduler and workers as separate processes on loopback; stop them all at the end.

Run ``python deploy/local/start.py``, submit jobs to the address that it prints, stop it with Ctrl-C
or SIGTERM. Nothing listens on any other interface than loopback, unless ``--host`` says so: then
TLS says who may connect, and the dashboard stays on loopback all the same.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from dask_quant.cluster import open_client
from dask_quant.errors import ClusterError, OptionError
from dask_quant.listening import LOOPBACK, ListenOptions
from dask_quant.local_cluster import NO_WORKERS_TIMEOUT
from dask_quant.options import ClusterOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

START_TIMEOUT_S = 60
"""Seconds for the scheduler and all workers to be up (arbitrary)."""
STOP_TIMEOUT_S = 10
"""Seconds for a child to stop by itself before it is killed (arbitrary)."""
POLL_S = 0.1
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def parse_arguments() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add = parser.add_argument
    add("--workers", type=int, default=2, help="worker processes, one thread each (default: 2)")
    add("--port", type=int, default=8786, help="scheduler's port, 0 for any (default: 8786)")
    add("--dashboard-port", type=int, default=8787, help="0 for any (default: 8787)")
    add("--memory-limit", default="auto", help="of each worker, like 1GB (default: its share)")
    add("--scheduler-file", type=Path, help="JSON file with the address, written when starting")
    add("--host", default=LOOPBACK, help=f"where to listen (default: {LOOPBACK})")
    add("--tls-ca-file", type=Path, help="certificate authority, PEM")
    add("--tls-cert", type=Path, help="certificate of scheduler and workers, PEM")
    add("--tls-key", type=Path, help="its private key, PEM")
    add("--insecure", action="store_true", help="let others connect without TLS and run code here")
    arguments = parser.parse_args()
    if arguments.workers < 1:
        parser.error(f"got {arguments.workers} workers; use at least 1")
    try:
        arguments.listen = listen_options(arguments)
    except OptionError as error:
        parser.error(str(error))
    return arguments


def listen_options(arguments: argparse.Namespace) -> ListenOptions:
    """Return where to listen, refused when anyone could run code there."""
    return ListenOptions(
        host=arguments.host,
        tls_ca_file=arguments.tls_ca_file,
        tls_cert=arguments.tls_cert,
        tls_key=arguments.tls_key,
        insecure=arguments.insecure,
    )


def exit_on_signal(number: int, frame: object) -> NoReturn:
    """Leave by the way of an exception, so that children are stopped."""
    raise SystemExit(128 + number)


def start_child(command: str, *options: str) -> subprocess.Popen[bytes]:
    """Start ``dask COMMAND`` in a session of its own: Ctrl-C reaches this process alone."""
    environment = {
        **os.environ,
        "DASK_DISTRIBUTED__SCHEDULER__NO_WORKERS_TIMEOUT": NO_WORKERS_TIMEOUT,
    }
    if any(option.startswith("--tls-") for option in options):
        environment["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] = "true"
    return subprocess.Popen(
        [sys.executable, "-m", "dask", command, *options],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        env=environment,
        start_new_session=True,
    )


def stop_children(children: list[subprocess.Popen[bytes]]) -> None:
    """Stop the workers, then the scheduler that they say goodbye to."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave children behind
    scheduler, workers = children[:1], children[1:]
    for group in (workers, scheduler):
        for child in group:
            child.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for child in group:
            end_session(child, deadline)


def end_session(child: subprocess.Popen[bytes], deadline: float) -> None:
    """Wait for a child to end, then kill what is left of all that it started."""
    with suppress(subprocess.TimeoutExpired):  # killed below, with its session
        child.wait(max(0.0, deadline - time.monotonic()))
    with suppress(ProcessLookupError):  # nothing is left
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


@contextmanager
def running_processes(
    arguments: argparse.Namespace, scheduler_file: Path, scratch: str
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run the scheduler, then the workers, for as long as the block runs."""
    children: list[subprocess.Popen[bytes]] = []
    listen: ListenOptions = arguments.listen
    everywhere = (
        f"--host={listen.host or '0.0.0.0'}",
        f"--protocol={listen.protocol}",
        *(() if listen.tls is None else listen.tls.options),
    )
    try:
        children.append(
            start_child(
                "scheduler",
                *everywhere,
                f"--port={arguments.port}",
                f"--dashboard-address={LOOPBACK}:{arguments.dashboard_port}",
                f"--scheduler-file={scheduler_file}",
                "--preload=dask_quant.dashboard",
            )
        )
        wait_for_file(scheduler_file, children)
        for number in range(arguments.workers):
            children.append(  # noqa: PERF401 - each must be known as soon as it runs
                start_child(
                    "worker",
                    *everywhere,
                    f"--scheduler-file={scheduler_file}",
                    f"--name=local-{number}",
                    "--nworkers=1",
                    "--nthreads=1",
                    f"--memory-limit={arguments.memory_limit}",
                    f"--dashboard-address={LOOPBACK}:0",
                    f"--local-directory={scratch}",
                    f"--death-timeout={START_TIMEOUT_S}",
                )
            )
        yield children
    finally:
        stop_children(children)


def check_children(children: list[subprocess.Popen[bytes]]) -> None:
    """Raise `ClusterError` when one has ended."""
    for child in children:
        if child.poll() is not None:
            message = f"A process ended with status {child.returncode}; its log above says why."
            raise ClusterError(message)


def wait_for_file(path: Path, children: list[subprocess.Popen[bytes]]) -> None:
    """Wait until the scheduler has written where it listens."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not is_complete(path):
        check_children(children)
        if time.monotonic() > deadline:
            message = f"The scheduler was not up within {START_TIMEOUT_S} s."
            raise ClusterError(message)
        time.sleep(POLL_S)


def is_complete(path: Path) -> bool:
    """Return whether ``path`` holds a whole JSON document; it is not written atomically."""
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    return True


def wait_for_workers(options: ClusterOptions, children: list[subprocess.Popen[bytes]]) -> str:
    """Wait until every worker is up and has dask_quant; return what to tell the user."""
    deadline = time.monotonic() + START_TIMEOUT_S
    with open_client(options) as client:
        assert client is not None, "a scheduler file always gives a client"
        while len(client.scheduler_info(n_workers=-1)["workers"]) < len(children) - 1:
            check_children(children)
            if time.monotonic() > deadline:
                message = f"The workers were not up within {START_TIMEOUT_S} s."
                raise ClusterError(message)
            time.sleep(POLL_S)
        port = client.scheduler_info(n_workers=0)["services"]["dashboard"]
        return (
            f"scheduler {client.scheduler.address}\n"
            f"dashboard http://{LOOPBACK}:{port}/status\n"
            f"workers   {len(children) - 1}\n"
            "ready; stop with Ctrl-C"
        )


def serve(arguments: argparse.Namespace) -> NoReturn:
    """Run everything until a signal comes or a process ends."""
    with tempfile.TemporaryDirectory(prefix="dask-quant-", ignore_cleanup_errors=True) as scratch:
        scheduler_file = arguments.scheduler_file or Path(scratch) / "scheduler.json"
        scheduler_file.unlink(missing_ok=True)  # one of an earlier run names a dead scheduler
        options = ClusterOptions(
            scheduler_file=scheduler_file,
            tls_ca_file=arguments.tls_ca_file,
            tls_cert=arguments.tls_cert,
            tls_key=arguments.tls_key,
        )
        try:
            with running_processes(arguments, scheduler_file, scratch) as children:
                print(wait_for_workers(options, children), flush=True)
                while True:
                    check_children(children)
                    time.sleep(POLL_S)
        finally:
            scheduler_file.unlink(missing_ok=True)


def main() -> None:
    """Start, say the address, wait to be stopped."""
    arguments = parse_arguments()
    for number in SIGNALS:
        signal.signal(number, exit_on_signal)
    try:
        serve(arguments)
    except ClusterError as error:
        raise SystemExit(f"Error: {error}") from None


if __name__ == "__main__":
    main()
