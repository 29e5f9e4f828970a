"""What users call to get a page about a job: one HTML file that needs nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask_quant.errors import DaskQuantError, OptionError
from dask_quant.options import FIRST_PAGE, as_path
from dask_quant.report_page.contents import GENERATOR
from dask_quant.routes.choose import write_page
from dask_quant.routes.common import as_target, check_sources, discover_images, is_array
from dask_quant.sinks.atomic import check_output
from dask_quant.sinks.state_folder import MANIFEST_NAME
from dask_quant.sources.addresses import is_url, join_url

if TYPE_CHECKING:
    from dask_quant.options import RunOptions
    from dask_quant.results import Report

REPORT_SUFFIXES = (".html", ".htm")
"""Suffixes of pages about jobs."""

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
    return write_page(report, path, source, FIRST_PAGE, overwrite=overwrite)


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
    write_page(report, page, source, run.page, overwrite=_may_replace(page, run))


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
