"""Adobe colour tables, ``.act``: Photoshop's and Illustrator's palettes of up to 256 colours.

256 times three bytes, red, green and blue. Four more bytes, which older files lack, hold the number
of colours in use and the index of a transparent one, which is ignored.

References
----------
Adobe, "Adobe Photoshop File Formats Specification", "Color Table", 2019.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.errors import PaletteError
from dask_quant.palette import MAX_COLORS_8BIT
from dask_quant.palette_formats.parsing import distinct_palette

if TYPE_CHECKING:
    from dask_quant.palette import Palette

_TABLE_BYTES = 3 * MAX_COLORS_8BIT
_FOOTER = struct.Struct(">HH")
_NO_INDEX = 0xFFFF
"""Index of the transparent colour where there is none."""


def dumps(palette: Palette, *, name: str) -> bytes:
    """Return the palette as an ``.act`` file, which has no place for ``name``.

    Raises
    ------
    PaletteError
        When the palette has more than 256 colours.
    """
    if len(palette) > MAX_COLORS_8BIT:
        message = f"Got {len(palette)} colours; .act holds at most {MAX_COLORS_8BIT}: write .gpl."
        raise PaletteError(message)
    table = palette.colors.tobytes().ljust(_TABLE_BYTES, b"\0")
    return table + _FOOTER.pack(len(palette), _NO_INDEX)


def loads(data: bytes) -> Palette:
    """Return the palette of an ``.act`` file.

    Without a number of colours, all 256 are taken; the black that fills up the table is one colour.

    Raises
    ------
    PaletteError
        When it is not as long as such files are, or holds another number of colours than 1 to 256.
    """
    if len(data) not in (_TABLE_BYTES, _TABLE_BYTES + _FOOTER.size):
        message = f"Got {len(data)} bytes; an .act file has {_TABLE_BYTES} or {_TABLE_BYTES + 4}."
        raise PaletteError(message)
    n_colors = MAX_COLORS_8BIT
    if len(data) > _TABLE_BYTES:
        n_colors, _ = _FOOTER.unpack_from(data, _TABLE_BYTES)
    if not 1 <= n_colors <= MAX_COLORS_8BIT:
        message = f"Got an .act file of {n_colors} colours; it holds 1 to {MAX_COLORS_8BIT}."
        raise PaletteError(message)
    table = np.frombuffer(data, dtype=np.uint8, count=3 * n_colors)
    return distinct_palette(map(tuple, table.reshape(-1, 3).tolist()))
