"""Lists of hexadecimal colours, ``.hex``: one ``rrggbb`` a line, as lospec.com offers them.

A colour that is not opaque is written, and read, as ``rrggbbaa``.


A leading ``#`` is accepted. A comment begins with ``;`` or ``//``, or with ``#`` and a space, and
may also follow a colour.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dask_quant.errors import PaletteError
from dask_quant.palette_formats.parsing import (
    distinct_palette,
    parse_hex_alpha,
    shorten,
    split_lines,
)

if TYPE_CHECKING:
    from dask_quant.palette import Palette
    from dask_quant.palette_formats.parsing import AlphaColor

# Blanks before it are stripped afterwards: looked for here, a long line of them takes minutes.
_COMMENT = re.compile(r"(?:;|//|#(?=\s|$)).*")


def dumps(palette: Palette, *, name: str) -> bytes:
    """Return the palette as a ``.hex`` file, which has no place for ``name``."""
    return "".join(f"{text.removeprefix('#')}\n" for text in palette.hex).encode("ascii")


def loads(data: bytes) -> Palette:
    """Return the palette of a ``.hex`` file.

    Raises
    ------
    PaletteError
        When a line is not six or eight hexadecimal digits.
    """
    rows = ((number, _COMMENT.sub("", line).rstrip()) for number, line in split_lines(data))
    return distinct_palette(_parse_row(number, row) for number, row in rows if row)


def _parse_row(number: int, row: str) -> AlphaColor:
    """Return the three levels and the alpha of one line."""
    color = parse_hex_alpha(row)
    if color is None:
        message = f"Line {number}: got {shorten(row)}; write one rrggbb a line."
        raise PaletteError(message)
    return color
