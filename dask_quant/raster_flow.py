"""Rasters to classes: survey, bring to scale, fit, describe, label, write.

Pixels are read by tasks, again in every pass; sums, a sample and the centres alone come back.
"""

from __future__ import annotations

import shutil
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from dask.delayed import delayed

from dask_quant.array_flow import align_blocks, run_on_blocks
from dask_quant.class_model import ClassModel
from dask_quant.errors import FewerClassesWarning, FitError, OptionError, PixelFormatError
from dask_quant.fit.class_statistics import ClassStatistics, StatisticsScale
from dask_quant.fit.features import FeatureMap
from dask_quant.fit.row_totals import RowRange
from dask_quant.graphs.pixels import join_row_blocks, label_parts, pixel_row_blocks
from dask_quant.row_flow import RowFitOptions, SpreadRows, fit_rows
from dask_quant.sinks.atomic import check_output, partial_path, put_in_place, report_os_errors
from dask_quant.sinks.class_store import class_attributes, read_strips
from dask_quant.sinks.geotiff import write_label_raster
from dask_quant.sinks.store_layout import label_shards
from dask_quant.sinks.zarr_store import (
    check_store,
    discard_store,
    finish_store,
    start_class_store,
    store_block,
)
from dask_quant.sources.rasters import split_raster

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import dask.array as da
    from numpy.typing import NDArray

    from dask_quant.execute import Executor
    from dask_quant.georeference import GeoReference
    from dask_quant.graphs.rows import RowBlocks
    from dask_quant.row_flow import RowSurvey
    from dask_quant.segment_options import SegmentOptions
    from dask_quant.sources.rasters import Raster, RasterPart

_JOINED_NAME = "joined.tif"
"""File that labels are joined to, before it gets its final name."""

_QUARTILES = (0.25, 0.5, 0.75)

_MAX_SIZE = 1e100
"""Largest size of a number that is squared and added up, far from where floats end (arbitrary)."""


@dataclass(frozen=True)
class ClassFit:
    """Classes that were fitted to rasters."""

    model: ClassModel
    """The classes."""
    inertia: float
    """Sum over all pixels that mean something of the squared distance to their centre, in
    features."""
    total_inertia: float
    """The same with a single class."""
    n_iter: int
    """Times that centres were moved, on all pixels."""
    n_passes: int
    """Passes over all pixels until the centres were found."""
    found: RowRange
    """Where the samples lie, in units of the bands."""


@dataclass(frozen=True)
class CutRaster:
    """A raster, and the blocks in which it is worked on."""

    raster: Raster
    """The raster."""
    parts: tuple[RasterPart, ...]
    """All its blocks."""
    rows: RowBlocks
    """Their pixels as rows, numbered throughout all rasters."""


def cut_rasters(rasters: Sequence[Raster], chunks: Sequence[tuple[int, int]]) -> list[CutRaster]:
    """Return rasters in blocks of ``chunks`` each. **Lazy**.

    Raises
    ------
    PixelFormatError
        When they have not all as many bands.
    """
    check_bands(rasters)
    cut, first = [], 0
    for raster, shape in zip(rasters, chunks, strict=True):
        parts = tuple(split_raster(raster, shape))
        rows = pixel_row_blocks(parts, first=first, width=raster.shape[1])
        cut.append(CutRaster(raster, parts, rows))
        first += raster.shape[0] * raster.shape[1]
    return cut


def check_bands(rasters: Sequence[Raster]) -> None:
    """Raise `PixelFormatError` unless all rasters have as many bands."""
    for raster in rasters[1:]:
        if len(raster.band_names) != len(rasters[0].band_names):
            message = (
                f"Got {raster.name!r} with {len(raster.band_names)} bands beside "
                f"{rasters[0].name!r} with {len(rasters[0].band_names)}; choose the same bands of "
                "all."
            )
            raise PixelFormatError(message)


def fit_classes(cut: Sequence[CutRaster], options: SegmentOptions, executor: Executor) -> ClassFit:
    """Fit classes to all pixels of rasters together. **Eager**.

    Raises
    ------
    FitError
        When no pixel means anything.
    """
    names = cut[0].raster.band_names
    source = SpreadRows(join_row_blocks([each.rows for each in cut]), executor)
    survey = source.survey(options.seed, len(names))
    _check_survey(survey, sum(source.blocks.sizes))
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # is looked at then
        features = _find_features(source, survey, options, len(names))
        scaled = survey.apply(features)
    _check_size(scaled.found, "samples, by scale and weights,")
    source.blocks = source.blocks.with_features(features)
    fit = fit_rows(source, scaled, _row_options(options))
    order = _order_classes(fit.centers, fit.totals.weights)
    if len(order) < options.n_clusters:
        warnings.warn(
            f"{options.n_clusters} classes were asked for, but the pixels have only {len(order)} "
            "distinct spectra; each is a class.",
            FewerClassesWarning,
            stacklevel=2,
        )
    model = ClassModel(
        features.undo(fit.centers[order]), names, features, options.scale, options.seed
    )
    return ClassFit(
        model=model,
        inertia=fit.totals.inertia,
        total_inertia=fit.totals.measure_total(fit.centers),
        n_iter=fit.n_iter,
        n_passes=source.n_passes,
        found=survey.found,
    )


def _row_options(options: SegmentOptions) -> RowFitOptions:
    """Return how centres are fitted."""
    return RowFitOptions(
        n_clusters=options.n_clusters,
        init=options.init,
        max_iter=options.max_iter,
        tol=options.tol,
        seed=options.seed,
        n_init=options.n_init,
    )


def _check_survey(survey: RowSurvey, n_pixels: int) -> None:
    """Raise `FitError` when there is nothing to fit."""
    if survey.found.n_rows == 0:
        message = (
            f"All {n_pixels:,} pixels are excluded: every one is nodata, masked or not finite in "
            "some band; check --nodata, --mask and --bands."
        )
        raise FitError(message)
    _check_size(survey.found, "samples")


def _check_size(found: RowRange, what: str) -> None:
    """Raise `PixelFormatError` when numbers are too large to be squared and added up."""
    low, high = float(found.low.min()), float(found.high.max())
    if not max(-low, high) <= _MAX_SIZE:  # NaN as well
        message = (
            f"Got {what} from {low:g} to {high:g}; up to {_MAX_SIZE:g} in size can be squared and "
            "added up, so leave others out by --nodata or --bands, or use another --scale."
        )
        raise PixelFormatError(message)


def _order_classes(centers: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the classes that have pixels, by descending number, ties by their centres."""
    order = np.lexsort((*centers.T[::-1], -weights))
    used: NDArray[np.int64] = order[weights[order] > 0]
    return used


def _find_features(
    source: SpreadRows, survey: RowSurvey, options: SegmentOptions, n_bands: int
) -> FeatureMap:
    """Return how bands are brought to scale and weighted."""
    weights = np.ones(n_bands) if options.band_weights is None else np.array(options.band_weights)
    if len(weights) != n_bands:
        message = f"Got {len(weights)} band weights for {n_bands} bands; give one for each."
        raise OptionError(message)
    offset, spread = _find_scale(source, survey, options.scale, n_bands)
    # A band that is the same everywhere tells nothing, whatever it is divided by.
    spread = np.where(spread > 0, spread, 1.0)
    return FeatureMap(offset, np.sqrt(weights) / spread)


def _find_scale(
    source: SpreadRows, survey: RowSurvey, scale: str, n_bands: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what is subtracted from each band, and what it is divided by."""
    found = survey.found
    if scale == "minmax":
        return found.low, found.high - found.low
    if scale == "robust":
        low, middle, high = np.quantile(survey.sample.rows, _QUARTILES, axis=0)
        return middle, high - low
    if scale == "standard":
        all_together = source.describe(np.zeros((1, n_bands)), StatisticsScale.from_range(found))
        return all_together.means[0], all_together.deviations[0]
    return np.zeros(n_bands), np.ones(n_bands)


def find_range(cut: Sequence[CutRaster], executor: Executor) -> RowRange:
    """Return where the samples lie that mean something. **Eager**: one pass, if that is needed.

    Short integers lie where their type has them.
    """
    types = {each.raster.dtype for each in cut}
    n_bands = len(cut[0].raster.band_names)
    if all(dtype.kind in "iu" and dtype.itemsize <= 2 for dtype in types):
        low = min(float(np.iinfo(dtype).min) for dtype in types)
        high = max(float(np.iinfo(dtype).max) for dtype in types)
        return RowRange(np.full(n_bands, low), np.full(n_bands, high), 0, True, 1.0, True)
    source = SpreadRows(join_row_blocks([each.rows for each in cut]), executor, stage="survey")
    found = source.survey(0, n_bands).found
    if found.n_rows == 0:  # nothing lies anywhere
        return replace(found, low=np.zeros(n_bands), high=np.zeros(n_bands))
    _check_size(found, "samples")
    return found


def describe_classes(
    cut: CutRaster, model: ClassModel, given: StatisticsScale, executor: Executor
) -> ClassStatistics:
    """Return what the pixels of each class of one raster are like. **Eager**: one pass."""
    source = SpreadRows(cut.rows.with_features(model.features), executor, stage="describe")
    return source.describe(model.features.apply(model.centers), given)


def label_raster(cut: CutRaster, model: ClassModel) -> da.Array:
    """Return the class of every pixel ``(y, x)``. **Lazy**."""
    return label_parts(cut.parts, cut.raster.shape, model)


def check_class_output(out: Path, *, overwrite: bool) -> None:
    """Raise `OutputError` when ``out`` cannot be written, before any work is done."""
    if out.suffix.lower() == ".zarr":
        check_store(out, overwrite=overwrite)
    else:
        check_output(out, overwrite=overwrite)


def write_classes(
    cut: CutRaster,
    model: ClassModel,
    out: Path,
    executor: Executor,
    *,
    overwrite: bool,
    cog: bool = False,
) -> int:
    """Label one raster and write its classes to a ``.tif`` or ``.zarr``. **Eager**.

    Tasks label blocks and write them to a store; a GeoTIFF is made of that by one more task, so
    that its bytes do not depend on who was first.

    Returns
    -------
    int
        Bytes written.
    """
    check_class_output(out, overwrite=overwrite)
    out = out.absolute()  # workers may have another working folder
    labels, geo = label_raster(cut, model), cut.raster.geo
    if out.suffix.lower() == ".zarr":
        return _write_store(labels, model, geo, out, executor, overwrite=overwrite)
    folder = partial_path(out)
    try:
        with report_os_errors(out):
            folder.mkdir(parents=True)
        store = folder / "labels.zarr"
        _write_store(labels, model, geo, store, executor, overwrite=False)
        join = delayed(join_labels, pure=False)(folder / _JOINED_NAME, store, model, geo, cog=cog)
        n_bytes: int = executor.compute(join, stage="write", leaves=[join])
        put_in_place(folder / _JOINED_NAME, out, overwrite=overwrite)
        return n_bytes
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_store(
    labels: da.Array,
    model: ClassModel,
    geo: GeoReference,
    out: Path,
    executor: Executor,
    *,
    overwrite: bool,
) -> int:
    """Write whole shards by tasks, and name the store when all are there."""
    attributes = class_attributes(model, geo)
    temporary = start_class_store(
        out, labels.shape, model.label_dtype, attributes, overwrite=overwrite
    )
    try:
        store = delayed(store_block, pure=False)
        aligned = align_blocks(labels, label_shards(labels.shape))
        run_on_blocks(
            aligned, executor, lambda b, at: store(temporary, b, offset=at), stage="label"
        )
        return finish_store(temporary, out, overwrite=overwrite)
    finally:
        discard_store(temporary)


def join_labels(path: Path, store: Path, model: ClassModel, geo: GeoReference, *, cog: bool) -> int:
    """Make a GeoTIFF of a store of classes, and return its bytes. **Eager**.

    Not under its final name: run again, its worker having died, this would find that taken.
    """
    strips, shape = read_strips(store)
    return write_label_raster(
        path,
        strips,
        shape=shape,
        dtype=model.label_dtype,
        nodata=model.nodata,
        colors=model.colors,
        geo=geo,
        overwrite=True,
        cog=cog,
    )
