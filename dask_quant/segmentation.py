"""What users call to segment rasters of any bands: files, stores and arrays in, classes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dask_quant.class_model import ClassModel
from dask_quant.class_output import label_raster
from dask_quant.errors import OptionError
from dask_quant.events import ignore_event
from dask_quant.options import as_chunks, as_path, join_client, make_run_options, require
from dask_quant.raster_flow import check_model_bands, cut_rasters
from dask_quant.routes.common import check_sources
from dask_quant.routes.segment_job import SegmentJob, SideFiles
from dask_quant.routes.segmenting import score_sources, segment_sources
from dask_quant.segment_options import BandOptions, SegmentOptions
from dask_quant.sinks.class_model_file import read_class_model
from dask_quant.sources.rasters import open_raster
from dask_quant.watching import watched

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import dask.array as da
    from distributed import Client

    from dask_quant.class_scores import ClassCurve
    from dask_quant.events import Listener
    from dask_quant.options import ClusterOptions
    from dask_quant.segment_options import Band
    from dask_quant.segment_report import SegmentReport


@watched
def segment(
    sources: Any,
    out: str | Path | None = None,
    *,
    n_clusters: int = 8,
    bands: Sequence[Band] | None = None,
    indices: Sequence[str] = (),
    band_weights: Sequence[float] | None = None,
    scale: str = "none",
    pca: float | None = None,
    nodata: float | None = None,
    mask: str | Path | None = None,
    init: str = "k-means++",
    n_init: int | None = None,
    max_iter: int = 300,
    tol: float = 1e-4,
    seed: int = 0,
    model_out: str | Path | None = None,
    table: str | Path | None = None,
    plot: str | Path | None = None,
    cog: bool = False,
    sieve: int = 0,
    outline: str | Path | None = None,
    in_memory: bool = False,
    overwrite: bool = False,
    chunks: int | tuple[int, int] | None = None,
    persist: str | Path | None = None,
    cluster: ClusterOptions | None = None,
    client: Client | None = None,
    listener: Listener = ignore_event,
) -> SegmentReport:
    """Find the classes of pixels of rasters by k-means, and write them. **Eager**.

    Every pixel counts, in every pass; results do not depend on chunks or workers, bit for bit.
    Several rasters get one set of classes, so that these agree across their borders.

    Parameters
    ----------
    sources : str, Path, sequence of them, NumPy, Dask or xarray array
        Raster files that GDAL reads (``pip install "dask-quant[geo]"``), folders, globs, Zarr
        stores; or one raster as an array ``(y, x)`` or ``(y, x, band)`` of integers or floats, or
        one of xarray, whose nodata and place on the earth are kept.
    out : str or Path, optional
        For one raster, the ``.tif`` or ``.zarr`` to write; else the folder to write into. None: no
        classes are written, the report has the model and the table.
    n_clusters : int, default 8
        Classes, 1 to 65535. Where pixels have fewer distinct spectra, there are fewer.
    bands : sequence of int or str, optional
        Bands by number, from 1, or by name; None: all, but for alpha.
    indices : sequence of str, optional
        Normalised differences to use as further bands: ``ndvi``, ``ndwi``, ``mndwi``, ``ndmi``,
        ``ndbi``, ``nbr`` or ``ndsi`` of bands that are called red, green, nir, swir1 and swir2, or
        ``NAME=A/B``, which is ``(A - B) / (A + B)`` of bands by number or name.
    band_weights : sequence of float, optional
        How much the squared difference of each band counts, above 0; None: 1 each.
    scale : {"none", "standard", "minmax", "robust"}, default "none"
        What bands are brought to before distances are measured: mean 0 and variance 1, 0 to 1, or
        (of a sample) median 0 and interquartile range 1.
    pca : int or float, optional
        Measure distances in so many principal components of the bands as scaled and weighted, or,
        below 1, in as many as hold that share of all variance. The covariance is that of all
        pixels, exact, in one pass more. None: in the bands.
    nodata : float, optional
        Sample that stands for "nothing here"; None: what each file says.
    mask : str or Path, optional
        Raster of the same size, of which pixels of 0 are left out.
    init : {"k-means++", "k-means||"}, default "k-means++"
        Where first centres come from: a fit to a sample in memory, after which few passes are left,
        or draws from all pixels.
    n_init, max_iter, tol
        Restarts; passes at most in which centres move; and the sum of the squared shifts of all
        centres at which they are at rest, in mean variances of a band.
    seed : int, default 0
        Seed of every random draw; the same seed gives the same bytes.
    model_out : str or Path, optional
        ``.json`` to write the classes to, for `apply_classes`.
    table : str or Path, optional
        ``.csv`` or ``.json`` to write the table of classes to: pixels, area, and mean, standard
        deviation, minimum and maximum of each band.
    plot : str or Path, optional
        ``.png``, ``.svg`` or ``.pdf`` to draw the spectra of the classes into.
    cog : bool, default False
        Whether GeoTIFFs are cloud-optimized, with overviews.
    sieve : int, default 0
        Patches of fewer pixels are given to their largest neighbour, in GeoTIFFs; the whole raster
        is held in memory for that. The table describes the classes before. 0: none.
    outline : str or Path, optional
        ``.png``, ``.zarr`` or ``.tif`` to draw the borders of the classes of one raster to, black
        on white, as `find_borders` finds them in what is written: after the sieve, and between
        classes and pixels that are left out as well. In a GeoTIFF white is nodata.
    in_memory : bool, default False
        Whether pixels are read once and kept in memory, of this process or of the workers, instead
        of being read in every pass.
    overwrite : bool, default False
        Whether outputs that exist are replaced.
    chunks : int or tuple of int, optional
        Rows and columns of a task, or one number for both, in pixels; planned when not given.
    persist : str or Path, optional
        ``.zarr`` group to copy the samples of raster files into, quick to read, before the passes;
        what it holds already is used again, in any later job. For rasters that are slow to decode,
        and do not fit in memory.
    cluster : ClusterOptions, optional
        Where the work runs. None: on the active `distributed.Client`, or else on threads.
    client : distributed.Client, optional
        Client of the cluster that does the work, in place of ``cluster``; it stays open.
    listener : callable, optional
        Told of progress, an `Event` at a time.

    Returns
    -------
    SegmentReport
        The classes, what they are like, and what was written.

    Raises
    ------
    DaskQuantError
        One of the classes of `dask_quant.errors`; its message is one line.

    Warns
    -----
    FewerClassesWarning
        When pixels have fewer distinct spectra than classes were asked for.

    Notes
    -----
    Labels are uint8, 255 where a pixel is nodata, masked or not finite in some band; from 256
    classes on uint16 and 65535. Class 0 has most pixels.

    A pass is O(pixels x bands x classes). The first finds the range of every band and draws a
    sample by hash; a fit to it is where the passes over all pixels begin. Peak memory is planned
    from the blocks that are read, and refused where it exceeds the limit.
    """
    job = SegmentJob(
        command="segment",
        bands=_make_band_options(bands, indices, nodata, mask),
        fit=SegmentOptions(
            n_clusters=n_clusters,
            scale=scale,
            pca=pca,
            band_weights=band_weights,  # type: ignore[arg-type]  # looked at there
            seed=seed,
            init=init,
            n_init=n_init,
            max_iter=max_iter,
            tol=tol,
        ),
        run=make_run_options(overwrite, chunks, persist, join_client(cluster, client)),
        listener=listener,
        side_files=SideFiles(
            model=_as_optional_path(model_out, "model_out"),
            table=_as_optional_path(table, "table"),
            plot=_as_optional_path(plot, "plot"),
        ),
        cog=cog,
        sieve=sieve,
        outline=_as_optional_path(outline, "outline"),
        in_memory=in_memory,
    )
    return segment_sources(job, check_sources(sources), _as_optional_path(out, "out"))


@watched
def apply_classes(
    sources: Any,
    out: str | Path | None,
    model: ClassModel | str | Path,
    *,
    bands: Sequence[Band] | None = None,
    indices: Sequence[str] = (),
    nodata: float | None = None,
    mask: str | Path | None = None,
    table: str | Path | None = None,
    plot: str | Path | None = None,
    cog: bool = False,
    sieve: int = 0,
    outline: str | Path | None = None,
    in_memory: bool = False,
    overwrite: bool = False,
    chunks: int | tuple[int, int] | None = None,
    persist: str | Path | None = None,
    cluster: ClusterOptions | None = None,
    client: Client | None = None,
    listener: Listener = ignore_event,
) -> SegmentReport:
    """Label rasters with classes that exist, and write them. **Eager**.

    Parameters
    ----------
    model : ClassModel, str or Path
        The classes, or the ``.json`` that `segment` wrote.
    sources, out, bands, indices, nodata, mask, table, plot, cog, sieve, outline, in_memory
        As in `segment`; the bands are those of the model, in its order.
    overwrite, chunks, persist, cluster, client, listener
        As in `segment`.

    Returns
    -------
    SegmentReport
        As `segment`; without inertia.

    Raises
    ------
    DaskQuantError
        One of the classes of `dask_quant.errors`; its message is one line.
    """
    job = SegmentJob(
        command="apply",
        bands=_make_band_options(bands, indices, nodata, mask),
        fit=SegmentOptions(),
        run=make_run_options(overwrite, chunks, persist, join_client(cluster, client)),
        listener=listener,
        model=model if isinstance(model, ClassModel) else read_class_model(model),
        side_files=SideFiles(
            table=_as_optional_path(table, "table"), plot=_as_optional_path(plot, "plot")
        ),
        cog=cog,
        sieve=sieve,
        outline=_as_optional_path(outline, "outline"),
        in_memory=in_memory,
    )
    return segment_sources(job, check_sources(sources), _as_optional_path(out, "out"))


@watched
def score_classes(
    sources: Any,
    numbers: Sequence[int],
    out: str | Path | None = None,
    *,
    bands: Sequence[Band] | None = None,
    indices: Sequence[str] = (),
    band_weights: Sequence[float] | None = None,
    scale: str = "none",
    pca: float | None = None,
    nodata: float | None = None,
    mask: str | Path | None = None,
    n_init: int | None = None,
    max_iter: int = 3,
    tol: float = 1e-4,
    seed: int = 0,
    in_memory: bool = False,
    overwrite: bool = False,
    chunks: int | tuple[int, int] | None = None,
    persist: str | Path | None = None,
    cluster: ClusterOptions | None = None,
    client: Client | None = None,
    listener: Listener = ignore_event,
) -> ClassCurve:
    """Score several numbers of classes of rasters, to choose one. **Eager**.

    All numbers go side by side: a pass over all pixels serves all of them.

    Parameters
    ----------
    numbers : sequence of int
        Numbers of classes, such as ``range(2, 21)``.
    out : str or Path, optional
        ``.csv``, ``.json``, ``.png``, ``.svg`` or ``.pdf`` to write the scores to.
    max_iter : int, default 3
        Times at most that centres are moved on all pixels, after their fit to a sample. Scores are
        those of all pixels, and of the centres that come of it.
    sources, bands, indices, band_weights, scale, pca, nodata, mask, n_init, tol, seed
        As in `segment`.
    in_memory, overwrite, chunks, persist, cluster, client, listener
        As in `segment`.

    Returns
    -------
    ClassCurve
        Inertia, Calinski-Harabasz and Davies-Bouldin index of each, and what they suggest.

    Raises
    ------
    DaskQuantError
        One of the classes of `dask_quant.errors`; its message is one line.
    """
    chosen = sorted({SegmentOptions(n_clusters=number).n_clusters for number in numbers})
    if not chosen:
        message = "Got no number of classes; give some, such as range(2, 21)."
        raise OptionError(message)
    job = SegmentJob(
        command="elbow",
        bands=_make_band_options(bands, indices, nodata, mask),
        fit=SegmentOptions(
            n_clusters=chosen[-1],
            scale=scale,
            pca=pca,
            band_weights=None if band_weights is None else tuple(band_weights),
            seed=seed,
            n_init=n_init,
            max_iter=max_iter,
            tol=tol,
        ),
        run=make_run_options(overwrite, chunks, persist, join_client(cluster, client)),
        listener=listener,
        in_memory=in_memory,
    )
    return score_sources(job, check_sources(sources), chosen, _as_optional_path(out, "out"))


def label_classes(
    source: Any,
    model: ClassModel,
    *,
    bands: Sequence[Band] | None = None,
    indices: Sequence[str] = (),
    nodata: float | None = None,
    mask: str | Path | None = None,
    chunks: int | tuple[int, int] | None = None,
) -> da.Array:
    """Return the class of every pixel of a raster. **Lazy**.

    Parameters
    ----------
    source : str, Path, NumPy, Dask or xarray's array
        One raster, as `segment` takes it.
    model : ClassModel
        The classes.
    bands, indices, nodata, mask
        As in `segment`.
    chunks : int or tuple of int, optional
        Rows and columns of a chunk, or one number for both; None: as the raster is stored.

    Returns
    -------
    dask array
        Labels ``(y, x)``, uint8, from 256 classes on uint16; ``model.nodata`` where a pixel is
        nodata, masked or not finite in some band.

    Raises
    ------
    SourceError, PixelFormatError
        When the header shows that the raster cannot be read.
    OptionError
        When it has not the bands of the model.
    """
    require(
        isinstance(model, ClassModel),
        f"Got {type(model).__name__} for model; use a ClassModel, see read_class_model.",
    )
    asked = as_chunks(chunks)
    raster = open_raster(source, _make_band_options(bands, indices, nodata, mask))
    check_model_bands(model, raster)
    rows, columns = raster.unit
    (cut,) = cut_rasters([raster], [(asked.rows or rows, asked.columns or columns)])
    return label_raster(cut, model)


def _make_band_options(
    bands: Sequence[Band] | None,
    indices: Sequence[str],
    nodata: float | None,
    mask: str | Path | None,
) -> BandOptions:
    """Return what of rasters is used from what users give."""
    return BandOptions(
        indices=indices,  # type: ignore[arg-type]  # looked at there
        bands=bands,  # type: ignore[arg-type]  # looked at there
        nodata=nodata,
        mask=_as_optional_path(mask, "mask"),
    )


def _as_optional_path(value: Any, name: str) -> Path | None:
    """Return what a user gave for an optional path as one."""
    return None if value is None else as_path(value, name)
