"""The fewest colours that meet a target: an error, a signal-to-noise ratio, a colour difference."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.color_difference import ciede2000
from dask_quant.color_spaces import lab_from_srgb
from dask_quant.errors import FitError
from dask_quant.fit.boxes import ColorBoxes, slice_colors
from dask_quant.results import psnr_db

if TYPE_CHECKING:
    from collections.abc import Callable

    from dask_quant.fit.boxes import Assignment
    from dask_quant.fit.palette_fit import PaletteFit
    from dask_quant.fit_options import FitOptions, Target
    from dask_quant.palette import Palette


def find_fewest(options: FitOptions, fit: Callable[[FitOptions], PaletteFit]) -> PaletteFit:
    """Return the fit of fewest colours that meets ``options.target``. **Eager**.

    Numbers are doubled until one meets it, then halved between; a number less would not meet it.

    Parameters
    ----------
    options : FitOptions
        With a target; ``n_colors`` is the most that is tried.
    fit : callable
        Fits with other options, which have no target.

    Raises
    ------
    FitError
        When ``n_colors`` do not meet it.
    """
    target, most = options.target, options.n_colors
    assert target is not None, "there is something to meet"
    low, high = 0, min(most, max(1, len(options.keep)))
    while not meets(target, best := fit(replace(options, n_colors=high, target=None))):
        if high == most:
            reached = measure_fit(target, best)
            message = (
                f"Got {target}, and {most} colours reach {reached:.4g}; aim lower, or ask for more "
                "colours (.png holds up to 256, .zarr 65536)."
            )
            raise FitError(message)
        low, high = high, min(most, 2 * high)
    low = max(low, len(options.keep) - 1)
    while high - low > 1:
        middle = (low + high) // 2
        found = fit(replace(options, n_colors=middle, target=None))
        if meets(target, found):
            best, high = found, middle
        else:
            low = middle
    return best


def meets(target: Target, fit: PaletteFit) -> bool:
    """Return whether a fit is at least as good as wanted."""
    found = measure_fit(target, fit)
    return found >= target.value if target.kind == "psnr" else found <= target.value


def measure_fit(target: Target, fit: PaletteFit) -> float:
    """Return what a target is compared with: dB, squared levels or CIEDE2000."""
    error = measure_error(target, fit)
    if target.kind != "psnr":
        return error
    found = psnr_db(error)
    return math.inf if found is None else found


def measure_error(target: Target, fit: PaletteFit) -> float:
    """Return the mean error by which a target judges: squared levels, also for dB, or CIEDE2000."""
    if target.kind == "delta_e":
        assert isinstance(fit.boxes, ColorBoxes), "transparency was refused"
        return measure_difference(fit.boxes, fit.finished.assignment, fit.palette)
    return fit.squared_error / int(fit.boxes.weights.sum())


def find_limit(target: Target) -> float:
    """Return the largest error, as `measure_error` returns it, that meets a target.

    Examples
    --------
    >>> from dask_quant.fit_options import Target
    >>> find_limit(Target("mse", 60)), round(find_limit(Target("psnr", 34)), 2)
    (60.0, 77.66)
    """
    if target.kind != "psnr":
        return float(target.value)
    return float(3 * 255**2 / 10 ** (target.value / 10))


def measure_difference(boxes: ColorBoxes, assignment: Assignment, palette: Palette) -> float:
    """Return the mean CIEDE2000 over all pixels between their colours and what paints them."""
    entries, total = lab_from_srgb(palette.colors), 0.0
    for part in slice_colors(len(boxes.colors)):
        found = ciede2000(lab_from_srgb(boxes.colors[part]), entries[assignment.labels[part]])
        total += float(np.sum(boxes.weights[part] * found))
    return total / float(boxes.weights.sum())
