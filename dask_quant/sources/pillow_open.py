"""Image files before anything is read of them but their first bytes: opened, and told apart."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import IO, TYPE_CHECKING

from PIL import Image, UnidentifiedImageError

from dask_quant.errors import PixelFormatError, SourceError, SourceNotFoundError
from dask_quant.sources.header import show_cause, show_path
from dask_quant.sources.heif import open_heif
from dask_quant.sources.sample_depth import describe_tiff
from dask_quant.sources.signatures import N_SIGNATURE_BYTES, find_format

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile


def open_seekable(source: str | Path | IO[bytes]) -> tuple[IO[bytes], str]:
    """Return the seekable binary file of ``source`` and what messages call it."""
    if not isinstance(source, (str, Path)):
        path = getattr(source, "name", None)
        seekable = source if source.seekable() else io.BytesIO(source.read())
        return seekable, path if isinstance(path, str) else "<stream>"
    name = show_path(str(source))
    try:
        mode = os.stat(source).st_mode  # before open, which would wait for the writer of a pipe
        if stat.S_ISREG(mode):
            return open(source, "rb"), str(source)  # closed by the caller
    except (FileNotFoundError, NotADirectoryError):
        message = f"Cannot read {name}: there is no such file."
        raise SourceNotFoundError(message) from None
    except PermissionError:
        message = f"Cannot read {name}: permission denied."
        raise SourceError(message) from None
    except (OSError, ValueError) as error:
        message = f"Cannot read {name}: {show_cause(error)}."
        raise SourceError(message) from error
    kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
    message = f"Cannot read {name}: it is {kind}, and an image file is needed."
    raise SourceError(message)


def open_by_signature(file: IO[bytes], name: str) -> ImageFile:
    """Return the opened image, by the one format that its signature names."""
    file.seek(0)
    start = file.read(N_SIGNATURE_BYTES)
    if not start:
        message = f"Cannot read {name}: the file is empty."
        raise SourceError(message)
    found = find_format(start)
    if found is None:
        message = f"Cannot read {name}: it is not an image of a known format."
        raise SourceError(message)
    if found == "HEIF":
        return open_heif(file, name=name)
    try:
        return Image.open(file, formats=(found,))
    except UnidentifiedImageError as error:
        held = _describe(file, found)
        if held:
            message = (
                f"Got {name} with {held}, which Pillow does not read; convert it to RGB of 8 or "
                "16 bits first."
            )
            raise PixelFormatError(message) from error
        message = (
            f"Cannot read {name}: it begins as {found}, but its header is damaged or of a kind "
            "that Pillow does not read."
        )
        raise SourceError(message) from error


def _describe(file: IO[bytes], found: str) -> str | None:
    """Return in words what a file holds that Pillow cannot open, or None where it is not known."""
    try:
        return describe_tiff(file) if found == "TIFF" else None
    except Exception:  # only a damaged file says nothing about itself
        return None
