"""What tasks do for families: tell the colours of images in brief, and measure a palette."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.collection.reading import UNREADABLE, checksum_pixels
from dask_quant.collection.task import BRIEF_COLOR, Done, SummarizedImage, Verdict
from dask_quant.fit.color_summary import summarize_colors
from dask_quant.fit.fitting import fit_given
from dask_quant.fit.target import meets
from dask_quant.histogram import ColorHistogram

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dask_quant.collection.items import Item
    from dask_quant.collection.reading import ImageReader
    from dask_quant.collection.task import Work
    from dask_quant.palette import Palette

_CONTENT_BYTES = 16
"""Bytes of a hash of colours: among a million, two are the same once in 10^26 jobs."""


def summarize_images(reader: ImageReader, items: Sequence[Item]) -> Done:
    """Tell the colours of each of some images in brief. **Eager**."""
    rows, summarized, parts = [], [], []
    for item in items:
        begin = time.perf_counter()
        try:
            found, colors = _summarize(reader, item)
        except UNREADABLE as error:
            rows.append(reader.set_aside(item, error, time.perf_counter() - begin))
            continue
        summarized.append(found)
        parts.append(colors)
    return Done(rows=tuple(rows), summarized=tuple(summarized), colors=b"".join(parts))


def _summarize(reader: ImageReader, item: Item) -> tuple[SummarizedImage, bytes]:
    """Return what an image is in brief, and its colours."""
    work = reader.work
    assert work.budget is not None, "families have a target"
    pixels = reader.read(item).pixels
    histogram = ColorHistogram.from_pixels(pixels)
    summary = summarize_colors(histogram, work.options, work.budget)
    brief = summary.histogram
    colors = np.empty(len(brief), dtype=BRIEF_COLOR)
    colors["code"], colors["count"] = brief.codes, brief.counts
    found = SummarizedImage(
        id=item.id,
        checksum=checksum_pixels(pixels),
        modified=item.modified,
        content=hash_colors(histogram),
        n_colors=len(brief),
        loss=summary.loss,
        is_alone=summary.is_alone,
    )
    return found, colors.tobytes()


def hash_colors(histogram: ColorHistogram) -> str:
    """Return a hash of colours and their counts, the same on all machines."""
    found = hashlib.blake2b(digest_size=_CONTENT_BYTES)
    found.update(np.ascontiguousarray(histogram.codes, dtype="<u4").data)
    found.update(np.ascontiguousarray(histogram.counts, dtype="<i8").data)
    return found.hexdigest()


def measure_images(reader: ImageReader, items: Sequence[Item]) -> Done:
    """Tell for which of some images the palette of the work meets its target. **Eager**."""
    work, rows, verdicts = reader.work, [], []
    assert work.palette is not None, "a palette was fitted"
    for item in items:
        begin = time.perf_counter()
        try:
            pixels = reader.read_counted(item).pixels
        except UNREADABLE as error:
            rows.append(reader.set_aside(item, error, time.perf_counter() - begin))
            continue
        histogram = ColorHistogram.from_pixels(pixels)
        verdicts.append(Verdict(item.id, meets_budget(work, histogram, work.palette)))
    return Done(rows=tuple(rows), verdicts=tuple(verdicts))


def meets_budget(work: Work, histogram: ColorHistogram, palette: Palette) -> bool:
    """Return whether a palette meets the target of the work for an image, not dithered."""
    assert work.budget is not None, "families have a target"
    return meets(work.budget, fit_given(histogram, palette, work.options.space))
