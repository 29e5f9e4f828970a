"""Small pictures for pages: no larger than they are shown, and exact where they are small."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image

from dask_quant.report_page.contents import Picture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_JPEG_QUALITY = 88
"""Of photographs, and of what was made smaller, whose colours are mixed anyway (arbitrary)."""

_MAX_EXACT_COLORS = 256
"""Colours up to which a picture of its full size is kept as it is, as PNG."""


def make_thumbnail(pixels: NDArray[np.uint8], side: int) -> Picture:
    """Return a picture that is at most ``side`` pixels wide and high. **Eager**.

    Parameters
    ----------
    pixels : ndarray
        sRGB uint8 ``(y, x)``, ``(y, x, 3)`` or, with alpha, ``(y, x, 4)``.
    side : int
        Longest side in pixels; what is smaller stays as it is.

    Notes
    -----
    An average of what lies under each pixel, so that a dithered picture looks as it does from afar.
    """
    image = Image.fromarray(pixels)
    factor = side / max(image.size)
    if factor < 1:
        width, height = (max(1, round(length * factor)) for length in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    is_exact = factor >= 1 and image.getcolors(_MAX_EXACT_COLORS) is not None
    kind = "png" if is_exact or image.mode == "RGBA" else "jpeg"
    buffer = io.BytesIO()
    image.save(buffer, kind, optimize=True, **({} if kind == "png" else {"quality": _JPEG_QUALITY}))
    return Picture(buffer.getvalue(), f"image/{kind}", *image.size)
