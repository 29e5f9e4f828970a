"""Which way a job takes: in memory, in chunks, or as a collection.

One image that fits in memory needs no Dask; larger ones, arrays, and all that runs on a cluster go
in chunks. The routes that stand on Dask and Zarr are imported in the functions that need them: a
photograph from the shell would else spend most of its time on imports. This module alone does so.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask_quant.errors import OptionError
from dask_quant.routes.common import (
    SMALL_PIXELS,
    as_file,
    check_label_suffix,
    discover_images,
    is_array,
    is_nothing,
    names_file,
)
from dask_quant.routes.from_counts import fit_counts, take_counts
from dask_quant.routes.inspect import describe_inputs
from dask_quant.routes.memory import count_in_memory, fit_in_memory, relabel_in_memory
from dask_quant.routes.outlining import check_outline_name, refuse_outline
from dask_quant.routes.resuming import check_resumable
from dask_quant.routes.streams import needs_strips
from dask_quant.sinks.atomic import check_output
from dask_quant.sinks.palette_file import check_palette_name
from dask_quant.sources.discover import STDIN, Discovery, find_images, is_zarr_store
from dask_quant.sources.frames import expand_frames
from dask_quant.sources.header import show_path
from dask_quant.sources.held import is_held
from dask_quant.sources.image_file import read_header

if TYPE_CHECKING:
    from dask_quant.collection.output import OutputFolder
    from dask_quant.options import Page
    from dask_quant.results import ImageInfo, Report
    from dask_quant.routes.common import Job, Sources, T, Use
    from dask_quant.routes.planning import JobPlan
    from dask_quant.sources.header import ImageHeader


def relabel_sources(job: Job, sources: Sources | Any, target: Path | str) -> Report:
    """Fit (unless a palette is given), relabel and write whatever ``sources`` are. **Eager**."""
    out = as_file(target)
    if is_array(sources):
        check_label_suffix(out, n_inputs=1)
        check_resumable(job, sources)
        _check_outline(job, None, out)
        from dask_quant.routes.chunked import relabel_chunked

        return relabel_chunked(job, sources, out, n_ignored=0)
    found = _find_file(job, sources, out)
    if found is None:
        from dask_quant.routes.collections import relabel_many

        return relabel_many(job, sources, _open_folder(target, packs=job.packs))
    path, n_ignored = found
    if _stays_in_memory(job, path, out):
        return relabel_in_memory(job, path, out, n_ignored)
    from dask_quant.routes.chunked import relabel_chunked

    return relabel_chunked(job, path, out, n_ignored=n_ignored)


def fit_sources(job: Job, sources: Sources | Any, out: Path) -> Report:
    """Fit one palette to whatever ``sources`` are and write it to a palette file. **Eager**."""
    check_output(out, overwrite=job.run.overwrite)
    check_palette_name(out)
    if is_nothing(sources):
        return fit_counts(job, out)
    if is_array(sources):
        from dask_quant.routes.chunked import fit_chunked

        return fit_chunked(job, sources, out, n_ignored=0)
    found = _find_single(job, sources)
    if found is None:
        from dask_quant.routes.collections import fit_many

        return fit_many(job, sources, out)
    path = found.inputs[0].path
    if _stays_in_memory(job, path, out):
        return fit_in_memory(job, path, out, found.n_ignored)
    from dask_quant.routes.chunked import fit_chunked

    return fit_chunked(job, path, out, n_ignored=found.n_ignored)


def use_counts(job: Job, sources: Sources | Any, use: Use[T]) -> T:
    """Count the colours of whatever ``sources`` are, and return what ``use`` makes of them.

    **Eager**. They are of all images together, and saved counts of the job are added. On a distant
    cluster a worker calls ``use``, which is pickled, and they stay there, unless there are counts
    of this machine to add, or they are to be saved here.
    """
    if is_nothing(sources):
        return use(take_counts(job), job.listener)
    if is_array(sources):
        from dask_quant.routes.chunked import use_pixels

        return use_pixels(job, sources, use)
    found = _find_single(job, sources)
    if found is None:
        from dask_quant.routes.collections import use_many

        return use_many(job, sources, use)
    path = found.inputs[0].path
    if _stays_in_memory(job, path, None):
        return use(job.saved.extend(count_in_memory(job, path)), job.listener)
    from dask_quant.routes.chunked import use_pixels

    return use_pixels(job, path, use)


def describe_sources(job: Job, sources: Sources) -> list[ImageInfo]:
    """Describe every image of ``sources``. **Eager**."""

    def count_large(path: str) -> tuple[ImageHeader, int]:
        from dask_quant.routes.chunked import count_chunked

        return count_chunked(job, path)

    return describe_inputs(job, discover_images(sources), count_large)


def plan_sources(job: Job, sources: Sources | Any, target: Path | str) -> JobPlan:
    """Plan what `relabel_sources` would do, from headers alone. **Eager**."""
    from dask_quant.routes.planning import plan_array, plan_many, plan_single

    out = as_file(target)
    if is_array(sources):
        _check_outline(job, None, out)
        return plan_array(job, sources, out)
    found = _find_file(job, sources, out)
    if found is None:
        return plan_many(job, sources, _open_folder(target, packs=job.packs))
    path, n_ignored = found
    is_small = _stays_in_memory(job, path, out)
    return plan_single(job, path, out, n_ignored=n_ignored, in_one_go=is_small)


def write_page(report: Report, path: Path, source: Any, page: Page, *, overwrite: bool) -> int:
    """Write the page about a job, as `dask_quant.routes.page.write_page` does. **Eager**."""
    from dask_quant.routes.page import write_page as write

    return write(report, path, source, page, overwrite=overwrite)


def _open_folder(target: Path | str, *, packs: bool) -> OutputFolder:
    """Return the folder that outputs go to, which may be the address of one in an object store.

    ``packs``: they are packed into tar shards, on this machine.
    """
    if isinstance(target, Path):
        from dask_quant.collection.local_output import LocalFolder

        return LocalFolder(target, packs)
    from dask_quant.collection.remote_output import RemoteFolder

    return RemoteFolder(target)


def _find_file(job: Job, sources: Sources, out: Path) -> tuple[str, int] | None:
    """Return the one image that is to go to a file, and how many entries were ignored.

    None where ``out`` names a folder.
    """
    if not names_file(out):
        if job.outline is not None:
            refuse_outline(out)
        return None
    found = _take_frames(job, discover_images(sources, exclude=out))
    check_label_suffix(out, n_inputs=len(found.inputs))
    _check_outline(job, found, out)
    return found.inputs[0].path, found.n_ignored


def _take_frames(job: Job, found: Discovery) -> Discovery:
    """Return what was found, with all frames of animations where the job is to have them."""
    return expand_frames(found) if job.run.frames == "all" else found


def _find_single(job: Job, sources: Sources) -> Discovery | None:
    """Return the one image that sources name, None where there are several."""
    named = [sources] if isinstance(sources, (str, Path)) else list(sources)
    first = None
    for each in find_images(named, on_ignored=lambda path: None):
        if first is not None and each.identity != first:
            return None
        first = each.identity
    found = _take_frames(job, discover_images(sources))
    return found if len(found.inputs) == 1 else None


def _check_outline(job: Job, found: Discovery | None, out: Path) -> None:
    """Raise where borders cannot be drawn, or would take the place of another file.

    ``found`` None: the source is an array.
    """
    if job.outline is None:
        return
    inputs = [] if found is None else [Path(each.path) for each in found.inputs]
    check_outline_name(job.outline, [out, job.run.persist, *inputs])


def _stays_in_memory(job: Job, path: str, out: Path | None) -> bool:
    """Return whether an image is small and plain enough to need neither Dask nor Zarr.

    ``out`` None: no labels are written.
    """
    run = job.run
    asks_for_dask = (
        run.chunks.given
        or run.persist is not None
        or run.cluster.starts_cluster
        or run.cluster.scheduler is not None
        or run.cluster.scheduler_file is not None
        or run.cluster.client is not None
        or run.cluster.performance_report is not None
        or job.fit.fits_pixels
        or any(path and path.suffix.lower() == ".zarr" for path in (out, job.outline))
        or _has_active_client()
    )
    if path == STDIN or is_held(path):
        if asks_for_dask:
            name = "standard input" if path == STDIN else show_path(path)
            message = (
                f"Got {name} for a chunked or distributed job, which reads its input more than "
                "once; save it to a file first."
            )
            raise OptionError(message)
        return True
    if asks_for_dask or is_zarr_store(path):
        return False
    header = read_header(path, page=run.page)
    if header.n_pixels > SMALL_PIXELS:
        return False
    return not needs_strips(header, run.cluster.memory_limit_bytes)


def _has_active_client() -> bool:
    """Return whether the user has a `distributed.Client`; without importing distributed."""
    if "distributed" not in sys.modules:
        return False
    from dask_quant.cluster import find_current_client

    return find_current_client() is not None
