"""Which scheduler the work runs on: threads, a local cluster, an address, TLS.

`open_client` turns `ClusterOptions` into a `distributed.Client`, or into None where Dask's own
schedulers of this process do the work, and closes whatever it opened. Everything that it starts
listens on loopback alone: who reaches a scheduler's port can run code there.

``distributed`` is imported inside the functions that need it. It takes half a second, which a job
on the threads of this process, the default, must not pay.
"""

from __future__ import annotations

import json
import logging
import re
import signal
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import dask

from dask_quant.errors import ClusterError, MemoryBudgetError, OptionError
from dask_quant.options import ClusterOptions
from dask_quant.worker_check import check_software, upload_code

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from distributed import Client, LocalCluster, Security


LOCAL_SCHEDULERS = ("threads", "synchronous")
"""Names for ``scheduler`` that mean this process, without a client."""

DRIVER_SHARE = 0.25
"""Share of a job's memory limit kept for the driver and scheduler, the rest being the workers'.

Arbitrary: the driver merges histograms and fits, and each worker holds a block at a time.
"""

MIN_WORKER_BYTES = 200_000_000
"""Least memory in bytes for a worker: about 65 MB bare, 150 MB with Numba and `dask.array`."""

CONNECT_TIMEOUT_S = 10
"""Seconds to wait for a scheduler's answer (arbitrary: a slow link, not a wrong address)."""

WORKERS_TIMEOUT_S = 30
"""Seconds to wait for the first worker of a running scheduler (arbitrary)."""

NO_WORKERS_TIMEOUT = "2 minutes"
"""After this long without any worker, tasks of a local cluster fail instead of waiting for ever.

A killed worker is back within seconds; this only has to be well above that.
"""

LOST_WORKER_TIMEOUT = "10 minutes"
"""How long a local cluster leaves a lost worker to its nanny before it gives the worker up."""

_LOOPBACK = "127.0.0.1"
_LOOPBACK_ANY_PORT = f"{_LOOPBACK}:0"
_ADDRESS = re.compile(r"(?:(?P<scheme>tcp|tls)://)?(?P<host>\[[^\]]+\]|[^:/\s]+):(?P<port>\d{1,5})")


@contextmanager
def open_client(options: ClusterOptions) -> Iterator[Client | None]:
    """Open the client that ``options`` ask for, and close what was opened at the end.

    **Eager**: starts processes or connects.

    Parameters
    ----------
    options : ClusterOptions
        ``workers`` starts a `LocalCluster`; ``scheduler`` or ``scheduler_file`` connects to a
        running one; ``client`` is used as it is; ``scheduler="threads"`` or ``"synchronous"`` and
        nothing at all start nothing.

    Yields
    ------
    Client or None
        The client to compute with. With nothing asked for, the active client of this process if
        there is one (it stays open). None: Dask's scheduler of this process does the work, and the
        caller tells Dask which.

    Raises
    ------
    ClusterError
        When a scheduler cannot be started or reached, has no workers, or has workers without this
        version of dask_quant.
    MemoryBudgetError
        When ``memory_limit_bytes`` is too small for that many workers.
    OptionError
        When an address or its TLS files do not make sense.
    """
    with ExitStack() as stack:
        if options.client is not None:
            yield stack.enter_context(_use(options.client, sends_code=options.upload_code))
        elif options.scheduler in LOCAL_SCHEDULERS:
            yield None
        elif options.scheduler is not None or options.scheduler_file is not None:
            yield stack.enter_context(_connect(options))
        elif options.workers is not None:
            yield stack.enter_context(_start_local(options, options.workers))
        else:
            yield find_active_client()


def dashboard_link(client: Client) -> str | None:
    """Return the URL of the dashboard that ``client`` belongs to, or None when there is none.

    Parameters
    ----------
    client : Client
        A client that `open_client` or the user opened.
    """
    spec = getattr(client.cluster, "scheduler_spec", None) or {}
    if spec.get("options", {}).get("dashboard") is False:
        return None  # its HTTP server still runs, and is announced as a dashboard
    try:
        link: str | None = client.dashboard_link
    except KeyError:  # a remote scheduler that serves none
        return None
    return link


def is_started_here(client: Client) -> bool:
    """Return whether workers are processes of this machine that this process started."""
    import distributed

    return isinstance(client.cluster, distributed.LocalCluster)


def plan_worker_bytes(memory_limit_bytes: int, workers: int) -> int:
    """Return the memory limit of each worker when a whole job may use ``memory_limit_bytes``.

    Parameters
    ----------
    memory_limit_bytes : int
        Bytes for driver and workers together.
    workers : int
        Number of workers, at least 1.

    Returns
    -------
    int
        Bytes per worker, at least `MIN_WORKER_BYTES`.

    Raises
    ------
    MemoryBudgetError
        When less than `MIN_WORKER_BYTES` would be left for each.

    Examples
    --------
    >>> plan_worker_bytes(1_600_000_000, workers=2)
    600000000
    """
    each = int(memory_limit_bytes * (1 - DRIVER_SHARE)) // workers
    if each < MIN_WORKER_BYTES:
        needed = int(MIN_WORKER_BYTES * workers / (1 - DRIVER_SHARE))
        message = (
            f"A memory limit of {memory_limit_bytes / 1e6:.0f} MB leaves {each / 1e6:.0f} MB for "
            f"each of {workers} workers, which need {MIN_WORKER_BYTES / 1e6:.0f} MB; "
            f"allow at least {needed / 1e6:.0f} MB or use fewer workers."
        )
        raise MemoryBudgetError(message)
    return each


@contextmanager
def _start_local(options: ClusterOptions, workers: int) -> Iterator[Client]:
    """Run a cluster of one-thread processes on loopback and yield its client."""
    import distributed

    limit = options.memory_limit_bytes
    memory_limit = "auto" if limit is None else plan_worker_bytes(limit, workers)
    timeouts = {
        "distributed.deploy.lost-worker-timeout": LOST_WORKER_TIMEOUT,
        "distributed.scheduler.no-workers-timeout": NO_WORKERS_TIMEOUT,
    }
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(timeouts))
        # A worker that was killed may still be writing its spill files when the folder goes.
        scratch = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="dask-quant-", ignore_cleanup_errors=True)
        )
        try:
            cluster = distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host=_LOOPBACK,
                # An address even without a dashboard: None still serves HTTP, on port 8787.
                dashboard_address=_LOOPBACK_ANY_PORT,
                worker_dashboard_address=_LOOPBACK_ANY_PORT,
                scheduler_kwargs={"dashboard": options.dashboard},
                memory_limit=memory_limit,
                local_directory=scratch,
                preload=[*dask.config.get("distributed.worker.preload"), __name__],
            )
        except (OSError, RuntimeError, TimeoutError) as error:
            message = (
                f"Could not start {workers} worker processes: {_first_line(error)}; "
                'a script must call this under: if __name__ == "__main__":'
            )
            raise ClusterError(message) from error
        stack.callback(_close_quietly, cluster)
        client = distributed.Client(cluster, timeout=CONNECT_TIMEOUT_S)
        stack.callback(_close_quietly, client)
        with client.as_current():
            yield client


def dask_setup(worker: object) -> None:
    """Prepare a worker of `open_client`'s local cluster: Dask calls this as it starts.

    Ctrl-C in a terminal reaches the workers as well. They leave it to the driver, which closes
    them, instead of writing a traceback each.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    state_log = logging.getLogger("distributed.worker.state_machine")
    # What a worker says of a task that it was running when it was closed, and of nothing else.
    state_log.addFilter(lambda record: "ended with CancelledError" not in record.getMessage())


def _close_quietly(closable: Client | LocalCluster) -> None:
    """Close a client or cluster, without distributed's remarks on connections that go away."""
    with _logging_at(logging.CRITICAL):
        closable.close()


@contextmanager
def _connect(options: ClusterOptions) -> Iterator[Client]:
    """Connect to a running scheduler and yield a client whose workers can do the work."""
    with open_connection(options) as client:
        _wait_for_workers(client, _find_address(options))
        with _use(client, sends_code=options.upload_code):
            yield client


@contextmanager
def _use(client: Client, *, sends_code: bool) -> Iterator[Client]:
    """Yield a client, current for as long, having looked at its workers."""
    if sends_code:
        upload_code(client)
    with _check_client(client).as_current():
        yield client


@contextmanager
def open_connection(options: ClusterOptions) -> Iterator[Client]:
    """Connect to a running scheduler, whatever workers it has, and close the connection at the end.

    **Eager**.

    Raises
    ------
    ClusterError
        When no scheduler answers.
    OptionError
        When no scheduler is named, or an address or its TLS files do not make sense.
    """
    import distributed

    if options.scheduler in LOCAL_SCHEDULERS or not (options.scheduler or options.scheduler_file):
        message = "Got no scheduler; give --scheduler tcp://HOST:PORT or --scheduler-file."
        raise OptionError(message)
    address = _find_address(options)
    security = _read_security(options, address)
    try:
        with _logging_at(logging.CRITICAL):
            client = distributed.Client(address, timeout=CONNECT_TIMEOUT_S, security=security)
    except (OSError, TimeoutError, TypeError, ValueError) as error:
        message = (
            f"No scheduler answered at {address} within {CONNECT_TIMEOUT_S} s "
            f"({_first_line(error)}); check the address, that it runs, firewalls and TLS."
        )
        raise ClusterError(message) from error
    try:
        yield client
    finally:
        _close_quietly(client)


@contextmanager
def use_connection(client: Client | ClusterOptions) -> Iterator[Client]:
    """Yield a client, which stays open, or one of a running scheduler, which does not. **Eager**.

    Errors are those of `open_connection`.
    """
    if isinstance(client, ClusterOptions):
        with open_connection(client) as opened:
            yield opened
    else:
        yield client


@contextmanager
def _logging_at(level: int) -> Iterator[None]:
    """Log of distributed only what is of ``level`` or above, for as long as the block runs."""
    from distributed.utils import silence_logging_cmgr

    with silence_logging_cmgr(level):
        yield


def find_active_client(client: Client | None = None) -> Client | None:
    """Return a client that is given, or that Dask itself would compute with now, or None.

    Raises
    ------
    ClusterError
        When it is asynchronous, or its workers lack the software.
    """
    if client is not None:
        return _check_client(client)
    if "distributed" not in sys.modules:  # then nobody can have opened a client
        return None
    if dask.config.get("scheduler", None) not in (None, "dask.distributed", "distributed"):
        return None
    from distributed import Client

    try:
        client = Client.current()
    except ValueError:
        return None
    return _check_client(client)


def _check_client(client: Client) -> Client:
    """Return a client that can be used, or raise `ClusterError`."""
    if client.asynchronous:
        message = "Got an asynchronous client; open one without asynchronous=True."
        raise ClusterError(message)
    check_software(client)
    return client


def _find_address(options: ClusterOptions) -> str:
    """Return the scheduler's address with its scheme, from the option or the scheduler's file."""
    given = options.scheduler or _read_scheduler_file(options.scheduler_file)
    match = _ADDRESS.fullmatch(given)
    if match is None:
        message = f"Got the scheduler {given!r}; write tcp://HOST:PORT, tls://HOST:PORT or threads."
        raise OptionError(message)
    has_tls = options.tls_ca_file is not None
    scheme = match["scheme"] or ("tls" if has_tls else "tcp")
    if has_tls and scheme == "tcp":
        message = f"Got TLS files for {given}, which is not encrypted; write tls://HOST:PORT."
        raise OptionError(message)
    return f"{scheme}://{match['host']}:{match['port']}"


def _read_scheduler_file(path: Path | None) -> str:
    """Return the address in the JSON file that a scheduler wrote."""
    assert path is not None, "open_client connects only when given an address or a file"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["address"])
    except OSError as error:
        message = f"Cannot read the scheduler file {path}: {error.strerror}; is it running?"
        raise ClusterError(message) from error
    except (ValueError, KeyError, TypeError) as error:
        message = f"The scheduler file {path} holds no address; is the scheduler still starting?"
        raise ClusterError(message) from error


def _read_security(options: ClusterOptions, address: str) -> Security | None:
    """Return TLS settings for a ``tls://`` address, from the options or Dask's configuration."""
    from distributed import Security

    if not address.startswith("tls://"):
        return None
    files = {
        "tls_ca_file": options.tls_ca_file,
        "tls_client_cert": options.tls_cert,
        "tls_client_key": options.tls_key,
    }
    given = {name: str(path) for name, path in files.items() if path is not None}
    security = Security(require_encryption=True, **given)
    try:
        context = security.get_connection_args("client").get("ssl_context")
    except OSError as error:  # ssl.SSLError is one
        named = ", ".join(given.values()) or "of Dask's configuration"
        message = f"Cannot use the TLS files {named}: {_first_line(error)}."
        raise ClusterError(message) from error
    if context is None:
        message = f"Got {address} without TLS files; give a CA file, a certificate and a key."
        raise OptionError(message)
    return security


def find_tls_options(security: Security) -> tuple[str, ...]:
    """Return the options of a command that is to speak to the scheduler as a worker does."""
    files = (security.tls_ca_file, security.tls_worker_cert, security.tls_worker_key)
    if not all(files):
        return ()
    names = ("--tls-ca-file", "--tls-cert", "--tls-key")
    return tuple(f"{name}={file}" for name, file in zip(names, files, strict=True))


def _wait_for_workers(client: Client, address: str) -> None:
    """Wait a while for the first worker, then raise `ClusterError`."""
    try:
        client.wait_for_workers(1, timeout=WORKERS_TIMEOUT_S)
    except TimeoutError as error:
        message = (
            f"The scheduler at {address} has no workers after {WORKERS_TIMEOUT_S} s; "
            f"start some with: dask worker {address}"
        )
        raise ClusterError(message) from error


def _first_line(value: object) -> str:
    """Return the first line of what an error says, or its type when it says nothing."""
    return str(value).strip().split("\n", 1)[0].rstrip(".") or type(value).__name__
