"""How well a palette serves each of many images, from their summaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.color_difference import ciede2000
from dask_quant.color_spaces import find_space, lab_from_srgb
from dask_quant.fit.target import find_limit
from dask_quant.kernels.count_block import unpack_colors
from dask_quant.kernels.nearest import nearest_block
from dask_quant.premultiplied import add_alpha, place_colors, scale_points

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.fit.summary_table import SummaryTable
    from dask_quant.fit_options import Target
    from dask_quant.palette import Palette

    Items = NDArray[np.int64]


@dataclass(frozen=True)
class ErrorMeter:
    """Measures palettes against summaries, as a target judges them."""

    target: Target
    """What is to be met."""
    space: str
    """Where nearest colours are found; ``srgb`` with transparency."""
    has_alpha: bool
    """Whether any colour is not opaque."""

    @property
    def limit(self) -> float:
        """The largest error that meets the target."""
        return find_limit(self.target)

    def measure(self, table: SummaryTable, items: Items, palette: Palette) -> NDArray[np.float64]:
        """Return about the error of every image of ``items`` with a palette, float64.

        Exact where summaries are, and else too high by some per cent.
        """
        errors = np.empty(len(items))
        for part, page in table.iterate_pages(items):
            colors = self._unpack(page.codes)
            found = page.counts * self.measure_colors(colors, palette.colors)
            n_pixels = np.add.reduceat(page.counts, page.starts)
            errors[part] = np.add.reduceat(found, page.starts) / n_pixels
        losses = table.losses[items]
        return np.hypot(losses, errors) if self.target.kind == "delta_e" else losses + errors

    def compare(self, palette: Palette, other: Palette) -> float:
        """Return the mean error of the pixels of ``palette``, painted by ``other``."""
        assert palette.counts is not None, "a fit counts"
        found = self.measure_colors(self._widen(palette.colors), other.colors)
        return float((palette.counts * found).sum() / palette.counts.sum())

    def find_middle(self, palette: Palette) -> NDArray[np.float64]:
        """Return the mean of the pixels of a palette, a point of the working space."""
        assert palette.counts is not None, "a fit counts"
        shares = palette.counts / palette.counts.sum()
        return np.asarray(shares @ self.place(palette.colors))

    def measure_colors(
        self, colors: NDArray[np.uint8], entries: NDArray[np.uint8]
    ) -> NDArray[np.float64]:
        """Return the error of each of some colours, painted in its nearest entry, float64."""
        labels, distances = nearest_block(self.place(colors), self.place(entries))
        if self.target.kind == "delta_e":
            return ciede2000(lab_from_srgb(colors), lab_from_srgb(entries)[labels])
        if self.has_alpha or self.space == "srgb":
            return distances
        painted = entries[labels].astype(np.float64)
        errors: NDArray[np.float64] = np.square(colors - painted).sum(axis=1)
        return errors

    def place(self, colors: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return where colours lie in the working space, float64 ``(n, 3)`` or ``(n, 4)``."""
        if self.has_alpha:
            return scale_points(place_colors(add_alpha(colors)))
        return find_space(self.space).place(colors).astype(np.float64)

    def _unpack(self, codes: NDArray[np.uint32]) -> NDArray[np.uint8]:
        """Return packed colours with as many bands as any has."""
        return unpack_colors(codes, 4 if self.has_alpha else 3)

    def _widen(self, colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return colours with as many bands as any has."""
        return add_alpha(colors) if self.has_alpha else colors
