"""Palette files on disk: written whole, read from any file that holds a palette."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.errors import PaletteError, SourceError, SourceNotFoundError
from dask_quant.options import as_path
from dask_quant.palette import as_palette
from dask_quant.palette_formats import PALETTE_SUFFIXES, dumps, loads
from dask_quant.palette_formats.parsing import distinct_palette
from dask_quant.sinks.atomic import write_file_atomically
from dask_quant.sinks.png_palette import read_png_colors
from dask_quant.sinks.store_marker import read_store_palette

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike

    from dask_quant.palette import Palette

READABLE_SUFFIXES = (*PALETTE_SUFFIXES, ".png", ".zarr")
"""Suffixes that `read_palette` takes, in lower case."""


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
        A name that ends in one of `PALETTE_SUFFIXES`; its stem is the title inside.
    overwrite : bool, default False
        Whether a file that exists may be replaced.

    Returns
    -------
    int
        Bytes written.

    Raises
    ------
    PaletteError
        When the suffix is not known, or an array is no palette.
    OutputError
        When the file exists or cannot be written.
    """
    file, palette = as_path(path, "path"), as_palette(palette)
    data = dumps(palette, file.suffix, name=file.stem)
    return write_file_atomically(file, [data], overwrite=overwrite)


def read_palette(path: str | Path) -> Palette:
    """Read a palette from a palette file, an indexed PNG, or a label store of ours.

    **Eager**; of a PNG or store only the palette is read, whatever the size of the image.

    Parameters
    ----------
    path : str or Path
        A name that ends in one of `READABLE_SUFFIXES`.

    Returns
    -------
    Palette
        In the order of the file, with counts where it keeps them.

    Raises
    ------
    SourceNotFoundError
        When there is nothing at ``path``.
    SourceError
        When it cannot be read.
    PaletteError
        When the suffix is not known, or no palette is in it; says the file, line and what is wrong.
    """
    file = as_path(path, "path")
    suffix = file.suffix.lower()
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
            return distinct_palette([(int(r), int(g), int(b)) for r, g, b in read_png_colors(file)])
    return loads(path.read_bytes(), suffix)
