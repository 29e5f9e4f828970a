"""Collections of images: one palette for all, or one for each.

Tasks are coarse, some images in each; every image is read, relabelled and written inside its task.
An image that cannot be read is set aside with its reason and costs the job nothing else. Whoever
starts a collection checks that its outputs are free; the tasks themselves replace what they find,
since a task that is run again, its worker having died, finds its own files.

The figures of a shared palette are those of the counted images. An image that is another, or gone,
when it is to be written would belie them, and ends the job.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dask.delayed import delayed

from dask_quant.alpha_options import KEEP, AlphaRule
from dask_quant.dithering import Tally, dither_image
from dask_quant.errors import JobError, PixelFormatError, SourceError
from dask_quant.execute import MAX_TASKS_PER_GRAPH
from dask_quant.flow import quantize_pixels
from dask_quant.graphs.counting import reduce_tree
from dask_quant.histogram import ColorHistogram, ImageCounter
from dask_quant.results import Quarantined
from dask_quant.sinks.atomic import write_file_atomically
from dask_quant.sinks.label_file import encode_labels
from dask_quant.sources.addresses import hide_secrets, is_url
from dask_quant.sources.header import show_path
from dask_quant.sources.isolated import read_isolated
from dask_quant.sources.reading import Origin, read_pixels
from dask_quant.tables import label_pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from dask.delayed import Delayed
    from numpy.typing import NDArray

    from dask_quant.execute import Executor
    from dask_quant.fit_options import FitOptions
    from dask_quant.flow import ImageOutcome
    from dask_quant.kernels.assign import Labels
    from dask_quant.palette import Palette

MAX_BATCH = 16
"""Images in a task at most: a task of photographs then takes seconds (arbitrary)."""

_TASKS_PER_THREAD = 8
"""Tasks per thread at least, where there are enough images, so that none waits for a last one."""


@dataclass(frozen=True)
class Item:
    """One image of a collection."""

    source: str
    """Where it is read."""
    out: Path
    """Where it is written."""
    alpha: AlphaRule = KEEP
    """What becomes of its transparency."""
    folder: str = field(default_factory=os.getcwd)
    """Where relative paths start; a worker may have another working folder."""
    checksum: int | None = None
    """Of its pixels when they were counted; None: they were not."""
    frame: int = 0
    """Which frame of an animation."""
    is_isolated: bool = False
    """Whether it is decoded in a process of its own kind, which it may take down."""

    def read_pixels(self) -> NDArray[np.uint8]:
        """Return its pixels, as `read_pixels` does."""
        read = read_isolated if self.is_isolated else read_pixels
        return read(self.source_path, frame=self.frame, alpha=self.alpha)

    @property
    def source_path(self) -> str:
        """Where a worker reads it."""
        return self.source if is_url(self.source) else os.path.join(self.folder, self.source)

    @property
    def origin(self) -> Origin:
        """What its pixels come from."""
        return Origin(self.source_path)

    @property
    def out_path(self) -> Path:
        """Where a worker writes it."""
        return Path(self.folder, self.out)

    def set_aside(self, error: Exception) -> Quarantined:
        """Return why the image was set aside, in terms of the path that the user gave."""
        reason = str(error).replace(show_path(self.source_path), show_path(self.source))
        return Quarantined(hide_secrets(self.source), reason)


@dataclass(frozen=True)
class CountedImages:
    """The colours of some images together."""

    histogram: ColorHistogram
    """Of all that could be read."""
    readable: tuple[int, ...]
    """Positions in the collection of the images that could be read."""
    checksums: tuple[int, ...]
    """Of the pixels of each of these."""
    quarantined: tuple[tuple[int, Quarantined], ...]
    """The others, each with its position."""


@dataclass(frozen=True)
class WrittenImages:
    """What became of a collection."""

    outcomes: tuple[tuple[int, ImageOutcome], ...]
    """Figures of each image written with a palette of its own, with its position."""
    written: tuple[tuple[int, int], ...]
    """Position and bytes of each image written."""
    quarantined: tuple[tuple[int, Quarantined], ...]
    """Images set aside, with their positions."""
    tallies: tuple[Tally, ...] = ()
    """What the labels of dithered images with one palette come to, in parts."""


def count_collection(items: Sequence[Item], executor: Executor) -> CountedImages:
    """Count the colours of all images of a collection together, exactly. **Eager**.

    Raises
    ------
    JobError
        When no image can be read.
    """
    batches = _make_batches(items, executor.n_threads)
    counted, n_done = CountedImages(ColorHistogram.empty(), (), (), ()), 0
    for begin in range(0, len(batches), MAX_TASKS_PER_GRAPH):
        wave = batches[begin : begin + MAX_TASKS_PER_GRAPH]
        found = _count_wave(wave, executor.part_of(len(items), n_done))
        counted = merge_counted([counted, found])
        n_done += sum(len(batch) for batch in wave)
    if not counted.readable:
        raise JobError(_nothing_left_message([q for _, q in counted.quarantined]))
    return counted


def _count_wave(batches: Sequence[list[tuple[int, Item]]], executor: Executor) -> CountedImages:
    """Count batches in one graph, merged by its tasks."""
    merge = delayed(merge_counted, pure=False)
    leaves = [_make_task(count_batch, batch) for batch in batches]
    counted: CountedImages = executor.compute(
        reduce_tree(leaves, merge),
        stage="count",
        leaves=leaves,
        sizes=[len(batch) for batch in batches],
        unit="images",
    )
    return counted


def quantize_each(
    items: Sequence[Item], options: FitOptions, executor: Executor, *, dither: str = "none"
) -> WrittenImages:
    """Give every image a palette of its own, and write it, dithered or not. **Eager**.

    Raises
    ------
    JobError
        When no image can be read.
    OutputError
        When an output cannot be written.
    """
    return _run_batches(
        items,
        executor,
        lambda batch: _make_task(quantize_batch, batch, options, dither),
    )


def relabel_collection(
    items: Sequence[Item],
    counted: CountedImages,
    palette: Palette,
    space: str,
    executor: Executor,
    *,
    dither: str = "none",
    classes: Palette | None = None,
) -> WrittenImages:
    """Write the images that were counted with one palette, dithered or not. **Eager**.

    Pixels are labelled by ``classes``, as many colours, where those are others.

    Raises
    ------
    JobError
        When an image is gone, or another, since it was counted.
    OutputError
        When an output cannot be written.
    """
    positions = counted.readable
    chosen = [
        replace(items[position], checksum=checksum)
        for position, checksum in zip(positions, counted.checksums, strict=True)
    ]
    written = _run_batches(
        chosen,
        executor,
        lambda batch: _make_task(relabel_batch, batch, palette, space, dither, classes or palette),
    )
    return replace(written, written=tuple((positions[i], size) for i, size in written.written))


def count_batch(batch: Sequence[tuple[int, Item]]) -> CountedImages:
    """Count the colours of a few images, inside a task. **Eager**."""
    counter, readable, checksums, quarantined = ImageCounter(), [], [], []
    for position, item in batch:
        try:
            pixels = item.read_pixels()
        except (SourceError, PixelFormatError) as error:
            quarantined.append((position, item.set_aside(error)))
        else:
            counter.add(pixels)
            readable.append(position)
            checksums.append(_checksum(pixels))
    return CountedImages(counter.finish(), tuple(readable), tuple(checksums), tuple(quarantined))


def merge_counted(parts: Sequence[CountedImages]) -> CountedImages:
    """Merge a few counted batches, inside a task. **Eager**."""
    return CountedImages(
        ColorHistogram.merge_all(part.histogram for part in parts),
        tuple(position for part in parts for position in part.readable),
        tuple(checksum for part in parts for checksum in part.checksums),
        tuple(entry for part in parts for entry in part.quarantined),
    )


def quantize_batch(
    batch: Sequence[tuple[int, Item]], options: FitOptions, dither: str
) -> WrittenImages:
    """Fit, relabel and write a few images, each by itself, inside a task. **Eager**."""
    return _write_batch(batch, lambda item: _quantize_item(item, options, dither))


def relabel_batch(
    batch: Sequence[tuple[int, Item]],
    palette: Palette,
    space: str,
    dither: str,
    classes: Palette,
) -> WrittenImages:
    """Relabel and write a few images with one palette, inside a task. **Eager**."""
    if dither == "none":
        return _write_batch(batch, lambda item: _relabel_item(item, palette, classes, space))
    tallies: list[Tally] = []
    written = _write_batch(batch, lambda item: _dither_item(item, palette, dither, space, tallies))
    return replace(written, tallies=(Tally.merge(tallies),))


def _quantize_item(item: Item, options: FitOptions, dither: str) -> ImageOutcome:
    """Write one image with a palette of its own and return its figures."""
    pixels = item.read_pixels()
    return quantize_pixels(
        *(pixels, item.out_path, options), origin=item.origin, dither=dither, overwrite=True
    )


def _relabel_item(item: Item, palette: Palette, classes: Palette, space: str) -> int:
    """Write one image with a palette and return the bytes of its file."""
    return _write_item(item, label_pixels(_read_counted(item), classes, space), palette)


def _dither_item(
    item: Item, palette: Palette, dither: str, space: str, tallies: list[Tally]
) -> int:
    """Write one image dithered, add what that comes to, and return the bytes of its file."""
    labels, tally = dither_image(_read_counted(item), palette, dither, space=space)
    tallies.append(tally)
    return _write_item(item, labels, palette)


def _write_item(item: Item, labels: Labels, palette: Palette) -> int:
    """Write the labels of one image and return the bytes of its file."""
    chunks = encode_labels(labels, palette, item.out_path, item.origin)
    return write_file_atomically(item.out_path, chunks, overwrite=True)


def _read_counted(item: Item) -> NDArray[np.uint8]:
    """Return the pixels of an image; raise `JobError` when they are not those that were counted."""
    try:
        pixels = item.read_pixels()
    except (SourceError, PixelFormatError) as error:
        raise JobError(_changed_message(item, item.set_aside(error).reason)) from error
    if _checksum(pixels) != item.checksum:
        raise JobError(_changed_message(item, "its pixels are others"))
    return pixels


def _checksum(pixels: NDArray[np.uint8]) -> int:
    """Return the CRC-32 of pixels and of their shape."""
    return zlib.crc32(pixels.data, zlib.crc32(repr(pixels.shape).encode()))


def _changed_message(item: Item, how: str) -> str:
    """Return the message for an image that is not what was counted."""
    return (
        f"{show_path(item.source)} changed after its colours were counted ({how.rstrip('.')}); "
        "leave the images unchanged until the job is done, and start it again with --overwrite."
    )


def _write_batch(
    batch: Sequence[tuple[int, Item]], write: Callable[[Item], ImageOutcome | int]
) -> WrittenImages:
    """Call ``write`` for each image, and set aside those that cannot be read."""
    outcomes, written, quarantined = [], [], []
    for position, item in batch:
        try:
            result = write(item)
        except (SourceError, PixelFormatError) as error:
            quarantined.append((position, item.set_aside(error)))
            continue
        if isinstance(result, int):
            written.append((position, result))
        else:
            written.append((position, result.output_bytes))
            outcomes.append((position, result))
    return WrittenImages(tuple(outcomes), tuple(written), tuple(quarantined))


def _run_batches(
    items: Sequence[Item], executor: Executor, make_task: Callable[..., Delayed]
) -> WrittenImages:
    """Compute one task per batch and join what they say, in the order of the items."""
    batches = _make_batches(items, executor.n_threads)
    parts: list[WrittenImages] = executor.compute_all(
        [make_task(batch) for batch in batches],
        stage="relabel",
        sizes=[len(batch) for batch in batches],
        unit="images",
    )
    written = WrittenImages(
        tuple(outcome for part in parts for outcome in part.outcomes),
        tuple(entry for part in parts for entry in part.written),
        tuple(entry for part in parts for entry in part.quarantined),
        tuple(tally for part in parts for tally in part.tallies),
    )
    if not written.written:
        raise JobError(_nothing_left_message([q for _, q in written.quarantined]))
    return written


def _make_task(function: Callable[..., object], *arguments: object) -> Delayed:
    """Return a call as a task that Dask does not look into, field by field of every item."""
    return delayed(partial(function, *arguments), pure=False, traverse=False)()


def count_batches(n_items: int, n_threads: int) -> int:
    """Return in how many tasks as many images are counted, or written, on as many threads."""
    return -(-n_items // _batch_size(n_items, n_threads))


def _batch_size(n_items: int, n_threads: int) -> int:
    """Return the images in one task."""
    return max(1, min(MAX_BATCH, n_items // (_TASKS_PER_THREAD * n_threads)))


def _make_batches(items: Sequence[Item], n_threads: int) -> list[list[tuple[int, Item]]]:
    """Return the items with their positions, in batches for one task each."""
    size = _batch_size(len(items), n_threads)
    numbered = list(enumerate(items))
    return [numbered[begin : begin + size] for begin in range(0, len(numbered), size)]


def _nothing_left_message(quarantined: Sequence[Quarantined]) -> str:
    """Return the message for a job of which every image was set aside."""
    return f"None of {len(quarantined)} images can be read; the first: {quarantined[0].reason}"
