"""Colours of profiles that hold tables (inks, printers, scanners), by littlecms as Pillow has it.

Imported when the first such profile is met: a photograph with a profile of curves, or with none,
need not wait for the library.
"""

from __future__ import annotations

import io
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageCms

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Convert = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]

_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "LAB": "LAB"}

_FLAGS = {"LAB": ImageCms.Flags.NOOPTIMIZE}
"""What is computed for each pixel, not taken from a coarse table of all colours: of colours of sRGB
in 8-bit CIELAB, such a table is off by 1.1 levels in the mean and by 40 at most, the computation by
0.25 and 0.85, at 4 Mpx/s where the table makes 20."""


def make_conversion(data: bytes, space: str) -> Convert:
    """Return what converts levels of a profile to sRGB.

    Parameters
    ----------
    data : bytes
        An ICC profile; of space ``LAB``, none: CIELAB of D50.
    space : {"RGB", "GRAY", "CMYK", "LAB"}
        What the levels are.

    Returns
    -------
    callable
        From uint8 ``(y, x, band)``, or ``(y, x)`` for grey, to sRGB uint8 ``(y, x, 3)``.

    Raises
    ------
    PIL.ImageCms.PyCMSError
        When littlecms cannot use the profile.

    Notes
    -----
    Relative colorimetric with black point compensation: colours that sRGB has stay what they are,
    white is white, black is black, and no tables of the profile's maker bend those between.
    """
    opened = (
        ImageCms.createProfile("LAB", 5000)
        if space == "LAB"
        else ImageCms.ImageCmsProfile(io.BytesIO(data))
    )
    mode = _MODES[space]
    transform = ImageCms.buildTransform(
        opened,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION | _FLAGS.get(space, ImageCms.Flags.NONE),
    )
    return partial(_convert, transform, mode)


def _convert(
    transform: ImageCms.ImageCmsTransform, mode: str, levels: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return levels ``(y, x)`` or ``(y, x, band)`` as sRGB ``(y, x, 3)``."""
    height, width = levels.shape[:2]
    image = Image.frombuffer(mode, (width, height), np.ascontiguousarray(levels), "raw", mode, 0, 1)
    return np.asarray(transform.apply(image))
