"""A store that speaks S3 on this machine, behind a door that can misbehave.

For tests, and for counting what a job asks of a store far away.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from range_server import answer_requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECRET = "canary-7d1f0b"
"""The secret key that clients sign with."""

_SLOW_S = 0.05
"""Seconds that a slow answer takes longer."""


@dataclass
class S3Server:
    """What was asked of the store so far, and what goes wrong."""

    url: str
    """Address of the door."""
    client: Any
    """What puts objects past the door."""
    misbehave: Callable[[str, str, int], str] = field(default=lambda method, path, times: "")
    """From a method, a path and how often that was asked before to what fails: a status code,
    ``slow``, ``cut`` (half an answer), or ``lost`` (it is done, and no answer comes)."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path with its query, of every request."""
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often each was asked."""
    busy: threading.Condition = field(default_factory=threading.Condition)
    """Told when a request was answered."""
    n_busy: int = 0
    """Requests that are being answered."""

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which clients find the door, and know how to sign."""
        return {
            "AWS_ACCESS_KEY_ID": "me",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_MAX_ATTEMPTS": "1",  # whoever tries again is who is tested
        }

    def clear(self) -> None:
        """Remove all objects, behave, and count from zero again."""
        for key in self.list_keys():
            self.client.delete_object(Bucket="scans", Key=key)
        self.misbehave = lambda method, path, times: ""
        self.forget()

    def put(self, *keys: str, data: bytes = b"x") -> None:
        """Put objects into the bucket ``scans``."""
        for key in keys:
            self.client.put_object(Bucket="scans", Key=key, Body=data)

    def list_keys(self) -> list[str]:
        """Return the keys in the bucket ``scans``, as another client lists them."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket="scans")
        return [each["Key"] for page in pages for each in page.get("Contents", ())]

    def read(self, key: str) -> bytes:
        """Return an object in the bucket ``scans``, as another client reads it."""
        return self.client.get_object(Bucket="scans", Key=key)["Body"].read()

    def count(self, method: str, part: str) -> int:
        """Return how often was asked, by a method, for what has a text in its path or query."""
        return sum(method == asked and part in path for asked, path in list(self.requests))

    def settle(self) -> None:
        """Wait until all that was asked is answered, by whoever is gone as well."""
        with self.busy:
            self.busy.wait_for(lambda: self.n_busy == 0)

    def forget(self) -> None:
        """Count from zero again."""
        self.requests.clear()
        self.asked.clear()


class _Door(BaseHTTPRequestHandler):
    """Passes requests on, or does what goes wrong."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a body waits until its headers are acknowledged
    served: S3Server
    host: str
    """Where the store is."""

    def answer(self) -> None:
        """Answer one request."""
        with self.served.busy:
            self.served.n_busy += 1
        try:
            self._answer()
        finally:
            with self.served.busy:
                self.served.n_busy -= 1
                self.served.busy.notify_all()

    def _answer(self) -> None:
        """Do what `answer` does."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        key = (self.command, urlsplit(self.path).path)
        fault = self.served.misbehave(*key, self.served.asked[key])
        self.served.requests.append((self.command, self.path))
        self.served.asked[key] += 1
        if fault.isdigit():
            self._send(int(fault), {}, b"", len(b""))
            return
        if fault == "slow":
            time.sleep(_SLOW_S)
        status, headers, data = self._pass_on(body)
        if fault == "lost":
            self.close_connection = True
            return
        self._send(status, headers, data[: len(data) // 2] if fault == "cut" else data, len(data))
        self.close_connection = fault == "cut"

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

    def _pass_on(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Return what the store answers."""
        connection = http.client.HTTPConnection(self.host)
        connection.request(self.command, self.path, body, dict(self.headers))
        response = connection.getresponse()
        data = response.read()
        headers = {name.lower(): value for name, value in response.getheaders()}
        connection.close()
        if self.command == "HEAD":
            return response.status, headers, b""
        headers.pop("content-length", None)
        return response.status, headers, data

    def _send(self, status: int, headers: dict[str, str], data: bytes, n_bytes: int) -> None:
        """Send an answer, or its beginning."""
        self.send_response_only(status)
        for name, value in headers.items():
            if name not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        if "content-length" not in headers:
            self.send_header("Content-Length", str(n_bytes))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serve() -> Iterator[S3Server]:
    """Serve an empty bucket ``scans`` on a free port of the loopback interface."""
    import boto3
    from moto.server import ThreadedMotoServer

    store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    host = "{}:{}".format(*store.get_host_and_port())
    login = {"aws_access_key_id": "me", "aws_secret_access_key": SECRET}
    client = boto3.client("s3", endpoint_url=f"http://{host}", region_name="us-east-1", **login)
    client.create_bucket(Bucket="scans")
    served = S3Server("", client)
    handler = type("Door", (_Door,), {"served": served, "host": host})
    try:
        with answer_requests(handler) as served.url:
            yield served
    finally:
        store.stop()
