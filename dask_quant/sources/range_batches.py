"""Which requests bring ranges of bytes from far away: few, and none too large.

A request costs a way there and back, some hundred thousand bytes' worth, whatever it brings.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Range = tuple[int, int]
    """Offset and length."""
    Span = tuple[int, int]
    """First byte, and the one behind the last."""

BATCH_BYTES = 1 << 23
"""Bytes that are asked for before they are used (arbitrary)."""

MAX_GAP_BYTES = 1 << 14
"""Bytes between two ranges that are fetched rather than asked around (arbitrary)."""


def split_batches(ranges: Iterable[Range], most: int = BATCH_BYTES) -> Iterator[list[Range]]:
    """Yield ranges, in their order, in lists of at most so many bytes; larger ones by themselves.

    Examples
    --------
    >>> list(split_batches([(0, 3), (9, 3), (5, 9)], 6))
    [[(0, 3), (9, 3)], [(5, 9)]]
    """
    batch: list[Range] = []
    n_bytes = 0
    for each in ranges:
        if batch and n_bytes + each[1] > most:
            yield batch
            batch, n_bytes = [], 0
        batch.append(each)
        n_bytes += each[1]
    if batch:
        yield batch


def join_ranges(ranges: Iterable[Range], gap: int = MAX_GAP_BYTES) -> list[Span]:
    """Return the spans, in order, that hold all ranges that are not empty.

    Ranges no further apart than ``gap`` bytes share a span.

    Examples
    --------
    >>> join_ranges([(10, 5), (0, 4), (100, 1), (7, 0)], gap=6)
    [(0, 15), (100, 101)]
    """
    spans: list[Span] = []
    for offset, length in sorted(ranges):
        if length <= 0:
            continue
        if spans and offset - spans[-1][1] <= gap:
            spans[-1] = (spans[-1][0], max(spans[-1][1], offset + length))
        else:
            spans.append((offset, offset + length))
    return spans


def cut_ranges(
    ranges: Iterable[Range], spans: Sequence[Span], parts: Sequence[bytes]
) -> Iterator[bytes]:
    """Yield the bytes of each range from those of the spans that hold them.

    Examples
    --------
    >>> list(cut_ranges([(11, 2), (0, 1)], [(0, 2), (10, 13)], [b"ab", b"xyz"]))
    [b'yz', b'a']
    """
    starts = [start for start, _ in spans]
    for offset, length in ranges:
        if length <= 0:
            yield b""
            continue
        at = bisect_right(starts, offset) - 1
        begin = offset - starts[at]
        yield parts[at][begin : begin + length]
