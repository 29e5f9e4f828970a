"""Dots in the cube of red, green and blue, seen from outside of a corner: SVG."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dask_quant.report_page.markup import show_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.displays.dots import Dots

_SIZE = (520, 430)
"""Width and height of the drawing in its own units."""

_SCALE = 1.02
"""Units of the drawing to a level."""

_AZIMUTH, _ELEVATION = math.radians(52), math.radians(20)
"""Where the eye is: in front of red, so that greys go from below on the left to above on the right,
with warm colours before them, and above it (arbitrary)."""

_RADII = (2.2, 30.0)
"""Radius of the rarest dot, and of one that has all pixels; its area goes with the pixels."""

_EDGES = tuple(
    (start, start | axis) for axis in (4, 2, 1) for start in range(8) if not start & axis
)
"""Edges of the cube between its corners, whose bits are red, green and blue."""

_NAMES = {0: "black", 4: "red", 5: "magenta", 7: "white", 3: "cyan", 2: "green"}
"""Corners that are named: the outer ones, whose names no dot hides."""


class _View(NamedTuple):
    """Points as seen."""

    x: NDArray[np.float64]
    """Across ``(n,)``."""
    y: NDArray[np.float64]
    """Down ``(n,)``."""
    depth: NDArray[np.float64]
    """How far in front ``(n,)``."""


def draw_scatter(dots: Dots, label: str) -> str:
    """Return dots as an ``svg`` element, described by ``label``; those behind are drawn first."""
    corners = _look(np.array([_corner(number) for number in range(8)], dtype=np.float64))
    front = int(corners.depth.argmax())
    behind, before = _draw_edges(corners, front)
    named = f'role="img" aria-label="{show_text(label)}"'
    return "\n".join(
        [
            f'<svg viewBox="0 0 {_SIZE[0]} {_SIZE[1]}" {named}>',
            *behind,
            '<g stroke="#808080" stroke-width="0.5">',
            *_draw_dots(dots),
            "</g>",
            *before,
            *_draw_names(corners),
            "</svg>",
        ]
    )


def _corner(number: int) -> tuple[int, int, int]:
    """Return the colour of a corner."""
    return (255 * (number >> 2 & 1), 255 * (number >> 1 & 1), 255 * (number & 1))


def _look(colors: NDArray[np.float64]) -> _View:
    """Return colours ``(n, 3)`` as seen: green is up, red to the right and near, blue far."""
    red, green, blue = (colors - 127.5).T
    across = red * math.sin(_AZIMUTH) + blue * math.cos(_AZIMUTH)
    near = red * math.cos(_AZIMUTH) - blue * math.sin(_AZIMUTH)
    up = green * math.cos(_ELEVATION) - near * math.sin(_ELEVATION)
    depth = near * math.cos(_ELEVATION) + green * math.sin(_ELEVATION)
    return _View(_SIZE[0] / 2 + _SCALE * across, _SIZE[1] / 2 - _SCALE * up, depth)


def _draw_edges(corners: _View, front: int) -> tuple[list[str], list[str]]:
    """Return the edges behind all dots, and those before them, which meet in the nearest corner."""
    behind: list[str] = []
    before: list[str] = []
    for start, end in _EDGES:
        place = " ".join(
            f'{name}="{value:.0f}"'
            for name, value in (
                ("x1", corners.x[start]),
                ("x2", corners.x[end]),
                ("y1", corners.y[start]),
                ("y2", corners.y[end]),
            )
        )
        line = f'<line class="grid" {place}/>'
        (before if front in (start, end) else behind).append(line)
    return behind, before


def _draw_dots(dots: Dots) -> list[str]:
    """Return a circle for each dot, the furthest first."""
    view = _look(dots.colors)
    low, high = _RADII
    total = max(1, int(dots.counts.sum()))
    radii = np.maximum(low, high * np.sqrt(dots.counts / total))
    return [
        f'<circle cx="{view.x[i]:.0f}" cy="{view.y[i]:.0f}" r="{radii[i]:.1f}" '
        f'fill="#{bytes(np.rint(dots.colors[i]).astype(np.uint8)).hex()}"/>'
        for i in np.argsort(view.depth, kind="stable")
    ]


def _draw_names(corners: _View) -> list[str]:
    """Return the names of corners, beside them."""
    parts = []
    for number, name in _NAMES.items():
        x, y = corners.x[number], corners.y[number]
        down = 16 if y > _SIZE[1] / 2 else -8
        parts.append(f'<text class="middle" x="{x:.0f}" y="{y + down:.0f}">{name}</text>')
    return parts
