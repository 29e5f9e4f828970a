"""A server on this machine that hands out parts of files, counts what it sends, and can misbehave.

For tests, and for counting what a job fetches of a file far away.
"""

from __future__ import annotations

import re
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class RangeServer:
    """What is served, how, and what was asked for so far."""

    files: dict[str, bytes] = field(default_factory=dict)
    """By their paths, which begin with a slash."""
    has_ranges: bool = True
    """Whether parts can be asked for."""
    shift: int = 0
    """Bytes by which the place that is claimed for a part is wrong."""
    tells_version: bool = True
    """Whether answers have an entity tag."""
    misbehave: Callable[[int], str] = field(default=lambda times: "")
    """From how often the same was asked for before to what fails: a status code, or ``cut``."""
    asked: Counter[str] = field(default_factory=Counter)
    """How often each range was asked for."""
    password: str = ""
    """What the header Authorization must be, where anything."""
    requests: list[tuple[str, int, int]] = field(default_factory=list)
    """Path, first byte and number of bytes of each answer."""
    url: str = ""
    """Address of the folder above all files, without a slash behind."""

    @property
    def n_bytes(self) -> int:
        """Bytes that were sent."""
        return sum(length for _, _, length in self.requests)

    def forget(self) -> None:
        """Count from zero again."""
        self.requests.clear()
        self.asked.clear()


class _Handler(BaseHTTPRequestHandler):
    """Answers one request after the other."""

    protocol_version = "HTTP/1.1"
    served: RangeServer

    def do_GET(self) -> None:
        """Send a file, a part of it, or what goes wrong."""
        served, path = self.served, urlsplit(self.path).path
        key = f"{path} {self.headers.get('Range')}"
        fault = served.misbehave(served.asked[key])
        served.asked[key] += 1
        if fault and fault != "cut":
            self._refuse(int(fault), path)
            return
        if served.password and self.headers.get("Authorization") != served.password:
            self._refuse(401, path)
            return
        data = served.files.get(path)
        if data is None:
            self._refuse(404, path)
            return
        self._send(path, data, is_cut=fault == "cut")

    def _refuse(self, status: int, path: str) -> None:
        """Send a status code alone."""
        self.served.requests.append((path, 0, 0))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, path: str, data: bytes, *, is_cut: bool) -> None:
        """Send what was asked for, or half of it."""
        part, start, status = data, 0, 200
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if self.served.has_ranges and asked:
            first, last = asked.groups()  # a last one alone counts from the end
            start = int(first) if first else max(0, len(data) - int(last))
            part, status = data[start : int(last) + 1 if first and last else None], 206
        self.served.requests.append((path, start, len(part)))
        self.send_response(status)
        self.send_header("Content-Length", str(len(part)))
        if status == 206:
            start += self.served.shift
            last = start + len(part) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(data)}")
        if self.served.tells_version:
            self.send_header("ETag", f'"{hash(data)}"')
        self.end_headers()
        self.wfile.write(part[: len(part) // 2] if is_cut else part)
        if is_cut:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    """Says nothing when who asked has hung up, as is asked of it here."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Print no traceback of a broken connection; others are faults of the tests."""
        if not isinstance(sys.exception(), ConnectionError):
            raise


@contextmanager
def serve() -> Iterator[RangeServer]:
    """Serve on a free port of the loopback interface for as long as the block runs."""
    served = RangeServer()
    handler = type("Handler", (_Handler,), {"served": served})
    with answer_requests(handler) as served.url:
        yield served


@contextmanager
def answer_requests(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Answer requests on a free port of the loopback interface, of which the address is yielded."""
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
