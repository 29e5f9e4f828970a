"""What a job would do, from headers alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dask_quant.array_flow import check_label_output
from dask_quant.chunking import check_budget
from dask_quant.collection.run import count_tasks
from dask_quant.collection.shard_index import ShardIndex
from dask_quant.palette import MAX_COLORS_8BIT
from dask_quant.process import count_cpus
from dask_quant.rich_display import draw_html
from dask_quant.routes.chunked import plan_source
from dask_quant.routes.chunked_source import open_source
from dask_quant.routes.collection_inputs import (
    N_LOOKED_AT,
    Sides,
    open_index,
    plan_memory,
    read_headers,
)
from dask_quant.routes.collections import MAX_NAMED_OUTPUTS, is_isolated
from dask_quant.routes.common import (
    check_label_suffix,
    read_source,
)
from dask_quant.routes.memory import plan_in_memory
from dask_quant.scaling import count_side_by_side
from dask_quant.sources.header import show_path
from dask_quant.sources.image_file import count_held_bytes, read_header

if TYPE_CHECKING:
    from pathlib import Path

    from dask_quant.collection.output import OutputFolder
    from dask_quant.routes.common import Job, Sources


@dataclass(frozen=True)
class JobPlan:
    """What a job would do, known from headers alone."""

    n_images: int
    """Images to write."""
    n_ignored: int
    """Files in folders that are not images."""
    n_pixels: int
    """Pixels of all images."""
    n_tasks: int
    """Tasks to compute."""
    decoded_bytes: int
    """All pixels as sRGB uint8."""
    label_bytes: int
    """All labels before compression."""
    projected_bytes: int
    """Upper bound of the memory of driver and workers together."""
    outputs: tuple[str, ...]
    """What would be written."""

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON-ready values."""
        return asdict(self) | {"outputs": list(self.outputs)}

    def _repr_html_(self) -> str:
        """Show the plan as a table in a notebook."""
        return draw_html(self, "job_plan")


def plan_array(job: Job, array: Any, out: Path) -> JobPlan:
    """Plan what `relabel_sources` would do with an array. **Eager**; nothing is computed."""
    return _plan_chunked(job, array, out, n_ignored=0)


def plan_single(job: Job, path: str, out: Path, *, n_ignored: int, in_one_go: bool) -> JobPlan:
    """Plan what `relabel_sources` would do with one file, from its header. **Eager**.

    ``in_one_go`` says that it needs no Dask.
    """
    if in_one_go:
        return _plan_in_one_go(job, path, out, n_ignored=n_ignored)
    return _plan_chunked(job, path, out, n_ignored=n_ignored)


def _count_side_by_side(job: Job) -> tuple[int, int]:
    """Return the worker processes and the threads that a job would run on."""
    cluster = job.run.cluster
    if cluster.scheduler == "synchronous":
        return 0, 1
    if cluster.client is not None:
        return count_side_by_side(cluster.client, cluster.most_workers)
    n_workers = cluster.workers or cluster.most_workers
    return n_workers, n_workers or count_cpus()


def _plan_chunked(job: Job, image: Any, out: Path, *, n_ignored: int) -> JobPlan:
    """Plan one image that is cut into chunks."""
    check_label_suffix(out, n_inputs=1)
    n_processes, n_threads = _count_side_by_side(job)
    limit = job.run.cluster.memory_limit_bytes
    source = open_source(image, job.run.page, limit_bytes=limit, alpha=job.reads)
    plan = plan_source(job, source, out, n_processes=n_processes, n_threads=n_threads)
    outputs = _check_outputs(job, out)
    return JobPlan(
        1,
        n_ignored,
        source.shape[0] * source.shape[1],
        plan.n_tasks,
        plan.decoded_bytes,
        plan.label_bytes,
        plan.projected_bytes,
        outputs,
    )


def plan_many(job: Job, sources: Sources, folder: OutputFolder) -> JobPlan:
    """Plan the images that go to a folder, from all their headers. **Eager**."""
    folder.check(resume=job.run.resume, overwrite=job.run.overwrite)
    with open_index(job, sources, folder.target) as (index, n_ignored):
        n_processes, n_threads = _count_side_by_side(job)
        n_helpers = n_threads if is_isolated(index, on_cluster=n_processes > 0) else 0
        memory = plan_memory(job, index, Sides(n_processes, n_threads, n_helpers))
        n_pixels = memory.n_pixels
        if len(index) > N_LOOKED_AT:
            n_pixels = sum(each.n_pixels for each in read_headers(index.list_largest(len(index))))
        names = index.list_outputs(MAX_NAMED_OUTPUTS, planned=True)
        outputs = [folder.name(name) for name in names] or [show_path(str(folder.target))]
        return JobPlan(
            len(index),
            n_ignored,
            n_pixels,
            count_tasks(len(index), n_threads) * _count_passes(job)
            + (len(index.shards) if isinstance(index, ShardIndex) else 0),
            3 * n_pixels,
            _label_bytes(job, n_pixels),
            memory.projected_bytes,
            (*outputs, *job.saved.outputs),
        )


def _count_passes(job: Job) -> int:
    """Return how often images of a collection are read, at least."""
    is_read_once = job.per_image or (job.group_by is not None and job.budget is None)
    return 1 if is_read_once else 2


def _plan_in_one_go(job: Job, path: str, out: Path, *, n_ignored: int) -> JobPlan:
    """Plan the one image that was found, decoded, labelled and written in this process."""
    source, _ = read_source(path)
    header = read_header(source, page=job.run.page)
    n_pixels = header.n_pixels
    projected = plan_in_memory(job, header) + count_held_bytes(source, job.run.page)
    check_budget(projected, job.run.cluster.memory_limit_bytes, "one image in memory")
    outputs = _check_outputs(job, out)
    label_bytes = _label_bytes(job, n_pixels)
    return JobPlan(1, n_ignored, n_pixels, 1, 3 * n_pixels, label_bytes, projected, outputs)


def _check_outputs(job: Job, out: Path) -> tuple[str, ...]:
    """Return what would be written of one image, or raise where that cannot be."""
    paths = [path for path in (out, job.outline) if path is not None]
    for path in paths:
        check_label_output(path, overwrite=job.run.overwrite or job.run.resume)
    return (*map(str, paths), *job.saved.outputs)


def _label_bytes(job: Job, n_pixels: int) -> int:
    """Return the bytes of the labels of as many pixels."""
    return n_pixels * (1 if job.fit.n_colors <= MAX_COLORS_8BIT else 2)
