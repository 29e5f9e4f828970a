"""Limits on what decoding one file may take, in a process that ends when it goes beyond.

Memory is limited by the address space: what goes beyond is refused, and so is the file. Time is
limited by an alarm of the kernel's that no decoder can hold up: it ends the process, which is why
whoever waits for it is told of the limits before.
"""

from __future__ import annotations

import re
import resource
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dask_quant.sources.addresses import is_url
from dask_quant.sources.reading import read_any_header

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterator

_LINUX_STATUS = Path("/proc/self/status")
"""Where Linux tells how much address space this process has."""

_SPARE_BYTES = 2**31
"""Address space beyond that of the pixels: libraries, and the stacks of their threads (arbitrary).
"""

_PIXEL_BYTES = 32
"""Address space that decoding may take for each pixel: four times what any of them needs, for
colours of 16 bits, coefficients and copies (arbitrary)."""

_SPARE_S = 60
"""Seconds beyond those of the pixels (arbitrary: a slow disk, a busy machine)."""

_FETCH_S = 1800
"""The same for a file that is fetched from its address first, which has limits of its own."""

_PIXELS_PER_S = 500_000
"""Pixels that are decoded in a second at least (arbitrary: a tenth of the slowest, JPEG 2000)."""


@dataclass(frozen=True)
class DecodeLimits:
    """What one file may take."""

    max_bytes: int | None = None
    """Memory beyond that of the process; None: what its pixels need several times over, and 2 GB.
    """
    max_seconds: float | None = None
    """Time; None: a minute, and a second for each half a megapixel."""


PLANNED = DecodeLimits()
"""Limits that go by the size in the header."""


@contextmanager
def limit_decoding(
    source: str | io.BytesIO, limits: DecodeLimits, tell: Callable[[float, int], None]
) -> Iterator[int]:
    """Limit time and memory while the block decodes a file; yield its pixels by its header.

    ``tell`` is called with the limits, in seconds and bytes, before they hold; twice for a file
    that is large by its header.
    """
    try:
        _limit_and_tell(source, limits, tell, 0)
        n_pixels = read_any_header(source).n_pixels
        if n_pixels > _PIXELS_PER_S:  # for smaller ones, what is spared is enough
            _limit_and_tell(source, limits, tell, n_pixels)
        yield n_pixels
    finally:
        _limit_address_space(0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _limit_and_tell(
    source: str | io.BytesIO,
    limits: DecodeLimits,
    tell: Callable[[float, int], None],
    n_pixels: int,
) -> None:
    """Limit time and memory, and say by how much."""
    spare = _FETCH_S if is_url(source) else _SPARE_S
    seconds = limits.max_seconds or spare + n_pixels / _PIXELS_PER_S
    n_bytes = limits.max_bytes or _SPARE_BYTES + _PIXEL_BYTES * n_pixels
    tell(seconds, n_bytes)
    _limit_address_space(n_bytes)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _limit_address_space(n_bytes: int) -> None:
    """Limit the address space to so much more than there is; 0 lifts the limit."""
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = most
    if n_bytes:
        limit = _count_address_space() + n_bytes
        limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))


def _count_address_space() -> int:
    """Return the bytes of address space of this process; 0 where the system does not say."""
    if not _LINUX_STATUS.exists():
        return 0
    line = re.search(r"^VmSize:\s*(\d+) kB$", _LINUX_STATUS.read_text(), re.MULTILINE)
    return int(line[1]) * 1024 if line else 0
