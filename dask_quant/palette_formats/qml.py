"""QGIS layer styles, ``.qml``: the colours of a raster drawn as "Paletted/Unique values".

We write the part of a style that draws labels in their colours; QGIS fills in the rest. Of a style
the entries of its palette are read, by ascending value, and nothing else. XML that declares
anything, and so could expand into more than it is, is refused.

References
----------
QGIS developers, ``QgsPalettedRasterRenderer::writeXml`` in QGIS 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn
from xml.parsers import expat

from dask_quant.errors import PaletteError
from dask_quant.palette_formats.parsing import (
    check_room,
    distinct_palette,
    parse_hex_color,
    shorten,
)

if TYPE_CHECKING:
    from dask_quant.palette import Palette
    from dask_quant.palette_formats.parsing import Color

_ENTRY = "paletteEntry"

_BEGIN = """<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.0.0" styleCategories="Symbology">
 <pipe>
  <rasterrenderer type="paletted" band="1" opacity="1" alphaBand="-1">
   <rasterTransparency/>
   <colorPalette>
"""

_END = """   </colorPalette>
  </rasterrenderer>
 </pipe>
</qgis>
"""


def dumps(palette: Palette, *, name: str) -> bytes:
    """Return the palette as a ``.qml`` file, which has no place for ``name``; values from 0 on."""
    lines = (
        f'    <{_ENTRY} value="{value}" color="{text}" alpha="255" label="{text}"/>\n'
        for value, text in enumerate(palette.hex)
    )
    return f"{_BEGIN}{''.join(lines)}{_END}".encode("ascii")


def loads(data: bytes) -> Palette:
    """Return the palette of a ``.qml`` file.

    Raises
    ------
    PaletteError
        When it is not XML, declares entities, or holds no palette; says the line.
    """
    reader = _Reader()
    try:
        reader.parser.Parse(data, True)
    except expat.ExpatError as error:
        reason = expat.errors.messages[error.code]
        message = f"Line {error.lineno}: not XML: {reason} (column {error.offset + 1})."
        raise PaletteError(message) from None
    except PaletteError:  # of our own handlers; it is a ValueError, too
        raise
    except (LookupError, ValueError) as error:  # an encoding that Python does not know
        message = f"Got XML that cannot be read: {shorten(error)}."
        raise PaletteError(message) from None
    if not reader.colors:
        message = "Got a style without a palette; QGIS writes one for 'Paletted/Unique values'."
        raise PaletteError(message)
    return distinct_palette(reader.colors[value] for value in sorted(reader.colors))


class _Reader:
    """Collects the entries of a palette while a style is parsed."""

    def __init__(self) -> None:
        self.colors: dict[int, Color] = {}
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start_element
        self.parser.EntityDeclHandler = self._refuse
        self.parser.StartDoctypeDeclHandler = self._check_doctype

    def _check_doctype(self, _name: str, _system: object, _public: object, inner: int) -> None:
        """Let QGIS's own document type pass, which declares nothing."""
        if inner:
            self._refuse()

    def _refuse(self, *_declared: object) -> NoReturn:
        """Refuse a declaration."""
        line = self.parser.CurrentLineNumber
        message = f"Line {line}: got XML with declarations of its own; a style of QGIS has none."
        raise PaletteError(message)

    def _start_element(self, name: str, attributes: dict[str, str]) -> None:
        """Take the colour of an entry."""
        if name != _ENTRY:
            return
        value, text = attributes.get("value", ""), attributes.get("color", "")
        color = parse_hex_color(text)
        if color is None or not (value.isascii() and value.isdigit() and len(value) <= 9):
            message = (
                f"Line {self.parser.CurrentLineNumber}: got the value {shorten(value)} of colour "
                f"{shorten(text)}; an integer of 0 or more and #rrggbb are read."
            )
            raise PaletteError(message)
        if int(value) in self.colors:
            message = f"Line {self.parser.CurrentLineNumber}: got the value {value} again."
            raise PaletteError(message)
        self.colors[int(value)] = color
        check_room(len(self.colors))
