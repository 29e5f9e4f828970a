"""Parts of objects in stores that fsspec opens: S3, and others like it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from dask_quant.errors import DaskQuantError, SourceError, SourceNotFoundError
from dask_quant.sources.file_systems import open_file_system
from dask_quant.sources.header import show_cause, show_path
from dask_quant.sources.remote_glimpse import (
    ATTEMPTS,
    FIRST_WAIT_S,
    START_BYTES,
    Glimpse,
    refuse_changed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Result = TypeVar("Result")

_VERSIONS = ("ETag", "etag", "generation", "md5Hash", "LastModified", "mtime", "created")
"""What stores call that which changes with an object, the surest first."""


def look(url: str) -> Glimpse:
    """Return the size, the version and the first bytes of an object.

    Raises
    ------
    SourceNotFoundError, SourceError
        When it is not there, or cannot be read.
    """
    return _insist(url, lambda: _look(url))


def fetch(url: str, spans: Sequence[tuple[int, int]], known: Glimpse) -> list[bytes]:
    """Return the bytes of spans of an object.

    Raises
    ------
    SourceNotFoundError, SourceError
        When it is gone, is no longer the one that is ``known``, or cannot be read.
    """
    return _insist(url, lambda: _fetch(url, spans, known))


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
    version = next((str(info[key]) for key in _VERSIONS if info.get(key)), "")
    return int(info["size"]), version


def _insist(url: str, read: Callable[[], Result]) -> Result:
    """Return what ``read`` does, called again where it fails for what may pass."""
    name = show_path(url)
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(FIRST_WAIT_S * 2 ** (attempt - 1))
        try:
            return read()
        except DaskQuantError:
            raise
        except FileNotFoundError:
            message = f"Cannot read {name}: there is no such file."
            raise SourceNotFoundError(message) from None
        except PermissionError:
            message = f"Cannot read {name}: permission denied."
            raise SourceError(message) from None
        except OSError as error:
            reason = show_cause(error)
        except Exception as error:  # libraries of stores raise types of their own
            message = f"Cannot read {name}: {show_cause(error)}."
            raise SourceError(message) from None
    message = f"Cannot read {name}: {reason}, also when asked {ATTEMPTS} times; try again later."
    raise SourceError(message)
