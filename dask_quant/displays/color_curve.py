"""How good numbers of colours are: the error of each, the elbow, and the palette there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.displays.frame import make_frame, make_lead
from dask_quant.displays.line_chart import draw_line
from dask_quant.report_page.palette_part import render_bar

if TYPE_CHECKING:
    from dask_quant.color_curve import ColorCurve, ColorScore


def draw(curve: ColorCurve) -> str:
    """Return a curve as HTML."""
    scores = curve.scores
    title = f"Elbow at {curve.elbow} of {scores[0].n_colors} to {scores[-1].n_colors} colours"
    counted = f"{curve.n_unique_colors:,} colours of {curve.n_pixels:,} pixels"
    chart = draw_line(
        [score.n_colors for score in scores],
        [score.mse for score in scores],
        curve.elbow,
        axes=("colours", "mse"),
        label=f"Mean squared error by number of colours, {title[0].lower()}{title[1:]}",
        describe=lambda i: describe_score(scores[i]),
    )
    best = next(score for score in scores if score.n_colors == curve.elbow)
    note = f'<p class="note">{describe_score(best)}:</p>'
    return make_frame(title, make_lead(title, counted), chart, note, render_bar(best.palette))


def describe_score(score: ColorScore) -> str:
    """Return the figures of a number of colours."""
    psnr = "exact" if score.psnr_db is None else f"{score.psnr_db:.2f} dB"
    explained = f"{score.explained_variance:.2%} explained"
    return f"{score.n_colors} colours: mse {score.mse:,.2f}, {psnr}, {explained}"
