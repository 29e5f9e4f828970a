"""What the tests of damaged files share: how many examples, how bytes are damaged, what is said.

`DASK_QUANT_FUZZ=5000 pytest tests/property` looks at so many examples of each, drawn anew.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from dask_quant.errors import DaskQuantError

if TYPE_CHECKING:
    from collections.abc import Callable

N_FUZZ = int(os.environ.get("DASK_QUANT_FUZZ", "0"))
"""Examples of each test; 0: as few as an ordinary run has time for."""

EXTREMES = (b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff")
"""Bytes that make numbers small, huge or negative."""

_NUMBER = re.compile(rb"\d+")

_NUMBERS = (b"0", b"-1", b"256", b"65536", b"4294967296", b"9" * 30, b"1e999", b"NaN", b"", b"1.5")
"""What a number of a text becomes."""


def fuzzed(n_examples: int = 60) -> settings:
    """Return the settings of a test that looks at damaged files."""
    return settings(
        max_examples=N_FUZZ or n_examples,
        derandomize=not N_FUZZ,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@st.composite
def damaged(draw: Callable[..., Any], data: bytes) -> bytes:
    """Bytes of a file with a few of them changed, cut, put in, repeated, or numbers made others."""
    for _ in range(draw(st.integers(1, 3))):
        damage = draw(st.sampled_from(_DAMAGES))
        begin, end = sorted(draw(st.integers(0, len(data))) for _ in range(2))
        data = damage(data, begin, end, draw)
    return data


def _change(data: bytes, begin: int, _end: int, draw: Callable[..., Any]) -> bytes:
    """Write other bytes over a few."""
    junk = draw(st.sampled_from(EXTREMES) | st.binary(min_size=1, max_size=4))
    return data[:begin] + junk + data[begin + len(junk) :]


def _flip(data: bytes, begin: int, _end: int, draw: Callable[..., Any]) -> bytes:
    """Flip a bit."""
    bit = draw(st.integers(0, 7))
    flipped = bytes(byte ^ (1 << bit) for byte in data[begin : begin + 1])
    return data[:begin] + flipped + data[begin + 1 :]


def _put_in(data: bytes, begin: int, _end: int, draw: Callable[..., Any]) -> bytes:
    """Put bytes in."""
    return data[:begin] + draw(st.binary(max_size=12)) + data[begin:]


def _change_number(data: bytes, begin: int, _end: int, draw: Callable[..., Any]) -> bytes:
    """Write another number in the place of one in digits."""
    match = _NUMBER.search(data, begin)
    if match is None:
        return data
    return data[: match.start()] + draw(st.sampled_from(_NUMBERS)) + data[match.end() :]


_DAMAGES = (
    _change,
    _change,
    _flip,
    _put_in,
    _change_number,
    lambda data, begin, end, _: data[:begin] + data[end:],
    lambda data, begin, _end, _draw: data[:begin],
    lambda data, begin, end, _: data[:end] + data[begin:],
)


def call_or_refuse(call: Callable[[], Any], name: str = "") -> Any:
    """Return what a call does, or None where it refuses a file in one line that names it.

    Any other end, warnings of others included, is a failure of the test.
    """
    try:
        return call()
    except DaskQuantError as error:
        message = str(error)
    assert name in message
    assert message.isprintable()
    return None
