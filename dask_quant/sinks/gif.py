"""GIF of labels: one picture, in the colours of the palette and in their order.

References
----------
CompuServe, "Graphics Interchange Format, Version 89a", 1990.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image

from dask_quant.errors import OutputError
from dask_quant.palette import MAX_COLORS_8BIT
from dask_quant.sinks.opacity import find_clear_entry

if TYPE_CHECKING:
    from dask_quant.kernels.assign import Labels
    from dask_quant.palette import Palette

MAX_SIDE = 2**16 - 1
"""Largest width and height of a GIF, in pixels."""

MAX_PIXELS = 1 << 26
"""Pixels of a GIF at most: it is encoded in memory, as one stream (arbitrary)."""


GIF_PIXEL_BYTES = 6
"""Bytes of a pixel while it is encoded: as labels, joined, in Pillow, and up to twice as many in
the file, which grows by copying."""


def check_gif_colors(n_colors: int) -> None:
    """Raise `OutputError` when a GIF cannot hold as many colours."""
    if n_colors > MAX_COLORS_8BIT:
        message = f"Got {n_colors} colours; GIF holds at most {MAX_COLORS_8BIT}; write .tif."
        raise OutputError(message)


def check_gif_shape(shape: tuple[int, int]) -> None:
    """Raise `OutputError` when an image of ``shape`` (y, x) is too large for a GIF."""
    height, width = shape
    if max(shape) > MAX_SIDE or height * width > MAX_PIXELS:
        message = (
            f"Got an image of {width} x {height} pixels; GIF takes {MAX_SIDE} a side, and "
            f"{MAX_PIXELS:,} in all, since it is encoded in memory; write .png or .tif."
        )
        raise OutputError(message)


def encode_gif(labels: Labels, palette: Palette) -> bytes:
    """Return the bytes of the GIF of labels. **Eager**.

    Parameters
    ----------
    labels : ndarray
        Palette indices, uint8 ``(y, x)``, below ``len(palette)``.
    palette : Palette
        At most 256 colours; the file holds these, in this order, and black ones after them up to a
        power of two. One of them may be fully transparent, all others are opaque.

    Raises
    ------
    OutputError
        When the image is too large, or the palette, or a colour is half transparent.

    Notes
    -----
    Peak memory: the labels twice, and the bytes of the file.
    """
    check_gif_colors(len(palette))
    check_gif_shape(labels.shape)
    image = Image.fromarray(labels)
    image.putpalette(palette.colors[:, :3].tobytes())
    clear = find_clear_entry(palette, "GIF")
    shown = {} if clear is None else {"transparency": clear}
    buffer = io.BytesIO()
    # Left to itself, Pillow drops colours that win no pixel, and interlaces.
    image.save(buffer, "GIF", optimize=False, interlace=0, **shown)
    return buffer.getvalue()
