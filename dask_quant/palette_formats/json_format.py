"""Palettes as JSON, ``.json``: the one format that keeps the counts.

Written as ``{"format": "dask_quant palette", "version": 1, "colors": ["#rrggbb", ...],
"counts": [...] or null}``, a colour that is not opaque as ``#rrggbbaa``. Also read: a plain list
of such texts, and an object with one under ``palette``, which is what ``dask-quant ... --json``
prints.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dask_quant.errors import PaletteError
from dask_quant.palette_formats.parsing import distinct_palette, parse_hex_alpha, shorten

if TYPE_CHECKING:
    from dask_quant.palette import Palette
    from dask_quant.palette_formats.parsing import AlphaColor

FORMAT = "dask_quant palette"
"""Value of ``format`` in what we write."""

VERSION = 1
"""Value of ``version`` in what we write, and the newest one that we read."""

_MAX_COUNT = 2**63 - 1
"""Largest number of pixels: counts are int64, and their sum as well."""


def dumps(palette: Palette, *, name: str) -> bytes:
    """Return the palette as a ``.json`` file, which has no place for ``name``."""
    counts = None if palette.counts is None else palette.counts.tolist()
    document = {"format": FORMAT, "version": VERSION, "colors": palette.hex, "counts": counts}
    return (json.dumps(document, indent=1) + "\n").encode("ascii")


def loads(data: bytes) -> Palette:
    """Return the palette of a ``.json`` file.

    Raises
    ------
    PaletteError
        When it is not JSON (says the line), of a newer version, or holds no list of colours.
    """
    document = _parse_json(data)
    if isinstance(document, dict) and document.get("format") == FORMAT:
        _check_version(document.get("version"))
        return parse_colors(document.get("colors"), document.get("counts"))
    if isinstance(document, dict) and "palette" in document:
        return parse_colors(document["palette"], document.get("counts"))
    return parse_colors(document, None)


def parse_colors(colors: Any, counts: Any) -> Palette:
    """Return the palette of parsed JSON values.

    Parameters
    ----------
    colors : object
        A list of ``#rrggbb`` texts, or anything else, which is refused.
    counts : object
        A list of as many pixel counts, or None.

    Raises
    ------
    PaletteError
        When ``colors`` or ``counts`` is not that.
    """
    if not isinstance(colors, list):
        got = "an object" if isinstance(colors, dict) else shorten(json.dumps(colors))
        message = f"Got {got} for the colours; a list of '#rrggbb' is needed."
        raise PaletteError(message)
    parsed = [_parse_color(index, color) for index, color in enumerate(colors, start=1)]
    if counts is not None:
        _check_counts(counts, len(parsed))
    return distinct_palette(parsed, counts)


def _parse_json(data: bytes) -> Any:
    """Return the value that ``data`` spells."""
    try:
        return json.loads(data)
    except json.JSONDecodeError as error:
        message = f"Line {error.lineno}: not JSON: {error.msg} (column {error.colno})."
    except UnicodeDecodeError as error:
        message = f"Got bytes that are not text at offset {error.start}; JSON is UTF-8."
    except RecursionError:
        message = "Got JSON nested too deeply for a palette."
    except ValueError as error:  # a number of more digits than Python converts
        message = f"Got JSON that cannot be read: {error}."
    raise PaletteError(message)


def _check_version(version: Any) -> None:
    """Raise `PaletteError` unless we know ``version``."""
    if version != VERSION:
        got = type(version).__name__ if isinstance(version, dict | list) else shorten(version)
        message = f"Got version {got} of a palette file; this release reads {VERSION}."
        raise PaletteError(message)


def _parse_color(index: int, color: Any) -> AlphaColor:
    """Return the three levels and the alpha of the ``index``-th colour."""
    parsed = parse_hex_alpha(color) if isinstance(color, str) else None
    if parsed is None:
        # What holds others is not shown: it may be nested too deeply, or millions of them.
        got = type(color).__name__ if isinstance(color, dict | list) else shorten(color)
        message = f"Colour {index}: got {got}; write it as '#rrggbb'."
        raise PaletteError(message)
    return parsed


def _check_counts(counts: Any, n_colors: int) -> None:
    """Raise `PaletteError` unless ``counts`` are ``n_colors`` pixel counts."""
    fits = (
        isinstance(counts, list)
        and len(counts) == n_colors
        and all(type(count) is int and count >= 0 for count in counts)
        and sum(counts) <= _MAX_COUNT
    )
    if not fits:
        message = f"Got counts that are not {n_colors} integers of 0 or more, one per colour."
        raise PaletteError(message)
