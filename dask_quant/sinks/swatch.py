"""A palette as a picture: an indexed PNG, each colour a square, sixteen to a row.

The file's own palette holds the colours in their order: a swatch reads back as what it shows.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.errors import PaletteError
from dask_quant.palette import MAX_COLORS_8BIT
from dask_quant.sinks.png import label_chunks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask_quant.palette import Palette

SIDE = 32
"""Pixels of a square's side (arbitrary)."""

MAX_COLUMNS = 16
"""Squares in a row (arbitrary): 256 colours make a square."""


def swatch_chunks(palette: Palette) -> Iterator[bytes]:
    """Return the bytes of the PNG file of a swatch, in pieces. **Lazy**.

    Rows are as full as can be; what is left of the last one has the last colour.

    Raises
    ------
    PaletteError
        When the palette has more than 256 colours.
    """
    n_colors = len(palette)
    if n_colors > MAX_COLORS_8BIT:
        message = (
            f"Got {n_colors} colours; a .png swatch holds at most {MAX_COLORS_8BIT}: write .gpl."
        )
        raise PaletteError(message)
    n_rows = math.ceil(n_colors / MAX_COLUMNS)
    n_columns = math.ceil(n_colors / n_rows)
    cells = np.minimum(np.arange(n_rows * n_columns), n_colors - 1).astype(np.uint8)
    squares = cells.reshape(n_rows, n_columns).repeat(SIDE, axis=0).repeat(SIDE, axis=1)
    return label_chunks(squares, palette)
