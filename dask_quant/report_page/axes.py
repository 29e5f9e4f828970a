"""Axes of a drawing: SVG, in the colours of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.report_page.markup import show_text

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZE = (520.0, 260.0)
"""Width and height of a drawing in its own units."""

LEFT, RIGHT, TOP, BOTTOM = 62.0, 14.0, 12.0, 50.0
"""Room for axes and their names around the bars."""

_LABEL_WIDTH = 48.0
"""Room that the widest label of the horizontal axis takes: ``100 ms``."""


def place_across(share: float) -> float:
    """Return where a share of the horizontal axis ends."""
    return LEFT + (SIZE[0] - LEFT - RIGHT) * share


def place_down(value: float, top: float) -> float:
    """Return where a value is, down, on an axis from 0 to ``top``."""
    return SIZE[1] - BOTTOM - (SIZE[1] - TOP - BOTTOM) * value / top


def round_up(value: float, smallest: float = 1.0) -> float:
    """Return the next number of one digit and zeros that two halves make up.

    Examples
    --------
    >>> round_up(37), round_up(1), round_up(0.013, smallest=1e-6)
    (40.0, 2.0, 0.02)
    """
    decade = smallest
    while 10 * decade < value:
        decade *= 10
    top = next(base * decade for base in (2, 4, 6, 8, 10) if base * decade >= value)
    return float(f"{top:.1g}")


def draw_levels(levels: Sequence[tuple[float, str]], top: float) -> list[str]:
    """Return the lines of the vertical axis, which ends at ``top``, and their labels."""
    parts = []
    for level, label in levels:
        y = place_down(level, top)
        parts.append(
            f'<line class="grid" x1="{LEFT:g}" x2="{SIZE[0] - RIGHT:g}" y1="{y:.1f}" '
            f'y2="{y:.1f}"/>'
            f'<text class="end" x="{LEFT - 7:g}" y="{y + 4:.1f}">{show_text(label)}</text>'
        )
    return parts


def draw_tick(x: float, label: str) -> str:
    """Return a mark of the horizontal axis and its label, which stays inside of the drawing."""
    y, right = SIZE[1] - BOTTOM, SIZE[0] - 2
    is_cut = x + _LABEL_WIDTH / 2 > right
    place = f'class="end" x="{right:g}"' if is_cut else f'class="middle" x="{x:.1f}"'
    return (
        f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{y:g}" y2="{y + 5:g}"/>'
        f'<text {place} y="{y + 19:g}">{show_text(label)}</text>'
    )


def name_axes(horizontal: str, vertical: str) -> list[str]:
    """Return the names of both axes."""
    center = (LEFT + SIZE[0] - RIGHT) / 2
    middle = (TOP + SIZE[1] - BOTTOM) / 2
    return [
        f'<text class="name middle" x="{center:g}" y="{SIZE[1] - 8:g}">'
        f"{show_text(horizontal)}</text>",
        f'<text class="name middle" transform="translate(14 {middle:g}) rotate(-90)">'
        f"{show_text(vertical)}</text>",
    ]
