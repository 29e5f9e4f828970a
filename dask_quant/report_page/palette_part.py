"""The palette on a page: a bar of the shares of its colours, and a swatch for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.report_page.markup import make_section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask_quant.palette import Palette

MAX_SWATCHES = 256
"""Swatches shown, as many as an 8-bit picture may have; of the others, the number is told."""


def render_palette(palette: Palette) -> str:
    """Return a part of the page about a palette, whose counts may not be known."""
    left = len(palette) - MAX_SWATCHES
    note = f"The first {MAX_SWATCHES} of {len(palette):,}." if left > 0 else ""
    body = render_bar(palette) + render_swatches(palette, MAX_SWATCHES)
    return make_section("palette", "Palette", body, note)


def render_bar(palette: Palette) -> str:
    """Return the colours side by side, each as wide as its share; nothing without counts."""
    if palette.counts is None or not palette.counts.any():
        return ""
    parts = "".join(
        f'<i style="flex:{count} 0 0;background:{color}"></i>'
        for color, count in zip(palette.hex[:MAX_SWATCHES], palette.counts, strict=False)
        if count
    )
    return f'<div class="spread" aria-hidden="true">{parts}</div>\n'  # swatches say the same


def render_swatches(palette: Palette, limit: int) -> str:
    """Return a swatch for each of the first colours, with its share where counts are known."""
    swatches = "\n".join(_list_swatches(palette, limit))
    return f'<ol class="swatches">\n{swatches}\n</ol>'


def _list_swatches(palette: Palette, limit: int) -> Iterator[str]:
    """Yield a swatch for each of the first colours."""
    for number, color in enumerate(palette.hex[:limit]):
        yield (
            f'<li><span class="chip" aria-hidden="true"><b style="background:{color}"></b></span>'
            f"<code>{color}</code>{_show_count(palette, number)}</li>"
        )


def _show_count(palette: Palette, number: int) -> str:
    """Return how many pixels a colour has, in HTML; nothing where counts are not known."""
    share = show_share(palette, number)
    if palette.counts is None or not share:
        return ""
    return f'<span class="count">{share}, {palette.counts[number]:,} px</span>'


def show_share(palette: Palette, number: int) -> str:
    """Return the share of the pixels that a colour has; nothing where counts are not known."""
    if palette.counts is None or not palette.counts.any():
        return ""
    return f"{int(palette.counts[number]) / int(palette.counts.sum()):.2%}"
