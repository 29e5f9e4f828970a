"""What a task does to its images: count their colours, give each a palette, or relabel them.

Where a palette has to meet a target for every image of a group, a group of which it does not is
left as it is, nothing of it written, and the task says of which images it does.

An image that cannot be read is set aside with its reason and costs the job nothing else. The files
of a task get their names together at its end. A task that is run again, its worker having died,
writes the same bytes again.

The figures of a shared palette are those of the counted images. An image that is another, or gone,
when it is to be written would belie them, and ends the job.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from dask_quant.collection.family_work import measure_images, meets_budget, summarize_images
from dask_quant.collection.items import Item, show_text
from dask_quant.collection.reading import (
    UNREADABLE,
    ImageReader,
    ReadImage,
    checksum_pixels,
    digest_source,
    start_row,
)
from dask_quant.collection.task import (
    COUNT,
    MEASURE,
    QUANTIZE,
    RELABEL,
    SUMMARIZE,
    CountedImage,
    Done,
    Verdict,
    Work,
)
from dask_quant.events import ignore_event
from dask_quant.fit.fitting import fit_histogram, fit_painted
from dask_quant.fit.target import meets
from dask_quant.flow import label_and_describe
from dask_quant.histogram import ColorHistogram, ImageCounter
from dask_quant.sinks.label_file import encode_labels
from dask_quant.sources.reading import Origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dask_quant.collection.reading import Limit
    from dask_quant.fit.palette_fit import PaletteFit
    from dask_quant.image_rows import ImageRow
    from dask_quant.sinks.batch_files import Batch

_KEPT_PIXELS = 1 << 24
"""Pixels of a group that stay in memory from the count on; those of others are read twice
(arbitrary: 50 MB)."""


def do_work(work: Work, items: Sequence[Item], limit: Limit | None = None) -> Done:
    """Do what a task is to do. **Eager**.

    Parameters
    ----------
    work : Work
        What.
    items : sequence of Item
        To which images; those of a group one after another.
    limit : callable, optional
        Given an image and its source, returns what limits memory and time while it is decoded, and
        yields its pixels by its header.

    Raises
    ------
    JobError
        When an image is gone, or another, since it was counted.
    OutputError
        When an output cannot be written.
    """
    begin = time.perf_counter()
    actions = {
        **{COUNT: _count, RELABEL: _relabel, QUANTIZE: _quantize},
        **{SUMMARIZE: summarize_images, MEASURE: measure_images},
    }
    reader = ImageReader(work, limit or (lambda item, source: nullcontext()))
    done = actions[work.action](reader, items)
    return replace(done, n_seconds=time.perf_counter() - begin, n_images=len(items))


def _count(reader: ImageReader, items: Sequence[Item]) -> Done:
    """Count the colours of images together."""
    counter, rows, counted = ImageCounter(), [], []
    for item in items:
        begin = time.perf_counter()
        try:
            pixels = reader.read_counted(item).pixels
        except UNREADABLE as error:
            rows.append(reader.set_aside(item, error, time.perf_counter() - begin))
            continue
        counter.add(pixels)
        counted.append(CountedImage(item.id, checksum_pixels(pixels), item.modified))
    return Done(rows=tuple(rows), counted=tuple(counted), histogram=counter.finish())


def _relabel(reader: ImageReader, items: Sequence[Item]) -> Done:
    """Write images with the palette that all share."""
    work = reader.work
    assert work.palette is not None, "a palette was fitted, or given"
    rows = []
    with _open_files(work) as files:
        for item in items:
            begin = time.perf_counter()
            try:
                image = reader.read_counted(item)
                histogram = ColorHistogram.from_pixels(image.pixels)
                fit = fit_painted(histogram, work.palette, work.classes, work.options.space)
                row = _write_image(work, item, image, (histogram, fit), files)
            except UNREADABLE as error:
                row = reader.set_aside(item, error, 0)
            rows.append(replace(row, seconds=time.perf_counter() - begin))
    return Done(rows=tuple(rows))


def _quantize(reader: ImageReader, items: Sequence[Item]) -> Done:
    """Write images with a palette for each group; those of no group are groups of their own."""
    rows: list[ImageRow] = []
    verdicts: list[Verdict] = []
    with _open_files(reader.work) as files:
        for _, group in groupby(items, key=_find_group):
            rows += _quantize_group(reader, list(group), files, verdicts)
    return Done(rows=tuple(rows), verdicts=tuple(verdicts))


def _find_group(item: Item) -> str | int:
    """Return what is the same for images of one palette."""
    return item.position if item.group is None else item.group


@dataclass(frozen=True)
class _Found:
    """An image of a group that could be read."""

    item: Item
    """Which."""
    image: ReadImage | None
    """It; None where the group is too large to keep its pixels."""
    seconds: float
    """What it took to read."""


def _quantize_group(
    reader: ImageReader, items: Sequence[Item], files: Batch, verdicts: list[Verdict]
) -> list[ImageRow]:
    """Write the images of one group, those that can be read, with a palette of their own.

    Where that misses the target for any of them, add to ``verdicts`` for which, and write none.
    """
    counter = ImageCounter() if len(items) > 1 else None
    rows: list[ImageRow] = []
    found = list(_read_group(reader, items, counter, rows))
    if not found:
        return rows
    try:
        options = reader.work.options
        shared = None if counter is None else fit_histogram(counter.finish(), options, ignore_event)
    except UNREADABLE as error:  # too few colours for those that classes are painted in
        return rows + [reader.set_aside(each.item, error, each.seconds) for each in found]
    if reader.work.budget is not None and shared is not None:
        judged = _judge_group(reader, found, shared)
        if judged:
            verdicts += judged
            return rows
    for each in found:
        begin = time.perf_counter()
        try:
            row = _write_found(reader, each, shared, files)
        except UNREADABLE as error:
            row = reader.set_aside(each.item, error, 0)
        rows.append(replace(row, seconds=each.seconds + time.perf_counter() - begin))
    return rows


def _judge_group(reader: ImageReader, found: Sequence[_Found], shared: PaletteFit) -> list[Verdict]:
    """Return for which images of a group its palette meets the target; nothing where for all.

    Nothing, too, where all have the very same colours: no other palette would be more their own.
    """
    verdicts, first, are_same = [], None, True
    for each in found:
        image = reader.read_counted(each.item) if each.image is None else each.image
        histogram = ColorHistogram.from_pixels(image.pixels)
        first = histogram if first is None else first
        are_same = are_same and histogram == first
        verdicts.append(Verdict(each.item.id, meets_budget(reader.work, histogram, shared.palette)))
    return [] if are_same or all(each.is_met for each in verdicts) else verdicts


def _write_found(
    reader: ImageReader, found: _Found, shared: PaletteFit | None, files: Batch
) -> ImageRow:
    """Write an image of a group with the palette that it shares, or one of its own."""
    options = reader.work.options
    image = reader.read_counted(found.item) if found.image is None else found.image
    histogram = ColorHistogram.from_pixels(image.pixels)
    if shared is None:
        fit = fit_histogram(histogram, options, ignore_event)
    else:
        fit = fit_painted(histogram, shared.palette, shared.classes, options.space)
    row = _write_image(reader.work, found.item, image, (histogram, fit), files)
    return replace(row, n_iter=(shared or fit).n_iter)


def _read_group(
    reader: ImageReader, items: Sequence[Item], counter: ImageCounter | None, rows: list[ImageRow]
) -> Iterator[_Found]:
    """Yield the images of a group, counted together by ``counter``; add rows of the others."""
    n_pixels = 0
    for item in items:
        begin = time.perf_counter()
        try:
            image = reader.read_counted(item)
        except UNREADABLE as error:
            rows.append(reader.set_aside(item, error, time.perf_counter() - begin))
            continue
        if counter is not None:
            counter.add(image.pixels)
            item = item._replace(checksum=checksum_pixels(image.pixels))
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
    image: ReadImage,
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
    n_bytes = files.write(item.target, chunks)
    counts = outcome.palette.counts
    return replace(
        start_row(work, item, image.source),
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
        meets_target=None if work.budget is None else meets(work.budget, fit),
    )
