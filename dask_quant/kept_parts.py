"""Which parts of an output an earlier run has written, looked for by tasks.

A part is what storage has as a unit: a shard, a strip or a block of tiles. It is there when it can
be read and its checksums agree; a file of its name may be torn when a machine went down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dask.delayed import delayed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import dask.array as da

    from dask_quant.execute import Executor
    from dask_quant.kernels.assign import Labels

    At = tuple[int, int]
    """Row and column of a first pixel."""

    Holds = Callable[[At, tuple[int, int]], bool]
    """Returns whether the unit at a place, of as many rows and columns, was written."""

STAGE = "check"
"""Name of the stage in events."""


@dataclass(frozen=True)
class Missing:
    """What is still to be written, by blocks of the array of labels."""

    units: dict[At, tuple[At, ...]]
    """Of blocks that were looked at, the units that are missing."""

    def is_done(self, block: At) -> bool:
        """Return whether nothing of a block is missing."""
        return self.units.get(block) == ()

    def of(self, block: At) -> tuple[At, ...] | None:
        """Return the units of a block that are missing; None: all of them."""
        return self.units.get(block)


NOTHING_DONE = Missing({})
"""Everything is still to be written."""


def find_missing(
    blocks: da.Array, unit: tuple[int, int], holds: Holds, executor: Executor
) -> Missing:
    """Look which units of ``(y, x, ...)`` are missing. **Eager**; the array is not computed."""
    places = list(list_blocks(blocks))
    look = delayed(partial(list_missing, holds, unit), pure=False, traverse=False)
    found = executor.compute_all(
        [look(at, shape) for at, shape in places],
        stage=STAGE,
        sizes=[math.prod(shape) for _, shape in places],
        unit="px",
    )
    return Missing(dict(zip((at for at, _ in places), found, strict=True)))


def list_missing(
    holds: Holds, unit: tuple[int, int], at: At, shape: tuple[int, int]
) -> tuple[At, ...]:
    """Return which units of a block were not written, inside a task. **Eager**."""
    return tuple(place for place, sides in _list_units(unit, at, shape) if not holds(place, sides))


def cut_units(
    labels: Labels, at: At, unit: tuple[int, int], only: tuple[At, ...] | None
) -> Iterator[tuple[Labels, At]]:
    """Yield labels and their places: the units ``only``, or where that is None, all in one."""
    if only is None:
        yield labels, at
        return
    for place, (rows, columns) in _list_units(unit, at, labels.shape):
        if place in only:
            top, left = place[0] - at[0], place[1] - at[1]
            yield labels[top : top + rows, left : left + columns], place


def _list_units(
    unit: tuple[int, int], at: At, shape: tuple[int, ...]
) -> Iterator[tuple[At, tuple[int, int]]]:
    """Yield place and shape of each unit of a block, which has whole ones."""
    rows, columns = shape[:2]
    for top in range(0, rows, unit[0]):
        for left in range(0, columns, unit[1]):
            sides = min(unit[0], rows - top), min(unit[1], columns - left)
            yield (at[0] + top, at[1] + left), sides


def list_blocks(array: da.Array) -> Iterator[tuple[At, tuple[int, int]]]:
    """Yield place and shape of each block of an array."""
    row = 0
    for rows in array.chunks[0]:
        column = 0
        for columns in array.chunks[1]:
            yield (row, column), (rows, columns)
            column += columns
        row += rows
