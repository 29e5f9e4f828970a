"""Georeferencing of a TIFF as its tags have it, without GDAL: to be copied into another TIFF.

References
----------
.. [1] OGC 19-008r4, "OGC GeoTIFF Standard" 1.1, 2019: tags in section 7.1, raster space in 6.4.
.. [2] GDAL, "GTiff -- GeoTIFF File Format", on the tag GDAL_NODATA.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_quant.options import FIRST_PAGE
from dask_quant.sources.tiff import as_byte_source, translate_errors
from dask_quant.sources.tiff_file import find_orientation, open_page

if TYPE_CHECKING:
    from pathlib import Path

    from tifffile import TiffPage

    from dask_quant.options import Page

    Affine = tuple[float, float, float, float, float, float]

_SHORT, _DOUBLE, _ASCII = 3, 12, 2
"""Types of tags, as TIFF numbers them."""

_PIXEL_SCALE, _TIEPOINTS, _TRANSFORMATION = 33550, 33922, 34264
_KEYS, _KEY_NUMBERS, _KEY_TEXTS = 34735, 34736, 34737
_NODATA = 42113

_RASTER_TYPE, _GEOGRAPHIC_CRS, _PROJECTED_CRS = 1025, 2048, 3072
"""Keys: what a pixel is; codes of coordinate reference systems."""

_PIXEL_IS_POINT = 2
_USER_DEFINED = 32767


@dataclass(frozen=True)
class GeoTags:
    """The tags that say where pixels lie; every default says that the file has no such tag.

    ``to_extra_tags`` makes what ``tifffile`` writes into another file of the same pixels.
    """

    pixel_scale: tuple[float, ...] = ()
    """ModelPixelScaleTag: sizes of a pixel along x, y and z."""
    tiepoints: tuple[float, ...] = ()
    """ModelTiepointTag: six numbers for each point, column, row and 0, then x, y and z."""
    transformation: tuple[float, ...] = ()
    """ModelTransformationTag: 16 numbers, row by row."""
    keys: tuple[int, ...] = ()
    """GeoKeyDirectoryTag: four numbers for the head and for each key."""
    key_numbers: tuple[float, ...] = ()
    """GeoDoubleParamsTag."""
    key_texts: str = ""
    """GeoAsciiParamsTag."""
    nodata: str = ""
    """GDAL_NODATA, a number as a text; for samples, so that labels need another."""

    @property
    def epsg(self) -> int | None:
        """EPSG code of the coordinate reference system; None where the file has none of its own."""
        for key in (_PROJECTED_CRS, _GEOGRAPHIC_CRS):
            code = self._find_key(key)
            if code is not None and 0 < code < _USER_DEFINED:
                return code
        return None

    @property
    def transform(self) -> Affine | None:
        """``(a, b, c, d, e, f)`` as `dask_quant.georeference.GeoReference` has it, or None.

        Column and row are counted from the upper left corner of the first pixel, also where the
        file counts from its centre. Several tie points without a scale are no such transform.
        """
        matrix = self._find_matrix()
        if matrix is None:
            return None
        a, b, c, d, e, f = matrix
        shift = 0.5 if self._find_key(_RASTER_TYPE) == _PIXEL_IS_POINT else 0.0
        return a, b, c - shift * (a + b), d, e, f - shift * (d + e)

    def to_extra_tags(self) -> list[tuple[int, int, int, Any, bool]]:
        """Return the tags as ``extratags`` of ``tifffile.TiffWriter.write``, but for ``nodata``."""
        numbers = [
            (_PIXEL_SCALE, _DOUBLE, self.pixel_scale),
            (_TIEPOINTS, _DOUBLE, self.tiepoints),
            (_TRANSFORMATION, _DOUBLE, self.transformation),
            (_KEYS, _SHORT, self.keys),
            (_KEY_NUMBERS, _DOUBLE, self.key_numbers),
        ]
        tags: list[tuple[int, int, int, Any, bool]] = [
            (code, kind, len(values), values, True) for code, kind, values in numbers if values
        ]
        if self.key_texts:
            tags.append((_KEY_TEXTS, _ASCII, 0, self.key_texts, True))
        return tags

    def zoom(self, down: float, across: float) -> GeoTags:
        """Return the tags of the same picture in pixels so many times as large.

        Examples
        --------
        >>> tags = GeoTags(pixel_scale=(10.0, 10.0, 0.0), tiepoints=(0, 0, 0, 500.0, 900.0, 0))
        >>> tags.zoom(2, 2).transform
        (20.0, 0.0, 500.0, 0.0, -20.0, 900.0)
        """
        shift = 0.5 if self._find_key(_RASTER_TYPE) == _PIXEL_IS_POINT else 0.0
        scale, points, matrix = list(self.pixel_scale), list(self.tiepoints), self.transformation
        if len(scale) >= 2:
            scale[:2] = [scale[0] * across, scale[1] * down]
        for at in range(0, len(points) - 5, 6):
            points[at] = (points[at] + shift) / across - shift
            points[at + 1] = (points[at + 1] + shift) / down - shift
        if len(matrix) == 16:
            rows = [matrix[at : at + 4] for at in range(0, 16, 4)]
            # The centre of the first pixel moves where pixels are counted from centres.
            moved = [(shift * (across - 1), shift * (down - 1)) for _ in rows]
            matrix = tuple(
                value
                for (a, b, c, d), (right, below) in zip(rows, moved, strict=True)
                for value in (a * across, b * down, c, d + a * right + b * below)
            )
        return replace(
            self, pixel_scale=tuple(scale), tiepoints=tuple(points), transformation=matrix
        )

    def _find_key(self, wanted: int) -> int | None:
        """Return the value of a key that is a number of 16 bits."""
        for at in range(4, len(self.keys) - 3, 4):
            key, place, _, value = self.keys[at : at + 4]
            if key == wanted and place == 0:
                return value
        return None

    def _find_matrix(self) -> Affine | None:
        """Return the transform as the file counts columns and rows."""
        if len(self.transformation) == 16:
            a, b, _, c, d, e, _, f = self.transformation[:8]
            return a, b, c, d, e, f
        if len(self.pixel_scale) >= 2 and len(self.tiepoints) >= 6:
            across, down = self.pixel_scale[:2]
            column, row, _, x, y, _ = self.tiepoints[:6]
            return across, 0.0, x - column * across, 0.0, -down, y + row * down
        return None


def read_geo_tags(path: str | Path, *, page: Page = FIRST_PAGE) -> GeoTags:
    """Read the georeferencing of a TIFF without GDAL.

    Parameters
    ----------
    path : str or Path
        A TIFF or BigTIFF.
    page : Page, optional
        Which picture; the tags of a smaller level are those of the page, zoomed.

    Returns
    -------
    GeoTags
        All defaults where the file has no such tags, or is shown otherwise than it is stored: the
        tags count rows and columns as stored.

    Raises
    ------
    SourceNotFoundError, SourceError, OptionError
        As `dask_quant.sources.tiff.read_header` does.
    """
    with translate_errors(str(path)), open_page(as_byte_source(path), page) as (main, chosen):
        if find_orientation(main, chosen) != 1:
            return GeoTags()
        tags = _collect(main)
        if main is chosen:
            return tags
        down = main.imagelength / chosen.imagelength
        return tags.zoom(down, main.imagewidth / chosen.imagewidth)


def _collect(page: TiffPage) -> GeoTags:
    """Return the tags of a directory."""

    def find(code: int) -> tuple[Any, ...]:
        value = page.tags.valueof(code)
        return () if value is None else tuple(np.atleast_1d(value).tolist())

    return GeoTags(
        pixel_scale=tuple(map(float, find(_PIXEL_SCALE))),
        tiepoints=tuple(map(float, find(_TIEPOINTS))),
        transformation=tuple(map(float, find(_TRANSFORMATION))),
        keys=tuple(map(int, find(_KEYS))),
        key_numbers=tuple(map(float, find(_KEY_NUMBERS))),
        key_texts=str(page.tags.valueof(_KEY_TEXTS) or ""),
        nodata=str(page.tags.valueof(_NODATA) or ""),
    )
