"""Colours by number: the code points by which AVIF, HEIF and PNG name primaries and light.

A picture of high dynamic range (PQ, HLG) has no white that sRGB could show, and is refused: a
rendering for ordinary screens is a matter of taste. Other transfers are taken as sRGB's, as on any
screen; primaries of Display P3 and Rec. 2020 are brought to sRGB's. An ICC profile goes first.

References
----------
ITU-T H.273, "Coding-independent code points for video signal type identification", 2024. ISO/IEC
14496-12, box ``colr`` of type ``nclx``. W3C, "PNG Specification (Third Edition)", 2025: cICP.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from dask_quant.sources.png_chunks import read_chunk_before_data

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_HIGH_RANGE = {16: "PQ", 18: "HLG"}
"""Transfer characteristics of high dynamic range."""

_SEARCHED_BYTES = 1 << 16
"""How far into an AVIF its boxes are looked for (arbitrary; they come first, and are small)."""

WIDE_PRIMARIES = {9: "Rec. 2020", 12: "Display P3"}
"""Primaries that are brought to those of sRGB, by their code point."""


def read_code_points(image: ImageFile, file: IO[bytes]) -> tuple[int, int]:
    """Return code points of primaries and transfer; 2 is for what a file does not say."""
    if image.format == "PNG":
        data = read_chunk_before_data(file, b"cICP")
        return (data[0], data[1]) if len(data) == 4 else (2, 2)
    if image.format not in ("AVIF", "HEIF"):
        return 2, 2
    file.seek(0)
    _, found, box = file.read(_SEARCHED_BYTES).partition(b"colrnclx")
    if not found or len(box) < 4:
        return 2, 2
    return int.from_bytes(box[:2], "big"), int.from_bytes(box[2:4], "big")


def find_high_range(image: ImageFile, file: IO[bytes]) -> str | None:
    """Return the name of the high dynamic range that an image is of, or None."""
    return _HIGH_RANGE.get(read_code_points(image, file)[1])
