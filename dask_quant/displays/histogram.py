"""Counted colours: figures, and where they lie in the cube of red, green and blue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.displays.dots import gather_dots
from dask_quant.displays.frame import make_frame, make_lead
from dask_quant.displays.scatter import draw_scatter
from dask_quant.kernels.count_block import unpack_colors
from dask_quant.options import format_bytes
from dask_quant.palette import show_color
from dask_quant.report_page.figures import join_figures, make_figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask_quant.displays.dots import Dots
    from dask_quant.histogram import ColorHistogram

MAX_DOTS = 800
"""Dots at most: each takes some fifty bytes of the notebook."""


def draw(histogram: ColorHistogram) -> str:
    """Return a histogram as HTML."""
    title = "Colours and how many pixels have them"
    lead = make_lead(
        "ColorHistogram", f"{len(histogram):,} colours of {histogram.n_pixels:,} pixels"
    )
    if not len(histogram):
        return make_frame(title, lead)
    figures = join_figures(_list_figures(histogram))
    dots = gather_dots(histogram, MAX_DOTS)
    return make_frame(title, lead, figures, _draw_cube(dots))


def _list_figures(histogram: ColorHistogram) -> Iterator[str]:
    """Yield each figure of a histogram."""
    n_pixels, highest = histogram.n_pixels, int(histogram.counts.argmax())
    (color,) = unpack_colors(histogram.codes[highest : highest + 1], 4)
    yield make_figure("Pixels", f"{n_pixels:,}")
    per_color = f"{n_pixels / len(histogram):,.1f} pixels to a colour"
    yield make_figure("Distinct colours", f"{len(histogram):,}", per_color)
    yield make_figure(
        "Most frequent", show_color(bytes(color)), f"{histogram.counts[highest] / n_pixels:.2%}"
    )
    yield make_figure("In memory", format_bytes(histogram.nbytes))


def _draw_cube(dots: Dots) -> str:
    """Return dots in the cube of colours, and what one of them stands for."""
    if not len(dots.colors):
        return ""
    cell = f"{dots.levels} x {dots.levels} x {dots.levels}"
    each = "a colour" if dots.levels == 1 else f"all colours in a cell of {cell} levels"
    said = f"{len(dots.colors):,} dots, each {each}, as large as its share of the pixels"
    drawing = draw_scatter(dots, f"Colours in the cube of red, green and blue: {said}")
    return f'<figure>{drawing}<figcaption class="note">{said}.</figcaption></figure>'
