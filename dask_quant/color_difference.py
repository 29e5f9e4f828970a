"""Colour differences as people see them: CIEDE2000.

References
----------
G. Sharma, W. Wu, E. N. Dalal, "The CIEDE2000 color-difference formula: implementation notes,
supplementary test data, and mathematical observations", Color Research & Application 30(1), 2005,
doi:10.1002/col.20070. Numbers of equations below are theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_HALF_TURN, _TURN = 180.0, 360.0
_CHROMA_POWER = 25.0**7


def ciede2000(first: Floats, second: Floats) -> Floats:
    """Return the CIEDE2000 difference of colours, kL = kC = kH = 1.

    Parameters
    ----------
    first, second : ndarray
        CIELAB, float64 ``(..., 3)``, of shapes that broadcast.

    Returns
    -------
    ndarray
        Differences, at least 0; 1 is about what can just be seen, float64 ``(...)``.

    Examples
    --------
    >>> ciede2000(np.array([50.0, 2.5, 0.0]), np.array([73.0, 25.0, -18.0])).round(4).item()
    27.1492
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    chroma_1, chroma_2, hue_1, hue_2 = _find_chroma_and_hue(first, second)
    lightness_step = second[..., 0] - first[..., 0]
    chroma_step = chroma_2 - chroma_1
    hue_turn, hue = _compare_hues(chroma_1 * chroma_2, hue_1, hue_2)
    hue_step = 2 * np.sqrt(chroma_1 * chroma_2) * np.sin(np.radians(hue_turn / 2))  # (11)
    lightness = 0.5 * (first[..., 0] + second[..., 0]) - 50  # (12)
    chroma = 0.5 * (chroma_1 + chroma_2)  # (13)
    by_hue = _weigh_hue(hue)
    lightness_unit = 1 + 0.015 * lightness**2 / np.sqrt(20 + lightness**2)  # (18)
    chroma_unit = 1 + 0.045 * chroma  # (19)
    hue_unit = 1 + 0.015 * chroma * by_hue  # (20)
    turn = 60 * np.exp(-(((hue - 275) / 25) ** 2))  # twice (16)
    rotation = -2 * _bend_chroma(chroma) * np.sin(np.radians(turn))  # (17), (21)
    lightness_term, chroma_term, hue_term = (
        lightness_step / lightness_unit,
        chroma_step / chroma_unit,
        hue_step / hue_unit,
    )
    squared = lightness_term**2 + chroma_term**2 + hue_term**2 + rotation * chroma_term * hue_term
    difference: Floats = np.sqrt(np.maximum(squared, 0.0))  # (22); below 0 by rounding only
    return difference


def _find_chroma_and_hue(first: Floats, second: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return both chromas C' and both hues h', in degrees: equations (2) to (7)."""
    plain = [np.hypot(each[..., 1], each[..., 2]) for each in (first, second)]
    stretch = 1 + 0.5 * (1 - _bend_chroma(0.5 * (plain[0] + plain[1])))
    found = [(stretch * each[..., 1], each[..., 2]) for each in (first, second)]
    chroma_1, chroma_2 = (np.hypot(a, b) for a, b in found)
    hue_1, hue_2 = (np.degrees(np.arctan2(b, a)) % _TURN for a, b in found)
    return chroma_1, chroma_2, hue_1, hue_2


def _bend_chroma(chroma: Floats) -> Floats:
    """Return the share that equations (4) and (17) have in common: 0 for grey, up to 1."""
    power = chroma**7
    bent: Floats = np.sqrt(power / (power + _CHROMA_POWER))
    return bent


def _compare_hues(product: Floats, hue_1: Floats, hue_2: Floats) -> tuple[Floats, Floats]:
    """Return the turn from one hue to the other, and their mean, in degrees: (10) and (14).

    Where the ``product`` of chromas is 0 a colour is grey and has no hue: the turn is 0, and the
    mean is the sum.
    """
    turn, total = hue_2 - hue_1, hue_1 + hue_2
    is_far = np.abs(turn) > _HALF_TURN
    shorter = np.where(is_far, turn - np.copysign(_TURN, turn), turn)
    beyond = np.where(total < _TURN, total + _TURN, total - _TURN)
    mean = 0.5 * np.where(is_far, beyond, total)
    has_hue = product != 0
    return np.where(has_hue, shorter, 0.0), np.where(has_hue, mean, total)


def _weigh_hue(hue: Floats) -> Floats:
    """Return the weight T of a mean hue in degrees: equation (15)."""
    weight: Floats = (
        1
        - 0.17 * np.cos(np.radians(hue - 30))
        + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6))
        - 0.20 * np.cos(np.radians(4 * hue - 63))
    )
    return weight
