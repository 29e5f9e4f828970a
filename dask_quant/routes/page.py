"""The page about a job that is done: what is on it, gathered, drawn and written. **Eager**."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from dask_quant.errors import DaskQuantError, SourceError, SourceNotFoundError
from dask_quant.image_rows import parse_rows
from dask_quant.report_page.contents import PageContents, Pair, ShownImage
from dask_quant.report_page.page import render_page
from dask_quant.report_pictures import SECRETS, picture_output, picture_source
from dask_quant.report_rows import summarize_rows
from dask_quant.results import Quarantined
from dask_quant.routes.common import LABEL_SUFFIXES
from dask_quant.sinks.atomic import resolve_below, write_file_atomically
from dask_quant.sinks.object_folder import ObjectFolder
from dask_quant.sources.addresses import hide_secrets, is_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dask_quant.image_rows import ImageRow
    from dask_quant.options import Page
    from dask_quant.report_rows import RowSummary
    from dask_quant.results import Report

_STRIP_SIDE = 256
"""Longest side of the pictures of images of a collection, in pixels (arbitrary)."""

_SINGLE_SIDE = 960
"""Longest side of the pictures of a job on one image, in pixels (arbitrary)."""


def write_page(report: Report, path: Path, source: Any, page: Page, *, overwrite: bool) -> int:
    """Write the page about a job and return its bytes. **Eager**.

    Parameters and errors are those of `dask_quant.job_report.write_report`; ``page`` is the picture
    of a source that holds several.
    """
    contents = _gather(_hide_all(report), report, source, page)
    text = render_page(contents)
    return write_file_atomically(path, [text.encode()], overwrite=overwrite)


def _hide_all(report: Report) -> Report:
    """Return a report without names, passwords and queries of addresses."""
    return replace(
        report,
        outputs=tuple(map(hide_secrets, report.outputs)),
        quarantined=tuple(
            Quarantined(hide_secrets(q.path), hide_secrets(q.reason)) for q in report.quarantined
        ),
        manifest=None if report.manifest is None else hide_secrets(report.manifest),
    )


def _gather(shown: Report, report: Report, source: Any, page: Page) -> PageContents:
    """Return what is on the page; ``shown`` is the report without secrets."""
    if report.manifest is None:
        return PageContents(shown, single=_make_single(report, source, page))
    summary = _read_summary(report.manifest)
    worst = tuple(_show_image(row, report.manifest) for row in summary.worst if row.mse)
    return PageContents(shown, summary=summary, worst=worst)


def _make_single(report: Report, source: Any, page: Page) -> Pair | None:
    """Return the image of a job on one, before and after; None where there is no such image."""
    if report.n_images != 1 or not report.outputs or report.command == "palette":
        return None
    output = report.outputs[0]
    if Path(output).suffix.lower() not in LABEL_SUFFIXES:
        return None
    before = picture_source(source, side=_SINGLE_SIDE, page=page)
    return Pair(before, picture_output(output, side=_SINGLE_SIDE))


def _read_summary(manifest: str) -> RowSummary:
    """Return what a manifest says of all images, read row by row; without secrets."""
    with _open_manifest(manifest) as lines:
        summary = summarize_rows(parse_rows(lines))
    return replace(
        summary,
        worst=tuple(map(_hide_row, summary.worst)),
        slowest=tuple(map(_hide_row, summary.slowest)),
        quarantined=tuple(map(_hide_row, summary.quarantined)),
    )


@contextmanager
def _open_manifest(manifest: str) -> Iterator[Iterable[bytes]]:
    """Yield the lines of a manifest, here or in an object store."""
    if is_url(manifest):
        if SECRETS in manifest:
            message = (
                f"Cannot read the manifest {manifest!r}: its whole address is not kept; ask the "
                "job itself for the report."
            )
            raise SourceError(message)
        parts = ObjectFolder(manifest.rpartition("/")[0]).read_rows()
        yield (line for part in parts for line in part.splitlines(keepends=True))
        return
    try:
        with open(manifest, "rb") as file:
            yield file
    except FileNotFoundError as error:
        message = f"Cannot read the manifest {hide_secrets(manifest)!r}: it is gone."
        raise SourceNotFoundError(message) from error
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"Cannot read the manifest {hide_secrets(manifest)!r}: {reason}."
        raise SourceError(message) from error


def _hide_row(row: ImageRow) -> ImageRow:
    """Return a row without names, passwords and queries of addresses."""
    error = None if row.error is None else hide_secrets(row.error)
    return replace(row, path=hide_secrets(row.path), error=error)


def _show_image(row: ImageRow, manifest: str) -> ShownImage:
    """Return an image of a collection with its pictures."""
    before = picture_source(row.path, side=_STRIP_SIDE, frame=row.frame)
    return ShownImage(row, Pair(before, _picture_row_output(row, manifest)))


def _picture_row_output(row: ImageRow, manifest: str) -> Any:
    """Return the output of an image of a collection as a picture, or why there is none."""
    if row.output is None:
        return "No output is known."
    if is_url(manifest):
        return picture_output(f"{manifest.rpartition('/')[0]}/{row.output}", side=_STRIP_SIDE)
    try:
        path = resolve_below(Path(manifest).parent, PurePosixPath(row.output))
    except DaskQuantError as error:
        return f"Not shown: {error}"
    return picture_output(path, side=_STRIP_SIDE)
