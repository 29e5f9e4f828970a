"""What is on a page: figures, rows, pictures that are bytes already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dask_quant.image_rows import ImageRow
    from dask_quant.report_rows import RowSummary
    from dask_quant.results import Report


GENERATOR = "dask-quant"
"""What a page says that it was made by."""


@dataclass(frozen=True)
class Picture:
    """A small picture, encoded."""

    data: bytes
    """The file."""
    media_type: str
    """What it is: ``image/png`` or ``image/jpeg``."""
    width: int
    """Pixels across."""
    height: int
    """Pixels down."""


@dataclass(frozen=True)
class Pair:
    """An image before and after; a text instead of a picture says why there is none."""

    before: Picture | str
    """The source."""
    after: Picture | str
    """What was written."""


@dataclass(frozen=True)
class ShownImage:
    """An image of a collection that is shown with its pictures."""

    row: ImageRow
    """What the manifest says."""
    pair: Pair
    """Its pictures."""


@dataclass(frozen=True)
class PageContents:
    """Everything on a page."""

    report: Report
    """What the job says of itself."""
    summary: RowSummary | None = None
    """What its manifest says; None: it has none."""
    worst: tuple[ShownImage, ...] = ()
    """The images of the highest error."""
    single: Pair | None = None
    """The image of a job on one."""
