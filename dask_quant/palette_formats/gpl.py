"""GIMP palettes, ``.gpl``: GIMP, Inkscape, Krita, Aseprite and Pillow read them.

Lines of ``red green blue name`` after the line ``GIMP Palette``, with optional ``Name:`` and
``Columns:`` fields and ``#`` comments. Aseprite's ``Channels: RGBA`` adds a fourth number, which
is ignored like a name.

References
----------
GIMP developers, "GIMP palette format", ``devel-docs/gpl.txt`` in GIMP's source.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dask_quant.errors import PaletteError
from dask_quant.palette_formats.parsing import distinct_palette, parse_levels, shorten, split_lines

if TYPE_CHECKING:
    from dask_quant.palette import Palette

_MAGIC = "GIMP Palette"
_FIELD = re.compile(r"[A-Za-z]\w*\s*:")
_COLUMNS = 16
"""Swatches per row in GIMP's dialog (arbitrary)."""


def dumps(palette: Palette, *, name: str) -> bytes:
    """Return the palette as a ``.gpl`` file; every colour is named by its hexadecimal text."""
    title = " ".join(name.split()) or "dask_quant"
    # Pillow stops after 259 lines: two fields and one comment leave room for 256 colours.
    lines = [_MAGIC, f"Name: {title}", f"Columns: {min(_COLUMNS, len(palette))}", "#"]
    lines += [
        f"{red:3d} {green:3d} {blue:3d}\t{text}"
        for (red, green, blue), text in zip(palette, palette.hex, strict=True)
    ]
    return ("\n".join(lines) + "\n").encode("utf-8", errors="replace")


def loads(data: bytes) -> Palette:
    """Return the palette of a ``.gpl`` file.

    Raises
    ------
    PaletteError
        When the first line is another one, or a line is not three levels from 0 to 255.
    """
    lines = split_lines(data)
    _, first = next(lines, (0, ""))
    if not first.startswith(_MAGIC):
        got = shorten(first) if first else "an empty file"
        message = f"Line 1: got {got}; a .gpl file begins with {_MAGIC!r}."
        raise PaletteError(message)
    return distinct_palette(
        parse_levels(number, line)
        for number, line in lines
        if not line.startswith("#") and not _FIELD.match(line)
    )
