"""Rasters to classes: survey, bring to scale, fit, describe, label, write.

Pixels are read by tasks, again in every pass; sums, a sample and the centres alone come back.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.class_model import ClassModel
from dask_quant.class_scores import ClassCurve, ClassScore
from dask_quant.errors import FewerClassesWarning, FitError, OptionError, PixelFormatError
from dask_quant.fit.class_statistics import ClassStatistics, StatisticsScale
from dask_quant.fit.components import PrincipalComponents, ProductScale
from dask_quant.fit.features import FeatureMap
from dask_quant.fit.row_totals import RowRange
from dask_quant.graphs.pixels import join_row_blocks, pixel_row_blocks
from dask_quant.row_flow import RowFitOptions, SpreadRows, fit_each, fit_rows
from dask_quant.sources.rasters import split_raster

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dask_quant.execute import Executor
    from dask_quant.graphs.rows import RowBlocks
    from dask_quant.row_flow import RowSurvey
    from dask_quant.segment_options import SegmentOptions
    from dask_quant.sources.rasters import Raster, RasterPart

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
    component_shares: tuple[float, ...] | None
    """Share of all variance that each principal component holds; None: there are none."""


@dataclass(frozen=True)
class PreparedRows:
    """The rows of all rasters, ready to be fitted."""

    source: SpreadRows
    """The rows, with features."""
    survey: RowSurvey
    """What was found of bands."""
    scaled: RowSurvey
    """What was found of features."""
    features: FeatureMap
    """How features are made of bands."""
    component_shares: tuple[float, ...] | None
    """As in `ClassFit`."""


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
    parts = [split_raster(raster, shape) for raster, shape in zip(rasters, chunks, strict=True)]
    return _number_rows(rasters, parts)


def keep_pixels(cut: Sequence[CutRaster], executor: Executor) -> list[CutRaster]:
    """Return the same rasters, read once and kept in memory. **Eager**."""
    parts = [part for each in cut for part in each.parts]
    pixels = executor.keep(
        [part.pixels for part in parts],
        stage="persist",
        sizes=[part.shape[0] * part.shape[1] for part in parts],
        unit="px",
    )
    kept = iter([replace(part, pixels=value) for part, value in zip(parts, pixels, strict=True)])
    return _number_rows(
        [each.raster for each in cut], [list(islice(kept, len(each.parts))) for each in cut]
    )


def _number_rows(
    rasters: Sequence[Raster], parts: Sequence[Sequence[RasterPart]]
) -> list[CutRaster]:
    """Return rasters with their blocks, the pixels of all numbered one after the other."""
    cut, first = [], 0
    for raster, own in zip(rasters, parts, strict=True):
        rows = pixel_row_blocks(own, first=first, width=raster.shape[1])
        cut.append(CutRaster(raster, tuple(own), rows))
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


def check_model_bands(model: ClassModel, raster: Raster) -> None:
    """Raise `OptionError` unless a raster has as many bands as a model."""
    if len(raster.band_names) != len(model.band_names):
        message = (
            f"Got {raster.name!r} with {len(raster.band_names)} bands for a model of "
            f"{len(model.band_names)}: {', '.join(model.band_names)}; choose them by --bands."
        )
        raise OptionError(message)


def fit_classes(cut: Sequence[CutRaster], options: SegmentOptions, executor: Executor) -> ClassFit:
    """Fit classes to all pixels of rasters together. **Eager**.

    Raises
    ------
    FitError
        When no pixel means anything.
    """
    prepared = _prepare_rows(cut, options, executor)
    source, features = prepared.source, prepared.features
    fit = fit_rows(source, prepared.scaled, _row_options(options))
    order = _order_classes(fit.centers, fit.totals.weights)
    if len(order) < options.n_clusters:
        warnings.warn(
            f"{options.n_clusters} classes were asked for, but the pixels have only {len(order)} "
            "distinct spectra; each is a class.",
            FewerClassesWarning,
            stacklevel=2,
        )
    model = ClassModel(
        features.undo(fit.centers[order]),
        cut[0].raster.band_names,
        features,
        options.scale,
        options.seed,
    )
    return ClassFit(
        model=model,
        inertia=fit.totals.inertia,
        total_inertia=fit.totals.measure_total(fit.centers),
        n_iter=fit.n_iter,
        n_passes=source.n_passes,
        found=prepared.survey.found,
        component_shares=prepared.component_shares,
    )


def score_classes(
    cut: Sequence[CutRaster],
    options: SegmentOptions,
    numbers: Sequence[int],
    executor: Executor,
) -> ClassCurve:
    """Fit several numbers of classes to rasters side by side, and score them. **Eager**."""
    prepared = _prepare_rows(cut, options, executor)
    source, scaled = prepared.source, prepared.scaled
    each = [replace(_row_options(options), n_clusters=number) for number in numbers]
    fits = fit_each(source, scaled, each)
    scores = tuple(ClassScore.from_fit(fit, scaled.sample.rows) for fit in fits)
    return ClassCurve(scores, source.n_passes)


def _prepare_rows(
    cut: Sequence[CutRaster], options: SegmentOptions, executor: Executor
) -> PreparedRows:
    """Look at the rows of all rasters, and say what distances are measured in.

    Raises
    ------
    FitError
        When no pixel means anything.
    """
    n_bands = len(cut[0].raster.band_names)
    source = SpreadRows(join_row_blocks([each.rows for each in cut]), executor)
    survey = source.survey(options.seed, n_bands)
    _check_survey(survey, sum(source.blocks.sizes))
    shares = None
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # is looked at then
        features = _find_features(source, survey, options, n_bands)
        scaled = survey.apply(features)
    _check_size(scaled.found, "samples, by scale and weights,")
    source.blocks = source.blocks.with_features(features)
    if options.pca is not None:
        features, shares = _find_components(source, scaled, features, options.pca)
        scaled = survey.apply(features)
        source.blocks = source.blocks.with_features(features)
    return PreparedRows(source, survey, scaled, features, shares)


def _find_components(
    source: SpreadRows, scaled: RowSurvey, features: FeatureMap, wanted: float
) -> tuple[FeatureMap, tuple[float, ...]]:
    """Return features that are principal components, and the share of variance of each."""
    n_bands = features.n_features
    if wanted > n_bands:
        message = f"Got pca {wanted} for {n_bands} bands; ask for up to {n_bands} components."
        raise OptionError(message)
    products = source.multiply(ProductScale.from_range(scaled.found))
    found = PrincipalComponents.from_covariance(products.covariance)
    number = found.count(wanted) if wanted < 1 else int(wanted)
    # About the mean, or bands of centres would lack what the components that are left out have.
    offset = features.undo(products.means[np.newaxis])[0]
    projected = FeatureMap(offset, features.factor, found.directions[:number])
    return projected, tuple(found.shares[:number].tolist())


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
        return RowRange(np.full(n_bands, low), np.full(n_bands, high), 0, True, 1.0, 1.0, True)
    source = SpreadRows(join_row_blocks([each.rows for each in cut]), executor, stage="survey")
    found = source.find_range()
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
