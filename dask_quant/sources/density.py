"""How many pixels a picture has to the metre, where it says so: what goes from source to output.

Nothing else does: no EXIF, no place and time, no words, no thumbnail, no profile (the pixels of an
output are sRGB).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from PIL import Image, TiffImagePlugin

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.ImageFile import ImageFile

Density = tuple[int, int]
"""Pixels to the metre, across and down."""

_METRES_PER_INCH = 0.0254
_PER_METRE = {2: 1 / _METRES_PER_INCH, 3: 100.0}
"""Units of EXIF, inches and centimetres, to the metre."""

_INCH = 2
"""The unit where none is stated."""

_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296

_MAX_DENSITY = 2**31 - 1
"""Largest number that a PNG can hold."""


def find_density(image: ImageFile) -> Density | None:
    """Return the density that an image states as stored, or None where it states none.

    Parameters
    ----------
    image : PIL.ImageFile.ImageFile
        An opened image; it is not decoded.
    """
    try:
        found = _from_exif(image) if _says_nothing(image) else image.info.get("dpi")
        across, down = (float(value) / _METRES_PER_INCH for value in found or ())
    except Exception:  # damaged metadata must not cost the picture
        return None
    return round_density(across, down)


def read_resolution(find_tag: Callable[[int], Any]) -> tuple[float, float] | None:
    """Return the pixels to the metre, across and down, that tags of a TIFF state as stored.

    ``find_tag`` returns the value of a tag, two integers for a ratio, None for none.
    """
    unit, across = find_tag(_RESOLUTION_UNIT), find_tag(_X_RESOLUTION)
    unit = _PER_METRE.get(_INCH if unit is None else unit)
    if unit is None or across is None:
        return None
    try:
        (a, b), (c, d) = across, find_tag(_Y_RESOLUTION) or across
        return a / b * unit, c / d * unit
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def round_density(across: float, down: float) -> Density | None:
    """Return whole pixels to the metre, or None where they make no sense."""
    if not (math.isfinite(across) and math.isfinite(down)):
        return None
    density = (round(across), round(down))
    return density if min(density) >= 1 and max(density) <= _MAX_DENSITY else None


def _says_nothing(image: ImageFile) -> bool:
    """Return whether the format itself states no density; Pillow makes one up for JPEG and TIFF."""
    if image.format in ("JPEG", "MPO"):
        return image.info.get("jfif_unit") not in (1, 2)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _X_RESOLUTION not in image.tag_v2
    return "dpi" not in image.info


def _from_exif(image: ImageFile) -> tuple[float, float] | None:
    """Return the dots per inch that EXIF states, if any."""
    if "exif" not in image.info:
        return None
    exif: Any = Image.Image.getexif(image)
    unit = _PER_METRE.get(exif.get(_RESOLUTION_UNIT, _INCH))
    if unit is None or _X_RESOLUTION not in exif:
        return None
    across = float(exif[_X_RESOLUTION]) * unit * _METRES_PER_INCH
    return across, float(exif.get(_Y_RESOLUTION, exif[_X_RESOLUTION])) * unit * _METRES_PER_INCH
