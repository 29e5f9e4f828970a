"""What texts of options mean, as a command line gives them."""

from __future__ import annotations

import re

from dask_quant.errors import OptionError
from dask_quant.options import ChunkOptions, check_n_colors, require

_RANGE = re.compile(r"\s*(\d+)\s*:\s*(\d+)\s*")


def parse_chunks(text: str) -> ChunkOptions:
    """Return the chunk shape that ``text`` names: ``N`` or ``ROWS,COLS``, in pixels.

    Raises
    ------
    OptionError
        When ``text`` is neither.

    Examples
    --------
    >>> parse_chunks("512")
    ChunkOptions(rows=512, columns=512)
    >>> parse_chunks("256,1024")
    ChunkOptions(rows=256, columns=1024)
    """
    match = re.fullmatch(r"\s*(\d+)\s*(?:,\s*(\d+)\s*)?", text)
    if match is None:
        message = f"Got chunks {text!r}; write N or ROWS,COLS, in pixels."
        raise OptionError(message)
    rows = int(match[1])
    return ChunkOptions(rows=rows, columns=int(match[2]) if match[2] else rows)


def parse_k_list(text: str) -> tuple[int, ...]:
    """Return the numbers of colours that ``text`` names: ``2,5,10`` or ``2:64`` (both ends in).

    Raises
    ------
    OptionError
        When ``text`` is neither, or names a number outside 1 to 65536.

    Examples
    --------
    >>> parse_k_list("2,5,10"), parse_k_list("2:5")
    ((2, 5, 10), (2, 3, 4, 5))
    """
    span = _RANGE.fullmatch(text)
    if span:
        first, last = int(span[1]), int(span[2])
        check_n_colors(first)
        check_n_colors(last)
        require(first <= last, f"Got the range {text!r}; its first number is above its last.")
        return tuple(range(first, last + 1))
    require(
        re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*", text) is not None,
        f"Got {text!r} for numbers of colours; write 16, 2,5,10 or 2:64.",
    )
    numbers = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    for number in numbers:
        check_n_colors(number)
    return numbers


def parse_adapt(text: str) -> tuple[int, int]:
    """Return the fewest and the most worker processes that ``text`` names: ``MIN:MAX``.

    Raises
    ------
    OptionError
        When ``text`` is something else.

    Examples
    --------
    >>> parse_adapt("0:4")
    (0, 4)
    """
    match = _RANGE.fullmatch(text)
    if match is None:
        message = f"Got {text!r} for --adapt; write MIN:MAX worker processes, such as 0:4."
        raise OptionError(message)
    return int(match[1]), int(match[2])
