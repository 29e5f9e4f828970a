"""What the palette formats share: decoding text, naming a bad line, dropping repeated colours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.errors import PaletteError
from dask_quant.palette import Palette

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Color = tuple[int, int, int]

HEX_COLOR = re.compile(r"#?([0-9a-fA-F]{6})")
"""One colour as ``rrggbb`` or ``#rrggbb``."""

_MAX_SHOWN = 40
"""Characters of a bad line that a message repeats (arbitrary)."""


def split_lines(data: bytes) -> Iterator[tuple[int, str]]:
    """Yield ``(line number from 1, stripped text)`` of every line that is not blank.

    Names in old files are in any encoding, so what is not UTF-8 is replaced, not refused.
    """
    text = data.decode("utf-8-sig", errors="replace")
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        if line.strip():
            yield number, line.strip()


def parse_hex_color(text: str) -> Color | None:
    """Return the three levels of ``rrggbb`` or ``#rrggbb``, or None when it is neither."""
    match = HEX_COLOR.fullmatch(text)
    if match is None:
        return None
    red, green, blue = bytes.fromhex(match[1])
    return red, green, blue


def shorten(text: object) -> str:
    """Return the quoted start of ``text``, short enough for a one-line message."""
    shown = str(text)
    return repr(shown if len(shown) <= _MAX_SHOWN else shown[: _MAX_SHOWN - 3] + "...")


def distinct_palette(colors: Sequence[Color], counts: Sequence[int] | None = None) -> Palette:
    """Return the palette of ``colors`` without repeats: the first is kept, counts are summed.

    Raises
    ------
    PaletteError
        When there is no colour, or more distinct ones than a palette holds.

    Examples
    --------
    >>> palette = distinct_palette([(0, 0, 0), (255, 0, 0), (0, 0, 0)], [5, 2, 1])
    >>> palette.hex, palette.counts.tolist()
    (['#000000', '#ff0000'], [6, 2])
    """
    if not colors:
        message = "Got a palette file without any colour; it must hold at least one."
        raise PaletteError(message)
    pixels = dict.fromkeys(colors, 0)
    for color, count in zip(colors, counts or [0] * len(colors), strict=True):
        pixels[color] += count
    array = np.array(list(pixels), dtype=np.uint8)
    if counts is None:
        return Palette(array)
    return Palette(array, np.array(list(pixels.values()), dtype=np.int64))
