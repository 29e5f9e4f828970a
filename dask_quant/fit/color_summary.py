"""The colours of an image in brief: what is kept of it while images are gathered into families.

An image of few colours is its own summary, exactly. Of more, as many are kept as bound the error
that a palette of ``n_colors`` can be blamed for: they are many times the palette. What painting the
image in them costs is known, the loss; to paint them by a palette costs about the rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dask_quant.fit.alpha_fit import check_alpha_options
from dask_quant.fit.fitting import fit_histogram
from dask_quant.fit.quick_fit import fit_quickly
from dask_quant.fit.target import find_limit, measure_error
from dask_quant.fit_options import FitOptions
from dask_quant.histogram import ColorHistogram

if TYPE_CHECKING:
    from dask_quant.fit_options import Target

_MIN_COLORS = 256
"""Colours of a summary, at least, where there are as many: 3 kB (arbitrary)."""

_PER_ENTRY = 4
"""Colours of a summary for each colour of a palette (measured: with 16 of 16, the error is told 2
to 5 % too high; with 4, of palettes that are so large, 20 %)."""

_MAX_COLORS = 4096
"""Colours of a summary at most: 49 kB (arbitrary)."""


@dataclass(frozen=True, eq=False)
class ColorSummary:
    """The colours of an image in brief."""

    histogram: ColorHistogram
    """Some colours, and the pixels that each stands for."""
    loss: float
    """Mean error of the image painted in them: squared sRGB levels, or CIEDE2000."""
    is_alone: bool
    """Whether a palette of its own misses the target, or hardly meets it."""


def count_summary_colors(n_colors: int) -> int:
    """Return how many colours a summary has at most, for palettes of ``n_colors``.

    Examples
    --------
    >>> count_summary_colors(16), count_summary_colors(256), count_summary_colors(65536)
    (256, 1024, 4096)
    """
    return min(max(_MIN_COLORS, _PER_ENTRY * n_colors), _MAX_COLORS)


def summarize_colors(
    histogram: ColorHistogram, options: FitOptions, target: Target
) -> ColorSummary:
    """Return the colours of an image in brief. **Eager**.

    Parameters
    ----------
    histogram : ColorHistogram
        Of the image, of at least one pixel.
    options : FitOptions
        How palettes will be fitted.
    target : Target
        What they are to meet.

    Raises
    ------
    PixelFormatError
        When the image is not opaque, and an option or the target knows opaque colours only.

    Notes
    -----
    Some 10 ms for a photograph of 256 x 256 pixels; 100 ms with transparency.
    """
    if histogram.has_alpha:
        check_alpha_options(replace(options, target=target))
    brief, loss = _reduce(histogram, count_summary_colors(options.n_colors), target)
    own = fit_quickly(brief, options)
    error = add_loss(target, loss, measure_error(target, own))
    return ColorSummary(brief, loss, error > find_limit(target))


def _reduce(
    histogram: ColorHistogram, n_colors: int, target: Target
) -> tuple[ColorHistogram, float]:
    """Return at most ``n_colors`` colours that stand for those of an image, and the loss."""
    if len(histogram) <= n_colors:
        return histogram, 0.0
    options = FitOptions(n_colors=n_colors, method="wu")
    if histogram.has_alpha:
        options = FitOptions(n_colors=n_colors, effort="fast", n_init=1)
    fit = fit_histogram(histogram, options)
    assert fit.palette.counts is not None, "a fit counts"
    brief = ColorHistogram.from_colors(fit.palette.colors, fit.palette.counts)
    return brief, measure_error(target, fit)


def add_loss(target: Target, loss: float, error: float) -> float:
    """Return about the error of an image, of the loss of its summary and the summary's error.

    Squared errors add up, since the colours of a summary are means; of differences, which are not
    squared, those across each other do.
    """
    return math.hypot(loss, error) if target.kind == "delta_e" else loss + error
