"""Where pixels lie in a microscope's field, or any plane with units: plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PixelGrid:
    """Sizes and places of pixels, rows first; every default says that nothing is known.

    Examples
    --------
    >>> PixelGrid(scale=(0.5, 0.25)).halve(2)
    PixelGrid(scale=(2.0, 1.0), offset=(0.75, 0.375), units=(None, None))
    """

    scale: tuple[float, float] = (1.0, 1.0)
    """Height and width of a pixel, in ``units``."""
    offset: tuple[float, float] = (0.0, 0.0)
    """Where the centre of the first pixel lies, in ``units``."""
    units: tuple[str | None, str | None] = (None, None)
    """Names of the units, such as ``micrometer``."""

    def halve(self, times: int) -> PixelGrid:
        """Return the grid of pixels that each cover two by two, ``times`` over."""
        factor = 2**times
        rows, columns = self.scale
        top, left = self.offset
        # The centre of the first one moves to the middle of what it covers.
        middle = (factor - 1) / 2
        return PixelGrid(
            scale=(rows * factor, columns * factor),
            offset=(top + rows * middle, left + columns * middle),
            units=self.units,
        )


PLAIN_GRID = PixelGrid()
"""Pixels of side 1, the first at 0."""
