"""What a fit holds, and what a job holds more where pixels may be transparent: for plans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.histogram import BYTES_PER_COLOR
from dask_quant.kernels.cells import N_CODES
from dask_quant.kernels.count_alpha import SCRATCH_BYTES

if TYPE_CHECKING:
    from dask_quant.alpha_options import Transparency

_FIT_BYTES_PER_COLOR = 40
"""Histogram, its sorted copy, labels, distances and temporaries while fitting (measured 31)."""

_POWER_BYTES_PER_COLOR = 8
"""Weights of a fit that are not the counts."""

_ALPHA_FIT_BYTES_PER_COLOR = 240
"""A colour with transparency while fitting: points of four float64, in order, labels, errors."""

_BYTES_PER_PIXEL = 10
"""Bytes of a pixel while its alpha is looked at, and it is brought into one array with the rest."""

_COPIES = 3
"""Lists of counted colours while two of them are merged."""


def count_alpha_bytes(n_colors: int, task_pixels: int, n_threads: int) -> int:
    """Return the bytes beside those of opaque pixels.

    Parameters
    ----------
    n_colors : int
        Distinct colours at most: each pixel may have one of its own.
    task_pixels : int
        Pixels of a task.
    n_threads : int
        Tasks that run side by side.
    """
    in_tasks = n_threads * (task_pixels * _BYTES_PER_PIXEL + SCRATCH_BYTES)
    return in_tasks + _COPIES * n_colors * BYTES_PER_COLOR


def count_possible_colors(n_pixels: int, transparency: Transparency) -> int:
    """Return how many distinct colours as many pixels can have."""
    if transparency == "any":
        return n_pixels
    return min(n_pixels, N_CODES + (transparency == "one-bit"))


def count_fit_bytes(weight_power: float, transparency: Transparency) -> int:
    """Return what a fit holds for each distinct colour."""
    counted = _FIT_BYTES_PER_COLOR if transparency == "none" else _ALPHA_FIT_BYTES_PER_COLOR
    return counted + (0 if weight_power == 1 else _POWER_BYTES_PER_COLOR)
