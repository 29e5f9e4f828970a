"""What users call to choose a number of colours."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from dask_quant.alpha_options import as_alpha
from dask_quant.color_curve import trace_curve
from dask_quant.events import ignore_event
from dask_quant.fit_options import FitOptions
from dask_quant.histogram import ColorHistogram
from dask_quant.options import as_path, join_client, make_run_options, require
from dask_quant.routes.choose import use_counts
from dask_quant.routes.common import Job, check_any_sources
from dask_quant.saved_counts import read_counts
from dask_quant.sinks.curve import check_curve_output, write_curve
from dask_quant.watching import watched

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from distributed import Client

    from dask_quant.alpha_options import AlphaRule
    from dask_quant.color_curve import ColorCurve
    from dask_quant.events import Listener
    from dask_quant.options import ClusterOptions
    from dask_quant.routes.common import Sources


@watched
def elbow(
    data: Sources | ColorHistogram | Any | None,
    numbers: Sequence[int] = range(2, 65),
    out: str | Path | None = None,
    *,
    space: str = "srgb",
    alpha: str | AlphaRule = "keep",
    seed: int = 0,
    histogram: Any = (),
    save_histogram: str | Path | None = None,
    overwrite: bool = False,
    chunks: int | tuple[int, int] | None = None,
    page: int | None = None,
    level: int = 0,
    cluster: ClusterOptions | None = None,
    client: Client | None = None,
    listener: Listener = ignore_event,
) -> ColorCurve:
    """Score several numbers of colours, to choose one. **Eager**.

    The colours are counted once; every number is fitted to the counts, each beginning where the
    one before ended. The error never rises, and is within a few percent of a fit of its own.

    Parameters
    ----------
    data : ColorHistogram, str, Path, sequence of paths, NumPy or Dask array
        Colours that were counted, or images as `quantize` takes them, all together. None where
        there are those of ``histogram`` alone.
    numbers : sequence of int, default range(2, 65)
        Numbers of colours, 1 to 65536.
    out : str or Path, optional
        ``.csv``, ``.json``, ``.png``, ``.svg`` or ``.pdf`` to write the scores to.
    histogram : str, Path, ColorHistogram or sequence of them, optional
        Counts of earlier images, added to those of ``data``; the curve is of all of them.
    save_histogram : str or Path, optional
        ``.npz`` file for the counts that were fitted to, see `write_histogram`.
    alpha : {"keep", "drop", "matte:#rrggbb"}, default "keep"
        As in `quantize`, but that pixels which are not opaque are refused where alpha is kept.
    space, seed, overwrite, chunks, page, level, cluster, client, listener
        As in `quantize`.

    Returns
    -------
    ColorCurve
        Palette, mse, PSNR and explained variance of each number, and the elbow.

    Raises
    ------
    DaskQuantError
        One of the classes of `dask_quant.errors`; its message is one line.
    """
    chosen = sorted({FitOptions(n_colors=number).n_colors for number in numbers})
    require(len(chosen) > 0, "Got no number of colours; give some, such as range(2, 65).")
    fit = FitOptions(n_colors=chosen[-1], space=space, seed=seed)
    run = make_run_options(overwrite, chunks, None, join_client(cluster, client), page, level)
    path = None if out is None else as_path(out, "out")
    if path is not None:
        check_curve_output(path, overwrite=overwrite)
    saved = read_counts(
        *(histogram, save_histogram, path), fit=fit, overwrite=overwrite, shows_all=True
    )
    with saved.keep():
        trace = partial(trace_curve, chosen, space, seed)
        if isinstance(data, ColorHistogram):
            curve = trace(saved.extend(data), listener)
        else:
            rule = as_alpha(alpha).refusing
            job = Job("elbow", fit, run, listener, saved=saved, alpha=rule)
            curve = use_counts(job, check_any_sources(data, saved), trace)
        if path is not None:
            write_curve(curve, path, overwrite=overwrite)
    return curve
