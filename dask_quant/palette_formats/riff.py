"""RIFF palettes: what Windows programs keep in ``.pal`` files; we write them as ``.riff.pal``.

A ``RIFF`` file of the form ``PAL ``, whose chunk ``data`` holds a version, the number of entries
and four bytes for each: red, green, blue and flags, which are ignored.

References
----------
IBM and Microsoft, "Multimedia Programming Interface and Data Specifications 1.0", 1991, "Palette
File Format (RIFF PAL)".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.errors import PaletteError
from dask_quant.palette_formats.parsing import distinct_palette, take_bytes

if TYPE_CHECKING:
    from dask_quant.palette import Palette

MAGIC = b"RIFF"
"""First bytes of such a file."""

_FORM = b"PAL "
_HEAD = struct.Struct("<4sI4s")
_CHUNK = struct.Struct("<4sI")
_PALETTE = struct.Struct("<HH")
_VERSION = 0x0300

MAX_ENTRIES = 2**16 - 1
"""Most colours of such a file: their number has 16 bits."""


def dumps(palette: Palette, *, name: str) -> bytes:
    """Return the palette as a RIFF palette, which has no place for ``name``.

    Raises
    ------
    PaletteError
        When the palette has more than 65,535 colours.
    """
    if len(palette) > MAX_ENTRIES:
        message = f"Got {len(palette)} colours; a RIFF palette holds {MAX_ENTRIES}: write .gpl."
        raise PaletteError(message)
    entries = np.zeros((len(palette), 4), dtype=np.uint8)
    entries[:, :3] = palette.colors
    data = _PALETTE.pack(_VERSION, len(palette)) + entries.tobytes()
    chunk = _CHUNK.pack(b"data", len(data)) + data
    return _HEAD.pack(MAGIC, len(_FORM) + len(chunk), _FORM) + chunk


def loads(data: bytes) -> Palette:
    """Return the palette of a RIFF palette.

    Raises
    ------
    PaletteError
        When it is a RIFF file of another kind, or torn.
    """
    magic, _, form = _HEAD.unpack(take_bytes(data, 0, _HEAD.size, "its header"))
    if (magic, form) != (MAGIC, _FORM):
        message = f"Got a RIFF file of the form {form!r}; that of a palette is {_FORM!r}."
        raise PaletteError(message)
    begin = _find_data(data)
    _, n_entries = _PALETTE.unpack(take_bytes(data, begin, _PALETTE.size, "its palette"))
    begin += _PALETTE.size
    entries = np.frombuffer(take_bytes(data, begin, 4 * n_entries, "its colours"), dtype=np.uint8)
    return distinct_palette(map(tuple, entries.reshape(-1, 4)[:, :3].tolist()))


def _find_data(data: bytes) -> int:
    """Return where the content of the chunk ``data`` begins."""
    begin = _HEAD.size
    while True:
        kind, n_bytes = _CHUNK.unpack(take_bytes(data, begin, _CHUNK.size, "its chunk 'data'"))
        begin += _CHUNK.size
        if kind == b"data":
            return begin
        begin += n_bytes + n_bytes % 2  # chunks begin at even places
