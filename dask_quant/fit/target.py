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
    if target.kind == "delta_e":
        assert isinstance(fit.boxes, ColorBoxes), "transparency was refused"
        return measure_difference(fit.boxes, fit.finished.assignment, fit.palette)
    mse = fit.squared_error / int(fit.boxes.weights.sum())
    if target.kind == "mse":
        return mse
    found = psnr_db(mse)
    return math.inf if found is None else found


def measure_difference(boxes: ColorBoxes, assignment: Assignment, palette: Palette) -> float:
    """Return the mean CIEDE2000 over all pixels between their colours and what paints them."""
    entries, total = lab_from_srgb(palette.colors), 0.0
    for part in slice_colors(len(boxes.colors)):
        found = ciede2000(lab_from_srgb(boxes.colors[part]), entries[assignment.labels[part]])
        total += float(np.sum(boxes.weights[part] * found))
    return total / float(boxes.weights.sum())
