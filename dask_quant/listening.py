"""Where a scheduler may listen: who reaches its port can run code there.

What is started from `deploy/` listens on loopback. Anywhere else takes TLS, by which scheduler,
workers and clients prove who they are, or a word that nothing else is wanted.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dask_quant.errors import OptionError

if TYPE_CHECKING:
    from pathlib import Path

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class TlsFiles:
    """What one side of an encrypted connection proves itself by, and judges the other by."""

    ca_file: Path
    """Certificate authority that signed the certificates of all sides, PEM."""
    cert: Path
    """Certificate of this side, PEM."""
    key: Path
    """Private key of this side, PEM."""

    @property
    def options(self) -> tuple[str, ...]:
        """Options of ``dask scheduler``, ``dask worker`` and ``dask-quant`` that name them."""
        return (
            f"--tls-ca-file={self.ca_file}",
            f"--tls-cert={self.cert}",
            f"--tls-key={self.key}",
        )


@dataclass(frozen=True)
class ListenOptions:
    """Where a scheduler and its workers listen, and whom they answer.

    Raises
    ------
    OptionError
        When anyone could reach them and run code there, and ``insecure`` does not allow it; when
        some TLS files are given and others not.

    Examples
    --------
    >>> ListenOptions().protocol
    'tcp'
    >>> ListenOptions(host="0.0.0.0")
    Traceback (most recent call last):
    dask_quant.errors.OptionError: Got the host 0.0.0.0, where others could reach the scheduler \
and run code; give --tls-ca-file, --tls-cert and --tls-key, or --insecure on a trusted network.
    """

    host: str = LOOPBACK
    """Name or address to listen on; empty or ``0.0.0.0`` for every interface."""
    tls_ca_file: Path | None = None
    """Certificate authority, PEM."""
    tls_cert: Path | None = None
    """Certificate of scheduler and workers, PEM."""
    tls_key: Path | None = None
    """Its private key, PEM."""
    insecure: bool = False
    """Whether to listen without TLS where others can reach it."""

    def __post_init__(self) -> None:
        """Refuse what would be open to others, and half of TLS."""
        given = (self.tls_ca_file, self.tls_cert, self.tls_key)
        if any(given) and not all(given):
            message = "TLS needs all three of --tls-ca-file, --tls-cert and --tls-key."
            raise OptionError(message)
        if not (is_loopback(self.host) or any(given) or self.insecure):
            message = (
                f"Got the host {self.host or '0.0.0.0'}, where others could reach the scheduler "
                "and run code; give --tls-ca-file, --tls-cert and --tls-key, or --insecure on a "
                "trusted network."
            )
            raise OptionError(message)

    @property
    def tls(self) -> TlsFiles | None:
        """The TLS files, or None without TLS."""
        if self.tls_ca_file is None or self.tls_cert is None or self.tls_key is None:
            return None
        return TlsFiles(self.tls_ca_file, self.tls_cert, self.tls_key)

    @property
    def protocol(self) -> str:
        """Dask's name of what is spoken: ``tcp`` or ``tls``."""
        return "tcp" if self.tls is None else "tls"


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches what listens on ``host``.

    Names other than ``localhost`` count as reachable: what they resolve to is not ours to say.

    Examples
    --------
    >>> [is_loopback(host) for host in ("127.0.0.1", "[::1]", "localhost", "0.0.0.0", "")]
    [True, True, True, False, False]
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
