"""Colour tables of maps, ``.clr``: lines of ``index red green blue``.

ESRI's programs, GRASS and QGIS read them for classes, ``gdaldem color-relief`` for any values. The
colours are taken by ascending index, whether or not indices are left out. Spaces, commas and colons
separate numbers; what follows the fourth is ignored, as are comments with ``#`` and the line ``nv``
of pixels without a value.

References
----------
GDAL developers, "gdaldem", section "color-relief", https://gdal.org/programs/gdaldem.html.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dask_quant.errors import PaletteError
from dask_quant.palette_formats.parsing import (
    check_room,
    distinct_palette,
    parse_levels,
    shorten,
    split_lines,
)

if TYPE_CHECKING:
    from dask_quant.palette import Palette
    from dask_quant.palette_formats.parsing import Color

_ENTRY = re.compile(r"(\d{1,9})[\s,:]+(.*)", re.ASCII)
_SEPARATOR = re.compile(r"[\s,:]+")


def dumps(palette: Palette, *, name: str) -> bytes:
    """Return the palette as a ``.clr`` file, which has no place for ``name``; indices from 0 on."""
    lines = (f"{index} {red} {green} {blue}\n" for index, (red, green, blue) in enumerate(palette))
    return "".join(lines).encode("ascii")


def loads(data: bytes) -> Palette:
    """Return the palette of a ``.clr`` file.

    Raises
    ------
    PaletteError
        When a line is not an index and three levels from 0 to 255, or an index comes twice.
    """
    colors: dict[int, Color] = {}
    for number, line in split_lines(data):
        if line.startswith("#") or _SEPARATOR.split(line, maxsplit=1)[0].lower() == "nv":
            continue
        index, color = _parse_entry(number, line)
        if index in colors:
            message = f"Line {number}: got the index {index} again; each has one colour."
            raise PaletteError(message)
        colors[index] = color
        check_room(len(colors))
    return distinct_palette(colors[index] for index in sorted(colors))


def _parse_entry(number: int, line: str) -> tuple[int, Color]:
    """Return the index and the colour of a line."""
    match = _ENTRY.fullmatch(line)
    if match is None:
        message = (
            f"Line {number}: got {shorten(line)}; write an index and three levels of 0 to 255."
        )
        raise PaletteError(message)
    return int(match[1]), parse_levels(number, _SEPARATOR.sub(" ", match[2]))
