"""The figures of a job, and what was done, in a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.options import format_bytes
from dask_quant.report_page.markup import show_float, show_int, show_seconds, show_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dask_quant.results import Report


def describe_job(report: Report) -> str:
    """Return in one line what was done."""
    n_colors = "1 colour" if report.n_colors == 1 else f"{report.n_colors:,} colours"
    if report.palette is None and report.n_palettes == report.n_images:
        colors = f"a palette for each image, {n_colors} at most"
    elif report.palette is None:
        colors = f"{_count_palettes(report)} of at most {n_colors}"
    elif report.n_images > 1:
        colors = f"one palette of {n_colors} for all of them"
    else:
        colors = f"a palette of {n_colors}"
    dither = "" if report.dither == "none" else f", dithered by {report.dither}"
    return f"{show_int(report.n_pixels)} pixels, {colors}{dither}"


def _count_palettes(report: Report) -> str:
    """Return how many palettes there are."""
    return "1 palette" if report.n_palettes == 1 else f"{report.n_palettes:,} palettes"


def render_figures(report: Report) -> str:
    """Return the figures of the whole job."""
    return join_figures(_list_figures(report))


def join_figures(figures: Iterable[str]) -> str:
    """Return figures, made by `make_figure`, beside each other."""
    return f'<dl class="figures">\n{"".join(figures)}</dl>'


def _list_figures(report: Report) -> Iterator[str]:
    """Yield each figure of the whole job."""
    n_now, total = report.n_images - report.n_skipped, report.seconds["total"]
    before = f"{report.n_skipped:,} of them by an earlier run" if report.n_skipped else ""
    yield make_figure("Images written", show_int(report.n_images), before)
    if report.quarantined:
        number = show_int(len(report.quarantined))
        yield make_figure("Set aside", number, "with reasons, below", is_alert=True)
    if report.n_ignored:
        yield make_figure("Other files", show_int(report.n_ignored), "no images; left alone")
    exact = "every pixel is exact" if report.mse == 0 else "mean squared error"
    yield make_figure("mse", show_float(report.mse), exact)
    if report.psnr_db is not None:
        yield make_figure("PSNR", show_float(report.psnr_db, unit=" dB"))
    yield make_figure("Variance explained", f"{report.explained_variance:.2%}")
    yield from _list_color_figures(report)
    sizes = f"{format_bytes(report.input_bytes)} → {format_bytes(report.output_bytes)}"
    yield make_figure("Size", _show_ratio(report.input_bytes, report.output_bytes), sizes)
    speed = f"{n_now / total:,.1f} images per second" if n_now > 1 and total else ""
    yield make_figure("Time", show_seconds(total), speed)
    peak = format_bytes(report.peak_rss_bytes)
    yield make_figure("Peak memory", peak, "of all processes together")


def _list_color_figures(report: Report) -> Iterator[str]:
    """Yield how many colours there were and are."""
    if report.n_unique_colors is None:
        yield make_figure("Colours", f"≤ {report.n_colors:,}", "in each image")
        if report.n_palettes < report.n_images:
            yield make_figure("Palettes", show_int(report.n_palettes), "that images share")
        if report.n_beyond:
            more = "even with palettes of their own"
            yield make_figure("Beyond the target", show_int(report.n_beyond), more, is_alert=True)
    else:
        yield make_figure("Colours", show_int(report.n_colors), f"of {report.n_unique_colors:,}")


def make_figure(name: str, value: str, more: str = "", *, is_alert: bool = False) -> str:
    """Return a figure with its name."""
    kind = ' class="alert"' if is_alert else ""
    remark = f'<dd class="more">{show_text(more)}</dd>' if more else ""
    return (
        f'<div{kind}><dt>{show_text(name)}</dt><dd class="value">{show_text(value)}</dd>{remark}'
        "</div>\n"
    )


def _show_ratio(before: int, after: int) -> str:
    """Return the outputs' share of the inputs' bytes."""
    return f"{after / before:.0%}" if before else "-"
