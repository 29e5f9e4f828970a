"""What a fit comes to: a palette, its labels, its error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dask_quant.fit.alpha_colors import AlphaColors
from dask_quant.fit.refine import FinishedPalette, measure_error
from dask_quant.premultiplied import STEPS_PER_SQUARE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dask_quant.fit.boxes import ColorBoxes
    from dask_quant.palette import Palette


@dataclass(frozen=True)
class PaletteFit:
    """A palette, and how well it paints the pixels that it was fitted to."""

    finished: FinishedPalette
    """Palette and nearest entries."""
    boxes: ColorBoxes | AlphaColors
    """The colours that were painted."""
    engine: str
    """What fitted it: ``histogram``, ``scalable``, ``dask-ml``; ``none`` for one that was given."""
    n_iter: int
    """Lloyd iterations of the whole search; 0 where nothing had to be fitted."""
    centroids: NDArray[np.floating | np.uint8]
    """sRGB levels before they were rounded and repaired, ``(k, 3)``, in no order."""
    classes: Palette | None = None
    """Colours by which pixels are labelled, where those that are painted are others."""

    @property
    def palette(self) -> Palette:
        """The palette, with counts."""
        return self.finished.palette

    @property
    def squared_error(self) -> float:
        """Squared sRGB error over all pixels, summed over the bands; a whole number if opaque.

        With transparency the mean of the errors over black and over white.
        """
        if isinstance(self.boxes, AlphaColors):
            return self.inertia
        assignment = self.finished.assignment
        if self.boxes.space.is_srgb:
            return assignment.squared_error
        return measure_error(self.boxes, assignment, self.palette)

    @property
    def inertia(self) -> float:
        """Squared distances over all pixels, in units of the working space."""
        if isinstance(self.boxes, AlphaColors):
            return self.finished.assignment.squared_error / STEPS_PER_SQUARE
        return self.finished.assignment.squared_error / self.boxes.space.scale**2
