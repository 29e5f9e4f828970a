"""What a job would do, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.displays.frame import clip_text, make_frame, make_lead
from dask_quant.options import format_bytes
from dask_quant.report_page.markup import count_images, make_table, show_int, show_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask_quant.routes.planning import JobPlan

MAX_OUTPUTS = 10
"""Outputs that are named; of the others, the number is told (arbitrary)."""

MAX_CHARACTERS = 200
"""Characters of a name that are shown (arbitrary)."""


def draw(plan: JobPlan) -> str:
    """Return a plan as HTML."""
    table = make_table("What the job would do", ("figure", "value"), _list_rows(plan), n_texts=1)
    outputs = make_table("What it would write", ("output",), _list_outputs(plan), n_texts=1)
    lead = make_lead("JobPlan", f"{count_images(plan.n_images)}; nothing is written yet")
    return make_frame("Plan of a job", lead, table, outputs)


def _list_rows(plan: JobPlan) -> Iterator[tuple[str, str]]:
    """Yield what there is to do, and how much of it, as cells."""
    yield "images", show_int(plan.n_images)
    yield "other files, left alone", show_int(plan.n_ignored)
    yield "pixels", show_int(plan.n_pixels)
    yield "tasks", show_int(plan.n_tasks)
    yield "decoded", format_bytes(plan.decoded_bytes)
    yield "labels, before compression", format_bytes(plan.label_bytes)
    yield "memory of all processes, at most", format_bytes(plan.projected_bytes)


def _list_outputs(plan: JobPlan) -> Iterator[tuple[str]]:
    """Yield the first outputs as cells, and how many more there are."""
    for output in plan.outputs[:MAX_OUTPUTS]:
        yield (show_name(clip_text(output, MAX_CHARACTERS)),)
    left = len(plan.outputs) - MAX_OUTPUTS
    if left > 0:
        yield (f"and {left:,} more",)
