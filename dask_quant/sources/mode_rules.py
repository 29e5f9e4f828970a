"""What a photograph's stored form means: how each mode is read, or why it is not.

=====================================  ============================================================
mode                                   read as
=====================================  ============================================================
1, L, P, RGB                           stored levels; those of a palette looked up
LA, PA, RGBA, a transparent colour     the same, with alpha where a pixel is not opaque
YCbCr                                  RGB by the formula of JFIF (ITU-R BT.601, full range)
CMYK                                   through its profile, else as ideal inks: R = 255 (1-C) (1-K)
LAB                                    CIELAB of D50, through littlecms
I;16, L;16, LA;16, RGB;16, RGBA;16     each sample to its nearest of 256 levels, from 16 bits
RGB;10, L;12, ...                      the same, from as many bits
F                                      the same, from 0 to 1; refused where a sample is outside
I, L;S, RGB;S                          refused: 32 bits, or signed, have no agreed white
=====================================  ============================================================

Levels are then converted to sRGB by the embedded profile, if any
(`dask_quant.sources.color_profiles`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from dask_quant.errors import PixelFormatError
from dask_quant.sources.header import show_path

if TYPE_CHECKING:
    from dask_quant.sources.header import ImageHeader

Way = Literal["stored", "scaled", "deep"]
"""By Pillow as it is stored; by Pillow at its own depth, then scaled; by another decoder."""

_N_BANDS = {
    **{"1": 1, "L": 1, "P": 1, "I": 1, "F": 1},
    **{"LA": 2, "PA": 2, "RGB": 3, "YCbCr": 3, "LAB": 3, "RGBA": 4, "CMYK": 4},
}
"""Bands that each mode stores."""

_STORED = ("1", "L", "P", "LA", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB")
"""Modes of 8 bits that Pillow decodes as they are."""

_SCALED = ("I;16", "I;16B", "I;16L", "I;16N", "F")
"""Modes that Pillow decodes at their own depth."""

_DEEP = ("L", "LA", "RGB", "RGBA")
"""Modes of which more than 8 bits are read in another way, in some formats."""

_DEEP_FORMATS = ("PNG", "PPM", "AVIF", "HEIF", "JPEG2000")
"""Formats of which they are."""

_REASONS = {
    "I": "32-bit integers, which have no white to scale by; use segment, which takes them as they "
    "are, or scale them to 16 bits first",
    "S": "signed samples, which have no white to scale by; use segment, which takes them as they "
    "are, or scale them to uint8 first",
}


def find_way(header: ImageHeader) -> Way | None:
    """Return how the pixels of an image are read, or None where they are not.

    Returns
    -------
    {"stored", "scaled", "deep"} or None
        By Pillow as they are; by Pillow at their own depth, then scaled to 8 bits; by
        `dask_quant.sources.deep_samples`.
    """
    base, _, depth = header.mode.partition(";")
    if header.mode in _STORED:
        return "stored"
    if header.mode in _SCALED:
        return "deep" if header.format in ("PNG", "JPEG2000") else "scaled"
    if base in _DEEP and depth.isdigit() and header.format in _DEEP_FORMATS:
        return "deep"
    return None


def find_color_space(mode: str) -> str | None:
    """Return what the levels of a decoded image are, as its profile would have it; None: bits."""
    if mode in ("CMYK", "LAB"):
        return mode
    if mode == "1":
        return None
    return "GRAY" if mode in ("L", "LA", *_SCALED) else "RGB"


def check_mode(header: ImageHeader) -> None:
    """Check by its header that the pixels of an image are read; alpha shows only later.

    Raises
    ------
    PixelFormatError
        When its mode or its bands are not supported.
    """
    name = show_path(header.path)
    base, _, depth = header.mode.partition(";")
    if find_way(header) is None:
        reason = _REASONS.get(depth) or _REASONS.get(header.mode)
        message = (
            f"Got {name} with {reason}."
            if reason
            else f"Got {name} with pixels of mode {header.mode}, which {header.format} is not read "
            "with; convert it to RGB of 8 or 16 bits first."
        )
        raise PixelFormatError(message)
    if header.bands != _N_BANDS[base]:
        message = (
            f"Got {name} with {header.bands} bands, of which mode {header.mode} would show "
            f"{_N_BANDS[base]}; more bands are not supported yet, so save those wanted as RGB "
            "first, or use segment."
        )
        raise PixelFormatError(message)
