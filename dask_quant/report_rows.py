"""What a page about a job tells of its images, gathered from the rows of their manifest.

A manifest may have a million rows. They are looked at one after another, and no more of them is
kept than is shown: the worst, the slowest, the first that were set aside, and how many images fell
into each class of two distributions.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from dask_quant.image_rows import WRITTEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from dask_quant.image_rows import ImageRow

MAX_WORST = 12
"""Images of the highest error that are shown, with their pictures (arbitrary)."""

MAX_SLOWEST = 10
"""Slowest images that are shown (arbitrary)."""

MAX_QUARANTINED = 100
"""Inputs set aside that are named; of the others, the number is told (arbitrary)."""

PSNR_STEP_DB = 0.5
"""Width of a class of PSNR in decibels (arbitrary)."""

CLASSES_PER_DECADE = 10
"""Classes of seconds to a power of ten: their edges then come near 1, 2, 5 and 10."""

_ROWS_PER_CHOICE = 256
"""Rows that are held before the highest of them are chosen, so that few are sorted (arbitrary)."""

_MIN_SECONDS = 1e-6
"""What is shorter counts as this: clocks tell no less."""


@dataclass(frozen=True)
class Distribution:
    """How many images fall into each class of a figure."""

    scale: Literal["linear", "log"]
    """Whether classes are equally wide, or equally wide in powers of ten."""
    step: float
    """Width of a class: in units of the figure, or in powers of ten."""
    counts: Mapping[int, int]
    """Images by the number of the class, which begins at the number times ``step``."""

    @property
    def n_images(self) -> int:
        """Images in all classes."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class RowSummary:
    """What is told of all rows."""

    n_written: int
    """Images written."""
    n_quarantined: int
    """Inputs set aside."""
    n_exact: int
    """Images that came out without any error, which have no PSNR."""
    worst: tuple[ImageRow, ...]
    """Images of the highest error, the highest first."""
    slowest: tuple[ImageRow, ...]
    """Images that took longest, the longest first."""
    quarantined: tuple[ImageRow, ...]
    """The first inputs that were set aside."""
    psnr: Distribution
    """Images by PSNR, in decibels."""
    seconds: Distribution
    """Images by their seconds."""
    finished: float | None
    """When the last one was done, in seconds since 1970 (UTC)."""


@dataclass
class _Highest:
    """The rows of the highest figure so far; the first by path among equal ones."""

    size: int
    """How many are wanted."""
    figure: Callable[[ImageRow], float | None]
    """What they are compared by."""
    rows: list[ImageRow] = field(default_factory=list)
    """These, and some that came since they were last chosen."""

    def add(self, row: ImageRow) -> None:
        """Keep a row, for the time being, that has the figure."""
        value = self.figure(row)
        if value is None or math.isnan(value):
            return
        self.rows.append(row)
        if len(self.rows) >= _ROWS_PER_CHOICE:
            self.rows = list(self.finish())

    def finish(self) -> tuple[ImageRow, ...]:
        """Return the rows, the highest first."""
        ordered = sorted(
            self.rows, key=lambda row: (-(self.figure(row) or 0.0), row.path, row.frame)
        )
        return tuple(ordered[: self.size])


def summarize_rows(rows: Iterable[ImageRow]) -> RowSummary:
    """Return what is told of rows, which are looked at once.

    Notes
    -----
    Peak memory: the rows that are shown, and a number for each class of the distributions.
    """
    worst = _Highest(MAX_WORST, lambda row: row.mse)
    slowest = _Highest(MAX_SLOWEST, lambda row: row.seconds)
    totals: Counter[str] = Counter()
    psnr: Counter[int] = Counter()
    seconds: Counter[int] = Counter()
    quarantined: list[ImageRow] = []
    finished: float | None = None
    for row in rows:
        finished = _later(finished, row.finished)
        if row.status != WRITTEN:
            totals["quarantined"] += 1
            if len(quarantined) < MAX_QUARANTINED:
                quarantined.append(row)
            continue
        totals["written"] += 1
        totals["exact"] += row.mse == 0
        worst.add(row)
        slowest.add(row)
        psnr.update(_classify_psnr(row))
        seconds.update(_classify_seconds(row))
    return RowSummary(
        n_written=totals["written"],
        n_quarantined=totals["quarantined"],
        n_exact=totals["exact"],
        worst=worst.finish(),
        slowest=slowest.finish(),
        quarantined=tuple(quarantined),
        psnr=Distribution("linear", PSNR_STEP_DB, psnr),
        seconds=Distribution("log", 1 / CLASSES_PER_DECADE, seconds),
        finished=finished,
    )


def _later(time: float | None, other: float | None) -> float | None:
    """Return the later of two times, either of which may be unknown."""
    return max((known for known in (time, other) if known is not None), default=None)


def _classify_psnr(row: ImageRow) -> tuple[int, ...]:
    """Return the class that an image falls into by its PSNR; none where it has none."""
    return () if row.psnr_db is None else (math.floor(row.psnr_db / PSNR_STEP_DB),)


def _classify_seconds(row: ImageRow) -> tuple[int, ...]:
    """Return the class that an image falls into by its seconds; none where they are not known."""
    if row.seconds is None:
        return ()
    return (math.floor(math.log10(max(row.seconds, _MIN_SECONDS)) * CLASSES_PER_DECADE),)
