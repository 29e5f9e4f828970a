"""What users call to get a page about a job: one HTML file that needs nothing else."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from dask_quant.errors import DaskQuantError, OptionError, SourceError, SourceNotFoundError
from dask_quant.options import FIRST_PAGE, Page, as_path
from dask_quant.report_page.contents import PageContents, Pair, ShownImage
from dask_quant.report_page.page import GENERATOR, render_page
from dask_quant.report_pictures import SECRETS, picture_output, picture_source
from dask_quant.report_rows import parse_rows, summarize_rows
from dask_quant.results import Quarantined
from dask_quant.routes.common import (
    LABEL_SUFFIXES,
    as_target,
    check_sources,
    discover_images,
    is_array,
)
from dask_quant.sinks.atomic import check_output, resolve_below, write_file_atomically
from dask_quant.sinks.object_folder import ObjectFolder
from dask_quant.sinks.state_folder import MANIFEST_NAME
from dask_quant.sources.addresses import hide_secrets, is_url, join_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dask_quant.options import RunOptions
    from dask_quant.report_rows import ReportRow, RowSummary
    from dask_quant.results import Report

REPORT_SUFFIXES = (".html", ".htm")
"""Suffixes of pages about jobs."""

_STRIP_SIDE = 256
"""Longest side of the pictures of images of a collection, in pixels (arbitrary)."""

_SINGLE_SIDE = 960
"""Longest side of the pictures of a job on one image, in pixels (arbitrary)."""

_HEAD_BYTES = 1024
"""Where a page of ours says that it is one."""


def write_report(
    report: Report, out: str | Path, *, source: Any = None, overwrite: bool = False
) -> int:
    """Write a page about a job: figures, palette, what went well and what did not. **Eager**.

    The page is one HTML file without scripts that refers to nothing outside of it. Of a collection
    it shows the images of the highest error beside what they became, the slowest, those that were
    set aside with their reasons, and how all of them lie by quality and by time; of a job on one
    image, this image before and after.

    Parameters
    ----------
    report : Report
        What `quantize` or `apply_palette` returned. The images are looked up in its manifest, and
        read where that says.
    out : str or Path
        The file to write, ``.html`` or ``.htm``.
    source : str, Path or ndarray, optional
        The source of a job on one image: its path, or its pixels. None: the page shows the output
        alone.
    overwrite : bool, default False
        Whether a file that exists may be replaced.

    Returns
    -------
    int
        Bytes of the file.

    Raises
    ------
    OptionError
        When ``out`` has another suffix.
    OutputError
        When the file cannot be written.
    SourceError
        When the manifest cannot be read.

    Notes
    -----
    A manifest of a million rows takes no more memory than a short one: rows are read one by one.
    Some images are decoded again, one at a time; one that cannot be leaves a remark in its place.
    """
    path = as_path(out, "out")
    _check_suffix(path)
    check_output(path, overwrite=overwrite)
    return _write_page(report, path, source, FIRST_PAGE, overwrite=overwrite)


def check_report(report: str | Path | None, out: str | Path, run: RunOptions) -> Path | None:
    """Return where the page about a job goes, having checked that it can be written. **Eager**.

    Raises
    ------
    OptionError
        When its name has another suffix, or lies in a store that the job writes.
    OutputError
        When it cannot be written, or exists and may not be replaced.
    """
    if report is None:
        return None
    path = as_path(report, "report")
    _check_suffix(path)
    target = as_target(out)
    if isinstance(target, Path) and _is_part(path.resolve(), target.resolve()):
        message = f"Got {str(report)!r} for the report, which is the output; give another name."
        raise OptionError(message)
    check_output(path, overwrite=_may_replace(path, run))
    return path


def _is_part(place: Path, output: Path) -> bool:
    """Return whether a path is that of an output, or lies in a store that is one."""
    is_store = output.suffix.lower() == ".zarr"
    return place == output or (is_store and place.is_relative_to(output))


def finish_report(
    report: Report, page: Path | None, sources: Any, out: str | Path, run: RunOptions
) -> None:
    """Write the page about a job that is done, where one was asked for. **Eager**."""
    if page is None:
        return
    source = _find_source(sources) if report.manifest is None else None
    if is_url(out) and report.manifest is not None:  # the report's own is without passwords
        report = replace(report, manifest=join_url(out, MANIFEST_NAME))
    _write_page(report, page, source, run.page, overwrite=_may_replace(page, run))


def _check_suffix(path: Path) -> None:
    """Raise `OptionError` unless a path is named as a page is."""
    if path.suffix.lower() not in REPORT_SUFFIXES:
        message = f"Got {str(path)!r} for the report; its name must end in .html."
        raise OptionError(message)


def _may_replace(path: Path, run: RunOptions) -> bool:
    """Return whether a page may take the place of what is there.

    A job that goes on with another one tells of all of it, so that its page replaces that page.
    """
    return run.overwrite or (run.resume and _is_page(path))


def _is_page(path: Path) -> bool:
    """Return whether a file is a page of ours."""
    try:
        with path.open("rb") as file:
            return f'content="{GENERATOR} '.encode() in file.read(_HEAD_BYTES)
    except OSError:
        return False


def _find_source(sources: Any) -> Any:
    """Return the one image that sources of a job name; None where there is not just one."""
    if is_array(sources):
        return sources
    try:
        inputs = discover_images(check_sources(sources)).inputs
    except DaskQuantError:  # it was there when the job began
        return None
    return inputs[0].path if len(inputs) == 1 else None


def _write_page(report: Report, path: Path, source: Any, page: Page, *, overwrite: bool) -> int:
    """Write the page and return its bytes."""
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


def _hide_row(row: ReportRow) -> ReportRow:
    """Return a row without names, passwords and queries of addresses."""
    error = None if row.error is None else hide_secrets(row.error)
    return replace(row, path=hide_secrets(row.path), error=error)


def _show_image(row: ReportRow, manifest: str) -> ShownImage:
    """Return an image of a collection with its pictures."""
    before = picture_source(row.path, side=_STRIP_SIDE, frame=row.frame)
    return ShownImage(row, Pair(before, _picture_row_output(row, manifest)))


def _picture_row_output(row: ReportRow, manifest: str) -> Any:
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
