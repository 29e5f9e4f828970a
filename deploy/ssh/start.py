"""Start a scheduler and workers on machines that ssh reaches; stop them all at the end.

Run ``python deploy/ssh/start.py HOST HOST...``: the scheduler runs on the first, workers on the
others; name the first twice to have workers there as well. Submit jobs to the address that it
prints, stop it with Ctrl-C or SIGTERM. Where all hosts are this machine, everything listens on
loopback; elsewhere TLS says who may connect.

It needs ``asyncssh``: ``pip install 'dask-quant[ssh]'``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import dask
from distributed import SSHCluster

from dask_quant.cluster import open_client
from dask_quant.errors import ClusterError, OptionError
from dask_quant.listening import LOOPBACK, ListenOptions, is_loopback
from dask_quant.local_cluster import NO_WORKERS_TIMEOUT
from dask_quant.options import ClusterOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed.deploy.spec import SpecCluster

ANY_HOST = "0.0.0.0"
START_TIMEOUT_S = 120
"""Seconds for all workers to be up (arbitrary: imports over a network file system are slow)."""
CONNECT_TIMEOUT_S = 30
"""Seconds for ssh to reach a host (arbitrary)."""
STOP_TIMEOUT_S = 20
"""Seconds for all processes to stop by themselves before ssh is told to kill them (arbitrary)."""
POLL_S = 0.2
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def parse_arguments() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add = parser.add_argument
    add("hosts", nargs="+", metavar="HOST", help="the scheduler's, then those of workers")
    add("--workers", type=int, default=1, help="worker processes on each host (default: 1)")
    add("--port", type=int, default=8786, help="scheduler's port, 0 for any (default: 8786)")
    add("--dashboard-port", type=int, default=8787, help="there, on loopback (default: 8787)")
    add("--memory-limit", default="auto", help="of each worker, like 1GB (default: its share)")
    add("--interface", help="network interface to listen on at every host, like eth0")
    add("--scheduler-file", type=Path, help="JSON file with the address, written when all are up")
    add("--ssh-config", type=Path, help="instead of ~/.ssh/config: users, keys, ports, known hosts")
    add("--remote-python", default=sys.executable, help="Python there (default: the path of this)")
    add("--tls-ca-file", type=Path, help="certificate authority, PEM, at the same path everywhere")
    add("--tls-cert", type=Path, help="certificate of scheduler and workers, PEM, likewise")
    add("--tls-key", type=Path, help="its private key, PEM, likewise")
    add("--insecure", action="store_true", help="let others connect without TLS and run code there")
    arguments = parser.parse_args()
    if len(arguments.hosts) < 2:
        parser.error("got one host; name the scheduler's and at least one of workers")
    if arguments.workers < 1:
        parser.error(f"got {arguments.workers} workers; use at least 1")
    try:
        arguments.listen = listen_options(arguments)
    except OptionError as error:
        parser.error(str(error))
    return arguments


def listen_options(arguments: argparse.Namespace) -> ListenOptions:
    """Return where to listen: on loopback when every host is this machine."""
    here = all(is_loopback(host) for host in arguments.hosts) and arguments.interface is None
    files = [arguments.tls_ca_file, arguments.tls_cert, arguments.tls_key]
    ca_file, cert, key = (None if file is None else file.absolute() for file in files)
    return ListenOptions(
        host=LOOPBACK if here else ANY_HOST,
        tls_ca_file=ca_file,
        tls_cert=cert,
        tls_key=key,
        insecure=arguments.insecure,
    )


def exit_on_signal(number: int, frame: object) -> NoReturn:
    """Leave by the way of an exception, so that everything is stopped."""
    raise SystemExit(128 + number)


def dask_settings(listen: ListenOptions) -> dict[str, Any]:
    """Return settings of Dask, which `SSHCluster` hands on to every process that it starts."""
    settings: dict[str, Any] = {"distributed.scheduler.no-workers-timeout": NO_WORKERS_TIMEOUT}
    if listen.tls is not None:
        settings |= {
            "distributed.comm.require-encryption": True,
            "distributed.comm.tls.ca-file": str(listen.tls.ca_file),
        }
        for role in ("scheduler", "worker", "client"):
            settings[f"distributed.comm.tls.{role}.cert"] = str(listen.tls.cert)
            settings[f"distributed.comm.tls.{role}.key"] = str(listen.tls.key)
    return settings


def place_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return where scheduler and workers listen, as `distributed` takes it."""
    if arguments.interface is not None:
        return {"interface": arguments.interface, "protocol": arguments.listen.protocol}
    return {"host": arguments.listen.host, "protocol": arguments.listen.protocol}


@contextmanager
def running_cluster(arguments: argparse.Namespace) -> Iterator[SpecCluster]:
    """Run scheduler and workers for as long as the block runs."""
    with held_signals() as caught:
        cluster = start_cluster(arguments)
    with cluster:
        try:
            if caught:
                raise SystemExit(128 + caught[0])
            yield cluster
        finally:
            stop_processes(cluster, arguments.workers)


@contextmanager
def held_signals() -> Iterator[list[int]]:
    """Put off signals while the block runs: what is half started is not known, nor stopped."""
    caught: list[int] = []
    former = [signal.signal(each, lambda number, frame: caught.append(number)) for each in SIGNALS]
    try:
        yield caught
    finally:
        for number, handler in zip(SIGNALS, former, strict=True):
            signal.signal(number, handler)


def start_cluster(arguments: argparse.Namespace) -> SpecCluster:
    """Start scheduler and workers; raise `ClusterError` when one does not come up."""
    config = {} if arguments.ssh_config is None else {"config": [str(arguments.ssh_config)]}
    place = place_options(arguments)
    try:
        return SSHCluster(
            arguments.hosts,
            connect_options={"connect_timeout": CONNECT_TIMEOUT_S, **config},
            scheduler_options={
                **place,
                "port": arguments.port,
                "dashboard_address": f"{LOOPBACK}:{arguments.dashboard_port}",
            },
            worker_options={
                **place,
                "n_workers": arguments.workers,
                "nthreads": 1,
                "memory_limit": arguments.memory_limit,
                "dashboard_address": f"{LOOPBACK}:0",
                "death_timeout": START_TIMEOUT_S,
            },
            remote_python=arguments.remote_python,
        )
    except (ImportError, OSError, RuntimeError) as error:
        message = f"Could not start the cluster: {error}; the log above says what it came to."
        raise ClusterError(message) from error


def stop_processes(cluster: SpecCluster, workers: int) -> None:
    """Have the scheduler stop itself and its workers, and wait until all have ended.

    `SSHCluster` closes connections without a look at the other end, where sshd does not let it
    kill what runs as root.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave processes behind
    scheduler, *others = find_processes(cluster)
    if not has_ended(scheduler):  # the workers of one that has ended notice by themselves
        running = len([process for process in others if not has_ended(process)])
        wait_for_workers(cluster, workers * running, STOP_TIMEOUT_S)  # the unknown are not told
        with suppress(OSError):
            cluster.sync(cluster.scheduler_comm.terminate)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while not all(map(has_ended, find_processes(cluster))) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    cluster.sync(cluster.scheduler.close)  # kills what did not stop, and hangs up
    cluster.shutdown_scheduler = False  # closing asks it no more: that would wait for an answer


def find_processes(cluster: SpecCluster) -> list[Any]:
    """Return the processes at the other ends of ssh, the scheduler's first."""
    return [server.proc for server in (cluster.scheduler, *cluster.workers.values())]


def show_logs(cluster: SpecCluster) -> None:
    """Copy what the processes write to standard error, all the time.

    What nobody reads fills the window of its connection, and then whoever writes waits for ever.
    """
    for process in find_processes(cluster):
        for stream in (process.stdout, process.stderr):
            asyncio.run_coroutine_threadsafe(copy(stream), cluster.loop.asyncio_loop)


async def copy(stream: Any) -> None:
    """Copy a stream to standard error until it ends."""
    while line := await stream.readline():
        sys.stderr.write(line)


def check_processes(cluster: SpecCluster) -> None:
    """Raise `ClusterError` when one has ended."""
    for process in find_processes(cluster):
        if has_ended(process):
            message = f"A process ended with status {process.returncode}; its log above says why."
            raise ClusterError(message)


def has_ended(process: Any) -> bool:
    """Return whether a process has ended, or its connection has."""
    return process.returncode is not None or process.is_closing()


def wait_for_workers(cluster: SpecCluster, expected: int, timeout_s: float) -> bool:
    """Wait until ``expected`` workers have said hello to the scheduler; return whether they did."""
    deadline = time.monotonic() + timeout_s
    while len(cluster.scheduler_info["workers"]) < expected:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def describe(cluster: SpecCluster, arguments: argparse.Namespace) -> str:
    """Return what to tell the user, having seen that all workers are up and have dask_quant."""
    expected = arguments.workers * len(cluster.workers)
    if not wait_for_workers(cluster, expected, START_TIMEOUT_S):
        message = f"The workers were not up within {START_TIMEOUT_S} s."
        raise ClusterError(message)
    options = ClusterOptions(
        scheduler=cluster.scheduler_address,
        tls_ca_file=arguments.tls_ca_file,
        tls_cert=arguments.tls_cert,
        tls_key=arguments.tls_key,
    )
    with open_client(options):
        port = cluster.scheduler_info["services"]["dashboard"]
    return (
        f"scheduler {cluster.scheduler_address}\n"
        f"dashboard http://{LOOPBACK}:{port}/status on {arguments.hosts[0]}\n"
        f"workers   {expected}\n"
        "ready; stop with Ctrl-C"
    )


@contextmanager
def scheduler_file(path: Path | None, address: str) -> Iterator[None]:
    """Keep a file that says where the scheduler listens, written at once or not at all."""
    if path is None:
        yield
        return
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps({"address": address}), encoding="utf-8")
    part.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def serve(arguments: argparse.Namespace) -> NoReturn:
    """Run everything until a signal comes or a process ends."""
    with (
        dask.config.set(dask_settings(arguments.listen)),
        running_cluster(arguments) as cluster,
    ):
        show_logs(cluster)
        said = describe(cluster, arguments)
        with scheduler_file(arguments.scheduler_file, cluster.scheduler_address):
            print(said, flush=True)
            while True:
                check_processes(cluster)
                time.sleep(POLL_S)


def main() -> None:
    """Start, say the address, wait to be stopped."""
    arguments = parse_arguments()
    logging.getLogger("distributed.deploy.ssh").setLevel(logging.INFO)  # what is said at the start
    for number in SIGNALS:
        signal.signal(number, exit_on_signal)
    try:
        serve(arguments)
    except (ClusterError, OptionError) as error:
        raise SystemExit(f"Error: {error}") from None


if __name__ == "__main__":
    main()
