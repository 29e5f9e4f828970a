"""Adobe swatch exchange, ``.ase``: Photoshop, Illustrator, InDesign, Affinity.

Blocks of named colours, in groups or not, each of a colour model with numbers from 0 to 1. We write
RGB. RGB and grey numbers are taken as sRGB levels; CMYK, which means nothing exact without the
profile of a press, becomes ``(1 - c)(1 - k)`` and so on; Lab is refused.

References
----------
O. Olivier, "ASE file format", 2009, http://www.selapa.net/swatches/colors/fileformats.php; Adobe
has published no specification.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from dask_quant.errors import PaletteError
from dask_quant.palette_formats.parsing import distinct_palette, shorten, take_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask_quant.palette import Palette
    from dask_quant.palette_formats.parsing import Color

_MAGIC = b"ASEF"
_HEAD = struct.Struct(">4sHHI")
_BLOCK = struct.Struct(">HI")
_NAME_LENGTH = struct.Struct(">H")
_RGB = struct.Struct(">4s3fH")

_COLOR = 0x0001
"""Kind of the blocks that hold a colour; others begin and end groups."""

_NORMAL = 2
"""A colour that is neither global nor a spot colour."""

_N_NUMBERS = {b"RGB ": 3, b"GRAY": 1, b"CMYK": 4}
"""Numbers of the models that are read, by their names in capitals."""

_SLACK = 1e-3
"""How far a number may be outside 0 to 1, by rounding."""


def dumps(palette: Palette, *, name: str) -> bytes:
    """Return the palette as an ``.ase`` file without groups, and so without ``name``.

    Every colour is named by its hexadecimal text.
    """
    named = zip(palette.colors.tolist(), palette.hex, strict=True)
    blocks = [_dump_color(text, color) for color, text in named]
    return _HEAD.pack(_MAGIC, 1, 0, len(blocks)) + b"".join(blocks)


def _dump_color(text: str, color: list[int]) -> bytes:
    """Return the block of one colour."""
    named = f"{text}\0"
    red, green, blue = (level / 255 for level in color)
    body = _NAME_LENGTH.pack(len(named)) + named.encode("utf-16-be")
    body += _RGB.pack(b"RGB ", red, green, blue, _NORMAL)
    return _BLOCK.pack(_COLOR, len(body)) + body


def loads(data: bytes) -> Palette:
    """Return the palette of an ``.ase`` file, its groups one after the other.

    Raises
    ------
    PaletteError
        When it is no such file, torn, or holds Lab or numbers that are no share of a colour; says
        which block.
    """
    magic, version, _, n_blocks = _HEAD.unpack(take_bytes(data, 0, _HEAD.size, "its header"))
    if (magic, version) != (_MAGIC, 1):
        message = (
            f"Got a file that begins with {magic!r}, version {version}; .ase has {_MAGIC!r}, 1."
        )
        raise PaletteError(message)
    return distinct_palette(_iterate_colors(data, n_blocks))


def _iterate_colors(data: bytes, n_blocks: int) -> Iterator[Color]:
    """Yield the colour of each block that holds one."""
    begin = _HEAD.size
    for number in range(1, n_blocks + 1):
        what = f"block {number} of {n_blocks}"
        kind, n_bytes = _BLOCK.unpack(take_bytes(data, begin, _BLOCK.size, what))
        begin += _BLOCK.size
        if kind == _COLOR:
            yield _parse_color(take_bytes(data, begin, n_bytes, what), number)
        begin += n_bytes


def _parse_color(body: bytes, number: int) -> Color:
    """Return the colour of the ``number``-th block."""
    what = f"the colour of block {number}"
    (length,) = _NAME_LENGTH.unpack(take_bytes(body, 0, _NAME_LENGTH.size, what))
    begin = _NAME_LENGTH.size + 2 * length
    model = take_bytes(body, begin, 4, what).upper()
    n_numbers = _N_NUMBERS.get(model)
    if n_numbers is None:
        message = (
            f"Block {number}: got the colour model {shorten(model)}; RGB, Gray, CMYK are read."
        )
        raise PaletteError(message)
    numbers = struct.unpack(f">{n_numbers}f", take_bytes(body, begin + 4, 4 * n_numbers, what))
    if not all(-_SLACK <= value <= 1 + _SLACK for value in numbers):  # NaN fails, too
        shown = ", ".join(f"{value:g}" for value in numbers)
        message = f"Block {number}: got the numbers {shown}; they are 0 to 1."
        raise PaletteError(message)
    return _convert_to_rgb(numbers)


def _convert_to_rgb(numbers: tuple[float, ...]) -> Color:
    """Return the levels of one grey, three RGB or four CMYK numbers from 0 to 1."""
    if len(numbers) == 4:
        *inks, black = numbers
        numbers = tuple((1 - ink) * (1 - black) for ink in inks)
    red, green, blue = (
        min(max(round(255 * value), 0), 255) for value in numbers * (3 // len(numbers))
    )
    return red, green, blue
