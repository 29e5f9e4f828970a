"""Lookup tables from colour to label, built where they are used and kept within bounds.

A table is 16 or 32 MiB, a palette a few hundred bytes: tasks carry the palette and every process
builds the table once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.color_spaces import find_space
from dask_quant.errors import OptionError
from dask_quant.kernels.assign import assign_block, build_table, label_block
from dask_quant.kernels.cells import CELL_COLORS, CELLS_PER_BLOCK, N_CODES, list_block_colors
from dask_quant.kernels.label_alpha import label_alpha_block
from dask_quant.point_groups import PointGroups
from dask_quant.premultiplied import add_alpha, as_opaque, place_colors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.color_spaces import ColorSpace
    from dask_quant.kernels.assign import Labels
    from dask_quant.palette import Palette

MAX_TABLES = 4
"""Tables that a process keeps: enough for the palettes in use side by side (arbitrary)."""

MAX_TABLE_BYTES = 2 * 2**24
"""Bytes of the largest table: 16-bit labels of 2^24 colours."""

_BLOCK_COLORS = CELLS_PER_BLOCK * CELL_COLORS
"""Colours of a block of cells."""

_tables: OrderedDict[tuple[str, str], Labels] = OrderedDict()
_lock = threading.Lock()


def label_pixels(pixels: NDArray[np.uint8], palette: Palette, space: str = "srgb") -> Labels:
    """Return the index of the nearest palette entry of every pixel, the lowest on ties. **Eager**.

    Parameters
    ----------
    pixels : ndarray
        sRGB uint8 ``(..., 3)``, or RGBA ``(..., 4)``.
    palette : Palette
        Up to 65536 colours. Where one of them or a pixel is not opaque, distances are those of
        `dask_quant.premultiplied`, of which opaque colours are as far apart as in sRGB.
    space : {"srgb", "linear", "oklab", "lab"}, default "srgb"
        Where distances are measured, between points of its lattice, see `ColorSpace`.

    Returns
    -------
    ndarray
        Labels ``(...)``, of `Palette.label_dtype`.

    Notes
    -----
    O(pixels), after some 50 ms for the first block of a palette, a few seconds in other spaces than
    sRGB. Peak bytes beside input and output: the tables kept, at most ``MAX_TABLES *
    MAX_TABLE_BYTES`` in a process.
    """
    opaque = None if palette.has_alpha else as_opaque(pixels)
    if opaque is not None:
        return label_block(opaque, find_table(palette, space))
    if space != "srgb":
        message = (
            f"Got space {space} with pixels or colours that are not opaque, whose distances are "
            "those of srgb; leave space out, or use alpha drop or matte and opaque colours."
        )
        raise OptionError(message)
    entries = place_colors(add_alpha(palette.colors))
    return label_alpha_block(
        add_alpha(pixels), lambda colors: _find_nearest(colors, entries), palette.label_dtype
    )


def _find_nearest(colors: NDArray[np.uint8], entries: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return the nearest of ``entries``, placed, of each of RGBA colours ``(n, 4)``."""
    groups = PointGroups.from_points(place_colors(colors))
    found, _, _ = groups.assign(entries)
    labels = np.empty_like(found)
    labels[groups.order] = found
    return labels


def find_table(palette: Palette, space: str = "srgb") -> Labels:
    """Return the table of ``palette``, built at most once at a time in this process. **Eager**."""
    key = (palette.digest, space)
    with _lock:
        table = _tables.pop(key, None)
        if table is None:
            table = make_table(palette, space)
        _tables[key] = table  # at the end: the most recently used
        while len(_tables) > MAX_TABLES:
            _tables.popitem(last=False)
        return table


def make_table(palette: Palette, space: str = "srgb") -> Labels:
    """Return a table that is not kept: the nearest entry of every 8-bit colour. **Eager**.

    By bin (see `cells`), ``(2^24,)``.
    """
    working = find_space(space)
    if working.is_srgb:
        return build_table(palette.colors, palette.label_dtype)
    return _build_in_space(palette, working)


def _build_in_space(palette: Palette, space: ColorSpace) -> Labels:
    """Return a table, block of cells by block, of the points of their colours."""
    entries = space.place(palette.colors).astype(np.float64)
    table: Labels = np.empty(N_CODES, dtype=palette.label_dtype)
    starts = np.arange(0, _BLOCK_COLORS + 1, CELL_COLORS)
    tied_colors, tied_entries = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int32)
    for block in range(N_CODES // _BLOCK_COLORS):
        points = space.place(list_block_colors(block))
        cells = points.reshape(CELLS_PER_BLOCK, CELL_COLORS, 3)
        low, high = cells.min(axis=1).astype(np.float64), cells.max(axis=1).astype(np.float64)
        labels, _, _ = assign_block(
            *(points, starts, low, high),
            np.array([0, CELLS_PER_BLOCK]),
            low.min(axis=0, keepdims=True),
            high.max(axis=0, keepdims=True),
            entries,
            tied_colors,
            tied_entries,
        )
        table[block * _BLOCK_COLORS : (block + 1) * _BLOCK_COLORS] = labels
    return table
