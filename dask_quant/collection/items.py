"""One image of a collection: what a task is told of it."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

_ID_BYTES = 10
"""Bytes of what an image is known by: among a million, two are the same once in 10^12 jobs."""


class Item(NamedTuple):
    """One image of a collection."""

    position: int
    """Place in the collection, from 0."""
    id: str
    """What it is known by from run to run."""
    source: str
    """Where it is read, as the user named it."""
    out: str
    """Path of its output below OUT, with slashes."""
    frame: int = 0
    """Which frame of an animation."""
    modified: str | None = None
    """When it was changed last, as its store tells: nanoseconds, or an ETag."""
    group: str | None = None
    """Which palette it gets, where there are several; None: that of all."""
    checksum: int | None = None
    """Of its pixels when they were counted; None: they were not."""
    waiting: str | None = None
    """Path that it is written to until it is packed into a shard, as whose member ``out`` names it;
    None: it is written to ``out``."""

    @property
    def target(self) -> str:
        """Path that a task writes it to."""
        return self.out if self.waiting is None else self.waiting


def make_id(identity: str, frame: int) -> str:
    """Return what an image is known by from run to run, which gives nothing of it away.

    ``identity`` is its absolute path, or its address without secrets.

    Examples
    --------
    >>> make_id("/photos/a.png", 0) == make_id("/photos/a.png", 1)
    False
    """
    data = identity.encode("utf-8", "surrogateescape") + f"\0{frame}".encode()
    return hashlib.blake2b(data, digest_size=_ID_BYTES).hexdigest()


def show_text(text: str) -> str:
    r"""Return a path in characters that every reader of the manifest takes.

    Examples
    --------
    >>> show_text("caf\udce9.png"), show_text("a b.png")
    ('caf\\udce9.png', 'a b.png')
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
