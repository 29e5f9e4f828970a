"""Distributions as drawings inside of a page: SVG, in the colours of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dask_quant.report_page.axes import (
    SIZE,
    draw_levels,
    draw_tick,
    name_axes,
    place_across,
    place_down,
    round_up,
)
from dask_quant.report_page.markup import count_images, show_seconds, show_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dask_quant.report_rows import Distribution

MAX_BARS = 40
"""Bars at most; finer classes are drawn as one (arbitrary)."""

_MIN_BARS = 8
"""Bars at least, some of them empty, so that a lone one is no wall (arbitrary)."""

_N_TICKS = 6
"""Labels along the horizontal axis, about."""


class _Bars(NamedTuple):
    """Neighbouring classes drawn as one bar each."""

    first: int
    """Number of the first class."""
    width: int
    """Classes to a bar."""
    heights: list[int]
    """Images in each bar."""


def draw_distribution(
    distribution: Distribution, *, identifier: str, title: str, axis: str, unit: str
) -> str:
    """Return a histogram as an ``svg`` element with axes, their names, and a description.

    Parameters
    ----------
    distribution : Distribution
        What is drawn; of at least one image.
    identifier : str
        Prefix of the identifiers inside of it.
    title, axis : str
        What it shows, and what its horizontal axis tells.
    unit : str
        Unit of the figure: ``dB``, or ``s`` where classes are of powers of ten.
    """
    bars = _gather(distribution)
    show = show_seconds if distribution.scale == "log" else lambda value: f"{value:g} {unit}"
    edges = [_edge(distribution, bars, place) for place in range(len(bars.heights) + 1)]
    top = int(round_up(max(bars.heights)))
    named = f'aria-labelledby="{identifier}-title {identifier}-desc"'
    parts = [
        f'<svg viewBox="0 0 {SIZE[0]:g} {SIZE[1]:g}" role="img" {named}>',
        f'<title id="{identifier}-title">{show_text(title)}</title>',
        f'<desc id="{identifier}-desc">{show_text(_describe(bars, edges, show))}</desc>',
        *draw_levels([(level, f"{level:,}") for level in (0, top // 2, top)], top),
        *_draw_bars(bars, edges, top, show),
        *_draw_places(distribution, bars, edges),
        *name_axes(axis, "images"),
        "</svg>",
    ]
    return "\n".join(parts)


def _gather(distribution: Distribution) -> _Bars:
    """Return few enough bars, each of as many classes."""
    low, high = min(distribution.counts), max(distribution.counts)
    width = next(n for n in _widths() if high // n - low // n < MAX_BARS)
    first, last = low // width, high // width
    room = max(0, _MIN_BARS - (last - first + 1))
    first, last = first - room // 2, last + room - room // 2
    heights = [0] * (last - first + 1)
    for number, count in distribution.counts.items():
        heights[number // width - first] += count
    return _Bars(first * width, width, heights)


def _widths() -> Iterator[int]:
    """Return how many classes a bar may be made of."""
    decade = 1
    while True:
        yield from (decade, 2 * decade, 5 * decade)
        decade *= 10


def _edge(distribution: Distribution, bars: _Bars, place: int) -> float:
    """Return the value at which a bar begins."""
    position = (bars.first + place * bars.width) * distribution.step
    return 10**position if distribution.scale == "log" else position


def _describe(bars: _Bars, edges: Sequence[float], show: Callable[[float], str]) -> str:
    """Return in words what is drawn."""
    highest = max(range(len(bars.heights)), key=bars.heights.__getitem__)
    filled = [place for place, height in enumerate(bars.heights) if height]
    return (
        f"{count_images(sum(bars.heights))}, from {show(edges[filled[0]])} to "
        f"{show(edges[filled[-1] + 1])}; most, {bars.heights[highest]:,}, between "
        f"{show(edges[highest])} and {show(edges[highest + 1])}."
    )


def _draw_bars(
    bars: _Bars, edges: Sequence[float], top: int, show: Callable[[float], str]
) -> list[str]:
    """Return the bars, each of which says what it stands for."""
    parts, n_bars = [], len(bars.heights)
    for place, height in enumerate(bars.heights):
        if not height:
            continue
        x, floor = place_across(place / n_bars), place_down(0, top)
        y = min(place_down(height, top), floor - 1)  # one image is seen, too
        width = place_across((place + 1) / n_bars) - x
        said = f"{show(edges[place])} to {show(edges[place + 1])}: {height:,}"
        parts.append(
            f'<rect class="bar" x="{x + width * 0.06:.2f}" y="{y:.2f}" width="{width * 0.88:.2f}" '
            f'height="{floor - y:.2f}"><title>{show_text(said)}</title></rect>'
        )
    return parts


def _draw_places(distribution: Distribution, bars: _Bars, edges: Sequence[float]) -> list[str]:
    """Return the labels along the horizontal axis."""
    n_bars = len(bars.heights)
    chosen = (
        _choose_decades(bars, n_bars)
        if distribution.scale == "log"
        else range(0, n_bars + 1, max(1, round(n_bars / _N_TICKS)))
    )
    return [
        draw_tick(place_across(place / n_bars), _label(distribution, edges[place]))
        for place in chosen
    ]


def _choose_decades(bars: _Bars, n_bars: int) -> list[int]:
    """Return the bars that begin at 1, 2 or 5 times a power of ten, or at this alone."""
    for ends in ((0, 3, 7), (0, 5), (0,)):
        places = [
            place for place in range(n_bars + 1) if (bars.first + place * bars.width) % 10 in ends
        ]
        if len(places) <= _N_TICKS + 2:
            break
    return places


def _label(distribution: Distribution, value: float) -> str:
    """Return what stands at a place of the horizontal axis."""
    if distribution.scale == "linear":
        return f"{value:g}"
    factor, unit = (1000, "ms") if value < 0.95 else (1, "s")
    return f"{float(f'{value * factor:.1g}'):,g} {unit}"
