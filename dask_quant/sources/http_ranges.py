"""Parts of files by HTTP: each answer is checked to be of the same file as the one before.

A server that breaks off, or answers that it cannot now, is asked again, each time after twice as
long. Text of libraries is not passed on, for there are addresses in it.

References
----------
RFC 9110, "HTTP Semantics", 2022: sections 8.8 (validators), 14 (range requests), 15 (status codes).
"""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fsspec.asyn import sync

from dask_quant.errors import SourceError, SourceNotFoundError
from dask_quant.sources.file_systems import open_file_system
from dask_quant.sources.header import show_path
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
    from collections.abc import AsyncIterator, Sequence

    from aiohttp import ClientResponse

_AT_ONCE = 8
"""Requests that are under way at a time for one task (arbitrary; browsers have six for a host)."""

_CONNECT_S, _SILENCE_S = 30.0, 60.0
"""Seconds that a server may take to be reached, and to send some more (arbitrary)."""

_OK, _PART = 200, 206
_NOT_FOUND, _DENIED, _BEYOND_END = (404, 410), (401, 403, 407), 416
_LATER = (408, 425, 429)
"""Status codes that may be others the next time, beside all from 500 on."""


class _PassingError(Exception):
    """What may go well the next time; never leaves this module."""


@dataclass(frozen=True)
class _Answer:
    """What a server sent."""

    glimpse: Glimpse
    """What it says of the file."""
    data: bytes
    """The bytes asked for, or all of them."""


def look(url: str) -> Glimpse:
    """Return the size, the version and the first bytes of a file, by one request.

    Raises
    ------
    SourceNotFoundError, SourceError
        When it is not there, or cannot be read.
    """
    file_system, _ = open_file_system(url)
    answer: _Answer = sync(file_system.loop, _ask, file_system, url, (0, START_BYTES))
    return answer.glimpse


def fetch(url: str, spans: Sequence[tuple[int, int]], known: Glimpse) -> list[bytes]:
    """Return the bytes of spans of a file, several requests at a time.

    Raises
    ------
    SourceNotFoundError, SourceError
        When it is gone, is no longer the one that is ``known``, or cannot be read.
    """
    file_system, _ = open_file_system(url)
    parts: list[bytes] = sync(file_system.loop, _fetch_all, file_system, url, spans, known)
    return parts


def fetch_whole(url: str) -> bytes:
    """Return all bytes of a file, by one request, if they are not too many.

    Raises
    ------
    SourceNotFoundError, SourceError
        When they are, or it is not there, or cannot be read.
    """
    file_system, _ = open_file_system(url)
    answer: _Answer = sync(file_system.loop, _ask, file_system, url, (0, MAX_WHOLE_BYTES))
    refuse_whole(url, answer.glimpse.n_bytes)
    return answer.data


async def _fetch_all(
    file_system: Any, url: str, spans: Sequence[tuple[int, int]], known: Glimpse
) -> list[bytes]:
    """Return the bytes of all spans."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def fetch_one(span: tuple[int, int]) -> bytes:
        async with gate:
            answer = await _ask(file_system, url, span)
        if not answer.glimpse.is_same(known) or len(answer.data) != span[1] - span[0]:
            refuse_changed(url)
        return answer.data

    return await asyncio.gather(*map(fetch_one, spans))


async def _ask(file_system: Any, url: str, span: tuple[int, int]) -> _Answer:
    """Ask for a span until there is an answer, or it was asked often enough."""
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            await asyncio.sleep(FIRST_WAIT_S * 2 ** (attempt - 1))
        try:
            return await _ask_once(file_system, url, span)
        except _PassingError as error:
            reason = str(error)
    message = (
        f"Cannot read {show_path(url)}: {reason}, also when asked {ATTEMPTS} times; try again "
        "later."
    )
    raise SourceError(message)


async def _ask_once(file_system: Any, url: str, span: tuple[int, int]) -> _Answer:
    """Ask for a span."""
    async with _get(file_system, url, span) as response:
        _check_status(response.status, url)
        version = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        if response.status == _PART:
            n_bytes = _check_place(response, span, url)
            data = await response.read()
            start = data if span[0] == 0 else b""
            return _Answer(Glimpse(n_bytes, version, start), data)
        if span[0] > 0:
            refuse_changed(url)
        refuse_whole(url, response.content_length)
        data = await response.read()
        refuse_whole(url, len(data))
        return _Answer(Glimpse(len(data), version, data, has_ranges=False), data)


@asynccontextmanager
async def _get(file_system: Any, url: str, span: tuple[int, int]) -> AsyncIterator[ClientResponse]:
    """Open the answer to a request; what libraries raise while it is read becomes ours."""
    import aiohttp

    options = dict(file_system.kwargs)
    headers = options.pop("headers", {}) | {
        "Range": f"bytes={span[0]}-{span[1] - 1}",
        "Accept-Encoding": "identity",
    }
    timeout = aiohttp.ClientTimeout(sock_connect=_CONNECT_S, sock_read=_SILENCE_S)
    try:
        session = await file_system.set_session()
        place = file_system.encode_url(url)
        async with session.get(
            place, **{"timeout": timeout} | options, headers=headers
        ) as response:
            yield response
    except aiohttp.ClientSSLError:  # some of its kinds are a ValueError
        message = (
            f"Cannot read {show_path(url)}: there is no secure connection; the server has no "
            "certificate that is trusted, or speaks no TLS."
        )
        raise SourceError(message) from None
    except (aiohttp.InvalidURL, ValueError):
        message = f"Got the address {show_path(url)}, which is none."
        raise SourceError(message) from None
    except (SourceError, _PassingError):
        raise
    except TimeoutError:
        message = "the server does not answer"
        raise _PassingError(message) from None
    except aiohttp.ClientConnectorError:
        message = "the server cannot be reached"
        raise _PassingError(message) from None
    except (aiohttp.ClientError, OSError):
        message = "the connection breaks off"
        raise _PassingError(message) from None


def _check_status(status: int, url: str) -> None:
    """Raise unless a status code comes with bytes."""
    if status in (_OK, _PART):
        return
    if status in _LATER or status >= 500:
        message = f"the server answers {status}"
        raise _PassingError(message)
    name = show_path(url)
    if status in _NOT_FOUND:
        message = f"Cannot read {name}: there is no such file (the server answers {status})."
        raise SourceNotFoundError(message)
    reasons = {**dict.fromkeys(_DENIED, "permission denied"), _BEYOND_END: "the file is empty"}
    reason = reasons.get(status, "it was refused")
    message = f"Cannot read {name}: {reason} (the server answers {status})."
    raise SourceError(message)


def _check_place(response: ClientResponse, span: tuple[int, int], url: str) -> int:
    """Return the size of the file of which a server sent the part that was asked for."""
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", response.headers.get("Content-Range", ""))
    if found is None or int(found[1]) != span[0] or int(found[2]) >= span[1]:
        message = (
            f"Cannot read {show_path(url)}: the server sends another part of it than it was asked "
            "for; download it first."
        )
        raise SourceError(message)
    return int(found[3])
