"""From what users give to the options of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dask_quant.alpha_options import as_alpha
from dask_quant.fit_options import FitOptions, check_dither, make_target
from dask_quant.options import MAX_COLORS, as_path
from dask_quant.palette import MAX_COLORS_8BIT
from dask_quant.refit_options import count_refit
from dask_quant.routes.common import LABEL_SUFFIXES, Job
from dask_quant.routes.outlining import as_outline
from dask_quant.saved_counts import read_counts
from dask_quant.sinks.label_file import holds_any_alpha

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike

    from dask_quant.alpha_options import AlphaRule
    from dask_quant.events import Listener
    from dask_quant.fit_options import Target
    from dask_quant.histogram import ColorHistogram
    from dask_quant.options import RunOptions

    Colors = str | Sequence[str] | ArrayLike
    Counts = str | Path | ColorHistogram | Sequence[str | Path | ColorHistogram]


def make_fit(
    suffix: str,
    n_colors: int | None,
    targets: tuple[float | None, float | None, float | None],
    **given: Any,
) -> FitOptions:
    """Return how to fit from what users give: ``targets`` are PSNR, mse and CIEDE2000."""
    target = make_target(*targets)
    if n_colors is None:
        n_colors = count_refit(given["refit"])
    return FitOptions(n_colors=_most_colors(n_colors, target, suffix), target=target, **given)


def make_job(
    fit: FitOptions,
    run: RunOptions,
    listener: Listener,
    per_image: bool,
    dither: str,
    suffix: str,
    outline: str | Path | None,
    counts: tuple[Counts, str | Path | None],
    out: str | Path,
    alpha: AlphaRule,
) -> Job:
    """Return a job that fits and relabels."""
    chosen = check_dither(dither, fit.recolor)
    lines = as_outline(outline, chosen)
    path = as_path(out, "out")
    saved = read_counts(
        *(*counts, path), fit=fit, overwrite=run.overwrite, per_image=per_image, alpha=alpha
    )
    return Job(
        "quantize",
        fit,
        run,
        listener,
        per_image=per_image,
        dither=chosen,
        suffix=suffix,
        outline=lines,
        saved=saved,
        alpha=alpha,
    )


def make_alpha(alpha: str | AlphaRule, matte: Any, suffix: str, out: str | Path) -> AlphaRule:
    """Return what becomes of transparency, from what users give.

    Where outputs know opaque and clear alone, what is kept is cut. ``suffix`` is that of the files
    of a folder; one that ``out`` names comes first.
    """
    rule, path = as_alpha(alpha, matte), as_path(out, "out")
    is_file = path.suffix.lower() in LABEL_SUFFIXES and not path.is_dir()
    written = path.suffix if is_file or path.suffix.lower() == ".zarr" else suffix
    return rule if holds_any_alpha(written) else rule.cutting


def _most_colors(n_colors: int | None, target: Target | None, suffix: str) -> int:
    """Return the colours to fit, or the most that may be: what files of ``suffix`` can hold."""
    if n_colors is not None:
        return n_colors
    if target is None:
        return FitOptions.n_colors
    few = suffix.lower() in ("", ".png", ".gif", ".act")
    return MAX_COLORS_8BIT if few else MAX_COLORS
