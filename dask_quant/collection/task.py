"""What is to be done to images, and what was done: what goes to a task, and what comes back."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dask_quant.alpha_options import KEEP, AlphaRule
from dask_quant.fit_options import FitOptions
from dask_quant.sources.addresses import is_url

if TYPE_CHECKING:
    from dask_quant.collection.items import Item
    from dask_quant.fit_options import Target
    from dask_quant.histogram import ColorHistogram
    from dask_quant.image_rows import ImageRow
    from dask_quant.palette import Palette
    from dask_quant.sinks.batch_files import Place

COUNT, RELABEL, QUANTIZE = "count", "relabel", "quantize"
"""What a task does: count colours, relabel with one palette, or give each group its own."""

SUMMARIZE, MEASURE = "summarize", "measure"
"""What a task does for families: tell the colours of images in brief, or how well they are served
by one palette."""

BRIEF_COLOR = np.dtype([("code", "<u4"), ("count", "<i8")])
"""A colour of a summary, packed as in `ColorHistogram`, and its pixels."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Work:
    """What is to be done to images, the same for all tasks of a stage.

    It has no repr of its own: what a cluster writes into its logs holds no address.
    """

    action: str
    """`COUNT`, `RELABEL`, `QUANTIZE`, `SUMMARIZE` or `MEASURE`."""
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
    budget: Target | None = None
    """What the palette of a group is to meet for every image of it."""
    place: Place | None = None
    """Where outputs go."""
    max_pixels: int | None = None
    """Largest image that fits the memory limit; None: there is no limit."""
    memory_limit_bytes: int | None = None
    """That limit."""
    is_isolated: bool = False
    """Whether it is done in a process of its own, which an image may take down."""


class CountedImage(NamedTuple):
    """An image of which the colours were counted."""

    id: str
    """What it is known by."""
    checksum: int
    """CRC-32 of its pixels."""
    modified: str | None
    """When it was changed last, as in `Item`."""


class SummarizedImage(NamedTuple):
    """An image whose colours were told in brief."""

    id: str
    """What it is known by."""
    checksum: int
    """CRC-32 of its pixels."""
    modified: str | None
    """When it was changed last, as in `Item`."""
    content: str
    """Hash of its exact colours and their counts."""
    n_colors: int
    """Colours that tell of them."""
    loss: float
    """See `dask_quant.fit.color_summary.ColorSummary`."""
    is_alone: bool
    """See there."""


class Verdict(NamedTuple):
    """Whether a palette meets the target for an image."""

    id: str
    """What the image is known by."""
    is_met: bool
    """Whether it does."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Done:
    """What a task did."""

    rows: tuple[ImageRow, ...] = ()
    """Of images that were written, or set aside."""
    counted: tuple[CountedImage, ...] = ()
    """Every image that was counted."""
    n_seconds: float = 0.0
    """Wall seconds that it took."""
    histogram: ColorHistogram | None = None
    """Colours of all that were counted; None as well where they stay on a worker."""
    n_unique_colors: int = 0
    """Distinct colours of all that were counted."""
    n_pixels: int = 0
    """Pixels of all that were counted."""
    summarized: tuple[SummarizedImage, ...] = ()
    """Every image whose colours were told in brief."""
    colors: bytes = b""
    """These colours, one image after another, as `BRIEF_COLOR`."""
    verdicts: tuple[Verdict, ...] = ()
    """Of images of groups, or of all that were measured."""
    warned: tuple[tuple[str, str], ...] = ()
    """Category and words of each warning that a process of its own gave."""
    n_images: int = 0
    """Images of the task."""

    def __sizeof__(self) -> int:
        """Return the bytes of colours as well, by which Dask chooses what to move and spill."""
        return object.__sizeof__(self) + len(self.colors) + sys.getsizeof(self.histogram)


def tell_briefly(done: Done) -> Done:
    """Return what a counting task did, with figures in the place of the counts."""
    counts = done.histogram
    assert counts is not None, "the task was to count"
    return replace(done, histogram=None, n_unique_colors=len(counts), n_pixels=counts.n_pixels)


def find_source(work: Work, item: Item) -> str:
    """Return where an image is read in this process."""
    return item.source if is_url(item.source) else os.path.join(work.folder, item.source)
