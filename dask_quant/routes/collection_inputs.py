"""The images of a collection before anything is done to them: which they are, what they take."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from dask_quant.chunking import check_budget, plan_collection
from dask_quant.collection.index import Index
from dask_quant.collection.shard_index import ShardIndex
from dask_quant.errors import DaskQuantError, OptionError, OutputError
from dask_quant.events import Event, Notice
from dask_quant.routes.common import LABEL_SUFFIXES, plan_saved_bytes
from dask_quant.sources.addresses import is_url
from dask_quant.sources.discover import is_zarr_store
from dask_quant.sources.found import STDIN
from dask_quant.sources.header import show_path
from dask_quant.sources.listing import find_images
from dask_quant.sources.reading import read_any_header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dask_quant.routes.common import Job, Sources
    from dask_quant.sources.found import Found
    from dask_quant.sources.header import ImageHeader

N_LOOKED_AT = 1000
"""Images, of the largest files, whose headers are read to tell whether the job fits its memory;
others are looked at when their turn comes (arbitrary: 0.2 s)."""

_SIDE_BY_SIDE = 32
"""Images far away whose headers are read at a time (arbitrary)."""

_ALL_COLORS_PIXELS = 1 << 24
"""Pixels that may be of as many colours as there are."""

_LISTED_PER_EVENT = 10_000
"""Images that are found between two words about it (arbitrary)."""


@dataclass(frozen=True)
class Sides:
    """What works side by side."""

    n_processes: int
    """Worker processes beside this one."""
    n_threads: int
    """Threads that do tasks, of all of them."""
    n_helpers: int
    """Processes that do tasks on behalf of a thread."""


@dataclass(frozen=True)
class MemoryPlan:
    """What a collection takes, from the headers of its largest images."""

    n_pixels: int
    """Pixels of these, or of all where there are no others."""
    projected_bytes: int
    """Memory of all processes at most."""
    max_pixels: int | None
    """Pixels of the largest image that the memory limit allows; None: there is no limit."""


@contextmanager
def open_index(job: Job, sources: Sources, out: Path | str | None) -> Iterator[tuple[Index, int]]:
    """Find the images of sources; yield their index and how many other entries were ignored.

    Raises
    ------
    OptionError, OutputError
        When options or sources do not go with a collection.
    SourceError
        As `find_images` raises it.
    """
    _check_plain_collection(job)
    _check_apart(sources, out)
    index, n_ignored = ShardIndex(job.suffix) if job.packs else Index(job.suffix), 0
    ignored: set[str] = set()

    def ignore(path: str) -> None:
        nonlocal n_ignored
        n_ignored += 1
        if len(ignored) < _LISTED_PER_EVENT:  # beyond, what is named twice is ignored twice
            n_ignored -= path in ignored
            ignored.add(path)

    try:
        listed = [sources] if isinstance(sources, (str, Path)) else list(sources)
        found = find_images(listed, exclude=out, on_ignored=ignore)
        index.add(_watch(job, found), all_frames=job.run.frames == "all")
        if isinstance(index, ShardIndex) and isinstance(out, Path):
            index.check_apart(out)
        if job.group_by is not None and job.budget is None:
            index.set_groups(job.group_by)
            if n_others := index.count_group(""):
                message = f"{n_others:,} images do not match {job.group_by!r}: they are one group."
                job.listener(Notice(message))
        yield index, n_ignored
    finally:
        index.close()


def _watch(job: Job, found: Iterable[Found]) -> Iterator[Found]:
    """Yield what is found, and tell how much that is."""
    for number, each in enumerate(found, start=1):
        if each.path == STDIN:
            raise OptionError(_single_message("standard input"))
        if number % _LISTED_PER_EVENT == 0:
            job.listener(Event("list", number, None, "images"))
        yield each


def _check_plain_collection(job: Job) -> None:
    """Raise `OptionError` for options that are made for a single image."""
    for given, name in (
        (job.fit.fits_pixels, f"--engine {job.fit.engine}"),
        (job.run.persist is not None, "--persist"),
        (job.run.chunks.given, "--chunks"),
        (job.run.page.given, "--page or --level"),
    ):
        if given:
            raise OptionError(_single_message(name))
    if job.packs and job.run.frames == "all":
        message = (
            "Got --frames all with tar output, where an image is one member of its sample; leave "
            "out one of the two."
        )
        raise OptionError(message)


def _single_message(name: str) -> str:
    """Return the message for what is made for a single image."""
    return (
        f"Got {name} with an output folder; it works on one image with an OUT that ends in "
        f"{' or '.join(LABEL_SUFFIXES)}."
    )


def _check_apart(sources: Sources, out: Path | str | None) -> None:
    """Raise `OutputError` where a folder is a source and the output."""
    named = [sources] if isinstance(sources, (str, Path)) else list(sources)
    for source in named:
        if out is None or not _is_same_folder(source, out):
            continue
        if not is_zarr_store(source):
            message = (
                f"Got the folder {show_path(str(source))!r} both as a source and as the output, "
                "where images would replace each other; name another output folder."
            )
            raise OutputError(message)


def _is_same_folder(source: str | Path, out: Path | str) -> bool:
    """Return whether two names, or two addresses, are of one folder."""
    if is_url(source) or is_url(out):
        return str(source).rstrip("/") == str(out).rstrip("/")
    return os.path.isdir(source) and os.path.realpath(source) == os.path.realpath(out)


def read_headers(paths: Iterable[str]) -> Iterator[ImageHeader]:
    """Yield what images say about themselves; those that cannot be read say nothing."""
    left = iter(paths)
    while batch := list(islice(left, _SIDE_BY_SIDE)):
        if is_url(batch[0]):  # each takes some round trips
            with ThreadPoolExecutor(len(batch)) as pool:
                yield from filter(None, pool.map(_read_header, batch))
        else:
            yield from filter(None, map(_read_header, batch))


def _read_header(path: str) -> ImageHeader | None:
    """Return what an image says about itself, if it can be read."""
    with suppress(DaskQuantError):
        return read_any_header(path)
    return None


def plan_memory(job: Job, index: Index, executor: Sides) -> MemoryPlan:
    """Plan the memory of a collection. **Eager**.

    Raises
    ------
    MemoryBudgetError
        When its largest images do not fit the memory limit.
    """
    headers = list(read_headers(index.list_largest(N_LOOKED_AT)))
    limit = job.run.cluster.memory_limit_bytes
    total = sum(each.n_pixels for each in headers)
    total = total if len(index) <= N_LOOKED_AT else max(total, _ALL_COLORS_PIXELS)
    has_alpha = any(each.has_alpha for each in headers)

    def measure(n_pixels: int) -> int:
        return plan_collection(
            n_pixels,
            max(total, n_pixels),
            codec_bytes=max((each.codec_bytes for each in headers), default=0),
            n_processes=executor.n_processes,
            n_threads=executor.n_threads,
            n_decoders=executor.n_helpers,
            weight_power=job.fit.weight_power,
            transparency=job.find_transparency(has_alpha),
        ) + plan_saved_bytes(job, max(total, n_pixels), has_alpha=has_alpha)

    projected = measure(max((each.n_pixels for each in headers), default=0))
    if limit is None:
        return MemoryPlan(total, projected, None)
    check_budget(projected, limit, f"{executor.n_threads} images side by side")
    return MemoryPlan(total, projected, _find_most(lambda n_pixels: measure(n_pixels) <= limit))


def _find_most(fits: Callable[[int], bool]) -> int:
    """Return the largest number that fits, where all below it do as well.

    Examples
    --------
    >>> _find_most(lambda n: n <= 1000)
    1000
    """
    low, high = 0, 1
    while fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
