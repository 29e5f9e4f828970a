"""Colours with transparency as points, between which distances are plain Euclidean ones.

A pixel of colour ``c`` and alpha ``a`` shows as ``p`` over black and as ``p + 255 - a`` over white,
where ``p = a * c / 255`` is the colour premultiplied [1]_. The difference of two pixels is the mean
of their squared differences over the two backgrounds, summed over the three bands. With ``d`` for
differences that is ::

    sum(d(p)^2 + (d(p) - d(a))^2) / 2  =  sum((d(p) - d(a) / 2)^2) + 3 / 4 * d(a)^2

the squared distance of points ``(p - a / 2, sqrt(3) / 2 * a)`` of four bands: the mean of a cluster
is its best centroid, as k-means needs it. Of opaque pixels it is the squared sRGB distance, and
pixels that are fully transparent are one point, whatever their colour.

References
----------
.. [1] T. Porter, T. Duff, "Compositing digital images", SIGGRAPH 1984, doi:10.1145/800031.808606.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

OPAQUE = 255
"""Alpha of a pixel that hides what is behind it."""

BAND_WEIGHTS = np.array([1.0, 1.0, 1.0, 3.0])
"""What the squared difference of each band of `place_colors` counts."""

STEPS_PER_SQUARE = 4 * OPAQUE**2
"""Squared steps of `place_colors` in a squared sRGB level."""

_LEVELS_PER_STEP = np.sqrt(BAND_WEIGHTS) / (2 * OPAQUE)
"""What a step of `place_colors` is in sRGB levels, band by band."""

_ALPHA_STEP = np.sqrt(3.0) / 2
"""Distance of points that differ by an alpha of 1 and by half of that in every band."""

_TRIED_ALPHAS = np.arange(-1, 3)
"""Whole alphas that are tried around one between whole numbers, from the one below it."""


def add_alpha(colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return sRGB ``(..., 3)`` as opaque RGBA uint8 ``(..., 4)``, and RGBA as it is."""
    if colors.shape[-1] == 4:
        return colors
    bands = np.empty((*colors.shape[:-1], 4), dtype=np.uint8)
    bands[..., :3] = colors
    bands[..., 3] = OPAQUE
    return bands


def as_opaque(pixels: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Return pixels ``(..., 3)`` as they are, ``(..., 4)`` without alpha if all are opaque.

    None where a pixel is not.
    """
    if pixels.shape[-1] == 3:
        return pixels
    is_opaque = bool((pixels[..., 3] == OPAQUE).all())
    return np.ascontiguousarray(pixels[..., :3]) if is_opaque else None


def clear_hidden(colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return colours ``(..., 3)`` as they are, ``(..., 4)`` black where fully transparent."""
    if colors.shape[-1] == 3:
        return colors
    is_seen = colors[..., 3:] > 0
    return np.where(is_seen, colors, np.uint8(0))


def place_colors(colors: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return colours as points whose bands are whole numbers.

    Parameters
    ----------
    colors : ndarray
        RGBA uint8 ``(n, 4)``.

    Returns
    -------
    ndarray
        float64 ``(n, 4)``. Squared differences, weighted by `BAND_WEIGHTS` and added up, are exact,
        and `STEPS_PER_SQUARE` of them are a squared sRGB level.

    Examples
    --------
    >>> place_colors(np.array([[255, 0, 0, 255], [9, 9, 9, 0]], dtype=np.uint8)).tolist()
    [[65025.0, -65025.0, -65025.0, 65025.0], [0.0, 0.0, 0.0, 0.0]]
    """
    alpha = colors[:, 3:].astype(np.float64)
    points = np.empty((len(colors), 4))
    points[:, 3:] = OPAQUE * alpha
    points[:, :3] = 2 * alpha * colors[:, :3] - points[:, 3:]
    return points


def scale_points(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points of `place_colors` in sRGB levels: distances are plain Euclidean."""
    scaled: NDArray[np.float64] = points * _LEVELS_PER_STEP
    return scaled


def unscale_points(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the points that `scale_points` scaled."""
    unscaled: NDArray[np.float64] = points / _LEVELS_PER_STEP
    return unscaled


def find_colors(points: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the colours nearest to points that are scaled to levels.

    Parameters
    ----------
    points : ndarray
        float64 ``(k, 4)``, as `scale_points` has them.

    Returns
    -------
    ndarray
        RGBA uint8 ``(k, 4)``: of the whole alphas around that of a point, each with its best
        levels, the one that comes nearest. Black where the alpha is 0.

    Notes
    -----
    With the alpha given, the error of each band is a square of its own, so that the best level is
    the best one between whole numbers, rounded and kept within 0 to 255.
    """
    alphas = np.floor(points[:, 3:] / _ALPHA_STEP) + _TRIED_ALPHAS
    alphas = alphas.clip(0, OPAQUE)[:, :, np.newaxis]
    shown = points[:, np.newaxis, :3] + alphas / 2
    levels = np.rint(OPAQUE * shown / np.maximum(alphas, 1)).clip(0, OPAQUE)
    levels[np.broadcast_to(alphas == 0, levels.shape)] = 0
    colors = np.concatenate([levels, alphas], axis=2).astype(np.uint8)
    placed = scale_points(place_colors(colors.reshape(-1, 4))).reshape(colors.shape)
    errors = np.square(placed - points[:, np.newaxis]).sum(axis=2)
    best: NDArray[np.uint8] = colors[np.arange(len(points)), errors.argmin(axis=1)]
    return best
