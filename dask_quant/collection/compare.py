"""What an earlier run did, compared with what there is now."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dask_quant.collection.items import show_text
from dask_quant.collection.reading import digest_source
from dask_quant.image_rows import QUARANTINED, WRITTEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dask_quant.collection.index import Index
    from dask_quant.image_rows import ImageRow

_ROWS = 1_000
"""Rows taken over at a time (arbitrary)."""


@dataclass
class Comparison:
    """What is not as an earlier run left it."""

    again: list[str] = field(default_factory=list)
    """What images are known by that are to be done again."""
    n_changed: int = 0
    """Those of which the input was changed."""
    changed: dict[str | None, str] = field(default_factory=dict)
    """The first of them of every group."""
    mended: list[tuple[str, str | None]] = field(default_factory=list)
    """What images are known by that were set aside, and changed since, and their groups."""
    n_lost: int = 0
    """Those of which the output is gone, or of another size."""
    lost: str | None = None
    """The first of them."""
    n_gone: int = 0
    """Images of the manifest that the sources do not hold any more."""
    gone: str | None = None
    """The first of them."""

    @property
    def notices(self) -> Iterator[str]:
        """Lines for whoever watches."""
        if self.n_changed:
            yield (
                f"{self.n_changed:,} images changed since they were done, and are done again: "
                f"{next(iter(self.changed.values()))}{_others(self.n_changed)}."
            )
        if self.n_lost:
            yield (
                f"{self.n_lost:,} outputs are gone or of another size, and are written again: "
                f"{self.lost}{_others(self.n_lost)}."
            )
        if self.n_gone:
            yield (
                f"{self.n_gone:,} images are not in the sources any more; what was made of them "
                f"is kept: {self.gone}{_others(self.n_gone)}."
            )


def _others(n: int) -> str:
    """Return what follows the first of so many."""
    return f" and {n - 1:,} more" if n > 1 else ""


def compare_rows(
    index: Index, rows: Iterable[ImageRow], measure: Callable[[str], int | None]
) -> Comparison:
    """Have the index take over the rows of a manifest, and return what is not as they say.

    ``measure`` tells the bytes of an output, None where it is gone, -1 where it is not asked for.
    """
    found, waiting = Comparison(), []
    for row in rows:
        waiting.append(row)
        _compare(found, row, index, measure)
        if len(waiting) == _ROWS:
            index.note_rows(waiting)
            waiting = []
    index.note_rows(waiting)
    return found


def _compare(
    found: Comparison, row: ImageRow, index: Index, measure: Callable[[str], int | None]
) -> None:
    """Add what is not as one row says."""
    now = index.find(row.id)
    if now is None:
        found.n_gone, found.gone = found.n_gone + 1, found.gone or row.path
        return
    if now.modified != row.modified and row.status == QUARANTINED:
        found.mended.append((row.id, row.group))
        return
    if now.modified != row.modified and not _is_same(now.source, row):
        found.n_changed += 1
        found.changed.setdefault(row.group, row.path)
    elif row.status == WRITTEN and (
        show_text(now.out) != row.output or measure(now.target) not in (row.output_bytes, -1)
    ):
        found.n_lost, found.lost = found.n_lost + 1, found.lost or row.output
    else:
        return
    found.again.append(row.id)


def _is_same(source: str, row: ImageRow) -> bool:
    """Return whether a file that was touched, or copied, holds the same bytes as before."""
    return row.digest is not None and digest_source(source) == row.digest
