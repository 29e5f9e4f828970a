"""Rasters in, classes out: opened, planned, fitted together, described and written one by one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant import __version__
from dask_quant.array_flow import check_label_output
from dask_quant.chunking import check_budget
from dask_quant.class_output import write_classes
from dask_quant.class_table import ClassTable
from dask_quant.errors import OptionError, OutputError
from dask_quant.fit.class_statistics import ClassStatistics, StatisticsScale
from dask_quant.outline_flow import (
    RASTER_SUFFIXES,
    WrittenLabels,
    plan_outline_bytes,
    write_outline,
)
from dask_quant.raster_flow import (
    CutRaster,
    check_model_bands,
    describe_classes,
    find_range,
    fit_classes,
    score_classes,
)
from dask_quant.routes.common import (
    LOSSY_SUFFIXES,
    OTHER_SUFFIXES,
    check_persist,
    is_array,
)
from dask_quant.routes.cutting import cut_sources
from dask_quant.routes.executing import open_executor
from dask_quant.routes.outlining import OUTLINE_SUFFIXES, check_outline_name, refuse_outline
from dask_quant.routes.visibility import check_inputs, check_output
from dask_quant.segment_report import SceneReport, SegmentReport
from dask_quant.sinks.atomic import resolve_all_below, write_file_atomically
from dask_quant.sinks.class_model_file import write_class_model
from dask_quant.sinks.curve import check_curve_output, write_curve
from dask_quant.sinks.spectra import draw_spectra
from dask_quant.sources.discover import STDIN, discover, plan_output_names
from dask_quant.sources.header import show_path
from dask_quant.sources.held import is_held
from dask_quant.sources.rasters import open_raster
from dask_quant.watching import tell_report

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import PurePosixPath

    from numpy.typing import NDArray

    from dask_quant.class_model import ClassModel
    from dask_quant.class_scores import ClassCurve
    from dask_quant.execute import Executor
    from dask_quant.raster_flow import ClassFit
    from dask_quant.routes.segment_job import SegmentJob
    from dask_quant.sources.rasters import Raster

CLASS_SUFFIXES = (".tif", ".tiff", ".zarr")
"""Suffixes of the files that classes can be written to."""

_PICTURE_SUFFIXES = OTHER_SUFFIXES | {".png"}
"""Suffixes of pictures that are not lossy, but for the above."""


@dataclass(frozen=True)
class _Named:
    """What a user named."""

    sources: list[Any]
    """Paths of rasters, or one array."""
    outputs: list[Path | None]
    """Where the classes of each go; None: nowhere."""
    n_ignored: int
    """What was found in folders and is no raster."""


def segment_sources(job: SegmentJob, sources: Any, out: Path | None) -> SegmentReport:
    """Fit classes to rasters, or take those of a model, and write them. **Eager**.

    ``out`` None writes nothing but the side files.
    """
    named = _name_sources(sources, out)
    outputs = named.outputs
    _check_sieve(job, outputs)
    for path in outputs:
        if path is not None:
            check_persist(job.run.persist, path)
            check_label_output(path, overwrite=job.run.overwrite)
    job.side_files.check(overwrite=job.run.overwrite)
    _check_outline(job, named, out)
    rasters = [open_raster(source, job.bands) for source in named.sources]
    for raster in rasters:
        if job.model is not None:
            check_model_bands(job.model, raster)
    with open_executor(job) as executor:
        check_inputs(executor, *named.sources)
        for path in outputs:
            if path is not None:
                check_output(executor, path)
        needed = _plan_outline(job, rasters[0], outputs[0], executor)
        cut, projected = cut_sources(job, rasters, executor)
        model, fit, scale = _find_model(job, cut, executor)
        with job.watch.measure("describe"):
            statistics = [describe_classes(each, model, scale, executor) for each in cut]
        table = _make_table(model, rasters, statistics)
        n_bytes = _write_side_files(job, model, table)
        with job.watch.measure("label"):
            for each, path in zip(cut, outputs, strict=True):
                if path is not None:
                    n_bytes += write_classes(
                        *(each, model, path, executor),
                        overwrite=job.run.overwrite,
                        cog=job.cog,
                        sieve=job.sieve,
                    )
        n_bytes += _draw_borders(job, cut[0], outputs[0], model, executor)
        peak = executor.peak_rss_bytes()
        scenes = tuple(_report_scenes(rasters, outputs, statistics))
        sides = (job.side_files.model, job.side_files.table, job.side_files.plot, job.outline)
        report = SegmentReport(
            command=job.command,
            model=model,
            table=table,
            scenes=scenes,
            n_ignored=named.n_ignored,
            inertia=None if fit is None else fit.inertia,
            total_inertia=None if fit is None else fit.total_inertia,
            component_shares=None if fit is None else fit.component_shares,
            n_iter=0 if fit is None else fit.n_iter,
            n_passes=0 if fit is None else fit.n_passes,
            input_bytes=sum(raster.input_bytes for raster in rasters),
            output_bytes=n_bytes,
            outputs=tuple(str(path) for path in (*outputs, *sides) if path is not None),
            seconds=job.watch.summary(),
            peak_rss_bytes=peak,
            projected_bytes=max(projected, needed),
            version=__version__,
        )
        tell_report(job.listener, report.to_json())
        return report


def score_sources(
    job: SegmentJob, sources: Any, numbers: Sequence[int], out: Path | None
) -> ClassCurve:
    """Score several numbers of classes of rasters, and write that where asked for. **Eager**."""
    if out is not None:
        check_curve_output(out, overwrite=job.run.overwrite)
    rasters = [open_raster(source, job.bands) for source in _name_sources(sources, None).sources]
    with open_executor(job) as executor:
        cut, _ = cut_sources(job, rasters, executor)
        curve = score_classes(cut, job.fit, numbers, executor)
    if out is not None:
        write_curve(curve, out, overwrite=job.run.overwrite)
    return curve


def _name_sources(sources: Any, out: Path | None) -> _Named:
    """Return the rasters that sources name, and where the classes of each go."""
    if is_array(sources):
        return _Named([sources], _name_outputs(None, out), 0)
    given = _list_paths(sources)
    found = discover(given) if out is None else discover(given, exclude=out)
    paths = [each.path for each in found.inputs]
    for held in filter(is_held, paths):
        message = f"Got {show_path(held)} for a raster; take it out of its file first."
        raise OptionError(message)
    outputs = _name_outputs([each.relative for each in found.inputs], out)
    for path, output in zip(paths, outputs, strict=True):
        if output is not None and os.path.realpath(path) == os.path.realpath(output):
            message = f"Got {path!r} both as a raster and as the output; name another output."
            raise OutputError(message)
    return _Named(paths, outputs, found.n_ignored)


def _name_outputs(relatives: Sequence[PurePosixPath] | None, out: Path | None) -> list[Path | None]:
    """Return where the classes of each raster go; ``relatives`` None is one array."""
    n_rasters = 1 if relatives is None else len(relatives)
    if out is None:
        return [None] * n_rasters
    if out.suffix.lower() in CLASS_SUFFIXES:
        if n_rasters > 1:
            message = f"Got {n_rasters} rasters for the one file {str(out)!r}; name a folder."
            raise OutputError(message)
        return [out]
    if relatives is None or out.suffix.lower() in LOSSY_SUFFIXES | _PICTURE_SUFFIXES:
        message = f"Got the output {str(out)!r}; {_say_why_not(out)}, so write .tif or .zarr."
        raise OutputError(message)
    return list(resolve_all_below(out, plan_output_names(relatives, ".tif")))


def _list_paths(sources: Any) -> list[str | Path]:
    """Return the paths that a user named, or raise `OptionError`."""
    named = [sources] if isinstance(sources, (str, Path)) else list(sources)
    if STDIN in map(str, named):
        message = "Got - for a raster; it is read several times, so save it as a file."
        raise OptionError(message)
    return named


def _say_why_not(out: Path) -> str:
    """Return why classes are not written to a file of this name."""
    suffix = out.suffix.lower()
    if suffix in LOSSY_SUFFIXES:
        return "JPEG would blur classes into others"
    if suffix in _PICTURE_SUFFIXES:
        return f"{suffix} keeps neither nodata nor where pixels lie"
    return "the classes of an array are one file"


def _check_sieve(job: SegmentJob, outputs: Sequence[Path | None]) -> None:
    """Raise `OptionError` where patches cannot be sieved."""
    if not isinstance(job.sieve, int) or job.sieve < 0:
        message = f"Got a sieve of {job.sieve!r} pixels; use 2 or more, or 0 for none."
        raise OptionError(message)
    for path in outputs:
        if job.sieve > 1 and path is not None and path.suffix.lower() == ".zarr":
            message = f"Got a sieve for {str(path)!r}, which is written block by block; write .tif."
            raise OptionError(message)


def _check_outline(job: SegmentJob, named: _Named, out: Path | None) -> None:
    """Raise where borders cannot be drawn, or would take the place of another file."""
    if job.outline is None:
        return
    if out is None:
        message = "Got an outline without an output; name one, whose classes it is drawn of."
        raise OptionError(message)
    if out.suffix.lower() not in CLASS_SUFFIXES:
        refuse_outline(out, len(named.sources))
    paths = [Path(source) for source in named.sources if isinstance(source, (str, Path))]
    sides = (job.side_files.model, job.side_files.table, job.side_files.plot)
    others = [out, job.run.persist, job.bands.mask, *sides, *paths]
    check_outline_name(job.outline, others, (*OUTLINE_SUFFIXES, *RASTER_SUFFIXES))
    check_label_output(job.outline, overwrite=job.run.overwrite)


def _plan_outline(job: SegmentJob, raster: Raster, path: Path | None, executor: Executor) -> int:
    """Return what it takes to draw borders, or refuse it where that does not fit."""
    if job.outline is None or path is None:
        return 0
    n_classes = job.fit.n_clusters if job.model is None else len(job.model)
    needed = plan_outline_bytes(
        *(path, raster.shape, job.outline),
        label_bytes=1 + (n_classes > 255),
        n_processes=executor.n_processes,
        n_threads=executor.n_threads,
    )
    check_budget(needed, job.run.cluster.memory_limit_bytes, "the outline")
    return needed


def _draw_borders(
    job: SegmentJob, cut: CutRaster, path: Path | None, model: ClassModel, executor: Executor
) -> int:
    """Draw the borders of the classes that were written to ``path``, and return the bytes."""
    if job.outline is None or path is None:
        return 0
    labels = WrittenLabels(path, cut.raster.shape, model.label_dtype)
    with job.watch.measure("outline"):
        return write_outline(
            *(labels, job.outline, executor),
            overwrite=job.run.overwrite,
            geo=cut.raster.geo,
            cog=job.cog,
        )


def _find_model(
    job: SegmentJob, cut: Sequence[CutRaster], executor: Executor
) -> tuple[ClassModel, ClassFit | None, StatisticsScale]:
    """Return the classes, how they were fitted, and how their statistics are summed."""
    with job.watch.measure("fit"):
        if job.model is not None:
            return job.model, None, StatisticsScale.from_range(find_range(cut, executor))
        fit = fit_classes(cut, job.fit, executor)
        return fit.model, fit, StatisticsScale.from_range(fit.found)


def _make_table(
    model: ClassModel, rasters: Sequence[Raster], statistics: Sequence[ClassStatistics]
) -> ClassTable:
    """Return the table of the classes of all rasters together."""
    return ClassTable.from_statistics(
        model, ClassStatistics.merge_all(statistics), _add_areas(rasters, statistics)
    )


def _add_areas(
    rasters: Sequence[Raster], statistics: Sequence[ClassStatistics]
) -> NDArray[np.float64] | None:
    """Return the area of each class, None where that of a pixel is not known everywhere."""
    total = np.zeros(len(statistics[0].counts))
    for raster, found in zip(rasters, statistics, strict=True):
        if raster.pixel_area_m2 is None:
            return None
        total += raster.pixel_area_m2 * found.counts
    return total


def _write_side_files(job: SegmentJob, model: ClassModel, table: ClassTable) -> int:
    """Write what goes beside the classes, and return its bytes."""
    side, overwrite, n_bytes = job.side_files, job.run.overwrite, 0
    if side.model is not None:
        n_bytes += write_class_model(model, side.model, overwrite=overwrite)
    if side.table is not None:
        is_csv = side.table.suffix.lower() == ".csv"
        text = table.to_csv() if is_csv else table.to_json()
        n_bytes += write_file_atomically(side.table, [text.encode()], overwrite=overwrite)
    if side.plot is not None:
        data = draw_spectra(table, side.plot.suffix)
        n_bytes += write_file_atomically(side.plot, [data], overwrite=overwrite)
    return n_bytes


def _report_scenes(
    rasters: Sequence[Raster],
    outputs: Sequence[Path | None],
    statistics: Sequence[ClassStatistics],
) -> Iterator[SceneReport]:
    """Yield what is to be said of each raster."""
    for raster, path, found in zip(rasters, outputs, statistics, strict=True):
        n_pixels = raster.shape[0] * raster.shape[1]
        counts = found.counts.tolist()
        yield SceneReport(
            path=raster.name,
            output=None if path is None else str(path),
            n_pixels=n_pixels,
            n_excluded=n_pixels - sum(counts),
            class_pixels=tuple(counts),
        )
