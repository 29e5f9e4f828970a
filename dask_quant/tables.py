"""Lookup tables from colour to label, built where they are used and kept within bounds.

A table is 16 or 32 MiB, a palette a few hundred bytes: tasks carry the palette and every process
builds the table once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from dask_quant.kernels.assign import build_table, label_block

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dask_quant.kernels.assign import Labels
    from dask_quant.palette import Palette

MAX_TABLES = 4
"""Tables that a process keeps: enough for the palettes in use side by side (arbitrary)."""

MAX_TABLE_BYTES = 2 * 2**24
"""Bytes of the largest table: 16-bit labels of 2^24 colours."""

_tables: OrderedDict[str, Labels] = OrderedDict()
_lock = threading.Lock()


def label_pixels(pixels: NDArray[np.uint8], palette: Palette) -> Labels:
    """Return the index of the nearest palette entry of every pixel, the lowest on ties. **Eager**.

    Parameters
    ----------
    pixels : ndarray
        sRGB uint8 ``(..., 3)``.
    palette : Palette
        Up to 65536 colours.

    Returns
    -------
    ndarray
        Labels ``(...)``, of `Palette.label_dtype`.

    Notes
    -----
    O(pixels), after some 50 ms for the first block of a palette. Peak bytes beside input and
    output: the tables kept, at most ``MAX_TABLES * MAX_TABLE_BYTES`` in a process.
    """
    return label_block(pixels, find_table(palette))


def find_table(palette: Palette) -> Labels:
    """Return the table of ``palette``, built at most once at a time in this process. **Eager**."""
    with _lock:
        table = _tables.pop(palette.digest, None)
        if table is None:
            table = build_table(palette.colors, palette.label_dtype)
        _tables[palette.digest] = table  # at the end: the most recently used
        while len(_tables) > MAX_TABLES:
            _tables.popitem(last=False)
        return table
