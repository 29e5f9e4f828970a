"""Which scheduler the work runs on: threads, a local cluster, an address, TLS.

`open_client` turns `ClusterOptions` into a `distributed.Client`, or into None where Dask's own
schedulers of this process do the work, and closes whatever it opened.

``distributed`` is imported inside the functions that need it. It takes half a second, which a job
on the threads of this process, the default, must not pay.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import dask

from dask_quant.connections import CONNECT_TIMEOUT_S, close_quietly, first_line, logging_at
from dask_quant.errors import ClusterError, OptionError
from dask_quant.events import ignore_event
from dask_quant.first_worker import holding_worker
from dask_quant.local_cluster import start_local
from dask_quant.options import ClusterOptions
from dask_quant.scaling import scale_cluster
from dask_quant.worker_check import check_software, upload_code

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from distributed import Client, Security

    from dask_quant.events import Listener

LOCAL_SCHEDULERS = ("threads", "synchronous")
"""Names for ``scheduler`` that mean this process, without a client."""

_ADDRESS = re.compile(r"(?:(?P<scheme>tcp|tls)://)?(?P<host>\[[^\]]+\]|[^:/\s]+):(?P<port>\d{1,5})")


@contextmanager
def open_client(
    options: ClusterOptions, listener: Listener = ignore_event
) -> Iterator[Client | None]:
    """Open the client that ``options`` ask for, and close what was opened at the end.

    **Eager**: starts processes or connects.

    Parameters
    ----------
    options : ClusterOptions
        ``workers`` or ``adapt`` starts a `LocalCluster`; ``scheduler`` or ``scheduler_file``
        connects to a running one; ``client`` is used as it is, its cluster scaled by ``adapt`` (see
        `dask_quant.scaling.scale_cluster`); ``scheduler="threads"`` or ``"synchronous"`` and
        nothing at all start nothing.
    listener : callable
        Told when a cluster has no workers yet, and the first is waited for.

    Yields
    ------
    Client or None
        The client to compute with. With nothing asked for, the active client of this process if
        there is one (it stays open). None: Dask's scheduler of this process does the work, and the
        caller tells Dask which.

    Raises
    ------
    ClusterError
        When a scheduler cannot be started or reached, gets no workers, has workers without this
        version of dask_quant, or cannot scale and is asked to.
    MemoryBudgetError
        When ``memory_limit_bytes`` is too small for that many workers.
    OptionError
        When an address or its TLS files do not make sense.
    """
    with ExitStack() as stack:
        if options.client is not None:
            yield stack.enter_context(_use(options.client, options, listener))
        elif options.scheduler in LOCAL_SCHEDULERS:
            yield None
        elif options.scheduler is not None or options.scheduler_file is not None:
            yield stack.enter_context(_connect(options, listener))
        elif options.starts_cluster:
            yield stack.enter_context(start_local(options))
        else:
            client = find_current_client()
            yield client and stack.enter_context(_use(client, options, listener))


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


@contextmanager
def _connect(options: ClusterOptions, listener: Listener) -> Iterator[Client]:
    """Connect to a running scheduler and yield a client whose workers can do the work."""
    with open_connection(options) as client, _use(client, options, listener):
        yield client


@contextmanager
def _use(client: Client, options: ClusterOptions, listener: Listener) -> Iterator[Client]:
    """Yield a client, current for as long, having looked at its workers, of which one stays."""
    _check_client(client)
    if options.adapt is not None:
        scale_cluster(client, *options.adapt)
    with holding_worker(client, listener):
        if options.upload_code:
            upload_code(client)
        check_software(client)
        with client.as_current():
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
        with logging_at(logging.CRITICAL):
            client = distributed.Client(address, timeout=CONNECT_TIMEOUT_S, security=security)
    except (OSError, TimeoutError, TypeError, ValueError) as error:
        message = (
            f"No scheduler answered at {address} within {CONNECT_TIMEOUT_S} s "
            f"({first_line(error)}); check the address, that it runs, firewalls and TLS."
        )
        raise ClusterError(message) from error
    try:
        yield client
    finally:
        close_quietly(client)


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


def find_active_client(
    client: Client | None = None, listener: Listener = ignore_event
) -> Client | None:
    """Return a client that is given, or that Dask itself would compute with now, or None.

    **Eager**: its first worker is waited for, and the listener told, as `open_client` does.

    Raises
    ------
    ClusterError
        When it is asynchronous, gets no workers, or its workers lack the software.
    """
    client = client or find_current_client()
    if client is not None:
        _check_client(client)
        with holding_worker(client, listener):
            check_software(client)
    return client


def find_current_client() -> Client | None:
    """Return the client that Dask itself would compute with now, or None; nothing is asked."""
    if "distributed" not in sys.modules:  # then nobody can have opened a client
        return None
    if dask.config.get("scheduler", None) not in (None, "dask.distributed", "distributed"):
        return None
    from distributed import Client

    try:
        client: Client = Client.current()
    except ValueError:
        return None
    return client


def _check_client(client: Client) -> None:
    """Raise `ClusterError` where a client cannot be waited for."""
    if client.asynchronous:
        message = "Got an asynchronous client; open one without asynchronous=True."
        raise ClusterError(message)


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
        message = f"Cannot use the TLS files {named}: {first_line(error)}."
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
