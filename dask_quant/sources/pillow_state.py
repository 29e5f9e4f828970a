"""Pillow's process-wide state, borrowed while images are read, on any number of threads."""

from __future__ import annotations

import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PIXELS = 2**29
"""Most pixels of a file that is decoded as a whole: Pillow needs 4 bytes for each, 2 GiB here."""

_MODULE = r"PIL(\.|$)"
_lock = threading.Lock()
_n_readers = 0
_saved_limit: int | None = None


@contextmanager
def borrow_pillow() -> Iterator[None]:
    """Raise Pillow's pixel limit to `MAX_PIXELS` and silence its warnings inside the block.

    Both are global to the process: the first of several readers that overlap sets them, the last
    one puts them back. ``warnings.catch_warnings`` would do neither: when two threads overlap in
    it, each restores what the other had set.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    """Count one more reader; the first one sets the state."""
    global _n_readers, _saved_limit
    with _lock:
        if _n_readers == 0:
            _saved_limit = Image.MAX_IMAGE_PIXELS
            Image.MAX_IMAGE_PIXELS = MAX_PIXELS
        warnings.filterwarnings("ignore", module=_MODULE)  # moves to the front, is never doubled
        _n_readers += 1


def _leave() -> None:
    """Count one reader less; the last one puts the state back, unless someone else changed it."""
    global _n_readers
    with _lock:
        _n_readers -= 1
        if _n_readers:
            return
        if Image.MAX_IMAGE_PIXELS == MAX_PIXELS:
            Image.MAX_IMAGE_PIXELS = _saved_limit
        warnings.filters = [entry for entry in warnings.filters if not _is_ours(entry)]


def _is_ours(entry: tuple[object, ...]) -> bool:
    """Return whether a warning filter is the one that `_enter` sets."""
    return entry[0] == "ignore" and getattr(entry[3], "pattern", entry[3]) == _MODULE
