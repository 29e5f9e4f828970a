"""What the levels of an image that Pillow opened mean: its profile, its code points, its mode.

What converts them is imported when the first image needs it: images are found and described in
processes that have no use for Numba.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from dask_quant.errors import PixelFormatError
from dask_quant.sources.coding_points import (
    WIDE_PRIMARIES,
    find_high_range,
    read_code_points,
)
from dask_quant.sources.mode_rules import find_color_space

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

    from dask_quant.sources.color_profiles import Convert


def find_image_conversion(
    image: ImageFile, file: IO[bytes], mode: str, *, name: str
) -> Convert | None:
    """Return what converts the levels of an image to sRGB, or None where they are sRGB.

    Parameters
    ----------
    image : PIL.ImageFile.ImageFile
        As it was opened.
    file : binary file
        The seekable file behind it.
    mode : str
        Pillow's mode of its pixels as decoded.
    name : str
        What a warning calls it.

    Warns
    -----
    ColorProfileWarning
        When the embedded profile cannot be used, and is left out.
    """
    space, profile = find_color_space(mode), read_profile(image)
    wide = WIDE_PRIMARIES.get(read_code_points(image, file)[0]) if space == "RGB" else None
    if space is None or (space in ("RGB", "GRAY") and not profile and wide is None):
        return None
    from dask_quant.sources.color_profiles import find_conversion, find_wide_conversion

    if wide is not None and not profile:
        return find_wide_conversion(wide)
    return find_conversion(profile, space, name=name)


def read_profile(image: ImageFile) -> bytes | None:
    """Return the embedded ICC profile, if any."""
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) else None


def refuse_high_range(image: ImageFile, file: IO[bytes], *, name: str) -> None:
    """Raise `PixelFormatError` for a picture of high dynamic range."""
    found = find_high_range(image, file)
    if found is not None:
        message = (
            f"Got {name} of high dynamic range ({found}), which has no one form in sRGB; "
            "render it for ordinary screens (SDR) first."
        )
        raise PixelFormatError(message)
