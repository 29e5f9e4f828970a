"""Where on the earth a raster's pixels lie, as plain values that travel with it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GeoReference:
    """Georeferencing of a raster; every default says that the raster has none of it.

    Examples
    --------
    >>> GeoReference() == GeoReference(crs_wkt=None, transform=None)
    True
    """

    crs_wkt: str | None = None
    """Coordinate reference system of ``transform``, as WKT2."""
    transform: tuple[float, float, float, float, float, float] | None = None
    """``(a, b, c, d, e, f)``: column and row lie at ``x = a * column + b * row + c`` and
    ``y = d * column + e * row + f``, counted from the upper left corner of the first pixel."""
    gcps: tuple[tuple[float, float, float, float, float], ...] = ()
    """Ground control points: row and column in pixels, then x, y and z."""
    gcps_crs_wkt: str | None = None
    """Coordinate reference system of ``gcps``, as WKT2."""
    rpcs: tuple[tuple[str, str], ...] = ()
    """Rational polynomial coefficients of a sensor, as pairs of GDAL's names and text, sorted."""
