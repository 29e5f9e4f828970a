"""What addresses are opened with: fsspec, and what it needs for a scheme, which is optional.

Options come from fsspec's own settings: its configuration files, and environment variables such as
``FSSPEC_S3_ANON=true``; credentials from where each library looks for them.
"""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from typing import Any

import fsspec
from fsspec.config import conf

from dask_quant.errors import SourceError
from dask_quant.sources.addresses import WEB_SCHEMES, is_web
from dask_quant.sources.header import show_cause, show_path

_EXTRAS = {**dict.fromkeys(WEB_SCHEMES, "http"), **dict.fromkeys(("s3", "s3a"), "s3")}
"""The extra of this package that brings what a scheme needs."""

_MAX_KEPT = 16
"""Addresses whose file systems are kept (arbitrary); most share one, with its connections."""

_lock = threading.Lock()
# A process that is forked while another thread holds it would wait for ever.
os.register_at_fork(
    before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
)


def open_file_system(url: str) -> tuple[Any, str]:
    """Return the file system of an address, and its path there.

    Raises
    ------
    SourceError
        When the scheme is not known, or a package that it needs is missing.
    """
    with _lock:  # else threads would open connections of their own
        return _open(url, os.getpid())


@lru_cache(maxsize=_MAX_KEPT)
def _open(url: str, process: int) -> tuple[Any, str]:
    """Return what `open_file_system` does, for one process: connections do not survive a fork."""
    scheme = _find_scheme(url)
    try:
        return fsspec.url_to_fs(url, **find_options(url))  # type: ignore[no-any-return]
    except ImportError as error:
        raise SourceError(name_package(url, error)) from None
    except ValueError:
        message = (
            f"Got the address {show_path(url)} of the scheme {scheme!r}, which is not known; "
            "https, s3 and others that fsspec opens are."
        )
        raise SourceError(message) from None


def name_package(url: str, error: ImportError) -> str:
    """Return the message for an address that cannot be read since a package is missing."""
    extra = _EXTRAS.get(_find_scheme(url))
    way_out = f'pip install "dask-quant[{extra}]"' if extra else f"see: {show_cause(error)}"
    return f"Got the address {show_path(url)}, which needs another package; {way_out}."


def _find_scheme(url: str) -> str:
    """Return what an address begins with."""
    return url.partition("://")[0].lower()


def find_options(url: str) -> dict[str, Any]:
    """Return what is said to a file system where the user's settings say nothing else."""
    scheme = _find_scheme(url)
    if not is_web(url):
        return {}
    # Proxies of the environment, as curl and pip take them.
    return {"client_kwargs": {"trust_env": True} | conf.get(scheme, {}).get("client_kwargs", {})}
