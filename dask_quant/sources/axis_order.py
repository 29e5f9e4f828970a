"""Which axis of an array is which: by the names that it has, else by its shape, else refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dask_quant.errors import PixelFormatError
from dask_quant.sources.bands import N_BANDS

if TYPE_CHECKING:
    from collections.abc import Sequence

ROW_NAMES = ("y", "lat", "latitude", "northing", "row", "rows")
"""Names that an axis of rows may have."""

COLUMN_NAMES = ("x", "lon", "longitude", "easting", "column", "columns", "col")
"""Names that an axis of columns may have."""

BAND_NAMES = ("b", "band", "bands", "c", "channel", "channels", "s", "sample", "samples", "rgb")
"""Names that an axis of bands may have."""

PLANE_NAMES = ("t", "time", "z", "depth", "plane", "frame")
"""Names of axes along which there are several pictures."""


@dataclass(frozen=True)
class AxisOrder:
    """The places of the axes of an image in an array, from 0."""

    rows: int
    """Axis of the rows."""
    columns: int
    """Axis of the columns."""
    bands: int | None
    """Axis of the bands; None: there is one band, and no axis for it."""
    planes: tuple[int, ...] = ()
    """All other axes, in their order in the array."""
    is_guess: bool = False
    """Whether the shape alone says so, of three axes without names."""

    @property
    def is_plain(self) -> bool:
        """Whether the array is ``(y, x)`` or ``(y, x, band)`` as it is."""
        return (self.rows, self.columns) == (0, 1) and self.bands in (None, 2) and not self.planes

    def describe(self) -> str:
        """Return the axes in words, such as ``(band, y, x)``."""
        words = {self.rows: "y", self.columns: "x", self.bands: "band"}
        n_axes = 2 + (self.bands is not None) + len(self.planes)
        return f"({', '.join(words.get(axis, 'plane') for axis in range(n_axes))})"


def order_axes(shape: Sequence[int], names: Sequence[str | None] | None, *, name: str) -> AxisOrder:
    """Return which axis is which.

    Parameters
    ----------
    shape : sequence of int
        Lengths of the axes.
    names : sequence of str, or None
        Names of the axes, in any case; None, or as many as there are not axes: they have none.
    name : str
        What the message of an error calls the array.

    Raises
    ------
    PixelFormatError
        When neither the names nor the shape tell. Without names, three axes are ``(y, x, band)``
        when the last has a length of 1, 3 or 4, and ``(band, y, x)`` when only the first has.

    Examples
    --------
    >>> order_axes((3, 20, 30), None, name="it").describe()
    '(band, y, x)'
    >>> order_axes((1, 3, 1, 20, 30), ("t", "c", "z", "y", "x"), name="it").planes
    (0, 2)
    """
    lowered = [str(each).lower() for each in names or ()]
    if len(lowered) == len(shape):
        named = _order_by_names(lowered)
        if named is not None:
            return named
    return _order_by_shape(tuple(shape), name)


def _order_by_names(names: list[str]) -> AxisOrder | None:
    """Return which axis is which by lower-case names; None when they do not say."""
    rows, columns, bands = (
        [axis for axis, name in enumerate(names) if name in known]
        for known in (ROW_NAMES, COLUMN_NAMES, BAND_NAMES)
    )
    if len(rows) == len(columns) == 1 and len(bands) <= 1:
        others = [axis for axis in range(len(names)) if axis not in rows + columns + bands]
        if not bands and len(others) == 1 and names[others[0]] not in PLANE_NAMES:
            bands, others = others, []  # whatever its name: there is nothing else it can be
        return AxisOrder(rows[0], columns[0], bands[0] if bands else None, tuple(others))
    if len(names) == 3 and bands == [0]:
        return AxisOrder(1, 2, 0)
    if len(names) == 3 and bands == [2]:
        return AxisOrder(0, 1, 2)
    return None


def _order_by_shape(shape: tuple[int, ...], name: str) -> AxisOrder:
    """Return which axis is which by their lengths."""
    if len(shape) == 2:
        return AxisOrder(0, 1, None)
    if len(shape) != 3:
        message = (
            f"Got {name} of shape {shape}, whose axes have no names that tell which are y and x; "
            "name them, as dimension_names or _ARRAY_DIMENSIONS, or store one picture of it."
        )
        raise PixelFormatError(message)
    is_first, is_last = shape[0] in N_BANDS, shape[2] in N_BANDS
    if is_first and is_last:
        message = (
            f"Got {name} of shape {shape}, which may be (y, x, band) or (band, y, x); name its "
            "axes, as dimension_names or _ARRAY_DIMENSIONS."
        )
        raise PixelFormatError(message)
    if is_first:
        return AxisOrder(1, 2, 0, is_guess=True)
    return AxisOrder(0, 1, 2, is_guess=True)
