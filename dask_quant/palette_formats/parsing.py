"""What the palette formats share: decoding text, naming a bad line, dropping repeated colours."""

from __future__ import annotations

import re
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.errors import PaletteError
from dask_quant.options import MAX_COLORS
from dask_quant.palette import Palette
from dask_quant.premultiplied import OPAQUE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Color = tuple[int, int, int]
    AlphaColor = tuple[int, int, int, int]

HEX_COLOR = re.compile(r"#?([0-9a-fA-F]{6})")
"""One colour as ``rrggbb`` or ``#rrggbb``."""

_HEX_ALPHA = re.compile(r"#?([0-9a-fA-F]{6})([0-9a-fA-F]{2})?")
"""The same, or with alpha."""
_LINE = re.compile(r"([^\r\n]*)(?:\r\n|\r|\n|\Z)")

_LEVELS = re.compile(r"(\d+)\s+(\d+)\s+(\d+)(?:\s.*)?", re.ASCII)

_MAX_SHOWN = 40
"""Characters of a bad line that a message repeats (arbitrary)."""


def split_lines(data: bytes) -> Iterator[tuple[int, str]]:
    """Yield ``(line number from 1, stripped text)`` of every line that is not blank.

    Names in old files are in any encoding, so what is not UTF-8 is replaced, not refused.
    """
    text = data.decode("utf-8-sig", errors="replace")
    for number, match in enumerate(_LINE.finditer(text), start=1):
        if line := match[1].strip():
            yield number, line


def parse_hex_color(text: str) -> Color | None:
    """Return the three levels of ``rrggbb`` or ``#rrggbb``, or None when it is neither."""
    match = HEX_COLOR.fullmatch(text)
    if match is None:
        return None
    red, green, blue = bytes.fromhex(match[1])
    return red, green, blue


def parse_hex_alpha(text: str) -> AlphaColor | None:
    """Return the levels and the alpha of ``#rrggbb`` or ``#rrggbbaa``, or None for anything else.

    What is fully transparent is black.
    """
    match = _HEX_ALPHA.fullmatch(text)
    if match is None:
        return None
    red, green, blue = bytes.fromhex(match[1])
    alpha = OPAQUE if match[2] is None else int(match[2], 16)
    return (red, green, blue, alpha) if alpha else (0, 0, 0, 0)


def parse_levels(number: int, line: str) -> Color:
    """Return the three levels that line ``number`` begins with, or raise `PaletteError`."""
    match = _LEVELS.fullmatch(line)
    levels = [int(part) for part in match.groups() if len(part) <= 3] if match else []
    if len(levels) != 3 or max(levels) > 255:
        message = f"Line {number}: got {shorten(line)}; write three levels of 0 to 255."
        raise PaletteError(message)
    red, green, blue = levels
    return red, green, blue


def take_bytes(data: bytes, begin: int, n_bytes: int, what: str) -> bytes:
    """Return a part of ``data``, or raise `PaletteError` where it is torn before its end."""
    part = data[begin : begin + n_bytes]
    if len(part) < n_bytes:
        message = f"Got a file of {len(data)} bytes that is torn: {what} is not all there."
        raise PaletteError(message)
    return part


def shorten(text: object) -> str:
    """Return the quoted start of ``text``, short enough for a one-line message."""
    shown = str(text)
    return repr(shown if len(shown) <= _MAX_SHOWN else shown[: _MAX_SHOWN - 3] + "...")


def check_room(n_colors: int) -> None:
    """Raise `PaletteError` when there are more colours than a palette holds.

    Called as they come: a file may hold millions.
    """
    if n_colors > MAX_COLORS:
        message = f"Got more than {MAX_COLORS} colours; a palette holds no more."
        raise PaletteError(message)


def distinct_palette(
    colors: Iterable[tuple[int, ...]], counts: Sequence[int] | None = None
) -> Palette:
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
    pixels: dict[tuple[int, ...], int] = {}
    for color, count in zip(colors, repeat(0) if counts is None else counts, strict=False):
        pixels[color] = pixels.get(color, 0) + count
        check_room(len(pixels))
    if not pixels:
        message = "Got a palette file without any colour; it must hold at least one."
        raise PaletteError(message)
    array = np.array(list(pixels), dtype=np.uint8)
    if counts is None:
        return Palette(array)
    return Palette(array, np.array(list(pixels.values()), dtype=np.int64))
