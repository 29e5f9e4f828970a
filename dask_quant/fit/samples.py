"""Samples in, centres out: any rows of numbers, by the engine that fits them.

Rows of three integers from 0 to 255 are colours: counted, they are fitted by the histogram engine.
All others go to scikit-learn's k-means as distinct, weighted rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.fit.fitting import fit_histogram
from dask_quant.fit.rows import WeightedRows, float_type
from dask_quant.histogram import ColorHistogram

if TYPE_CHECKING:
    from numpy.typing import NDArray

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

    Notes
    -----
    Neither the order of the samples nor whether a sample comes again or weighs more shows in the
    centres.
    """
    dtype = float_type(samples.dtype)
    histogram = _count_samples(samples, weights)
    if histogram is not None:
        return fit_counted(histogram, options, dtype)
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
    rows = WeightedRows(histogram.colors, histogram.counts.astype(np.float64))
    ranked = rows.rank(rows.move(fit.centroids.astype(dtype)))
    return SampleFit("histogram", ranked, fit.n_iter, fit.palette)


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
