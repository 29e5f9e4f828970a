"""Palettes known by name: fixed colours of screens, and ramps of grey.

A name has no suffix and no folder, and a palette file always has a suffix, so that neither can
stand for the other.
"""

from __future__ import annotations

import itertools
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.errors import PaletteError
from dask_quant.palette import Palette

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_WEB_LEVELS = range(0, 256, 51)
"""Levels of the 216 colours that screens of 256 colours had in common."""

_EGA = (
    *("#000000", "#0000aa", "#00aa00", "#00aaaa", "#aa0000", "#aa00aa", "#aa5500", "#aaaaaa"),
    *("#555555", "#5555ff", "#55ff55", "#55ffff", "#ff5555", "#ff55ff", "#ffff55", "#ffffff"),
)
"""IBM's default palette of 1984, by index: its dark yellow is brown."""


def _ramp(n_colors: int) -> list[tuple[int, ...]]:
    """Return greys from black to white, as far apart; ``n_colors - 1`` divides 255."""
    return [(level,) * 3 for level in range(0, 256, 255 // (n_colors - 1))]


def _from_rows(rows: Iterable[tuple[int, ...]]) -> Palette:
    """Return the palette of rows of levels."""
    return Palette(np.array(list(rows), dtype=np.uint8))


_PALETTES: Mapping[str, Callable[[], Palette]] = MappingProxyType(
    {
        "black-white": lambda: _from_rows(_ramp(2)),
        "ega": lambda: Palette.from_hex(_EGA),
        "gray-2": lambda: _from_rows(_ramp(2)),
        "gray-4": lambda: _from_rows(_ramp(4)),
        "gray-16": lambda: _from_rows(_ramp(16)),
        "gray-256": lambda: _from_rows(_ramp(256)),
        "web-safe": lambda: _from_rows(itertools.product(_WEB_LEVELS, repeat=3)),
    }
)

BUILTIN_NAMES = tuple(_PALETTES)
"""Names of the palettes that come with the package, in lower case."""


def is_builtin_name(name: str) -> bool:
    """Return whether ``name`` has the form of a built-in palette's, whether or not there is one.

    Examples
    --------
    >>> [is_builtin_name(name) for name in ("ega", "egg", "ega.gpl", "here/ega", "")]
    [True, True, False, False, False]
    """
    return bool(name) and not set(name) & set("./\\")


def builtin_palette(name: str) -> Palette:
    """Return a palette by its name, one of `BUILTIN_NAMES`, in any case.

    Raises
    ------
    PaletteError
        When there is none of that name.

    Examples
    --------
    >>> builtin_palette("gray-4").hex
    ['#000000', '#555555', '#aaaaaa', '#ffffff']
    """
    make = _PALETTES.get(name.lower())
    if make is None:
        known = ", ".join(BUILTIN_NAMES)
        message = f"Got {name!r} for a palette; a name without a suffix is one of {known}."
        raise PaletteError(message)
    return make()
