"""Histogram in, finished palette out: the one door to fitting."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.errors import FitError, PixelFormatError
from dask_quant.events import Event, ignore_event
from dask_quant.fit.alpha_colors import AlphaColors
from dask_quant.fit.alpha_fit import WAY_OUT, check_alpha_options, fit_alpha
from dask_quant.fit.boxes import ColorBoxes
from dask_quant.fit.kmeans import fit_centroids
from dask_quant.fit.methods import fit_by_method
from dask_quant.fit.palette_fit import PaletteFit
from dask_quant.fit.recolor import paint_classes, paint_entries
from dask_quant.fit.refine import apply_palette, finish_palette
from dask_quant.fit.refit import refit_palette
from dask_quant.fit.target import find_fewest
from dask_quant.fit_options import FitOptions
from dask_quant.method_options import KMEANS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dask_quant.events import Listener
    from dask_quant.given_colors import Color
    from dask_quant.histogram import ColorHistogram
    from dask_quant.palette import Palette


def fit_histogram(
    histogram: ColorHistogram, options: FitOptions, listener: Listener = ignore_event
) -> PaletteFit:
    """Fit a palette to counted colours, by exact weighted k-means unless told else. **Eager**.

    Parameters
    ----------
    histogram : ColorHistogram
        Of at least one pixel.
    options : FitOptions
        How to fit; ``engine`` is not looked at.
    listener : callable, optional
        Told of each round of the search.

    Returns
    -------
    PaletteFit
        Exactly ``min(n_colors, distinct colours)`` distinct colours, each of them in use. With at
        most ``n_colors`` distinct colours they are the palette, without any error. Colours that
        are kept count among the distinct ones, and are there even when they win no pixel.

    Raises
    ------
    FitError
        When the histogram is empty, or ``n_colors`` do not meet the target.
    PixelFormatError
        When there are fewer distinct colours than there are to paint them in.

    Notes
    -----
    A Lloyd iteration is at most O(colours * n_colors), in practice a few milliseconds for a
    photograph; about 40 bytes per distinct colour at the peak, 90 where there are fewer than 64
    for each of thousands of centroids.
    """
    if histogram.has_alpha:
        return _fit_transparent(histogram, options, listener)
    boxes = sort_colors(histogram, options.space)
    if options.target is not None:
        return find_fewest(options, lambda each: _fit_boxes(boxes, each, listener))
    return _recolor(_fit_boxes(boxes, options, listener), options.recolor)


def _fit_transparent(
    histogram: ColorHistogram, options: FitOptions, listener: Listener
) -> PaletteFit:
    """Fit a palette to counted colours that are not all opaque."""
    check_alpha_options(options)
    colors = AlphaColors.from_histogram(histogram)
    if options.target is not None:
        return find_fewest(options, lambda each: fit_alpha(colors, each, listener))
    return fit_alpha(colors, options, listener)


def _fit_boxes(boxes: ColorBoxes, options: FitOptions, listener: Listener) -> PaletteFit:
    """Fit a palette to weighted colours, not painted in others yet."""
    if options.refit:
        return refit_palette(boxes, options, listener)
    pins = np.array(options.keep, dtype=np.uint8).reshape(-1, 3)
    if len(pins) == options.n_colors or boxes.count_colors(pins) <= options.n_colors:
        listener(Event("fit", 1, 1, "rounds"))
        rounded = pins if len(pins) == options.n_colors else boxes.colors
        finished = finish_palette(boxes, rounded, options.n_colors, pins=pins)
        return PaletteFit(finished, boxes, "histogram", 0, rounded)
    if options.method != KMEANS:
        found, n_iter = fit_by_method(boxes.weigh(options.weight_power), options, listener)
        finished = finish_palette(boxes, found, options.n_colors)
        return PaletteFit(finished, boxes, "histogram", n_iter, found)
    fit = fit_centroids(
        boxes.weigh(options.weight_power),
        n_centroids=options.n_colors,
        pins=pins,
        effort=options.effort,
        seed=options.seed,
        n_init=options.n_init,
        max_iter=options.max_iter,
        tol=None if options.tol is None else options.tol * boxes.space.scale,
        init=options.init,
        listener=listener,
    )
    finished = finish_palette(boxes, fit.rounded, options.n_colors, pins=pins)
    return PaletteFit(finished, boxes, "histogram", fit.n_iter, fit.centroids)


def finish_fit(
    histogram: ColorHistogram,
    centroids: NDArray[np.floating | np.uint8],
    *,
    n_colors: int,
    engine: str,
    n_iter: int,
    recolor: Sequence[Color] = (),
) -> PaletteFit:
    """Make a palette of centroids that another engine fitted. **Eager**.

    Parameters
    ----------
    histogram : ColorHistogram
        The colours to be painted, of at least one pixel.
    centroids : ndarray
        sRGB levels, ``(k, 3)``.
    n_colors : int
        Entries wanted.
    engine, n_iter
        As `PaletteFit` records them.
    recolor
        As in `dask_quant.fit_options.FitOptions`.

    Raises
    ------
    FitError
        When the histogram is empty.
    PixelFormatError
        When there are fewer distinct colours than there are to paint them in.
    """
    boxes = sort_colors(histogram)
    finished = finish_palette(boxes, centroids, n_colors)
    return _recolor(PaletteFit(finished, boxes, engine, n_iter, centroids), recolor)


def fit_given(histogram: ColorHistogram, palette: Palette, space: str = "srgb") -> PaletteFit:
    """Return a palette that is given as if it were fitted, its order kept. **Eager**.

    Nearest entries are found in ``space``.

    Raises
    ------
    FitError
        When the histogram is empty.
    """
    boxes: ColorBoxes | AlphaColors
    if histogram.has_alpha or palette.has_alpha:
        check_alpha_options(FitOptions(space=space))
        boxes = AlphaColors.from_histogram(_check_counted(histogram))
    else:
        boxes = sort_colors(histogram, space)
    return PaletteFit(apply_palette(boxes, palette), boxes, "none", 0, palette.colors)


def fit_painted(
    histogram: ColorHistogram, palette: Palette, classes: Palette | None, space: str = "srgb"
) -> PaletteFit:
    """Return a palette that is given, of which pixels are labelled by ``classes``. **Eager**.

    ``classes`` None: by the palette itself. Errors are those of `fit_given`.
    """
    own = fit_given(histogram, classes or palette, space)
    if classes is None:
        return own
    assert isinstance(own.boxes, ColorBoxes), "transparency was refused"
    painted = paint_entries(own.boxes, own.finished, palette.colors)
    return replace(own, finished=painted, classes=classes)


def _recolor(fit: PaletteFit, colors: Sequence[Color]) -> PaletteFit:
    """Return a fit painted in ``colors``, or as it is where there are none."""
    if not colors:
        return fit
    assert isinstance(fit.boxes, ColorBoxes), "transparency was refused"
    painted = paint_classes(fit.boxes, fit.finished, np.array(colors, dtype=np.uint8))
    return replace(fit, finished=painted, classes=fit.palette)


def sort_colors(histogram: ColorHistogram, space: str = "srgb") -> ColorBoxes:
    """Return the colours of a histogram in boxes.

    Raises
    ------
    FitError
        When the histogram is empty.
    PixelFormatError
        When it holds colours that are not opaque.
    """
    if histogram.has_alpha:
        message = f"Got pixels that are not opaque, which do not go with this; {WAY_OUT}."
        raise PixelFormatError(message)
    return ColorBoxes.from_histogram(_check_counted(histogram), space)


def _check_counted(histogram: ColorHistogram) -> ColorHistogram:
    """Return a histogram of at least one pixel, or raise `FitError`."""
    if len(histogram) == 0:
        message = "Got a histogram of no pixel; count at least one image first."
        raise FitError(message)
    return histogram
