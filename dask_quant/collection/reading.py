"""How a task reads its images, and what is said of one that cannot be read."""

from __future__ import annotations

import hashlib
import io
import os
import time
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from dask_quant.collection.items import Item, show_text
from dask_quant.collection.task import Work, find_source
from dask_quant.errors import DaskQuantError, JobError, PixelFormatError, SourceError
from dask_quant.image_rows import QUARANTINED, ImageRow
from dask_quant.options import format_bytes
from dask_quant.sources.addresses import hide_secrets, is_store_url, is_url
from dask_quant.sources.header import show_path
from dask_quant.sources.held import find_file, is_held, parse_held
from dask_quant.sources.image_file import fetch_file
from dask_quant.sources.reading import read_any_header, read_pixels

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray

    Limit = Callable[[Item, str | io.BytesIO], AbstractContextManager[int | None]]

UNREADABLE = (SourceError, PixelFormatError)
"""What is raised for an image that is set aside."""


class ReadImage(NamedTuple):
    """An image that was read."""

    pixels: NDArray[np.uint8]
    """Its pixels."""
    source: str | io.BytesIO
    """Its path, or what was fetched from its address."""


@dataclass(frozen=True)
class ImageReader:
    """Reads the images of a task."""

    work: Work
    """What is done."""
    limit: Limit
    """As in `do_work`."""

    def read(self, item: Item) -> ReadImage:
        """Return an image; raise one of `UNREADABLE`."""
        path = find_source(self.work, item)
        source = _open_source(path)
        try:
            with self.limit(item, source) as n_pixels:
                self._check_size(path, source, n_pixels)
                pixels = read_pixels(source, frame=item.frame, alpha=self.work.alpha)
        except MemoryError as error:
            message = f"Cannot read {show_path(path)}: it takes more memory than there is."
            raise SourceError(message) from error
        return ReadImage(pixels, source)

    def read_counted(self, item: Item) -> ReadImage:
        """Return an image, with the pixels that were counted, where it was.

        Raises
        ------
        JobError
            When it was counted, and cannot be read any more, or is another.
        """
        try:
            image = self.read(item)
        except UNREADABLE as error:
            if item.checksum is None:
                raise
            reason = self.set_aside(item, error, 0).error or ""
            if is_url(item.source) and not isinstance(error, FileNotFoundError):
                raise JobError(_unread_message(reason)) from error
            raise JobError(_changed_message(item, reason)) from error
        if item.checksum is not None and checksum_pixels(image.pixels) != item.checksum:
            raise JobError(_changed_message(item, "its pixels are others"))
        return image

    def _check_size(self, path: str, source: str | io.BytesIO, n_pixels: int | None) -> None:
        """Raise `SourceError` for an image that does not fit the memory limit.

        ``n_pixels`` are those by its header; None: it was not looked at.
        """
        most = self.work.max_pixels
        if most is None:
            return
        if n_pixels is None:
            n_pixels = read_any_header(source).n_pixels
        if n_pixels > most:
            limit = format_bytes(self.work.memory_limit_bytes or 0)
            message = (
                f"Cannot read {show_path(path)}: it has {n_pixels:,} pixels, of which a memory "
                f"limit of {limit} allows {most:,} in an image of a collection; raise it, or "
                "write this image by itself."
            )
            raise SourceError(message)

    def set_aside(self, item: Item, error: Exception, seconds: float) -> ImageRow:
        """Return the row of an image that cannot be read."""
        return set_aside(self.work, item, error, seconds)


def _unread_message(reason: str) -> str:
    """Return the message for an image far away that was read before, and cannot be any more."""
    return (
        f"{reason} Its colours were counted before: go on with --resume once it can be read as it "
        "was, or start again with --overwrite."
    )


def _changed_message(item: Item, how: str) -> str:
    """Return the message for an image that is not what was counted."""
    return (
        f"{show_path(item.source)} changed after its colours were counted ({how.rstrip('.')}); "
        "leave the images unchanged until the job is done, and start it again with --overwrite."
    )


def checksum_pixels(pixels: NDArray[np.uint8]) -> int:
    """Return the CRC-32 of pixels and of their shape."""
    return zlib.crc32(pixels.data, zlib.crc32(repr(pixels.shape).encode()))


def set_aside(work: Work, item: Item, error: Exception, seconds: float = 0.0) -> ImageRow:
    """Return the row of an image that is set aside, in terms of the path that the user gave."""
    place, named = find_file(find_source(work, item)), find_file(item.source)
    reason = str(error).replace(show_path(place), show_path(named))
    return replace(
        start_row(work, item), status=QUARANTINED, error=hide_secrets(reason), seconds=seconds
    )


def start_row(work: Work, item: Item, source: str | io.BytesIO | None = None) -> ImageRow:
    """Return a row with what is known of an image before it is written."""
    source = find_source(work, item) if source is None else source
    return ImageRow(
        path=show_text(hide_secrets(item.source)),
        frame=item.frame,
        group=item.group,
        input_bytes=_count_bytes(source),
        modified=item.modified,
        finished=round(time.time(), 3),
        id=item.id,
    )


def _open_source(path: str) -> str | io.BytesIO:
    """Return a path as it is; of an address what is there, of an image in a file its bytes."""
    is_fetched = is_held(path) or (is_url(path) and not is_store_url(path))
    return fetch_file(path) if is_fetched else path


def _count_bytes(source: str | io.BytesIO) -> int | None:
    """Return the bytes of a file; of a store, those of all its files; None when it is gone."""
    if isinstance(source, io.BytesIO):
        return source.getbuffer().nbytes
    held = parse_held(source)
    if held is not None:
        return max(0, held.size)
    try:
        if os.path.isdir(source):
            return read_any_header(source).input_bytes
        return None if is_url(source) else os.stat(source).st_size
    except (OSError, ValueError, DaskQuantError):
        return None


def digest_source(source: str | io.BytesIO) -> str | None:
    """Return the SHA-256 of a file of this machine, or of one in memory; None for what is none."""
    if isinstance(source, io.BytesIO):
        return f"sha256:{hashlib.sha256(source.getbuffer()).hexdigest()}"
    if is_url(source) or not os.path.isfile(source):
        return None
    with open(source, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
