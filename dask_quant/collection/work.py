"""What a task does to its images: count their colours, give each a palette, or relabel them.

An image that cannot be read is set aside with its reason and costs the job nothing else. The files
of a task get their names together at its end. A task that is run again, its worker having died,
writes the same bytes again.

The figures of a shared palette are those of the counted images. An image that is another, or gone,
when it is to be written would belie them, and ends the job.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
import zlib
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dask_quant.alpha_options import KEEP, AlphaRule
from dask_quant.collection.items import QUARANTINED, ImageRow, Item, show_text
from dask_quant.errors import DaskQuantError, JobError, PixelFormatError, SourceError
from dask_quant.events import ignore_event
from dask_quant.fit.fitting import fit_histogram, fit_painted
from dask_quant.fit_options import FitOptions
from dask_quant.flow import label_and_describe
from dask_quant.histogram import ColorHistogram, ImageCounter
from dask_quant.options import format_bytes
from dask_quant.sinks.label_file import encode_labels
from dask_quant.sources.addresses import hide_secrets, is_store_url, is_url
from dask_quant.sources.header import show_path
from dask_quant.sources.held import find_file, is_held, parse_held
from dask_quant.sources.image_file import fetch_file
from dask_quant.sources.reading import Origin, read_any_header, read_pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray

    from dask_quant.fit.palette_fit import PaletteFit
    from dask_quant.palette import Palette
    from dask_quant.sinks.batch_files import Batch, Place

    Limit = Callable[[Item, str | io.BytesIO], AbstractContextManager[object]]

COUNT, RELABEL, QUANTIZE = "count", "relabel", "quantize"
"""What a task does: count colours, relabel with one palette, or give each group its own."""

_KEPT_PIXELS = 1 << 24
"""Pixels of a group that stay in memory from the count on; those of others are read twice
(arbitrary: 50 MB)."""

_UNREADABLE = (SourceError, PixelFormatError)
"""What is raised for an image that is set aside."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Work:
    """What is to be done to images, the same for all tasks of a stage.

    It has no repr of its own: what a cluster writes into its logs holds no address.
    """

    action: str
    """`COUNT`, `RELABEL` or `QUANTIZE`."""
    run_id: str
    """Of the job that asks, so that its tasks can be told from those of others."""
    folder: str
    """Where relative paths start; a worker may have another working folder."""
    alpha: AlphaRule = KEEP
    """What becomes of transparency."""
    options: FitOptions = field(default_factory=FitOptions)
    """How to fit; of a ``palette``, the space alone is looked at."""
    dither: str = "none"
    """How labels are dithered."""
    suffix: str = ".png"
    """Suffix of the outputs."""
    palette: Palette | None = None
    """Palette to relabel with."""
    classes: Palette | None = None
    """Colours by which pixels are labelled, where those are others."""
    place: Place | None = None
    """Where outputs go."""
    max_pixels: int | None = None
    """Largest image that fits the memory limit; None: there is no limit."""
    memory_limit_bytes: int | None = None
    """That limit."""
    is_isolated: bool = False
    """Whether it is done in a process of its own, which an image may take down."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Done:
    """What a task did."""

    rows: tuple[ImageRow, ...] = ()
    """Of images that were written, or set aside."""
    checksums: tuple[tuple[str, int], ...] = ()
    """Id of every image that was counted, and the CRC-32 of its pixels."""
    n_seconds: float = 0.0
    """Wall seconds that it took."""
    histogram: ColorHistogram | None = None
    """Colours of all that were counted."""
    warned: tuple[tuple[str, str], ...] = ()
    """Category and words of each warning that a process of its own gave."""
    n_images: int = 0
    """Images of the task."""


def find_source(work: Work, item: Item) -> str:
    """Return where an image is read in this process."""
    return item.source if is_url(item.source) else os.path.join(work.folder, item.source)


def do_work(work: Work, items: Sequence[Item], limit: Limit | None = None) -> Done:
    """Do what a task is to do. **Eager**.

    Parameters
    ----------
    work : Work
        What.
    items : sequence of Item
        To which images; those of a group one after another.
    limit : callable, optional
        Given an image and its source, returns what limits memory and time while it is decoded.

    Raises
    ------
    JobError
        When an image is gone, or another, since it was counted.
    OutputError
        When an output cannot be written.
    """
    begin = time.perf_counter()
    actions = {COUNT: _count, RELABEL: _relabel, QUANTIZE: _quantize}
    reader = _Reader(work, limit or (lambda item, source: nullcontext()))
    done = actions[work.action](reader, items)
    return replace(done, n_seconds=time.perf_counter() - begin, n_images=len(items))


class _Image(NamedTuple):
    """An image that was read."""

    pixels: NDArray[np.uint8]
    """Its pixels."""
    source: str | io.BytesIO
    """Its path, or what was fetched from its address."""


@dataclass(frozen=True)
class _Reader:
    """Reads the images of a task."""

    work: Work
    """What is done."""
    limit: Limit
    """As in `do_work`."""

    def read(self, item: Item) -> _Image:
        """Return an image; raise one of `_UNREADABLE`."""
        path = find_source(self.work, item)
        source = _open_source(path)
        try:
            with self.limit(item, source):
                self._check_size(path, source)
                pixels = read_pixels(source, frame=item.frame, alpha=self.work.alpha)
        except MemoryError as error:
            message = f"Cannot read {show_path(path)}: it takes more memory than there is."
            raise SourceError(message) from error
        return _Image(pixels, source)

    def _check_size(self, path: str, source: str | io.BytesIO) -> None:
        """Raise `SourceError` for an image that does not fit the memory limit."""
        most = self.work.max_pixels
        if most is None:
            return
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


def set_aside(work: Work, item: Item, error: Exception, seconds: float = 0.0) -> ImageRow:
    """Return the row of an image that is set aside, in terms of the path that the user gave."""
    place, named = find_file(find_source(work, item)), find_file(item.source)
    reason = str(error).replace(show_path(place), show_path(named))
    return replace(
        _start_row(work, item), status=QUARANTINED, error=hide_secrets(reason), seconds=seconds
    )


def _start_row(work: Work, item: Item, source: str | io.BytesIO | None = None) -> ImageRow:
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


def _count(reader: _Reader, items: Sequence[Item]) -> Done:
    """Count the colours of images together."""
    counter, rows, checksums = ImageCounter(), [], []
    for item in items:
        begin = time.perf_counter()
        try:
            pixels = reader.read(item).pixels
        except _UNREADABLE as error:
            rows.append(reader.set_aside(item, error, time.perf_counter() - begin))
            continue
        counter.add(pixels)
        checksums.append((item.id, _checksum(pixels)))
    return Done(rows=tuple(rows), checksums=tuple(checksums), histogram=counter.finish())


def _checksum(pixels: NDArray[np.uint8]) -> int:
    """Return the CRC-32 of pixels and of their shape."""
    return zlib.crc32(pixels.data, zlib.crc32(repr(pixels.shape).encode()))


def _relabel(reader: _Reader, items: Sequence[Item]) -> Done:
    """Write images with the palette that all share."""
    work = reader.work
    assert work.palette is not None, "a palette was fitted, or given"
    rows = []
    with _open_files(work) as files:
        for item in items:
            begin = time.perf_counter()
            try:
                image = _read_counted(reader, item)
                histogram = ColorHistogram.from_pixels(image.pixels)
                fit = fit_painted(histogram, work.palette, work.classes, work.options.space)
                row = _write_image(work, item, image, (histogram, fit), files)
            except _UNREADABLE as error:
                row = reader.set_aside(item, error, 0)
            rows.append(replace(row, seconds=time.perf_counter() - begin))
    return Done(rows=tuple(rows))


def _read_counted(reader: _Reader, item: Item) -> _Image:
    """Return an image, with the pixels that were counted, where it was."""
    try:
        image = reader.read(item)
    except _UNREADABLE as error:
        if item.checksum is None:
            raise
        reason = reader.set_aside(item, error, 0).error or ""
        if is_url(item.source) and not isinstance(error, FileNotFoundError):
            raise JobError(_unread_message(reason)) from error
        raise JobError(_changed_message(item, reason)) from error
    if item.checksum is not None and _checksum(image.pixels) != item.checksum:
        raise JobError(_changed_message(item, "its pixels are others"))
    return image


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


def _quantize(reader: _Reader, items: Sequence[Item]) -> Done:
    """Write images with a palette for each group; those of no group are groups of their own."""
    rows: list[ImageRow] = []
    with _open_files(reader.work) as files:
        for _, group in groupby(items, key=_find_group):
            rows += _quantize_group(reader, list(group), files)
    return Done(rows=tuple(rows))


def _find_group(item: Item) -> str | int:
    """Return what is the same for images of one palette."""
    return item.position if item.group is None else item.group


@dataclass(frozen=True)
class _Found:
    """An image of a group that could be read."""

    item: Item
    """Which."""
    image: _Image | None
    """It; None where the group is too large to keep its pixels."""
    seconds: float
    """What it took to read."""


def _quantize_group(reader: _Reader, items: Sequence[Item], files: Batch) -> list[ImageRow]:
    """Write the images of one group, those that can be read, with a palette of their own."""
    counter = ImageCounter() if len(items) > 1 else None
    rows: list[ImageRow] = []
    found = list(_read_group(reader, items, counter, rows))
    if not found:
        return rows
    try:
        options = reader.work.options
        shared = None if counter is None else fit_histogram(counter.finish(), options, ignore_event)
    except _UNREADABLE as error:  # too few colours for those that classes are painted in
        return rows + [reader.set_aside(each.item, error, each.seconds) for each in found]
    for each in found:
        begin = time.perf_counter()
        try:
            row = _write_found(reader, each, shared, files)
        except _UNREADABLE as error:
            row = reader.set_aside(each.item, error, 0)
        rows.append(replace(row, seconds=each.seconds + time.perf_counter() - begin))
    return rows


def _write_found(
    reader: _Reader, found: _Found, shared: PaletteFit | None, files: Batch
) -> ImageRow:
    """Write an image of a group with the palette that it shares, or one of its own."""
    options = reader.work.options
    image = _read_counted(reader, found.item) if found.image is None else found.image
    histogram = ColorHistogram.from_pixels(image.pixels)
    if shared is None:
        fit = fit_histogram(histogram, options, ignore_event)
    else:
        fit = fit_painted(histogram, shared.palette, shared.classes, options.space)
    row = _write_image(reader.work, found.item, image, (histogram, fit), files)
    return replace(row, n_iter=(shared or fit).n_iter)


def _read_group(
    reader: _Reader, items: Sequence[Item], counter: ImageCounter | None, rows: list[ImageRow]
) -> Iterator[_Found]:
    """Yield the images of a group, counted together by ``counter``; add rows of the others."""
    n_pixels = 0
    for item in items:
        begin = time.perf_counter()
        try:
            image = reader.read(item)
        except _UNREADABLE as error:
            rows.append(reader.set_aside(item, error, time.perf_counter() - begin))
            continue
        if counter is not None:
            counter.add(image.pixels)
            item = item._replace(checksum=_checksum(image.pixels))
            n_pixels += image.pixels.size // image.pixels.shape[-1]
        kept = image if n_pixels <= _KEPT_PIXELS else None
        yield _Found(item, kept, time.perf_counter() - begin)


@contextmanager
def _open_files(work: Work) -> Iterator[Batch]:
    """Yield what writes the files of a task, which get their names when the block is done."""
    assert work.place is not None, "a task that writes is told where"
    files = work.place.open_batch()
    try:
        yield files
        files.commit()
    finally:
        files.close()


def _write_image(
    work: Work,
    item: Item,
    image: _Image,
    fitted: tuple[ColorHistogram, PaletteFit],
    files: Batch,
) -> ImageRow:
    """Write one image, of which colours and palette are given, and return its row."""
    histogram, fit = fitted
    is_shared = work.action == RELABEL
    labels, outcome, tally = label_and_describe(
        *(image.pixels, histogram, fit, work.dither), keeps_table=is_shared
    )
    written = work.palette if is_shared and work.palette is not None else fit.palette
    chunks = encode_labels(labels, written, Path(item.out), Origin(image.source))
    n_bytes = files.write(item.out, chunks)
    counts = outcome.palette.counts
    return replace(
        _start_row(work, item, image.source),
        output=show_text(item.out),
        width=image.pixels.shape[1],
        height=image.pixels.shape[0],
        digest=digest_source(image.source),
        n_unique_colors=outcome.n_unique_colors,
        n_colors=len(outcome.palette) if counts is None else int((counts > 0).sum()),
        mse=outcome.squared_error / outcome.n_pixels,
        output_bytes=n_bytes,
        squared_error=float(outcome.squared_error),
        inertia=float(outcome.inertia),
        mean_color_error=float(outcome.mean_color_error),
        label_counts=tuple(tally.counts.tolist()) if tally is not None and is_shared else None,
    )
