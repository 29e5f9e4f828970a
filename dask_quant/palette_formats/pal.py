"""Two formats share the suffix ``.pal``: what is read is told by its content, JASC is written.

JASC is text that any program of today reads. RIFF is for old Windows programs: `riff` writes it,
under the suffix ``.riff.pal``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.palette_formats import jasc, riff

if TYPE_CHECKING:
    from dask_quant.palette import Palette


def dumps(palette: Palette, *, name: str) -> bytes:
    """Return the palette as a JASC ``.pal`` file."""
    return jasc.dumps(palette, name=name)


def loads(data: bytes) -> Palette:
    """Return the palette of a ``.pal`` file, JASC or RIFF.

    Raises
    ------
    PaletteError
        When it is neither, or damaged.
    """
    return riff.loads(data) if data.startswith(riff.MAGIC) else jasc.loads(data)
