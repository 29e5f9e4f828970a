"""What arrays of named dimensions say of themselves: xarray's, and rioxarray's of rasters.

xarray itself is not imported: its arrays and data sets are known by what they have.

References
----------
CF Conventions 1.11, sections 2.5.1 "Missing data" and 5.6 "Grid mappings", cfconventions.org.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant.errors import PixelFormatError
from dask_quant.georeference import GeoReference
from dask_quant.sources.axis_order import COLUMN_NAMES, ROW_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Transform = tuple[float, float, float, float, float, float]

_NODATA_NAMES = ("_FillValue", "nodata", "missing_value")
"""Attributes, or encodings, that say which sample stands for "nothing here"."""

_MAPPING_NAMES = ("spatial_ref", "crs")
"""Coordinates that hold the reference system where ``grid_mapping`` does not name one."""

_WKT_NAMES = ("crs_wkt", "spatial_ref")
"""Attributes of theirs that hold it as text."""

_MOST_UNEVEN = 0.01
"""Pixels by which coordinates may lie off an even grid, rounded as they are (arbitrary)."""


@dataclass(frozen=True)
class NamedSamples:
    """Samples of an array of named dimensions, or of a data set."""

    samples: Any
    """NumPy or Dask, ``(y, x, band)``."""
    band_names: tuple[str, ...]
    """A name for each band."""
    nodata: tuple[float | None, ...]
    """Sample that stands for "nothing here" in each band, or None."""
    geo: GeoReference
    """Where the pixels lie."""


def is_named(source: object) -> bool:
    """Return whether something is an array of named dimensions, or a data set of such."""
    return hasattr(source, "dims") and (hasattr(source, "data") or is_data_set(source))


def is_data_set(source: object) -> bool:
    """Return whether something is a data set, of variables that are arrays."""
    return hasattr(source, "data_vars")


def as_one_array(source: Any) -> Any:
    """Return a data set as one array, its variables as bands; an array as it is.

    Variables of fewer than two dimensions, such as a reference system, are left out.

    Raises
    ------
    PixelFormatError
        When variables lie on different grids, or there is none.
    """
    if not is_data_set(source):
        return source
    names = [name for name in source.data_vars if source[name].ndim >= 2]
    if len(names) == 1:
        return source[names[0]]
    grids = {source[name].dims for name in names}
    if len(grids) != 1:
        message = (
            f"Got a data set whose variables {names} have dimensions {sorted(grids)}; choose those "
            "of one grid to be the bands, as data[[NAME, ...]]."
        )
        raise PixelFormatError(message)
    return source[names].to_dataarray(dim="band")


def find_dimensions(data: Any) -> tuple[str, str, str | None]:
    """Return the dimensions of rows, of columns and, where there is a third, of bands.

    Raises
    ------
    PixelFormatError
        When names do not tell, or there are further ones.
    """
    rows, columns = _find_dimension(data, ROW_NAMES), _find_dimension(data, COLUMN_NAMES)
    others = [str(name) for name in data.dims if name not in (rows, columns)]
    if len(others) > 1:
        message = f"Got dimensions {data.dims}; choose one of {others} to be the bands."
        raise PixelFormatError(message)
    return rows, columns, others[0] if others else None


def _find_dimension(data: Any, names: tuple[str, ...]) -> str:
    """Return the dimension that has one of these names, or raise `PixelFormatError`."""
    found = [str(name) for name in data.dims if str(name).lower() in names]
    if len(found) != 1:
        message = f"Got dimensions {data.dims}; one of them must be called {' or '.join(names)}."
        raise PixelFormatError(message)
    return found[0]


def find_nodata(*sources: Any) -> float | None:
    """Return the sample that the first of these arrays to say so has for "nothing here"."""
    for source in sources:
        for name in _NODATA_NAMES:
            value = source.attrs.get(name, source.encoding.get(name))
            if value is not None:
                return float(value)
    return None


def read_named_samples(source: Any) -> NamedSamples:
    """Return the samples of an array of named dimensions, or a data set, and what it says of them.

    **Lazy** for Dask. Nodata of a data set is that of each variable.

    Raises
    ------
    PixelFormatError
        As `as_one_array` and `find_dimensions` do.
    """
    data = as_one_array(source)
    rows, columns, band = find_dimensions(data)
    moved = data.transpose(rows, columns, *([] if band is None else [band])).data
    samples = moved if moved.ndim == 3 else moved[:, :, np.newaxis]
    names = _name_bands(data, band, samples.shape[2])
    variables = source.data_vars if is_data_set(source) else {}
    return NamedSamples(
        samples=samples,
        band_names=names,
        nodata=tuple(
            find_nodata(*([variables[name]] if name in variables else []), data, source)
            for name in names
        ),
        geo=read_place(data, (rows, columns)),
    )


def _name_bands(data: Any, band: str | None, n_bands: int) -> tuple[str, ...]:
    """Return the names that the coordinate of the bands has; numbers where it just counts."""
    given: Any = [] if band is None or band not in data.coords else data[band].values.tolist()
    if n_bands == 1 and not given and data.name is not None:
        given = [data.name]
    numbers = list(range(1, n_bands + 1))
    if len(given) != n_bands or given == numbers:
        return tuple(f"band {number}" for number in numbers)
    return tuple(str(name) for name in given)


def read_place(data: Any, dims: tuple[str, str]) -> GeoReference:
    """Return where the pixels of an array of named dimensions lie, as far as it says.

    Parameters
    ----------
    data : DataArray
        As of xarray, perhaps with the coordinate ``spatial_ref`` that rioxarray gives it.
    dims : tuple of str
        Dimensions of the rows and the columns.

    Returns
    -------
    GeoReference
        Its transform is that of the coordinates, which parts of an array keep true, and else the
        one that is stated; none where there is no reference system either.
    """
    stated = _read_mapping(data)
    wkt = next((str(stated[name]) for name in _WKT_NAMES if stated.get(name)), None)
    if wkt is None:
        return GeoReference()
    sizes = [data.sizes[name] for name in dims]
    values = [
        np.asarray(data[name].values) if name in data.coords else np.empty(0) for name in dims
    ]
    found, fixed = _fit_transform(*values), _parse_transform(stated.get("GeoTransform"))
    if fixed is not None and (found is None or _agree(found, fixed, sizes)):
        found = fixed  # written out in full, where coordinates are sums that were rounded
    return GeoReference(crs_wkt=wkt, transform=found)


def _read_mapping(data: Any) -> dict[str, Any]:
    """Return the attributes of the coordinate that holds the reference system."""
    named = data.encoding.get("grid_mapping", data.attrs.get("grid_mapping"))
    for name in (named, *_MAPPING_NAMES):
        if name in data.coords:
            return dict(data.coords[name].attrs)
    return {}


def _parse_transform(text: Any) -> Transform | None:
    """Return GDAL's six numbers, ``c a b f d e`` as text, as a transform; None for other text."""
    try:
        c, a, b, f, d, e = (float(number) for number in str(text).split())
    except ValueError:
        return None
    return a, b, c, d, e, f


def _fit_transform(ys: NDArray[Any], xs: NDArray[Any]) -> Transform | None:
    """Return the transform of the coordinates of pixel centres; None where they lie unevenly."""
    down, across = _find_step(ys), _find_step(xs)
    if down is None or across is None:
        return None
    return across, 0.0, float(xs[0]) - across / 2, 0.0, down, float(ys[0]) - down / 2


def _find_step(values: NDArray[Any]) -> float | None:
    """Return by how much coordinates go on, or None where they are too few or uneven."""
    if values.ndim != 1 or len(values) < 2 or values.dtype.kind not in "iuf":
        return None
    wide = values.astype(np.float64)
    step = float(wide[-1] - wide[0]) / (len(wide) - 1)
    even = wide[0] + step * np.arange(len(wide))
    is_even = step != 0 and bool((np.abs(wide - even) <= abs(step) * _MOST_UNEVEN).all())
    return step if is_even else None


def _agree(found: Transform, fixed: Transform, sizes: Sequence[int]) -> bool:
    """Return whether two transforms put all corners of an image at the same places."""
    corners = [(x, y) for y in (0, sizes[0]) for x in (0, sizes[1])]
    reach = _MOST_UNEVEN * min(abs(found[0]), abs(found[4]))
    return all(
        abs(found[i] * x + found[i + 1] * y + found[i + 2]
            - (fixed[i] * x + fixed[i + 1] * y + fixed[i + 2])) <= reach
        for x, y in corners
        for i in (0, 3)
    )  # fmt: skip
