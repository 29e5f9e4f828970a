"""JASC palettes, ``.pal``: Paint Shop Pro, Aseprite, GIMP, Inkscape's and Krita's importers.

Lines of text: ``JASC-PAL``, the version ``0100``, the number of colours, then ``red green blue``
for each of them. Newer versions of Paint Shop Pro add a fourth number, which is ignored.

References
----------
Corel, "JASC PaintShop Pro palette", as files of Paint Shop Pro 4 and later hold it; the format has
no published specification.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

from dask_quant.errors import PaletteError
from dask_quant.palette_formats.parsing import (
    distinct_palette,
    parse_levels,
    shorten,
    split_lines,
)

if TYPE_CHECKING:
    from dask_quant.palette import Palette

MAGIC = "JASC-PAL"
"""First line of such a file."""

_VERSION = "0100"
_COUNT = re.compile(r"\d{1,5}", re.ASCII)
_END = "\r\n"


def dumps(palette: Palette, *, name: str) -> bytes:
    """Return the palette as a JASC ``.pal`` file, which has no place for ``name``."""
    lines = [MAGIC, _VERSION, str(len(palette))]
    lines += [f"{red} {green} {blue}" for red, green, blue in palette]
    return (_END.join(lines) + _END).encode("ascii")


def loads(data: bytes) -> Palette:
    """Return the palette of a JASC ``.pal`` file.

    Raises
    ------
    PaletteError
        When it begins otherwise, a line is not three levels from 0 to 255, or there are more or
        fewer colours than it says.
    """
    lines = split_lines(data)
    head = [next(lines, (0, "")) for _ in range(3)]
    if head[0][1] != MAGIC:
        message = f"Line 1: got {shorten(head[0][1])}; a .pal file begins with {MAGIC!r} or 'RIFF'."
        raise PaletteError(message)
    if not _COUNT.fullmatch(head[2][1]):
        message = f"Line 3: got {shorten(head[2][1])}; {MAGIC} has the number of colours there."
        raise PaletteError(message)
    n_colors = int(head[2][1])
    colors = [parse_levels(number, line) for number, line in islice(lines, n_colors + 1)]
    if len(colors) != n_colors:
        got = f"only {len(colors)}" if len(colors) < n_colors else "more"
        message = f"Got {got} colours in a {MAGIC} file that promises {n_colors}."
        raise PaletteError(message)
    return distinct_palette(colors)
