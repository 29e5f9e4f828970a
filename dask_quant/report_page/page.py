"""The page about a job, part by part, as one HTML text that refers to nothing outside of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dask_quant.options import format_bytes
from dask_quant.report_page.charts import draw_distribution
from dask_quant.report_page.contents import GENERATOR
from dask_quant.report_page.figures import describe_job, render_figures
from dask_quant.report_page.markup import (
    count_images,
    make_picture,
    make_section,
    make_table,
    render_set_aside,
    show_float,
    show_int,
    show_name,
    show_seconds,
    show_text,
)
from dask_quant.report_page.palette_part import render_palette
from dask_quant.report_page.style import STYLE
from dask_quant.report_rows import MAX_QUARANTINED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask_quant.image_rows import ImageRow
    from dask_quant.report_page.contents import PageContents, Pair, ShownImage
    from dask_quant.report_rows import RowSummary
    from dask_quant.results import Report

_MAX_OUTPUTS = 5
"""Outputs that are named; of the others, the number is told (arbitrary)."""


def render_page(contents: PageContents) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    contents : PageContents
        What is on it; secrets of addresses are left out of it already.

    Returns
    -------
    str
        Text that UTF-8 can hold, whatever the files are called.
    """
    report = contents.report
    title = f"{_name_job(report)}: {count_images(report.n_images)}"
    parts = "\n".join(part for part in _render_parts(contents) if part)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="{GENERATOR} {show_text(report.version)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{show_text(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{show_text(title)}</h1>
<p class="lead">{show_text(describe_job(report))}</p>
</header>
<main>
{parts}
</main>
<footer><p>{show_text(_describe_end(contents))}</p></footer>
</body>
</html>
"""


def _render_parts(contents: PageContents) -> Iterator[str]:
    """Yield the parts of the page; an empty text where there is nothing to tell."""
    report, summary = contents.report, contents.summary
    yield make_section("figures", "Figures", render_figures(report))
    if contents.single is not None:
        yield _render_single(contents.single)
    yield _render_quarantined(report, summary)
    yield _render_worst(contents.worst)
    if summary is not None and summary.n_written:
        yield _render_distributions(summary)
    if report.palette is not None:
        yield render_palette(report.palette)
    if summary is not None and summary.slowest:
        yield _render_slowest(summary)
    yield _render_job(report)


def _name_job(report: Report) -> str:
    """Return the command as one would type it."""
    return f"dask-quant {report.command}"


def _describe_end(contents: PageContents) -> str:
    """Return the last line: by what, and when, this was made."""
    made = f"dask-quant {contents.report.version}"
    finished = None if contents.summary is None else contents.summary.finished
    if finished is None:
        return made
    return f"{made}; the last image: {datetime.fromtimestamp(finished, UTC):%Y-%m-%d %H:%M UTC}"


def _render_single(pair: Pair) -> str:
    """Return the one image before and after."""
    return make_section("image", "Before and after", _render_pair(pair, "the image", "large"))


def _render_pair(pair: Pair, name: str, kind: str = "") -> str:
    """Return two pictures side by side."""
    before, after = (
        make_picture(pair.before, f"Source of {name}"),
        make_picture(pair.after, f"Output of {name}"),
    )
    return (
        f'<div class="pair checks {kind}">'
        f'<figure><div class="frame">{before}</div><figcaption>before</figcaption></figure>'
        f'<figure><div class="frame">{after}</div><figcaption>after</figcaption></figure></div>'
    )


def _render_worst(worst: tuple[ShownImage, ...]) -> str:
    """Return the images of the highest error with their pictures."""
    if not worst:
        return ""
    items = "\n".join(f"<li>{_render_image(image)}</li>" for image in worst)
    note = "The images that their palette serves worst: a look at them tells whether it will do."
    return make_section("worst", "Highest error", f'<ol class="strip">\n{items}\n</ol>', note)


def _render_image(image: ShownImage) -> str:
    """Return an image with its pictures and figures."""
    row = image.row
    psnr = "exact" if row.mse == 0 else show_float(row.psnr_db, unit=" dB")
    facts = [
        f"mse <b>{show_float(row.mse)}</b>, {psnr}",
        f"{show_int(row.n_unique_colors)} → {show_int(row.n_colors)} colours",
    ]
    if row.input_bytes is not None and row.output_bytes is not None:
        facts.append(f"{format_bytes(row.input_bytes)} → {format_bytes(row.output_bytes)}")
    return (
        f"{_render_pair(image.pair, row.path)}<p>{_name_row(row)}</p>"
        f'<p class="facts">{"<br>".join(facts)}</p>'
    )


def _name_row(row: ImageRow) -> str:
    """Return how an image is called."""
    return show_name(row.path) + (f" frame {row.frame}" if row.frame else "")


def _render_quarantined(report: Report, summary: RowSummary | None) -> str:
    """Return the inputs that were set aside, and why."""
    if summary is not None and summary.n_quarantined:
        named = [(_name_row(row), row.error or "") for row in summary.quarantined]
        n_all = summary.n_quarantined
    else:
        named = [(show_name(q.path), q.reason) for q in report.quarantined[:MAX_QUARANTINED]]
        n_all = len(report.quarantined)
    if not n_all:
        return ""
    left = n_all - len(named)
    note = f"{left:,} more are in the manifest." if left else ""
    body = render_set_aside(named)
    return make_section("quarantined", f"Set aside: {n_all:,}", body, note)


def _render_distributions(summary: RowSummary) -> str:
    """Return how the images lie by quality and by time."""
    drawn = [
        (summary.psnr, "psnr", "PSNR of the images", "PSNR, dB: higher is closer", "dB"),
        (summary.seconds, "seconds", "Seconds per image", "time for an image", "s"),
    ]
    figures = "\n".join(
        f"<figure><figcaption>{show_text(title)}</figcaption>\n"
        + draw_distribution(shown, identifier=name, title=title, axis=axis, unit=unit)
        + "</figure>"
        for shown, name, title, axis, unit in drawn
        if shown.n_images
    )
    exact = f"{summary.n_exact:,} without any error, which have no PSNR, are left out of the first."
    note = exact if summary.n_exact else ""
    return make_section(
        "distributions", "Distributions", f'<div class="charts">{figures}</div>', note
    )


def _render_slowest(summary: RowSummary) -> str:
    """Return the images that took longest."""
    rows = (
        (
            _name_row(row),
            show_seconds(row.seconds),
            f"{show_int(row.width)} x {show_int(row.height)}",
            show_int(row.n_unique_colors),
            show_float(row.mse),
        )
        for row in summary.slowest
    )
    header = ("image", "time", "pixels", "colours before", "mse")
    return make_section("slowest", "Slowest", make_table("Images that took longest", header, rows))


def _render_job(report: Report) -> str:
    """Return how the job was run: options, seconds by stage, where it wrote."""
    options = make_table("Options", ("option", "value"), _list_options(report), n_texts=2)
    stages = make_table(
        "Time by stage", ("stage", "share", "time"), _list_stages(report), n_texts=2
    )
    return make_section("job", "The job", f'<div class="columns">{options}{stages}</div>')


def _list_options(report: Report) -> Iterator[tuple[str, str]]:
    """Yield the options of the job and where it wrote, as cells."""
    for name, value in (
        ("method", report.method),
        ("engine", report.engine),
        ("space", report.space),
        ("dither", report.dither),
        ("seed", str(report.seed)),
        ("iterations", show_int(report.n_iter)),
        ("version", report.version),
    ):
        yield name, show_text(value)
    if report.manifest is not None:
        yield "manifest", show_name(report.manifest)
        return
    shown = "<br>".join(show_name(output) for output in report.outputs[:_MAX_OUTPUTS])
    left = len(report.outputs) - _MAX_OUTPUTS
    yield "outputs", shown + (f"<br>and {left:,} more" if left > 0 else "")


def _list_stages(report: Report) -> Iterator[tuple[str, str, str]]:
    """Yield the stages with their seconds, as cells."""
    total = report.seconds["total"]
    for stage, seconds in report.seconds.items():
        share = min(1.0, seconds / total) if total else 0.0
        bar = f'<span class="share" style="width:{share * 6:.2f}rem"></span>'
        yield show_text(stage), f"{bar} {share:.0%}", show_seconds(seconds)
