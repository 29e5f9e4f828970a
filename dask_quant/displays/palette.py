"""A palette: a bar of shares, swatches with their hex code and share, squares for the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.displays.frame import make_frame, make_lead
from dask_quant.report_page.palette_part import render_bar, render_swatches, show_share

if TYPE_CHECKING:
    from dask_quant.palette import Palette

MAX_SWATCHES = 32
"""Colours with their hex code and share beside them (arbitrary)."""

MAX_SQUARES = 256
"""Colours shown at all: as many as an 8-bit picture may have."""


def draw(palette: Palette) -> str:
    """Return a palette as HTML."""
    left = len(palette) - MAX_SQUARES
    more = f"the first {MAX_SQUARES} are shown" if left > 0 else ""
    title = f"Palette of {len(palette):,} {'colour' if len(palette) == 1 else 'colours'}"
    return make_frame(title, make_lead(title, more), draw_colors(palette))


def draw_colors(palette: Palette) -> str:
    """Return the colours of a palette as HTML, to be set in a frame."""
    return render_bar(palette) + render_swatches(palette, MAX_SWATCHES) + _draw_squares(palette)


def _draw_squares(palette: Palette) -> str:
    """Return the colours after the first as squares, each of which says what it is."""
    numbers = range(MAX_SWATCHES, min(len(palette), MAX_SQUARES))
    if not numbers:
        return ""
    colors = palette.hex
    squares = "".join(_draw_square(palette, number, colors[number]) for number in numbers)
    label = f"The next {len(numbers)} colours"
    return f'<div class="squares" role="img" aria-label="{label}">{squares}</div>'


def _draw_square(palette: Palette, number: int, color: str) -> str:
    """Return a colour as a square, which says its number, hex code and share."""
    said = f"{number}: {color} {show_share(palette, number)}".rstrip()
    return f'<i style="background:{color}" title="{said}"></i>'
