"""An image of blocks that wait, of a pixel each: what is left of its time is that of Dask.

A module of its own, so that workers import it as they import what real tasks call.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def make_waiting_image(n_blocks: int, seconds: float) -> da.Array:
    """Return an image ``(n_blocks, 1, 3)`` of which each block takes so long to read. **Lazy**."""
    return da.map_blocks(
        wait,
        seconds=seconds,
        chunks=((1,) * n_blocks, (1,), (3,)),
        dtype=np.uint8,
        meta=np.empty((0, 0, 0), np.uint8),
    )


def wait(*, seconds: float, block_info: dict[Any, Any] | None = None) -> NDArray[np.uint8]:
    """Return a pixel after a while."""
    time.sleep(seconds)
    assert block_info is not None, "Dask tells where the block is"
    return np.full((1, 1, 3), block_info[None]["chunk-location"][0] % 7, dtype=np.uint8)
