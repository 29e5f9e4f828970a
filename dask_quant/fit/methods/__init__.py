"""Other ways to a palette than k-means, to compare with: one module for each.

All take the exact counted colours and give centroids; rounding them, filling up entries that win
no pixel, and counting are the same for all (`dask_quant.fit.refine`). So a palette of any method
has exactly the colours that were asked for, each in use: entries that a method leaves over, as
uniform levels do where a picture has no colour, go to the colours with the largest error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.events import Event
from dask_quant.fit.methods.median_cut import find_median_cut
from dask_quant.fit.methods.mini_batch import fit_mini_batches
from dask_quant.fit.methods.neuquant import fit_neurons
from dask_quant.fit.methods.octree import find_octree
from dask_quant.fit.methods.popularity import find_popular
from dask_quant.fit.methods.uniform import find_uniform
from dask_quant.fit.methods.wu import find_wu
from dask_quant.method_options import MINI_BATCH, NEUQUANT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from dask_quant.events import Listener
    from dask_quant.fit.boxes import ColorBoxes
    from dask_quant.fit_options import FitOptions

_FINDERS: Mapping[str, Callable[[ColorBoxes, int], NDArray[np.float64]]] = {
    "median-cut": find_median_cut,
    "octree": find_octree,
    "wu": find_wu,
    "popularity": find_popular,
    "uniform": find_uniform,
}
"""Methods in which nothing is drawn and nothing iterates."""

_FITTERS = {MINI_BATCH: fit_mini_batches, NEUQUANT: fit_neurons}
"""Methods that learn from pixels drawn."""


def fit_by_method(
    boxes: ColorBoxes, options: FitOptions, listener: Listener
) -> tuple[NDArray[np.float64], int]:
    """Return centroids by a method that is not k-means, and its iterations. **Eager**.

    Parameters
    ----------
    boxes : ColorBoxes
        The weighted colours, more than ``n_colors`` of them.
    options : FitOptions
        Whose ``method`` is one of these.
    listener : callable
        Told when it is done, or of each restart or cycle.

    Returns
    -------
    centroids : ndarray
        sRGB levels, float64 ``(k, 3)``, k at most ``n_colors``.
    n_iter : int
        Mini-batches or cycles; 0 where nothing iterates.
    """
    if options.method in _FITTERS:
        return _FITTERS[options.method](boxes, options, listener)
    centroids = _FINDERS[options.method](boxes, options.n_colors)
    listener(Event("fit", 1, 1, "rounds"))
    return centroids, 0
