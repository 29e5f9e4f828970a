"""The palette of one image by the engine that is asked for: from its counts, or from its pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.errors import FitError
from dask_quant.events import Event
from dask_quant.fit.fitting import finish_fit, fit_histogram
from dask_quant.graphs.rows import RowBlocks
from dask_quant.graphs.sampling import draw_colors
from dask_quant.graphs.scalable import draw_initial_centroids, fit_dask_ml
from dask_quant.row_flow import RowFitOptions, SpreadRows, fit_rows

if TYPE_CHECKING:
    import dask.array as da
    from numpy.typing import NDArray

    from dask_quant.execute import Executor
    from dask_quant.fit.palette_fit import PaletteFit
    from dask_quant.fit_options import FitOptions
    from dask_quant.histogram import ColorHistogram

DASK_ML_MAX_ITER = 300
"""Lloyd iterations of `dask_ml.cluster.KMeans` when nothing else is said: its own default."""

DASK_ML_TOL = 1e-4
"""Tolerance of `dask_ml.cluster.KMeans` when nothing else is said: its own default."""


def fit_image(
    image: da.Array, histogram: ColorHistogram, options: FitOptions, executor: Executor
) -> PaletteFit:
    """Fit a palette with the engine that ``options`` names. **Eager**.

    ``image`` is the pixels that ``histogram`` counted; the histogram engine does not read them.
    """
    if not options.fits_pixels:
        return fit_histogram(histogram, options, executor.listener)
    centroids: NDArray[np.floating | np.uint8]
    if len(histogram) <= options.n_colors:
        centroids, n_iter = histogram.colors, 0
    elif options.engine == "scalable":
        centroids, n_iter = _fit_in_passes(image, options, executor)
    else:
        centroids, n_iter = _fit_by_dask_ml(image, histogram, options, executor)
    return finish_fit(
        histogram,
        centroids,
        n_colors=options.n_colors,
        engine=options.engine,
        n_iter=n_iter,
        recolor=options.recolor,
    )


def _fit_in_passes(
    image: da.Array, options: FitOptions, executor: Executor
) -> tuple[NDArray[np.float64], int]:
    """Return centroids ``(n_colors, 3)`` that k-means on all pixels finds, and its iterations."""
    source = SpreadRows(RowBlocks.of_image(image), executor)
    survey = source.survey(options.seed, image.shape[2])
    row_options = RowFitOptions(
        n_clusters=options.n_colors,
        max_iter=options.max_iter or RowFitOptions.max_iter,
        max_shift=options.tol,
        seed=options.seed,
        n_init=options.n_init,
    )
    fit = fit_rows(source, survey, row_options)
    return fit.centers, fit.n_iter


def _fit_by_dask_ml(
    image: da.Array, histogram: ColorHistogram, options: FitOptions, executor: Executor
) -> tuple[NDArray[np.float64], int]:
    """Return centroids ``(n_colors, 3)`` that dask-ml finds, and its iterations."""
    first = _draw_start(image, histogram, options, executor)
    executor.listener(Event("fit", 0, None))  # how many iterations is known at the end
    with executor.activate():
        fit = fit_dask_ml(
            image,
            n_clusters=options.n_colors,
            initial_centroids=first,
            max_iter=options.max_iter or DASK_ML_MAX_ITER,
            # dask-ml compares with the squared shifts of all centroids together.
            tol=DASK_ML_TOL if options.tol is None else options.tol * options.tol,
            seed=options.seed,
            persist=executor.client is not None,
        )
    return fit.centroids, fit.n_iter


def _draw_start(
    image: da.Array, histogram: ColorHistogram, options: FitOptions, executor: Executor
) -> NDArray[np.float32]:
    """Return distinct colours, float32 ``(n_colors, 3)``, for dask-ml to start from."""
    try:
        return draw_initial_centroids(
            image,
            n_clusters=options.n_colors,
            seed=options.seed,
            compute=lambda drawn: executor.compute(drawn, stage="draw"),
        )
    except FitError:
        # A few colours hold nearly all pixels; each counts the same among the distinct ones.
        return draw_colors(histogram.colors, options.n_colors, options.seed).astype(np.float32)
