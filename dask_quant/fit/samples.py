"""Samples in, centres out: any rows of numbers, by the engine that fits them.

Rows of three integers from 0 to 255 are colours: counted, they are fitted by the histogram engine.
All others go to scikit-learn's k-means as distinct, weighted rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.color_spaces import find_space
from dask_quant.errors import OptionError
from dask_quant.fit.fitting import fit_histogram
from dask_quant.fit.rows import WeightedRows, float_type, place_rows
from dask_quant.histogram import ColorHistogram
from dask_quant.method_options import DEFAULT_INIT, KMEANS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.fit.palette_fit import PaletteFit
    from dask_quant.fit.rows import Numbers, RankedCenters
    from dask_quant.fit_options import FitOptions
    from dask_quant.palette import Palette

_DEFAULT_MAX_ITER = 300
"""Iterations of scikit-learn's k-means when nothing else is said: its own default."""

_DEFAULT_TOL = 1e-4
"""Relative tolerance of scikit-learn's k-means when nothing else is said: its own default."""

_MAX_PIXELS = 2**45
"""Pixels up to which the sums of the squared levels of three bands fit into 64 bits."""

_MOST_RESTARTS = 8
"""Restarts of scikit-learn's k-means at most when nothing else is said (arbitrary)."""

_RESTARTED_CENTERS = 128
"""Restarts times centres, so that the time of a fit hardly depends on k (arbitrary)."""

_MORE_RESTARTS = 4
"""Times as many restarts where the best is asked for (arbitrary)."""

_MAX_LEVEL = 255.0

_LEVEL_DECIMALS = 9
"""Decimals of sRGB levels that are made of another space: beyond them there is only rounding."""

_SKLEARN_SEEDS = 2**32
"""Seeds that scikit-learn takes; ours are reduced to them."""


@dataclass(frozen=True)
class SampleFit:
    """What one of the engines found."""

    engine: str
    """``histogram`` or ``scikit-learn``."""
    ranked: RankedCenters
    """The centres, unrounded."""
    n_iter: int
    """Lloyd iterations: of the whole search, of scikit-learn's best restart; 0 where nothing had to
    be fitted."""
    palette: Palette | None
    """The centres as 8-bit colours; None for rows that are no colours."""


def fit_samples(
    samples: Numbers, weights: NDArray[np.float64] | None, options: FitOptions
) -> SampleFit:
    """Fit centres to samples. **Eager**.

    Parameters
    ----------
    samples : ndarray
        Finite real numbers ``(n, n_features)``, ``n`` at least 1.
    weights : ndarray or None
        Of each sample, at least 0 and not all zero, float64 ``(n,)``. None: 1 each.
    options : FitOptions
        How to fit; ``engine`` is not looked at.

    Returns
    -------
    SampleFit
        At most ``n_colors`` centres, float32 for float32 samples, else float64. With at
        most ``n_colors`` distinct samples these are the centres.

    Raises
    ------
    OptionError
        When samples that are no counted colours get a method, a space or a start of colours.

    Notes
    -----
    Neither the order of the samples nor whether a sample comes again or weighs more shows in the
    centres.
    """
    dtype = float_type(samples.dtype)
    histogram = _count_samples(samples, weights)
    if histogram is not None:
        return fit_counted(histogram, options, dtype)
    _check_rows(options)
    return _fit_rows(WeightedRows.from_samples(samples.astype(dtype, copy=False), weights), options)


def fit_counted(
    histogram: ColorHistogram, options: FitOptions, dtype: np.dtype[np.floating]
) -> SampleFit:
    """Fit centres to counted colours by the histogram engine. **Eager**.

    Parameters
    ----------
    histogram : ColorHistogram
        Of at least one pixel.
    options : FitOptions
        How to fit; ``engine`` is not looked at.
    dtype : dtype
        Type of the centres.

    Raises
    ------
    FitError
        When the histogram is empty.
    """
    fit = fit_histogram(histogram, options)
    weights = histogram.counts.astype(np.float64)
    rows = WeightedRows(place_rows(histogram.colors, options.space), weights)
    centers = _find_centers(fit, rows, options, dtype).astype(dtype, copy=False)
    ranked = rows.rank(place_rows(centers, options.space), centers)
    return SampleFit("histogram", ranked, fit.n_iter, fit.palette)


def _find_centers(
    fit: PaletteFit, rows: WeightedRows, options: FitOptions, dtype: np.dtype[np.floating]
) -> Numbers:
    """Return the sRGB levels of the centres of a fit to ``rows`` of its space, ``(k, 3)``.

    Centroids are moved once more, since what painted the palette are their rounded levels. Those
    of other methods than k-means are no means: the palette, filled up, is what they found.
    """
    if options.method != KMEANS:
        return fit.palette.colors
    space = find_space(options.space)
    if space.is_srgb:
        return rows.move(fit.centroids.astype(dtype))
    means = rows.move(space.from_srgb(fit.centroids)).astype(np.float64, copy=False)
    levels = space.to_srgb(means)
    return np.clip(np.round(levels, _LEVEL_DECIMALS), 0.0, _MAX_LEVEL)


def _check_rows(options: FitOptions) -> None:
    """Raise `OptionError` when rows of any numbers are to be fitted in a way of colours."""
    for name, default in (("method", KMEANS), ("space", "srgb"), ("init", DEFAULT_INIT)):
        value = getattr(options, name)
        if value != default:
            shown = repr(value) if isinstance(value, str) else "of first colours"
            message = (
                f"Got {name} {shown} for samples that are no counted colours; leave {name} out, or "
                "fit rows of three integers from 0 to 255, of whole weights."
            )
            raise OptionError(message)


def _count_samples(samples: Numbers, weights: NDArray[np.float64] | None) -> ColorHistogram | None:
    """Return the histogram of samples that are 8-bit colours, or None when they are not."""
    if samples.shape[1] != 3 or not _are_levels(samples):
        return None
    colors = samples.astype(np.uint8, copy=False)
    if weights is None:
        return ColorHistogram.from_pixels(colors)
    if (weights != np.rint(weights)).any() or weights.sum() > _MAX_PIXELS:
        return None
    return ColorHistogram.from_colors(colors, weights.astype(np.int64))


def _are_levels(samples: Numbers) -> bool:
    """Return whether all numbers are integers from 0 to 255."""
    if samples.dtype == np.uint8:
        return True
    if samples.min() < 0 or samples.max() > 255:
        return False
    return samples.dtype.kind in "ui" or bool((samples == np.rint(samples)).all())


def _fit_rows(rows: WeightedRows, options: FitOptions) -> SampleFit:
    """Fit floating-point rows by scikit-learn's k-means."""
    from sklearn.cluster import KMeans

    if len(rows) <= options.n_colors:
        return SampleFit("scikit-learn", rows.rank(rows.rows), 0, None)
    model = KMeans(
        n_clusters=options.n_colors,
        n_init=options.n_init or _choose_restarts(options),
        max_iter=options.max_iter or _DEFAULT_MAX_ITER,
        tol=_DEFAULT_TOL if options.tol is None else _relative_tol(rows.rows, options.tol),
        random_state=options.seed % _SKLEARN_SEEDS,
    ).fit(rows.rows, sample_weight=rows.weights)
    ranked = rows.rank(rows.move(model.cluster_centers_))
    return SampleFit("scikit-learn", ranked, int(model.n_iter_), None)


def _choose_restarts(options: FitOptions) -> int:
    """Return the restarts of scikit-learn's k-means when nothing else is said."""
    if options.effort == "fast":
        return 1
    more = _MORE_RESTARTS if options.effort == "best" else 1
    return more * max(1, min(_MOST_RESTARTS, _RESTARTED_CENTERS // options.n_colors))


def _relative_tol(rows: Numbers, tol: float) -> float:
    """Return scikit-learn's ``tol`` for centres that move by at most ``tol``.

    It compares the sum of their squared shifts with ``tol`` times the mean variance of a feature.
    """
    variance = float(rows.var(axis=0, dtype=np.float64).mean())
    farthest = 4.0 * rows.size * len(rows)  # no centres within the rows can move more in all
    return min(tol * tol / variance, farthest) if variance else 0.0
