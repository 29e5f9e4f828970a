"""What decoding an image file as a whole takes of memory: more than its pixels, in some formats.

Codecs keep coefficients, planes or wider samples of the whole image beside what they hand over.
Bytes were measured by ``tests/benchmarks/decode_memory.py`` on images of 30 million pixels,
with Pillow 13.0 and imagecodecs 2026, and rounded up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.chunking import DECODE_BYTES

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

    from dask_quant.sources.header import ImageHeader

_PILLOW_BYTES = 4
"""Bytes of a pixel of an image that Pillow holds."""

_COEFFICIENT_BYTES = 2
"""Bytes that a progressive JPEG has for each sample until its last scan is read."""

_WEBP_BYTES = 17
"""Two canvases of four bytes, what is handed over, Pillow's image (measured 16.4)."""

_AVIF_BYTES = 13
"""Planes, their RGB, what is handed over, Pillow's image (measured 9.9, and 11.5 of 4:4:4)."""

_HEIF_BYTES = 12
"""Planes, their RGB, Pillow's image (measured 9.3 of 4:4:4)."""

_HEIF_COPIES = 3
"""Copies of deep samples: planes, their RGB, and that of our own."""

_WIDE_BYTES = 4
"""Bytes of a sample while OpenJPEG decodes it."""

_DEEP_BYTES = 2
"""Bytes of a sample of 9 to 16 bits."""

_PLAIN_BYTES = 13
"""Numbers that were read as text, a copy of them, Pillow's image (measured 12.0)."""

_FILE_COPIES = 2
"""Copies of a file in the memory of codecs that take it as a whole."""


def count_codec_bytes(header: ImageHeader, image: ImageFile) -> int:
    """Return what decoding an image as a whole takes at most, beside `DECODE_BYTES` a pixel.

    Parameters
    ----------
    header : ImageHeader
        As stored.
    image : PIL.ImageFile.ImageFile
        The same, as it was opened.
    """
    pixel_bytes, n_copies = _count_bytes(header, image)
    whole = pixel_bytes * header.n_pixels + n_copies * header.input_bytes
    return max(0, whole - DECODE_BYTES * header.n_pixels)


def _count_bytes(header: ImageHeader, image: ImageFile) -> tuple[int, int]:
    """Return the bytes of a pixel, and how many copies of the file are held."""
    is_deep, bands = header.mode.partition(";")[2].isdigit(), header.bands
    if header.format == "JPEG" and image.info.get("progressive"):
        return _PILLOW_BYTES + _COEFFICIENT_BYTES * bands, 0
    if header.format == "WEBP":
        return _WEBP_BYTES, _FILE_COPIES
    if header.format == "AVIF":
        # Of deep ones planes and samples, and then samples and pixels.
        return (1 + 2 * _DEEP_BYTES * bands if is_deep else _AVIF_BYTES), _FILE_COPIES
    if header.format == "HEIF":
        return (2 + _HEIF_COPIES * _DEEP_BYTES * bands if is_deep else _HEIF_BYTES), _FILE_COPIES
    if header.format == "JPEG2000":
        more = 1 + _DEEP_BYTES * bands if is_deep else bands + _PILLOW_BYTES
        return _WIDE_BYTES * bands + more, _FILE_COPIES
    if header.format == "PPM":
        return _count_ppm_bytes(image, is_deep)
    if header.format == "PNG" and is_deep and bands > 2:
        return DECODE_BYTES + 1 + _PILLOW_BYTES, 1  # upper and lower bytes are two images
    return DECODE_BYTES, 0


def _count_ppm_bytes(image: ImageFile, is_deep: bool) -> tuple[int, int]:
    """Return the same of a PBM, PGM or PPM."""
    if image.tile and image.tile[0].codec_name == "ppm_plain":
        return _PLAIN_BYTES, 0
    return (_PILLOW_BYTES, 1) if is_deep else (DECODE_BYTES, 0)
