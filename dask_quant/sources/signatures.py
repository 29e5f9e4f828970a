"""Formats that are opened, told by their first bytes, never by their name."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

N_SIGNATURE_BYTES = 32
"""Bytes at the start of a file that `find_format` looks at."""

_PATTERNS = {
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "JPEG": rb"\xff\xd8\xff",
    "GIF": rb"GIF8[79]a",
    # The size of the DIB header that follows keeps texts that begin with "BM" out.
    "BMP": rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00",
    "TIFF": rb"II\*\x00|MM\x00\*|II\+\x00|MM\x00\+",
    "WEBP": rb"RIFF.{4}WEBP",
    # A general brand (mif1, msf1) is either; those behind it tell.
    "HEIF": rb".{4}ftyp(?:he[iv][cmsx]|m(?:if|sf)1.{4}(?:.{4}){0,3}?he[iv][cmsx])",
    "AVIF": rb".{4}ftyp(?:avif|avis|mif1|msf1)",
    "JPEG2000": rb"\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",
    "PPM": rb"P[1-6][ \t\r\n]\s*[0-9#]",
    "QOI": rb"qoif",
}
_PATTERNS_COMPILED = {name: re.compile(text, re.DOTALL) for name, text in _PATTERNS.items()}

FORMATS = tuple(_PATTERNS)
"""Pillow's names of the formats that are opened, or its plug-in's.

Left out on purpose: what runs another program (EPS), is no picture of pixels (PDF, WMF), has no
signature (TGA), or hides several pictures of different sizes (ICO, ICNS, PSD).
"""

SUFFIXES = frozenset(
    {
        *(".png", ".apng", ".gif", ".bmp", ".webp", ".qoi", ".tif", ".tiff"),
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".jp2", ".j2k", ".jpc", ".j2c"),
        *(".avif", ".avifs", ".heic", ".heif", ".hif", ".pbm", ".pgm", ".ppm", ".pnm"),
    }
)
"""Suffixes of these formats, in lower case and with their dot."""


def find_format(start: bytes) -> str | None:
    """Return the name of the format that a file with these first bytes claims, or None.

    Parameters
    ----------
    start : bytes
        The first `N_SIGNATURE_BYTES` bytes of the file, or all of a shorter one.

    Examples
    --------
    >>> find_format(b"GIF89a" + bytes(26)), find_format(b"<html><body>")
    ('GIF', None)
    """
    for name, pattern in _PATTERNS_COMPILED.items():
        if pattern.match(start):
            return name
    return None


def looks_like_image(path: str | Path) -> bool:
    """Return whether the first bytes of a file are the signature of a format that is opened.

    A file that cannot be read, or that is not a regular file, looks like none.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb", buffering=0) as file:
            return find_format(file.read(N_SIGNATURE_BYTES)) is not None
    except (OSError, ValueError):
        return False
