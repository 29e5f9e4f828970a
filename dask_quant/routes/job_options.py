"""From what users give to the options of a job."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask_quant.errors import OptionError
from dask_quant.fit_options import FitOptions, check_dither, make_target
from dask_quant.options import MAX_COLORS, require
from dask_quant.palette import MAX_COLORS_8BIT
from dask_quant.refit_options import count_refit
from dask_quant.routes.common import (
    LABEL_SUFFIXES,
    Job,
    as_file,
    as_target,
    choose_suffix,
    names_file,
)
from dask_quant.routes.outlining import as_outline
from dask_quant.saved_counts import read_counts
from dask_quant.sinks.label_file import TIFF_SUFFIXES, holds_any_alpha
from dask_quant.sources.header import show_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from dask_quant.alpha_options import AlphaRule
    from dask_quant.events import Listener
    from dask_quant.fit_options import Target
    from dask_quant.histogram import ColorHistogram
    from dask_quant.options import RunOptions

    Colors = str | Sequence[str] | ArrayLike
    Counts = str | Path | ColorHistogram | Sequence[str | Path | ColorHistogram]

_PACKED_SUFFIXES = (".png", ".gif", *TIFF_SUFFIXES)
"""Suffixes of images in tar shards: such names are no others' there, while a member that ends in
``.npz`` may be an array of its own."""


BY_COLORS = "colors"
"""Grouping by colours, into families that a palette serves within a target."""


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
    out: str | Path,
    run: RunOptions,
    listener: Listener,
    *,
    format: str | None,
    per_image: bool,
    group_by: str | None,
    dither: str,
    outline: str | Path | None,
    counts: tuple[Counts, str | Path | None],
    alpha: AlphaRule,
    **given: Any,
) -> Job:
    """Return a job that fits and relabels; what is ``given`` besides is for `make_fit`."""
    path, (suffix, packs) = as_file(as_target(out)), choose_format(format, out)
    if group_by == BY_COLORS and given["n_colors"] is None:
        given["n_colors"] = FitOptions.n_colors
    fit = make_fit(path.suffix or suffix, **given)
    grouped = check_group_by(group_by, per_image=per_image)
    budget = None
    if grouped == BY_COLORS:
        _check_families(fit, path)
        fit, budget = replace(fit, target=None), fit.target
    rule, chosen = fit_alpha_to(alpha, suffix, path), check_dither(dither, fit.recolor)
    lines = as_outline(outline, chosen)
    saved = read_counts(
        *(*counts, path),
        fit=fit,
        overwrite=run.overwrite or run.resume,
        per_image=per_image or group_by is not None,
        alpha=rule,
    )
    return Job(
        "quantize",
        fit,
        run,
        listener,
        per_image=per_image,
        group_by=grouped,
        budget=budget,
        dither=chosen,
        suffix=suffix,
        packs=packs,
        outline=lines,
        saved=saved,
        alpha=rule,
    )


def choose_format(name: str | None, out: str | Path) -> tuple[str, bool]:
    """Return the suffix of images that the format ``name`` is for, and whether they are packed.

    Raises
    ------
    OptionError
        As `choose_suffix` does; for tar shards where ``out`` is not a folder of this machine.

    Examples
    --------
    >>> choose_format("gif", "out"), choose_format("tar", "out"), choose_format("tar:gif", "out")
    (('.gif', False), ('.png', True), ('.gif', True))
    """
    kind, colon, inner = str(name).lower().removeprefix(".").partition(":")
    if kind != "tar":
        return choose_suffix(name, out), False
    target = as_target(out)
    if not isinstance(target, Path):
        message = (
            f"Got the format {name!r} for {show_path(target)}; tar shards are written to a folder "
            "of this machine alone."
        )
        raise OptionError(message)
    if (names_file(target) or target.suffix.lower() == ".tar") and not target.is_dir():
        message = (
            f"Got the format {name!r} for {str(out)!r}; name a folder, in which each shard becomes "
            "one of the same name."
        )
        raise OptionError(message)
    suffix = f".{inner}" if colon else ".png"
    if suffix not in _PACKED_SUFFIXES:
        known = ", ".join(f"tar:{each.removeprefix('.')}" for each in _PACKED_SUFFIXES)
        message = f"Got the format {name!r}; images in tar shards are written as {known}."
        raise OptionError(message)
    return suffix, True


def check_group_by(group_by: str | None, *, per_image: bool) -> str | None:
    """Return how images are grouped, or raise `OptionError`.

    Examples
    --------
    >>> check_group_by("folder", per_image=False)
    'folder'
    """
    if group_by is None:
        return None
    require(not per_image, f"Got both per_image and group_by {group_by!r}; give one of them.")
    try:
        re.compile(group_by)
    except (re.error, TypeError) as error:
        message = (
            f"Got group_by {group_by!r}; use folder, colors, or a regular expression ({error})."
        )
        raise OptionError(message) from None
    return group_by


def _check_families(fit: FitOptions, out: Path) -> None:
    """Raise `OptionError` unless images can be gathered into families by their colours."""
    require(
        fit.target is not None,
        f"Got group_by {BY_COLORS!r} without a target; say how good each image has to be with "
        "the palette that it shares, such as target_psnr 34.",
    )
    require(
        not names_file(out),
        f"Got group_by {BY_COLORS!r} for the file {str(out)!r}; it is for images that go to a "
        "folder.",
    )


def fit_alpha_to(rule: AlphaRule, suffix: str, out: Path) -> AlphaRule:
    """Return what becomes of transparency: where outputs know opaque and clear alone, it is cut.

    ``suffix`` is that of the files of a folder; one that ``out`` names comes first.
    """
    is_file = out.suffix.lower() in LABEL_SUFFIXES and not out.is_dir()
    written = out.suffix if is_file or out.suffix.lower() == ".zarr" else suffix
    return rule if holds_any_alpha(written) else rule.cutting


def _most_colors(n_colors: int | None, target: Target | None, suffix: str) -> int:
    """Return the colours to fit, or the most that may be: what files of ``suffix`` can hold."""
    if n_colors is not None:
        return n_colors
    if target is None:
        return FitOptions.n_colors
    few = suffix.lower() in ("", ".png", ".gif", ".act")
    return MAX_COLORS_8BIT if few else MAX_COLORS
