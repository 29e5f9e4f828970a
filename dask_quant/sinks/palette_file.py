"""Palette files on disk: written whole, read from any file that holds a palette."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.errors import PaletteError, SourceError, SourceNotFoundError
from dask_quant.given_colors import as_colors
from dask_quant.options import as_path, format_bytes
from dask_quant.palette import as_palette
from dask_quant.palette_formats import PALETTE_SUFFIXES, dumps, find_suffix, loads
from dask_quant.palette_formats.builtin import builtin_palette, is_builtin_name
from dask_quant.palette_formats.parsing import distinct_palette
from dask_quant.sinks.atomic import write_file_atomically
from dask_quant.sinks.png_palette import read_png_colors
from dask_quant.sinks.store_marker import read_store_palette
from dask_quant.sinks.swatch import swatch_chunks

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import ArrayLike

    from dask_quant.palette import Palette

WRITABLE_SUFFIXES = (*PALETTE_SUFFIXES, ".png")
"""Suffixes that `write_palette` takes, in lower case."""

READABLE_SUFFIXES = (*WRITABLE_SUFFIXES, ".zarr")
"""Suffixes that `read_palette` takes, in lower case."""

MAX_FILE_BYTES = 2**23
"""Longest palette file that is read: 128 bytes for each of 65,536 colours."""


def write_palette(
    palette: Palette | ArrayLike, path: str | Path, *, overwrite: bool = False
) -> int:
    """Write a palette file in the format of its suffix.

    **Eager.**

    Parameters
    ----------
    palette : Palette or array_like
        What to write; sRGB integers 0 to 255 ``(n_colors, 3)`` if an array.
    path : str or Path
        A name that ends in one of `WRITABLE_SUFFIXES`; its stem is the title inside. ``.pal`` is
        JASC's, ``.riff.pal`` that of Windows; ``.png`` is a picture of the colours as squares.
    overwrite : bool, default False
        Whether a file that exists may be replaced.

    Returns
    -------
    int
        Bytes written.

    Raises
    ------
    PaletteError
        When the suffix is not known, an array is no palette, or the format does not hold as many
        colours: ``.act`` and ``.png`` 256, ``.riff.pal`` 65,535.
    OutputError
        When the file exists or cannot be written.
    """
    file, palette = as_path(path, "path"), as_palette(palette)
    suffix = check_palette_name(file)
    if suffix == ".png":
        chunks: Iterable[bytes] = swatch_chunks(palette)
    else:
        chunks = [dumps(palette, suffix, name=file.stem)]
    return write_file_atomically(file, chunks, overwrite=overwrite)


def check_palette_name(path: Path) -> str:
    """Return the suffix by which a palette file is written, or raise `PaletteError`."""
    suffix = find_suffix(path.name)
    if suffix not in WRITABLE_SUFFIXES:
        known = ", ".join(WRITABLE_SUFFIXES)
        message = f"Got {str(path)!r} for a palette; known are {known}."
        raise PaletteError(message)
    return suffix


def read_palette(path: str | Path) -> Palette:
    """Read a palette from a palette file, indexed PNG or label store of ours, or take one by name.

    **Eager**; of a PNG or store only the palette is read, whatever the size of the image.

    Parameters
    ----------
    path : str or Path
        A name that ends in one of `READABLE_SUFFIXES`; or one without suffix and folder, which is
        that of a palette that comes with the package: ``black-white``, ``ega``, ``gray-2``,
        ``gray-4``, ``gray-16``, ``gray-256``, ``web-safe``. A file of such a name is not looked at.
        Or the colours themselves, ``#000,#ff8800``.

    Returns
    -------
    Palette
        In the order of the file, with counts where it keeps them.

    Raises
    ------
    OptionError
        When colours are written in another way, or one comes twice.
    SourceNotFoundError
        When there is nothing at ``path``.
    SourceError
        When it cannot be read.
    PaletteError
        When the suffix or the name is not known, or no palette is in it; says the file, line and
        what is wrong.
    """
    file = as_path(path, "path")
    if is_builtin_name(str(file)):
        if str(file).startswith("#"):
            return as_palette(np.array(as_colors(str(file), "a palette"), dtype=np.uint8))
        return builtin_palette(str(file))
    suffix = find_suffix(file.name)
    if suffix not in READABLE_SUFFIXES:
        known = ", ".join(READABLE_SUFFIXES)
        message = f"Got {str(path)!r} for a palette; known suffixes are {known}."
        raise PaletteError(message)
    try:
        return _read_known(file, suffix)
    except PaletteError as error:
        message = f"Cannot read a palette from {str(path)!r}: {error}"
        raise PaletteError(message) from error
    except FileNotFoundError as error:
        message = f"Cannot read a palette from {str(path)!r}: there is no such file."
        raise SourceNotFoundError(message) from error
    except OSError as error:
        message = f"Cannot read a palette from {str(path)!r}: {error.strerror or error}."
        raise SourceError(message) from error


def _read_known(path: Path, suffix: str) -> Palette:
    """Read a palette from a file or store with a suffix that is known."""
    if suffix == ".zarr":
        path.stat()  # what does not exist is told apart from what is not ours
        return read_store_palette(path)
    if suffix == ".png":
        with path.open("rb") as file:
            return distinct_palette(map(tuple, read_png_colors(file).tolist()))
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        message = f"Got more than {format_bytes(MAX_FILE_BYTES)}, which no palette file takes."
        raise PaletteError(message)
    return loads(data, suffix)
