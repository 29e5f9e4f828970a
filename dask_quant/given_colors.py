"""Colours that users give as options: texts, rows of numbers or a palette, made plain tuples."""

from __future__ import annotations

import operator
import re
from collections import Counter
from typing import Any, TypeAlias

from dask_quant.errors import OptionError

Color: TypeAlias = tuple[int, int, int]
"""Three sRGB levels from 0 to 255."""

_HEX = re.compile(r"#?(?:([0-9a-f]{6})|([0-9a-f]{3}))", re.IGNORECASE)


def as_colors(given: Any, name: str) -> tuple[Color, ...]:
    """Return the distinct colours that a user gives for the option ``name``.

    Parameters
    ----------
    given : object
        ``"#rrggbb,#rgb"`` in one text; or a sequence of such texts or of rows of three sRGB
        integers 0 to 255: a list, an array ``(n, 3)``, a palette. None: no colour.
    name : str
        Name of the option, for messages.

    Returns
    -------
    tuple
        Three levels of each colour, in the order given.

    Raises
    ------
    OptionError
        When something else is given, or a colour comes twice.

    Examples
    --------
    >>> as_colors("#f80, #000000", "keep") == as_colors([[255, 136, 0], (0, 0, 0)], "keep")
    True
    """
    if given is None:
        return ()
    try:
        parts = given.split(",") if isinstance(given, str) else list(given)
    except TypeError:
        message = f"Got {type(given).__name__} for {name}; use a list of colours like '#ff8800'."
        raise OptionError(message) from None
    colors = tuple(as_color(part, name) for part in parts)
    if len(set(colors)) < len(colors):
        twice = next(color for color, n in Counter(colors).items() if n > 1)
        message = f"Got #{bytes(twice).hex()} twice for {name}; give each colour once."
        raise OptionError(message)
    return colors


def as_color(part: Any, name: str) -> Color:
    """Return the one colour that a user gives for the option ``name``: a text or three integers.

    Raises
    ------
    OptionError
        When something else is given.

    Examples
    --------
    >>> as_color("#f80", "outline")
    (255, 136, 0)
    """
    levels = _parse_hex(part) if isinstance(part, str) else _as_levels(part)
    if levels is None:
        message = f"Got {part!r} for {name}; write colours as '#rrggbb' or three integers 0 to 255."
        raise OptionError(" ".join(message.split()))
    return levels


def check_use(n_keep: int, n_recolor: int, n_colors: int, engine: str, fits_pixels: bool) -> None:
    """Raise `OptionError` where as many colours to keep or to paint in do not go with the fit.

    ``n_colors`` are fitted by ``engine``, from pixels or, by that of the histogram, from counts.
    """
    message = None
    if n_keep > n_colors:
        message = f"Got {n_keep} colours to keep among {n_colors}; ask for at least {n_keep}."
    elif n_keep and fits_pixels:
        message = (
            f"Got keep with the {engine} engine, which cannot hold centroids in place; "
            "leave keep out or use the histogram engine."
        )
    elif n_recolor not in (0, n_colors):
        message = (
            f"Got {n_recolor} colours for recolor and {n_colors} to fit; "
            f"ask for {n_recolor} colours, or give as many."
        )
    elif n_keep and n_recolor:
        message = (
            "Got both keep and recolor, which would paint what is kept in another colour; "
            "give one of them."
        )
    if message is not None:
        raise OptionError(message)


def _parse_hex(text: str) -> Color | None:
    """Return the levels of ``#rrggbb`` or ``#rgb``, or None."""
    match = _HEX.fullmatch(text.strip())
    if match is None:
        return None
    digits = match[1] or "".join(2 * digit for digit in match[2])
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


def _as_levels(row: Any) -> Color | None:
    """Return three integers from 0 to 255 as a colour, or None."""
    try:
        red, green, blue = (operator.index(level) for level in row)
    except (TypeError, ValueError):
        return None
    return (
        (red, green, blue) if 0 <= min(red, green, blue) <= max(red, green, blue) <= 255 else None
    )
