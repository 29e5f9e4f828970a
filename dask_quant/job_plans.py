"""What users call to see what a job would do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dask_quant.alpha_options import as_alpha
from dask_quant.events import ignore_event
from dask_quant.job_report import check_report
from dask_quant.options import join_client, make_run_options
from dask_quant.routes.choose import plan_sources
from dask_quant.routes.common import as_target, check_sources
from dask_quant.routes.job_options import make_job

if TYPE_CHECKING:
    from pathlib import Path

    from distributed import Client

    from dask_quant.alpha_options import AlphaRule
    from dask_quant.options import ClusterOptions
    from dask_quant.routes.common import Sources
    from dask_quant.routes.job_options import Colors, Counts
    from dask_quant.routes.planning import JobPlan


def plan_job(
    sources: Sources | Any,
    out: str | Path,
    *,
    n_colors: int | None = None,
    format: str | None = None,
    per_image: bool = False,
    group_by: str | None = None,
    dither: str = "none",
    method: str = "kmeans",
    engine: str = "auto",
    effort: str = "default",
    space: str = "srgb",
    seed: int = 0,
    n_init: int | None = None,
    max_iter: int | None = None,
    tol: float | None = None,
    init: Any = "k-means++",
    weight_power: float = 1.0,
    keep: Colors = (),
    recolor: Colors = (),
    target_psnr: float | None = None,
    target_mse: float | None = None,
    target_delta_e: float | None = None,
    refit: Colors = (),
    histogram: Counts = (),
    save_histogram: str | Path | None = None,
    outline: str | Path | None = None,
    report: str | Path | None = None,
    alpha: str | AlphaRule = "keep",
    matte: Any = None,
    overwrite: bool = False,
    resume: bool = False,
    retry_quarantined: bool = False,
    strict: bool = False,
    chunks: int | tuple[int, int] | None = None,
    page: int | None = None,
    level: int = 0,
    persist: str | Path | None = None,
    cluster: ClusterOptions | None = None,
    client: Client | None = None,
    frames: str = "first",
) -> JobPlan:
    """Say what `quantize` would do: images, tasks, bytes, memory. **Eager**; nothing is written.

    Only headers and histograms are read; no cluster is started.

    Parameters
    ----------
    sources, out, n_colors, format, per_image, group_by, dither, method, engine, effort, space, seed
        As in `quantize`.
    n_init, max_iter, tol, init, weight_power, keep, recolor
        As in `quantize`.
    target_psnr, target_mse, target_delta_e, refit, histogram, save_histogram, outline, report
        As in `quantize`.
    alpha, matte, overwrite, resume, retry_quarantined, strict, chunks, page, level, frames
        As in `quantize`.
    persist, cluster, client
        As in `quantize`.

    Returns
    -------
    JobPlan
        Its fields say what would be read, computed and written, and in how much memory.

    Raises
    ------
    DaskQuantError
        What `quantize` would raise before it starts.
    """
    run = make_run_options(
        *(overwrite, chunks, persist, join_client(cluster, client), page, level, frames),
        resume=resume,
        retry_quarantined=retry_quarantined,
        strict=strict,
    )
    job = make_job(
        *(out, run, ignore_event),
        format=format,
        per_image=per_image,
        group_by=group_by,
        dither=dither,
        outline=outline,
        counts=(histogram, save_histogram),
        alpha=as_alpha(alpha, matte),
        n_colors=n_colors,
        targets=(target_psnr, target_mse, target_delta_e),
        method=method,
        engine=engine,
        effort=effort,
        space=space,
        seed=seed,
        n_init=n_init,
        max_iter=max_iter,
        tol=tol,
        init=init,
        weight_power=weight_power,
        keep=keep,
        recolor=recolor,
        refit=refit,
    )
    check_report(report, out, run)
    return plan_sources(job, check_sources(sources), as_target(out))
