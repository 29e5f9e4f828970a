"""What is known of a file far away once it was looked at, and why reading it ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from dask_quant.errors import SourceError
from dask_quant.options import format_bytes
from dask_quant.sources.header import show_path

START_BYTES = 1 << 16
"""Bytes that are fetched with the first look: headers of most files (arbitrary)."""

ATTEMPTS = 5
FIRST_WAIT_S = 0.25
"""How often a server is asked, and what is waited before it is asked again (arbitrary)."""

MAX_WHOLE_BYTES = 1 << 28
"""Most bytes of a file that is held as a whole (arbitrary)."""


@dataclass(frozen=True)
class Glimpse:
    """Size, version and first bytes of a file."""

    n_bytes: int
    """Its size."""
    version: str
    """What changes with the file: its entity tag, or when it was last written; empty: nothing."""
    start: bytes = field(repr=False)
    """Its first bytes, at most `START_BYTES`; all of them where parts cannot be had."""
    has_ranges: bool = True
    """Whether parts of it can be had."""

    def is_same(self, other: Glimpse) -> bool:
        """Return whether both are of the same file, as far as is known."""
        return (self.n_bytes, self.version) == (other.n_bytes, other.version)


def refuse_changed(url: str) -> NoReturn:
    """Raise `SourceError` for a file that is no longer the one that was looked at."""
    message = (
        f"Cannot read {show_path(url)}: it was changed after it was opened; leave it unchanged "
        "until the job is done."
    )
    raise SourceError(message)


def refuse_whole(url: str, n_bytes: int | None) -> None:
    """Raise `SourceError` for a file that is read as a whole, if it is not known to be small."""
    if n_bytes is not None and n_bytes <= MAX_WHOLE_BYTES:
        return
    size = "an unknown number of bytes" if n_bytes is None else format_bytes(n_bytes)
    message = (
        f"Cannot read {show_path(url)}: it has {size}, and can only be read as a whole, which is "
        f"done up to {format_bytes(MAX_WHOLE_BYTES)}; download it first."
    )
    raise SourceError(message)
