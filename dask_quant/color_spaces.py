"""Colour spaces: sRGB, linear RGB, Oklab, CIELAB, and lattices of whole numbers in each.

Fits and nearest colours are computed on a lattice: every sRGB colour is a point of three whole
numbers, as far from others as in its space, up to rounding. So sums are integers, distances are
exact, and one set of kernels serves all spaces. sRGB is a lattice already: its levels. The others
are so fine that no two colours share a point, and so coarse that sums of squares over 10^10 pixels
fit 64 bits.

References
----------
IEC 61966-2-1:1999, "Default RGB colour space - sRGB": transfer function, primaries, D65.
CIE 15:2004, "Colorimetry": CIELAB; here with the white point of sRGB, D65.
B. Ottosson, "A perceptual color space for image processing", 2020,
https://bottosson.github.io/posts/oklab: Oklab, matrices as of 2021-01-25.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.kernels.color_points import place_colors_block, sum_distances_block

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from numpy.typing import NDArray

    from dask_quant.kernels.assign import Labels

    Floats = NDArray[np.float64]

_MAX_LEVEL = 255.0

_ALL_LEVELS = np.arange(256, dtype=np.uint8)

_LINEAR_BELOW = 0.04045
"""sRGB value up to which the transfer function is a straight line."""

_SLOPE, _BEND, _GAMMA = 12.92, 0.055, 2.4
"""The line, and the power function above it."""

_XYZ_OF_LINEAR = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
"""XYZ of linear sRGB, from the primaries and D65."""

_WHITE = _XYZ_OF_LINEAR.sum(axis=1)
"""XYZ of white: grey colours have exactly a = b = 0."""

_CUBE_BELOW = 6 / 29
"""Root of XYZ over white, of CIELAB, up to which it is a straight line of XYZ instead."""

_LMS_OF_LINEAR = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
"""Cone responses of linear sRGB, of Oklab."""

_OKLAB_OF_ROOTS = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
"""Oklab of the cube roots of cone responses."""


def linear_from_srgb(levels: NDArray[np.floating | np.uint8]) -> Floats:
    """Return linear RGB, 0 to 1, of sRGB levels, 0 to 255, ``(..., 3)``."""
    values = np.asarray(levels, dtype=np.float64) / _MAX_LEVEL
    curved = ((np.maximum(values, 0.0) + _BEND) / (1 + _BEND)) ** _GAMMA
    return np.where(values <= _LINEAR_BELOW, values / _SLOPE, curved)


def srgb_from_linear(linear: Floats) -> Floats:
    """Return sRGB levels of linear RGB, both ``(..., 3)``; beyond 0 to 255 outside of sRGB."""
    curved = (1 + _BEND) * np.maximum(linear, 0.0) ** (1 / _GAMMA) - _BEND
    values = np.where(linear <= _LINEAR_BELOW / _SLOPE, linear * _SLOPE, curved)
    levels: Floats = values * _MAX_LEVEL
    return levels


def oklab_from_srgb(levels: NDArray[np.floating | np.uint8]) -> Floats:
    """Return Oklab (L 0 to 1, a, b) of sRGB levels, 0 to 255, ``(..., 3)``.

    Examples
    --------
    >>> oklab_from_srgb(np.array([255, 0, 0])).round(3).tolist()
    [0.628, 0.225, 0.126]
    """
    oklab: Floats = np.cbrt(linear_from_srgb(levels) @ _LMS_OF_LINEAR.T) @ _OKLAB_OF_ROOTS.T
    return oklab


def srgb_from_oklab(oklab: Floats) -> Floats:
    """Return sRGB levels of Oklab, both ``(..., 3)``; beyond 0 to 255 outside of sRGB."""
    roots = oklab @ np.linalg.inv(_OKLAB_OF_ROOTS).T
    return srgb_from_linear(roots**3 @ np.linalg.inv(_LMS_OF_LINEAR).T)


def lab_from_srgb(levels: NDArray[np.floating | np.uint8]) -> Floats:
    """Return CIELAB (L* 0 to 100, a*, b*), D65, of sRGB levels, 0 to 255, ``(..., 3)``.

    Examples
    --------
    >>> lab_from_srgb(np.array([255, 0, 0])).round(2).tolist()
    [53.24, 80.09, 67.2]
    """
    shares = linear_from_srgb(levels) @ _XYZ_OF_LINEAR.T / _WHITE
    lines = shares / (3 * _CUBE_BELOW**2) + 4 / 29
    x, y, z = np.moveaxis(np.where(shares > _CUBE_BELOW**3, np.cbrt(shares), lines), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def srgb_from_lab(lab: Floats) -> Floats:
    """Return sRGB levels of CIELAB, D65, both ``(..., 3)``; beyond 0 to 255 outside of sRGB."""
    lightness, a, b = np.moveaxis(np.asarray(lab, dtype=np.float64), -1, 0)
    y = (lightness + 16) / 116
    roots = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    lines = 3 * _CUBE_BELOW**2 * (roots - 4 / 29)
    xyz = np.where(roots > _CUBE_BELOW, roots**3, lines) * _WHITE
    return srgb_from_linear(xyz @ np.linalg.inv(_XYZ_OF_LINEAR).T)


@dataclass(frozen=True, eq=False)  # there is one of each name
class ColorSpace:
    """A working space, and its lattice: ``round((space - origin) * scale)``."""

    name: str
    """One of `dask_quant.fit_options.SPACES`."""
    scale: float
    """Steps of the lattice in a unit of the space."""
    origin: tuple[float, float, float]
    """Where the lattice is 0, below all sRGB colours."""
    level: float
    """Steps that are about as far as a level of sRGB, by the distance from black to white."""
    from_srgb: Callable[[NDArray[np.floating | np.uint8]], Floats]
    """Space of sRGB levels."""
    to_srgb: Callable[[Floats], Floats]
    """sRGB levels of the space."""
    inner: Floats = field(default_factory=partial(np.eye, 3))
    """What linear RGB is multiplied by to be bent, float64 ``(3, 3)``."""
    root_above: float = np.inf
    """Value above which the cube root is taken of it."""
    line: tuple[float, float] = (1.0, 0.0)
    """Slope and offset of the line that it is bent to elsewhere."""
    outer: Floats = field(default_factory=partial(np.eye, 3))
    """What that is multiplied by in turn, float64 ``(3, 3)``."""
    constant: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """What is added in the end."""

    @property
    def is_srgb(self) -> bool:
        """Whether points are sRGB levels themselves."""
        return self.name == "srgb"

    def place(self, colors: NDArray[np.uint8]) -> NDArray[np.uint8 | np.uint16]:
        """Return the points of sRGB colours uint8 ``(n, 3)``: themselves, or uint16 below 2^14.

        No two colours share a point.

        A colour has its point whatever others are beside it.
        """
        if self.is_srgb:
            return colors
        points: NDArray[np.uint16] = np.empty(colors.shape, dtype=np.uint16)
        place_colors_block(np.ascontiguousarray(colors), **self._steps, points=points)
        return points

    def sum_distances(
        self, colors: NDArray[np.uint8], labels: Labels, entries: NDArray[np.uint8]
    ) -> int:
        """Return the sum of the squared distances of colours to those that stand for them.

        Parameters
        ----------
        colors, labels : ndarray
            sRGB uint8 ``(..., 3)``, and the index ``(...)`` of the entry of each.
        entries : ndarray
            sRGB uint8 ``(k, 3)``.

        Returns
        -------
        int
            In squared steps of the lattice. Only for other spaces than sRGB.
        """
        rows = np.ascontiguousarray(colors).reshape(-1, 3)
        points = self.place(entries).astype(np.int64)
        return int(sum_distances_block(rows, labels.reshape(-1), points, **self._steps))

    @cached_property
    def _steps(self) -> Mapping[str, Any]:
        """What colours are placed by: light, bend and matrices, in steps of the lattice."""
        return {
            "linear": linear_from_srgb(_ALL_LEVELS),
            "inner": self.inner,
            "root_above": self.root_above,
            "line": self.line,
            "outer": self.outer * self.scale,
            "offset": np.subtract(self.constant, self.origin) * self.scale,
        }

    def find_levels(self, points: Floats) -> Floats:
        """Return the sRGB levels, 0 to 255, of points between those of the lattice, ``(n, 3)``."""
        if self.is_srgb:
            return points
        return np.clip(self.to_srgb(points / self.scale + self.origin), 0.0, _MAX_LEVEL)


def _same(levels: NDArray[np.floating | np.uint8]) -> Floats:
    """Return sRGB levels as they are."""
    return np.asarray(levels, dtype=np.float64)


_LAB_OF_ROOTS = np.array([[0.0, 116.0, 0.0], [500.0, -500.0, 0.0], [0.0, 200.0, -200.0]])
"""CIELAB, but for 16 to be subtracted from L*, of the bent shares of white."""

_BY_NAME = {
    space.name: space
    for space in (
        ColorSpace("srgb", 1.0, (0.0, 0.0, 0.0), 1.0, _same, _same),
        ColorSpace("linear", 8191.0, (0.0, 0.0, 0.0), 32.1, linear_from_srgb, srgb_from_linear),
        ColorSpace(
            *("oklab", 16383.0, (0.0, -0.25, -0.33), 37.1, oklab_from_srgb, srgb_from_oklab),
            inner=_LMS_OF_LINEAR,
            root_above=0.0,
            line=(0.0, 0.0),
            outer=_OKLAB_OF_ROOTS,
        ),
        ColorSpace(
            *("lab", 72.0, (0.0, -90.0, -112.0), 16.3, lab_from_srgb, srgb_from_lab),
            inner=_XYZ_OF_LINEAR / _WHITE[:, np.newaxis],
            root_above=_CUBE_BELOW**3,
            line=(1 / (3 * _CUBE_BELOW**2), 4 / 29),
            outer=_LAB_OF_ROOTS,
            constant=(-16.0, 0.0, 0.0),
        ),
    )
}


def find_space(name: str) -> ColorSpace:
    """Return a space by its name, one of `dask_quant.fit_options.SPACES`."""
    return _BY_NAME[name]
