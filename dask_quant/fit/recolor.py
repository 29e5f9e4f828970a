"""Classes painted in given colours: the darkest one in the first of them, and so on.

The classes stay those of the fit; only what is painted changes, and with it the error. Lightness is
CIE L* [1]_ of the fitted entries: it rises with the relative luminance Y, a weighted sum of linear
light [2]_, so that Y ranks them as well.

References
----------
.. [1] CIE 15:2004, "Colorimetry", 3rd edition, section 8.2.1.
.. [2] IEC 61966-2-1:1999, "Default RGB colour space - sRGB": the transfer function, and the
   luminance of its primaries (those of ITU-R BT.709).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.color_spaces import linear_from_srgb
from dask_quant.errors import PixelFormatError
from dask_quant.fit.boxes import slice_colors
from dask_quant.kernels.count_block import pack_colors
from dask_quant.palette import Palette

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.fit.boxes import Assignment, ColorBoxes
    from dask_quant.fit.refine import FinishedPalette

_LUMINANCES = np.array([2126, 7152, 722], dtype=np.int64)
"""Luminance of the primaries, in ten thousandths of white's."""

_LIGHT_STEPS = 10**12
"""Steps of linear light: so many that no two levels share one, so few that sums fit 64 bits."""


def paint_classes(
    boxes: ColorBoxes, finished: FinishedPalette, colors: NDArray[np.uint8]
) -> FinishedPalette:
    """Return a palette whose entries are painted in other colours, ranked by their lightness.

    Parameters
    ----------
    boxes : ColorBoxes
        The colours that ``finished`` labels.
    finished : FinishedPalette
        Its entries, labels and counts stay what they are.
    colors : ndarray
        Distinct sRGB colours uint8 ``(k, 3)``, one for each entry: the first for the darkest entry,
        of equals for the one of lower value.

    Returns
    -------
    FinishedPalette
        With the distances of the colours of ``boxes`` to what they are painted in.

    Raises
    ------
    PixelFormatError
        When the palette has fewer entries, because the image has fewer colours.
    """
    entries = finished.palette.colors
    if len(entries) != len(colors):
        message = (
            f"Got {len(entries)} distinct colours in the image for {len(colors)} to paint them in; "
            "give fewer, or leave recolor out."
        )
        raise PixelFormatError(message)
    painted = np.empty_like(entries)
    painted[np.lexsort((pack_colors(entries), measure_luminance(entries)))] = colors
    return paint_entries(boxes, finished, painted)


def paint_entries(
    boxes: ColorBoxes, finished: FinishedPalette, painted: NDArray[np.uint8]
) -> FinishedPalette:
    """Return a palette whose entries are painted in as many colours, one by one."""
    return replace(
        finished,
        palette=Palette(painted, finished.palette.counts),
        assignment=_measure_distances(boxes, finished.assignment, painted),
    )


def measure_luminance(colors: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the relative luminance of sRGB ``(k, 3)``, in integers, int64 ``(k,)``.

    Examples
    --------
    >>> black, grey, white = measure_luminance(np.array([[0] * 3, [119] * 3, [255] * 3], np.uint8))
    >>> int(black), round(float(grey / white), 3)
    (0, 0.184)
    """
    steps = np.rint(linear_from_srgb(np.arange(256.0)) * _LIGHT_STEPS).astype(np.int64)
    luminance: NDArray[np.int64] = (steps[colors] * _LUMINANCES).sum(axis=1)
    return luminance


def _measure_distances(
    boxes: ColorBoxes, assignment: Assignment, painted: NDArray[np.uint8]
) -> Assignment:
    """Return an assignment with the squared distances to what its entries are painted in."""
    distances, points = np.empty_like(assignment.distances), boxes.space.place(painted)
    for part in slice_colors(len(distances)):
        offsets = boxes.points[part].astype(np.int32) - points[assignment.labels[part]]
        distances[part] = (offsets * offsets).sum(axis=1)
    return replace(assignment, distances=distances)
