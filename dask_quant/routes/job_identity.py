"""What makes a job the same job when it is run again: all that shows in the bytes it writes."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from dask_quant.alpha_options import AlphaRule
    from dask_quant.histogram import ColorHistogram
    from dask_quant.routes.common import Job


def describe_job(job: Job) -> dict[str, Any]:
    """Return what of a job shows in what it writes, ready for JSON.

    Left out is how it is carried out: workers, chunks, memory, whether it may overwrite or resume.

    Returns
    -------
    dict
        Names of options to values; every field of `dask_quant.fit_options.FitOptions` is one.
    """
    fit = {each.name: _as_json(getattr(job.fit, each.name)) for each in fields(job.fit)}
    return {
        "command": job.command,
        **fit,
        "dither": job.dither,
        "format": f"tar:{job.suffix}" if job.packs else job.suffix,
        "alpha": _describe_alpha(job.alpha),
        "per_image": job.per_image,
        "group_by": job.group_by,
        "budget": _as_json(job.budget),
        "frames": job.run.frames,
        "page": job.run.page.number,
        "level": job.run.page.level,
        "palette": None if job.palette is None else job.palette.hex,
        "histogram": _digest_counts(job.saved.earlier),
        "save_histogram": None if job.saved.out is None else str(job.saved.out),
        "outline": None if job.outline is None else str(job.outline),
    }


def _as_json(value: Any) -> Any:
    """Return the value of an option as JSON has it."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _as_json(each) for name, each in asdict(value).items()}
    if isinstance(value, tuple):
        return [_as_json(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def _describe_alpha(rule: AlphaRule) -> str:
    """Return a rule as users write it."""
    return f"matte:#{bytes(rule.matte).hex()}" if rule.kind == "matte" else rule.kind


def _digest_counts(counts: ColorHistogram) -> str | None:
    """Return a digest of counts of earlier images, None where there are none."""
    if len(counts) == 0:
        return None
    found = hashlib.sha256(np.ascontiguousarray(counts.codes, dtype="<u4").data)
    found.update(np.ascontiguousarray(counts.counts, dtype="<i8").data)
    return f"sha256:{found.hexdigest()}"
