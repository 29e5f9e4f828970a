"""A job that is done: its figures, its palette, what was set aside, where it wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.displays.frame import clip_text, make_frame, make_lead
from dask_quant.displays.palette import draw_colors
from dask_quant.report_page.figures import describe_job, render_figures
from dask_quant.report_page.markup import count_images, render_set_aside, show_name

if TYPE_CHECKING:
    from dask_quant.results import Report

MAX_SET_ASIDE = 10
"""Inputs set aside that are named; of the others, the number is told (arbitrary)."""

MAX_OUTPUTS = 5
"""Outputs that are named; of the others, the number is told (arbitrary)."""

MAX_CHARACTERS = 200
"""Characters of a name or a reason that are shown (arbitrary)."""


def draw(report: Report) -> str:
    """Return a report as HTML."""
    title = f"{report.command}: {count_images(report.n_images)}"
    return make_frame(
        title,
        make_lead(title, describe_job(report)),
        render_figures(report),
        _draw_set_aside(report),
        "" if report.palette is None else f"<div>{draw_colors(report.palette)}</div>",
        _name_outputs(report),
    )


def _draw_set_aside(report: Report) -> str:
    """Return the first inputs that were set aside, and why."""
    named = [
        (show_name(clip_text(each.path, MAX_CHARACTERS)), clip_text(each.reason, MAX_CHARACTERS))
        for each in report.quarantined[:MAX_SET_ASIDE]
    ]
    left = len(report.quarantined) - len(named)
    more = f'<p class="note">{left:,} more are in report.quarantined.</p>' if left else ""
    return f"<div>{render_set_aside(named)}{more}</div>" if named else ""


def _name_outputs(report: Report) -> str:
    """Return where the job wrote."""
    names = report.outputs if report.manifest is None else (report.manifest,)
    shown = ", ".join(show_name(clip_text(name, MAX_CHARACTERS)) for name in names[:MAX_OUTPUTS])
    left = len(names) - MAX_OUTPUTS
    more = f" and {left:,} more" if left > 0 else ""
    what = "Written" if report.manifest is None else "Table of the images"
    return f'<p class="note">{what}: {shown}{more}</p>' if names else ""
