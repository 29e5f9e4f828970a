"""Palette files: bytes to `Palette` and back, one module per format; no file is opened here."""

from __future__ import annotations

import posixpath
from types import MappingProxyType
from typing import TYPE_CHECKING

from dask_quant.errors import PaletteError
from dask_quant.palette_formats import act, ase, clr, gpl, hexlist, json_format, pal, qml, riff

if TYPE_CHECKING:
    from types import ModuleType

    from dask_quant.palette import Palette

_FORMATS = MappingProxyType(
    {
        ".gpl": gpl,
        ".hex": hexlist,
        ".json": json_format,
        ".pal": pal,
        ".riff.pal": riff,
        ".act": act,
        ".ase": ase,
        ".clr": clr,
        ".qml": qml,
    }
)

_ALPHA_SUFFIXES = (".json", ".hex")
"""Suffixes of those that hold alpha."""

PALETTE_SUFFIXES = tuple(_FORMATS)
"""Suffixes of the palette files that are read and written, in lower case."""


def dumps(palette: Palette, suffix: str, *, name: str = "dask_quant") -> bytes:
    r"""Return a palette as the bytes of a palette file.

    Parameters
    ----------
    palette : Palette
        What to write. Only ``.json`` keeps the counts.
    suffix : str
        One of `PALETTE_SUFFIXES`, in any case.
    name : str, default "dask_quant"
        Title inside the file, for formats that have one.

    Returns
    -------
    bytes
        The whole file; a function of the arguments alone.

    Raises
    ------
    PaletteError
        When the suffix is not known, or the format does not hold as many colours, or their alpha.

    Examples
    --------
    >>> from dask_quant.palette import Palette
    >>> dumps(Palette.from_hex(["#ff8000", "#000000"]), ".hex")
    b'ff8000\n000000\n'
    """
    found = _find_format(suffix)
    if palette.has_alpha and suffix.lower() not in _ALPHA_SUFFIXES:
        message = (
            f"Got a palette with colours that are not opaque, which {suffix} cannot hold; write "
            f"{' or '.join(_ALPHA_SUFFIXES)} or .png, or use --alpha drop or matte."
        )
        raise PaletteError(message)
    data: bytes = found.dumps(palette, name=name)
    return data


def loads(data: bytes, suffix: str) -> Palette:
    r"""Return the palette that the bytes of a palette file hold.

    A colour that comes again is dropped; its pixels, where counts are known, go to the first one.

    Parameters
    ----------
    data : bytes
        The whole file. A byte-order mark, comments, and CR, LF or CRLF line ends are fine.
    suffix : str
        One of `PALETTE_SUFFIXES`, in any case.

    Raises
    ------
    PaletteError
        When the suffix is not known, or the bytes are not such a file; says which line.

    Examples
    --------
    >>> loads(b"GIMP Palette\n255 128 0 orange\n", ".gpl").hex
    ['#ff8000']
    """
    palette: Palette = _find_format(suffix).loads(data)
    return palette


def find_suffix(name: str) -> str:
    """Return the longest suffix of a file name that is known, or else its last one.

    Examples
    --------
    >>> find_suffix("warm.RIFF.pal"), find_suffix("warm.pal"), find_suffix("warm.1.tif")
    ('.riff.pal', '.pal', '.tif')
    """
    known = [suffix for suffix in PALETTE_SUFFIXES if name.lower().endswith(suffix)]
    return max(known, key=len, default=posixpath.splitext(name)[1].lower())


def _find_format(suffix: str) -> ModuleType:
    """Return the module that knows ``suffix``, or raise `PaletteError`."""
    found = _FORMATS.get(suffix.lower())
    if found is None:
        known = ", ".join(PALETTE_SUFFIXES)
        message = f"Got the palette suffix {suffix!r}; known are {known}."
        raise PaletteError(message)
    return found
