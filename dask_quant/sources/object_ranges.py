"""Parts of objects in stores that fsspec opens: S3, and others like it."""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING, Any, TypeVar

from dask_quant.errors import DaskQuantError, SourceError, SourceNotFoundError
from dask_quant.sources.addresses import hide_login
from dask_quant.sources.file_systems import open_file_system
from dask_quant.sources.header import show_cause, show_path
from dask_quant.sources.remote_glimpse import (
    ATTEMPTS,
    FIRST_WAIT_S,
    MAX_WHOLE_BYTES,
    START_BYTES,
    Glimpse,
    refuse_changed,
    refuse_whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Result = TypeVar("Result")

_VERSIONS = ("ETag", "etag", "generation", "md5Hash", "LastModified", "mtime", "created")
"""What stores call that which changes with an object, the surest first."""

_MOST_BYTES = 1 << 43
"""More than an object of S3 can have."""

_PASSING = frozenset({"HTTPClientError", "ClientPayloadError", "IncompleteReadError"})
"""Errors of botocore and aiohttp that are no `OSError`: broken connections, silence."""


def look(url: str) -> Glimpse:
    """Return the size, the version and the first bytes of an object.

    Raises
    ------
    SourceNotFoundError, SourceError
        When it is not there, or cannot be read.
    """
    return insist(url, lambda: _look(url))


def fetch(url: str, spans: Sequence[tuple[int, int]], known: Glimpse) -> list[bytes]:
    """Return the bytes of spans of an object.

    Raises
    ------
    SourceNotFoundError, SourceError
        When it is gone, is no longer the one that is ``known``, or cannot be read.
    """
    return insist(url, lambda: _fetch(url, spans, known))


def fetch_whole(url: str) -> bytes:
    """Return all bytes of an object, by one request, if they are not too many.

    Raises
    ------
    SourceNotFoundError, SourceError
        When they are, or it is not there, or cannot be read.
    """
    data = insist(url, lambda: _fetch_whole(url))
    if not data:
        message = f"Cannot read {show_path(url)}: the file is empty."
        raise SourceError(message)
    refuse_whole(url, len(data))
    return data


def _fetch_whole(url: str) -> bytes:
    """Return the bytes of an object, but of one that is too large only some."""
    return read_start(*open_file_system(url), MAX_WHOLE_BYTES + 1)


def read_start(file_system: Any, path: str, n_bytes: int) -> bytes:
    """Return an object, or so many of its first bytes, by one request."""
    try:
        data: bytes = file_system.cat_file(path, start=0, end=n_bytes)
    except OSError as error:
        if error.errno == errno.EINVAL and "range" in str(error):  # S3: no part of nothing
            return b""
        raise
    return data


def read_object(file_system: Any, path: str) -> bytes:
    """Return an object, however large, by one request."""
    if hasattr(file_system, "call_s3"):  # it asks for the size first where all is asked for
        return read_start(file_system, path, _MOST_BYTES)
    data: bytes = file_system.cat_file(path)
    return data


def _look(url: str) -> Glimpse:
    """Return what `look` does."""
    file_system, path = open_file_system(url)
    n_bytes, version = _describe(file_system, path, url)
    start = file_system.cat_file(path, start=0, end=START_BYTES) if n_bytes else b""
    return Glimpse(n_bytes, version, start)


def _fetch(url: str, spans: Sequence[tuple[int, int]], known: Glimpse) -> list[bytes]:
    """Return what `fetch` does; the object is looked at again once its bytes are there."""
    file_system, path = open_file_system(url)
    starts, stops = [start for start, _ in spans], [stop for _, stop in spans]
    parts: list[bytes] = file_system.cat_ranges(
        [path] * len(spans), starts, stops, on_error="raise"
    )
    is_whole = all(
        len(part) == stop - start for part, (start, stop) in zip(parts, spans, strict=True)
    )
    if not is_whole or _describe(file_system, path, url) != (known.n_bytes, known.version):
        refuse_changed(url)
    return parts


def _describe(file_system: Any, path: str, url: str) -> tuple[int, str]:
    """Return the size and the version of an object as it is now."""
    file_system.invalidate_cache()
    info = file_system.info(path)
    if info.get("type") == "directory" or info.get("size") is None:
        message = f"Cannot read {show_path(url)}: it is a folder, and an image file is needed."
        raise SourceError(message)
    return int(info["size"]), find_version(info)


def find_version(info: Mapping[str, Any]) -> str:
    """Return what changes with an object, of what its store tells; empty: nothing."""
    return next((str(info[key]) for key in _VERSIONS if info.get(key)), "")


def insist(
    url: str,
    act: Callable[[], Result],
    *,
    verb: str = "read",
    family: type[DaskQuantError] = SourceError,
) -> Result:
    """Return what ``act`` does, called again where it fails for what may pass.

    Parameters
    ----------
    url : str
        What it is about; messages name it without names, passwords and queries.
    act : callable
        Asks a store once.
    verb : str, default "read"
        What ``act`` tries to do, for messages.
    family : type, default SourceError
        What is raised when it cannot be done.

    Raises
    ------
    SourceNotFoundError
        When there is no such file, and ``family`` is `SourceError`.
    DaskQuantError
        Of ``family``, when it fails for good, or again and again.
    """
    intent = f"Cannot {verb} {show_path(url)}"
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(FIRST_WAIT_S * 2 ** (attempt - 1))
        try:
            return act()
        except DaskQuantError:
            raise
        except FileNotFoundError:
            missing = SourceNotFoundError if family is SourceError else family
            what = "file" if family is SourceError else "bucket or folder"
            raise missing(f"{intent}: there is no such {what}.") from None
        except PermissionError as error:  # stores say why: a token that expired, a policy
            reason = hide_login(show_cause(error), url)
            raise family(f"{intent}: permission denied ({reason}).") from None
        except Exception as error:  # libraries of stores raise types of their own
            reason = hide_login(show_cause(error), url)
            if not _may_pass(error):
                raise family(f"{intent}: {reason}.") from None
    message = f"{intent}: {reason}, also when asked {ATTEMPTS} times; try again later."
    raise family(message)


def _may_pass(error: Exception) -> bool:
    """Return whether what failed may go well the next time."""
    names = {each.__name__ for each in type(error).__mro__}
    return isinstance(error, OSError) or not _PASSING.isdisjoint(names)
