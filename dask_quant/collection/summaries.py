"""The colours of all images of a collection in brief, on disk, and as a table of them.

A million images are three gigabytes, which stay in the state of the job and in a temporary file.
Images of the very same colours are one row of the table. Rows are in the order of a hash of their
colours, so that nothing that is made of it depends on what images are called or how they come.
"""

from __future__ import annotations

import tempfile
from typing import IO, TYPE_CHECKING, Self

import numpy as np

from dask_quant.collection.kept_lines import KeptLines
from dask_quant.collection.task import BRIEF_COLOR, SummarizedImage
from dask_quant.fit.summary_table import SummaryTable, holds_alpha

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from dask_quant.collection.family_index import FamilyIndex
    from dask_quant.collection.output import State
    from dask_quant.collection.task import Done

SUMMARIES_NAME = "summaries"
"""Beginning of the names of what is kept of images in brief."""

_ROW = np.dtype(
    [("content", "S32"), ("begin", "<i8"), ("size", "<i8"), ("loss", "<f8"), ("is_alone", "?")]
)
"""What is known of an image: a hash of its colours, where they begin, and so on."""


class KeptSummaries:
    """Summaries that are kept in the state of a job. **Eager**.

    Parameters
    ----------
    state : State
        Of the job.
    """

    def __init__(self, state: State) -> None:
        self._kept = KeptLines(state, SUMMARIES_NAME)

    def add(self, done: Done) -> None:
        """Add what a task told, and keep all so far once in a while."""
        self._kept.add(done.summarized, done.colors)

    def keep(self) -> None:
        """Keep all so far."""
        self._kept.keep()

    def read(self) -> Iterator[tuple[list[SummarizedImage], bytes]]:
        """Yield what was kept; what is damaged is passed over."""
        for lines, data in self._kept.read():
            images = [SummarizedImage(*each) for each in lines]
            if sum(each.n_colors for each in images) * BRIEF_COLOR.itemsize == len(data):
                yield images, data


class Gathered:
    """Images of a collection as rows of a table.

    Attributes
    ----------
    table : SummaryTable
        Every row once.
    is_alone : ndarray
        Of each row, see `dask_quant.fit.color_summary.ColorSummary`.
    """

    def __init__(
        self, rows: NDArray[np.void], positions: NDArray[np.int64], file: IO[bytes]
    ) -> None:
        _, firsts, inverse, n_images = np.unique(
            rows["content"], return_index=True, return_inverse=True, return_counts=True
        )
        found = rows[firsts]
        colors = np.memmap(file, dtype=BRIEF_COLOR, mode="r")
        self.table = SummaryTable(
            *(colors["code"], colors["count"], found["begin"], found["size"], found["loss"]),
            n_images.astype(np.int64),
            holds_alpha(colors["code"]),
        )
        self.is_alone: NDArray[np.bool_] = found["is_alone"]
        order = np.argsort(inverse, kind="stable")
        self._positions = positions[order]
        self._ends = np.cumsum(n_images)
        self._rows = (positions, inverse)

    def list_positions(self, items: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the places in the collection of the images of some rows, int64."""
        begins = self._ends - self.table.n_images
        parts = [self._positions[begins[i] : self._ends[i]] for i in items]
        return np.concatenate(parts)

    def find_rows(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the row of each of some images, int64."""
        known, inverse = self._rows
        found: NDArray[np.int64] = inverse[np.searchsorted(known, positions)]
        return found


class SummaryFile:
    """Summaries of the images of a collection in a temporary file, which goes when it is closed.

    Parameters
    ----------
    index : FamilyIndex
        Of the collection.
    """

    def __init__(self, index: FamilyIndex) -> None:
        self._index = index
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with this
        self._rows = np.zeros(index.find_last() + 1, dtype=_ROW)
        self._n_colors = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, images: Sequence[SummarizedImage], data: bytes) -> None:
        """Add images with their colours, those that are now as they were then."""
        self._index.note_summarized(images)
        self._file.write(data)
        for image in images:
            place = self._index.find_summarized(image)
            if place is not None:
                facts = (image.content, self._n_colors, image.n_colors, image.loss, image.is_alone)
                self._rows[place] = facts
            self._n_colors += image.n_colors

    def gather(self) -> Gathered:
        """Return all of them, at least one, as rows of a table."""
        self._file.flush()
        positions = np.flatnonzero(self._rows["size"])
        return Gathered(self._rows[positions], positions, self._file)
