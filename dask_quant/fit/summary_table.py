"""Summaries of many images as a few arrays, which may lie in a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dask_quant.histogram import ColorHistogram
from dask_quant.kernels.cells import N_CODES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from dask_quant.fit.color_summary import ColorSummary

    Items = NDArray[np.int64]

PAGE_ITEMS = 1_000
"""Images whose colours are looked at together: 3 MB and some times that (arbitrary)."""


class Page(NamedTuple):
    """The colours of some images, one image after another."""

    codes: NDArray[np.uint32]
    """Packed colours, as in `ColorHistogram`."""
    counts: NDArray[np.int64]
    """Pixels of each."""
    starts: NDArray[np.int64]
    """Where each image begins."""


@dataclass(frozen=True, eq=False)
class SummaryTable:
    """The summaries of ``n`` images that differ, ``m`` colours in all.

    ``codes`` and ``counts`` may lie in a file: they are looked at some images at a time. Images
    are numbered, and nothing depends on where in the file they are.
    """

    codes: NDArray[np.uint32]
    """Packed colours, uint32 ``(m,)``."""
    counts: NDArray[np.int64]
    """Pixels of each, int64 ``(m,)``."""
    begins: NDArray[np.int64]
    """Where the colours of each image begin, int64 ``(n,)``."""
    sizes: NDArray[np.int64]
    """How many it has, int64 ``(n,)``."""
    losses: NDArray[np.float64]
    """Loss of each, see `ColorSummary`, float64 ``(n,)``."""
    n_images: NDArray[np.int64]
    """How many images have just these colours, int64 ``(n,)``."""
    has_alpha: bool
    """Whether any is not opaque."""

    @classmethod
    def from_summaries(
        cls, summaries: Sequence[ColorSummary], n_images: Sequence[int] | None = None
    ) -> SummaryTable:
        """Return a table in memory; each image is there once unless ``n_images`` says."""
        codes = [each.histogram.codes for each in summaries]
        sizes = np.array([len(each) for each in codes], dtype=np.int64)
        repeats = np.ones(len(codes)) if n_images is None else np.array(n_images)
        return cls(
            np.concatenate(codes),
            np.concatenate([each.histogram.counts for each in summaries]),
            np.cumsum(sizes) - sizes,
            sizes,
            np.array([each.loss for each in summaries]),
            repeats.astype(np.int64),
            any(each.histogram.has_alpha for each in summaries),
        )

    def __len__(self) -> int:
        return len(self.begins)

    def iterate_pages(self, items: Items) -> Iterator[tuple[slice, Page]]:
        """Yield the colours of some images, part by part of ``items``."""
        for begin in range(0, len(items), PAGE_ITEMS):
            part = slice(begin, begin + PAGE_ITEMS)
            yield part, self._take(items[part])

    def _take(self, items: Items) -> Page:
        """Return the colours of some images."""
        sizes = self.sizes[items]
        starts = np.cumsum(sizes) - sizes
        places = np.repeat(self.begins[items] - starts, sizes) + np.arange(sizes.sum())
        return Page(self.codes[places], self.counts[places], starts)

    def merge(self, items: Items) -> ColorHistogram:
        """Return the colours of some images together, each as often as it is there."""
        total = ColorHistogram.empty()
        for part, page in self.iterate_pages(items):
            repeats = np.repeat(self.n_images[items[part]], self.sizes[items[part]])
            total = total.merge(_add_up(page.codes, page.counts * repeats))
        return total


def _add_up(codes: NDArray[np.uint32], counts: NDArray[np.int64]) -> ColorHistogram:
    """Return weighted colours in any order as a histogram."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    firsts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return ColorHistogram(ordered[firsts], np.add.reduceat(counts[order], firsts))


def holds_alpha(codes: NDArray[np.uint32]) -> bool:
    """Return whether any of some packed colours is not opaque."""
    return bool((codes >= N_CODES).any())
