"""A figure against a number of colours or classes, with the number that it suggests: SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.report_page.axes import (
    SIZE,
    TOP,
    draw_levels,
    draw_tick,
    name_axes,
    place_across,
    place_down,
    round_up,
)
from dask_quant.report_page.markup import show_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MARGIN = 0.03
"""Share of the width left free at both ends, so that dots stand clear of the axis."""

_N_TICKS = 8
"""Labels along the horizontal axis, about."""

_MAX_DOTS = 200
"""Points that get a dot each, which says its figures; of more, only the line is drawn."""


def draw_line(
    numbers: Sequence[int],
    values: Sequence[float],
    chosen: int,
    *,
    axes: tuple[str, str],
    label: str,
    describe: Callable[[int], str],
) -> str:
    """Return values against ascending numbers as an ``svg`` element.

    Parameters
    ----------
    numbers, values : sequence
        The points; values are 0 or more.
    chosen : int
        One of the numbers, which is marked.
    axes : tuple of str
        What the horizontal and the vertical axis tell.
    label : str
        What the drawing says, for readers of screens.
    describe : callable
        Returns what the point of an index says.
    """
    top = round_up(max(values), smallest=1e-6) if max(values) > 0 else 1.0
    x, y = _spread(numbers), [place_down(value, top) for value in values]
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return "\n".join(
        [
            f'<svg viewBox="0 0 {SIZE[0]:g} {SIZE[1]:g}" role="img" '
            f'aria-label="{show_text(label)}">',
            *draw_levels([(level, f"{level:,g}") for level in (0.0, top / 2, top)], top),
            *(draw_tick(x[i], str(numbers[i])) for i in _choose_ticks(x)),
            *_draw_mark(x[list(numbers).index(chosen)], chosen),
            f'<polyline class="line" points="{line}"/>',
            *(_draw_dot(x[i], y[i], describe(i)) for i in range(len(x)) if len(x) <= _MAX_DOTS),
            *name_axes(*axes),
            "</svg>",
        ]
    )


def _spread(numbers: Sequence[int]) -> list[float]:
    """Return where numbers are, across; a lone one in the middle."""
    low, high = numbers[0], numbers[-1]
    if low == high:
        return [place_across(0.5)]
    width = (1 - 2 * _MARGIN) / (high - low)
    return [place_across(_MARGIN + (number - low) * width) for number in numbers]


def _choose_ticks(x: Sequence[float]) -> list[int]:
    """Return the points whose numbers are told: the first, the last, and some well apart."""
    gap = (x[-1] - x[0]) / _N_TICKS
    chosen = [0]
    for i in range(1, len(x) - 1):
        if x[i] - x[chosen[-1]] >= gap and x[-1] - x[i] >= gap:
            chosen.append(i)
    return [*chosen, len(x) - 1] if len(x) > 1 else chosen


def _draw_mark(x: float, chosen: int) -> list[str]:
    """Return the line at the number that is suggested, and its name."""
    is_right = x > SIZE[0] * 0.7
    place = f'class="chosen{" end" if is_right else ""}" x="{x + (-6 if is_right else 6):.1f}"'
    return [
        f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP:g}" y2="{place_down(0, 1):g}"/>',
        f'<text {place} y="{TOP + 12:g}">elbow: {chosen}</text>',
    ]


def _draw_dot(x: float, y: float, said: str) -> str:
    """Return a point, which says its figures."""
    return (
        f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3">'
        f"<title>{show_text(said)}</title></circle>"
    )
