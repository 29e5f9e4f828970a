"""Fits of a little more error than they could have, for where thousands of them are tried."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dask_quant.events import ignore_event
from dask_quant.fit.fitting import fit_histogram
from dask_quant.fit_options import FitOptions
from dask_quant.method_options import DEFAULT_INIT, KMEANS

if TYPE_CHECKING:
    from dask_quant.fit.palette_fit import PaletteFit
    from dask_quant.histogram import ColorHistogram

_MANY_COLORS = 32
"""Colours for each entry of a palette from which on Wu's method starts well (arbitrary)."""

_MAX_ITER = 10
"""Lloyd iterations after it (measured: as few families as with a search; with 3, a tenth more)."""


def fit_quickly(histogram: ColorHistogram, options: FitOptions) -> PaletteFit:
    """Fit a palette for a look at what its error would be about. **Eager**.

    Of many colours, Wu's method and a few Lloyd iterations, in a third of the time of effort
    ``fast``; of few, or where ``options`` ask for more than colours in sRGB, that effort.

    Parameters
    ----------
    histogram : ColorHistogram
        Of at least one pixel.
    options : FitOptions
        How the palette is to be fitted in the end, without a target.

    Raises
    ------
    PixelFormatError
        As `fit_histogram` does.
    """
    is_plain = options == FitOptions(
        n_colors=options.n_colors,
        effort=options.effort,
        seed=options.seed,
        n_init=options.n_init,
        max_iter=options.max_iter,
        tol=options.tol,
    )
    is_small = len(histogram) < _MANY_COLORS * options.n_colors
    if not is_plain or is_small or histogram.has_alpha:
        return fit_histogram(histogram, find_quick_options(options), ignore_event)
    first = fit_histogram(histogram, FitOptions(n_colors=options.n_colors, method="wu")).palette
    start = tuple(tuple(map(float, color)) for color in first.colors)
    going_on = FitOptions(n_colors=options.n_colors, init=start, max_iter=_MAX_ITER, n_init=1)
    return fit_histogram(histogram, going_on, ignore_event)


def find_quick_options(options: FitOptions) -> FitOptions:
    """Return ``options`` with the least effort, where they leave that open."""
    if options.method != KMEANS or options.init != DEFAULT_INIT:
        return options
    return replace(options, effort="fast")
