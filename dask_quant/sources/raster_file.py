"""Raster files that GDAL reads, with any number of bands: GeoTIFF and its kin, block by block.

Every call opens the file for itself, since an open raster must not be shared by threads. Scales,
offsets and units that a file gives for its samples are not applied: samples are what is stored.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant.errors import DaskQuantError, PixelFormatError, SourceError, SourceNotFoundError
from dask_quant.georeference import GeoReference
from dask_quant.sources.gdal_state import borrow_gdal, check_rasterio, show_gdal_cause
from dask_quant.sources.header import show_cause, show_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_DECODED_FROM_THE_TOP = frozenset({"GIF", "JPEG", "PNG", "WEBP"})
"""Formats of which GDAL reads rows, but decodes all that stand above them every time."""

_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@dataclass(frozen=True)
class RasterHeader:
    """What a raster says about itself before it is decoded.

    With ``dataclasses.replace``, other ``nodata`` values hold for `read_raster_block`; it ignores
    masks and alpha bands where ``has_mask`` is false.
    """

    path: str
    """The input as the user would name it."""
    format: str
    """GDAL's short name of the format: ``GTiff``, ``VRT``, ..."""
    height: int
    """Rows of pixels."""
    width: int
    """Columns of pixels."""
    dtype: np.dtype[Any]
    """Type that holds the samples of all data bands."""
    band_names: tuple[str, ...]
    """Description of each data band, else ``band`` and its number; no two are the same."""
    band_numbers: tuple[int, ...]
    """Place of each data band in the file, from 1; alpha bands are left out."""
    nodata: tuple[float | None, ...]
    """Sample that stands for "nothing here" in each data band, or None."""
    has_mask: bool
    """Whether the file has a mask or an alpha band."""
    unit: tuple[int, int]
    """Rows and columns that storage decodes as a whole: a tile, some rows, or the image."""
    geo: GeoReference
    """Where the pixels lie."""
    pixel_area_m2: float | None
    """Area of a pixel in square metres, or None where it is not known or not the same for all."""
    input_bytes: int
    """Bytes of the file itself, without files beside it."""


def read_raster_header(path: str | Path) -> RasterHeader:
    """Read what a raster file says about itself, without decoding it.

    **Eager.**

    Parameters
    ----------
    path : str or Path
        A local file of any format that GDAL reads.

    Raises
    ------
    SourceNotFoundError
        When there is no such file.
    SourceError
        When it is no raster, not a local file, or rasterio is missing.
    PixelFormatError
        When its samples are complex or indices into a colour table, or it has no data band.
    """
    with _open(path) as dataset:
        numbers = _find_data_bands(dataset, show_path(str(path)))
        dtypes = [np.dtype(dataset.dtypes[number - 1]) for number in numbers]
        geo = _read_georeference(dataset)
        return RasterHeader(
            path=str(path),
            format=dataset.driver,
            height=dataset.height,
            width=dataset.width,
            dtype=np.result_type(*dtypes),
            band_names=_name_bands([dataset.descriptions[n - 1] for n in numbers], numbers),
            band_numbers=numbers,
            nodata=tuple(
                _round_nodata(dataset.nodatavals[number - 1], dtype)
                for number, dtype in zip(numbers, dtypes, strict=True)
            ),
            has_mask=bool(_find_alpha_bands(dataset) or _find_masked_bands(dataset, numbers)),
            unit=_find_unit(dataset, numbers),
            geo=geo,
            pixel_area_m2=measure_pixel_area(geo),
            input_bytes=os.stat(path).st_size,
        )


def list_raster_files(path: str | Path) -> list[str]:
    """Return the files that a raster is made of: itself, what lies beside it, what it refers to.

    **Eager**; errors as for `read_raster_header`.
    """
    with _open(path) as dataset:
        return sorted({os.path.abspath(name) for name in dataset.files if os.path.isfile(name)})


def read_raster_block(
    header: RasterHeader, rows: slice, columns: slice
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Read a part of a raster, and where its pixels mean something.

    **Eager**; any number of threads may call it.

    Parameters
    ----------
    header : RasterHeader
        From `read_raster_header`.
    rows, columns : slice
        The part, step 1; what lies beyond the image is left out.

    Returns
    -------
    pixels : ndarray
        Samples as stored, ``header.dtype (y, x, band)``, C-contiguous.
    valid : ndarray
        bool ``(y, x)``. False where any band holds its nodata value, where the file's mask or
        alpha is 0, and where a sample is NaN or infinite. A nodata value that ``header.dtype``
        cannot hold stands for nothing.

    Raises
    ------
    SourceNotFoundError, SourceError
        As `read_raster_header` does; also when that part of the file is damaged.

    Notes
    -----
    Peak memory: the result, 1 byte per pixel, and `CACHE_BYTES` for all threads together.
    """
    from rasterio.windows import Window

    top, bottom, _ = rows.indices(header.height)
    left, right, _ = columns.indices(header.width)
    window = Window(left, top, right - left, bottom - top)
    pixels = np.empty((bottom - top, right - left, len(header.band_numbers)), dtype=header.dtype)
    with _open(header.path) as dataset:
        _read_bands(dataset, header.band_numbers, window, pixels)
        valid = find_valid(pixels, header.nodata)
        if header.has_mask:
            _apply_masks(dataset, header.band_numbers, window, valid)
    return pixels, valid


def read_label_block(path: str | Path, rows: slice, columns: slice) -> NDArray[Any]:
    """Read a part of the first band of a raster, whatever its samples mean: labels ``(y, x)``.

    **Eager**; parameters, errors and memory are those of `read_raster_block`.
    """
    from rasterio.windows import Window

    with _open(path) as dataset:
        top, bottom, _ = rows.indices(dataset.height)
        left, right, _ = columns.indices(dataset.width)
        labels: NDArray[Any] = dataset.read(1, window=Window(left, top, right - left, bottom - top))
        return labels


def measure_pixel_area(geo: GeoReference) -> float | None:
    """Return the area of a pixel in square metres, or None where it is not known.

    It is known where the transform leads to projected coordinates, in whatever unit of length;
    pixels of a geographic system, in degrees, differ in size. It is the area on the map: how much
    a projection stretches the ground is not corrected.

    Parameters
    ----------
    geo : GeoReference
        Where the pixels lie.
    """
    if geo.crs_wkt is None or geo.transform is None:
        return None
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    try:
        crs = CRS.from_wkt(geo.crs_wkt)
        if not crs.is_projected:
            return None
        _, metres = crs.linear_units_factor
    except CRSError:  # what cannot be parsed measures nothing, and costs no pixel
        return None
    a, b, _, d, e, _ = geo.transform
    return float(abs(a * e - b * d) * metres**2)


@contextmanager
def _open(path: str | Path) -> Iterator[Any]:
    """Open a raster; whatever goes wrong inside the block becomes an error of ours."""
    name = show_path(str(path))
    _check_file(path, name)
    check_rasterio(SourceError, f"Cannot read {name}")
    import rasterio

    try:
        # An absolute path is never taken for an address, whatever is in it.
        with borrow_gdal(), rasterio.open(os.path.abspath(path)) as dataset:
            yield dataset
    except DaskQuantError:
        raise
    except Exception as error:  # errors of rasterio, of GDAL and of paths have no base in common
        message = f"Cannot read {name}: {show_gdal_cause(error)}."
        raise SourceError(message) from error


def _check_file(path: str | Path, name: str) -> None:
    """Raise unless ``path`` is a regular file: GDAL takes addresses, folders and more."""
    if "://" in str(path):
        message = f"Got the address {name}; only local paths are supported so far."
        raise SourceError(message)
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        message = f"Cannot read {name}: there is no such file."
        raise SourceNotFoundError(message) from None
    except (OSError, ValueError) as error:
        message = f"Cannot read {name}: {show_cause(error)}."
        raise SourceError(message) from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        message = f"Cannot read {name}: it is {kind}, and a raster file is needed."
        raise SourceError(message)


def _find_data_bands(dataset: Any, name: str) -> tuple[int, ...]:
    """Return the numbers of the bands that hold data, having checked that they hold numbers."""
    from rasterio.enums import ColorInterp

    alphas = _find_alpha_bands(dataset)
    numbers = tuple(number for number in dataset.indexes if number not in alphas)
    if not numbers:
        message = f"Got {name} with {dataset.count} bands, none of data; at least 1 is needed."
        raise PixelFormatError(message)
    for number in numbers:
        dtype = dataset.dtypes[number - 1]
        if dtype.startswith("complex"):
            message = (
                f"Got {name} with samples of type {dtype} in band {number}; only integers and "
                "floats are supported, so save the magnitude or both parts as bands of their own."
            )
            raise PixelFormatError(message)
        if dataset.colorinterp[number - 1] == ColorInterp.palette:
            message = (
                f"Got {name} with indices into a colour table in band {number}; they are no "
                "measure of anything, so expand them first: gdal_translate -expand rgb."
            )
            raise PixelFormatError(message)
    return numbers


def _find_alpha_bands(dataset: Any) -> list[int]:
    """Return the numbers of the bands that say how opaque a pixel is."""
    from rasterio.enums import ColorInterp

    return [n for n in dataset.indexes if dataset.colorinterp[n - 1] == ColorInterp.alpha]


def _find_masked_bands(dataset: Any, numbers: tuple[int, ...]) -> list[int]:
    """Return the data bands whose stored masks have to be read: one, if it is the mask of all.

    Masks that GDAL would make up from a nodata value or an alpha band are not stored.
    """
    from rasterio.enums import MaskFlags

    made_up = ([MaskFlags.all_valid], [MaskFlags.nodata])
    flags = {number: dataset.mask_flag_enums[number - 1] for number in numbers}
    stored = [n for n in numbers if flags[n] not in made_up and MaskFlags.alpha not in flags[n]]
    shared = [number for number in stored if MaskFlags.per_dataset in flags[number]]
    return shared[:1] or stored


def _name_bands(descriptions: list[str | None], numbers: tuple[int, ...]) -> tuple[str, ...]:
    """Return a name for each band; what several would be called gets the band's number."""
    names = [
        show_path(" ".join((text or "").split())) or f"band {number}"
        for text, number in zip(descriptions, numbers, strict=True)
    ]
    counts = Counter(names)
    distinct: list[str] = []
    for name, number in zip(names, numbers, strict=True):
        unique = name if counts[name] == 1 else f"{name} ({number})"
        while unique in distinct:
            unique += f" ({number})"
        distinct.append(unique)
    return tuple(distinct)


def _find_unit(dataset: Any, numbers: tuple[int, ...]) -> tuple[int, int]:
    """Return rows and columns that storage decodes as a whole, at most the image."""
    if dataset.driver in _DECODED_FROM_THE_TOP or _is_one_strip(dataset, numbers[0]):
        return dataset.height, dataset.width
    shapes = [dataset.block_shapes[number - 1] for number in numbers]
    rows, columns = (max(sides) for sides in zip(*shapes, strict=True))
    return min(rows, dataset.height), min(columns, dataset.width)


def _is_one_strip(dataset: Any, number: int) -> bool:
    """Return whether a TIFF is one compressed strip, which GDAL shows as rows when it is large.

    The second of these rows has no place of its own in the file, whereas the first has.
    """
    if dataset.driver != "GTiff" or dataset.compression is None or dataset.height == 1:
        return False
    if dataset.block_shapes[number - 1] != (1, dataset.width):
        return False
    places = [f"BLOCK_OFFSET_0_{row}" for row in (0, 1)]
    first, second = (dataset.get_tag_item(name, "TIFF", bidx=number) for name in places)
    return first is not None and second is None


def _read_georeference(dataset: Any) -> GeoReference:
    """Return where the pixels of an open raster lie."""
    points, points_crs = dataset.gcps
    a, b, c, d, e, f = dataset.transform[:6]
    transform = (a, b, c, d, e, f)
    return GeoReference(
        crs_wkt=_to_wkt(dataset.crs),
        # rasterio answers with the identity where a file has no transform.
        transform=None if transform == _IDENTITY else transform,
        gcps=tuple((point.row, point.col, point.x, point.y, point.z or 0.0) for point in points),
        gcps_crs_wkt=_to_wkt(points_crs),
        rpcs=tuple(sorted(dataset.tags(ns="RPC").items())),
    )


def _to_wkt(crs: Any) -> str | None:
    """Return a coordinate reference system as WKT2, or as GDAL has it where WKT2 cannot say it."""
    from rasterio.errors import CRSError

    if not crs:
        return None
    try:
        return str(crs.to_wkt(version="WKT2_2019"))
    except CRSError:
        return str(crs.to_wkt())


def _round_nodata(nodata: float | None, dtype: np.dtype[Any]) -> float | None:
    """Return a nodata value as a band of floats would hold it; integers are compared exactly."""
    if nodata is None or dtype.kind != "f":
        return nodata
    with np.errstate(over="ignore"):  # becomes infinite, which no valid sample is
        return float(dtype.type(nodata))


def _read_bands(dataset: Any, numbers: tuple[int, ...], window: Any, pixels: NDArray[Any]) -> None:
    """Read bands into ``pixels (y, x, band)``, all at once where rasterio can."""
    if not pixels.size:
        return
    if len({dataset.dtypes[number - 1] for number in numbers}) == 1:
        dataset.read(numbers, window=window, out=pixels.transpose(2, 0, 1))
        return
    for place, number in enumerate(numbers):
        dataset.read(number, window=window, out=pixels[..., place])


def find_valid(pixels: NDArray[Any], nodata: tuple[float | None, ...]) -> NDArray[np.bool_]:
    """Return where no band of ``(y, x, band)`` holds its nodata value, NaN or infinity, ``(y, x)``.

    ``nodata`` has a value, or None, for each band.
    """
    valid = np.ones(pixels.shape[:2], dtype=np.bool_)
    for place, value in enumerate(nodata):
        band = pixels[..., place]
        if band.dtype.kind == "f":
            valid &= np.isfinite(band)
        if value is not None and (held := _hold(value, band.dtype)) is not None:
            valid &= band != held
    return valid


def _hold(nodata: float, dtype: np.dtype[Any]) -> Any:
    """Return a nodata value as a scalar of ``dtype``; None where no finite sample can equal it."""
    if not np.isfinite(nodata):
        return None
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return dtype.type(nodata)
    limits = np.iinfo(dtype)
    whole = int(nodata)
    return dtype.type(whole) if whole == nodata and limits.min <= whole <= limits.max else None


def _apply_masks(
    dataset: Any, numbers: tuple[int, ...], window: Any, valid: NDArray[np.bool_]
) -> None:
    """Clear ``valid (y, x)`` where an alpha band or a stored mask is 0."""
    if not valid.size:
        return
    for number in _find_alpha_bands(dataset):
        valid &= dataset.read(number, window=window) != 0
    for number in _find_masked_bands(dataset, numbers):
        valid &= dataset.read_masks(number, window=window) != 0
