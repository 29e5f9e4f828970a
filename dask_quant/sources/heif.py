"""HEIF pictures of HEVC, as telephones write them (.heic), by libheif, where that is installed.

Pillow has no reader of its own. Of its plug-in the class is used as it is, without telling Pillow
of it: what other code in the process can open stays the same. libheif turns and mirrors a picture
as the file says; an EXIF orientation beside that is, by the standard, not to be applied.

References
----------
ISO/IEC 23008-12:2022, "High efficiency image file format", sections 6.5.10 and 6.5.12.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

import numpy as np

from dask_quant.errors import SourceError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile


def open_heif(file: IO[bytes], *, name: str) -> ImageFile:
    """Return the primary picture of a HEIF file, opened and not decoded.

    Raises
    ------
    SourceError
        When no reader is installed, or the file is damaged.
    """
    try:
        from pi_heif.as_plugin import HeifImageFile
    except ImportError as error:
        message = (
            f"Cannot read {name}: it is a HEIF picture (.heic), whose reader is missing; install "
            'it with pip install "dask-quant[heif]", or save it as JPEG or PNG first.'
        )
        raise SourceError(message) from error
    try:
        image: ImageFile = HeifImageFile(file)
    except SyntaxError as error:  # Pillow's way of a reader to say no
        message = f"Cannot read {name}: it begins as HEIF, but its header is damaged."
        raise SourceError(message) from error
    return image


def read_heif_bits(image: ImageFile) -> int:
    """Return the bits of a sample of a HEIF picture, luma or chroma."""
    return int(image.info.get("bit_depth", 8))


def decode_heif(file: IO[bytes]) -> NDArray[Any]:
    """Return the samples ``(y, x, band)`` of the primary picture, as deep as they are stored.

    Errors are those of libheif.
    """
    import pi_heif

    file.seek(0)
    found = pi_heif.open_heif(file, convert_hdr_to_8bit=False, hdr_to_16bit=False)
    # A copy: what is decoded is gone with ``found``, and an array of it would show other memory.
    return np.array(found[found.primary_index])
