"""Random swap: past the local optimum of Lloyd's algorithm, for rows in memory.

A centre that is hardly missed moves to where the error is large, a few Lloyd steps follow, and
what came of it stays if it is better [1]_. Which centre goes is not left to chance, as it is there:
those whose rows have another centre nearly as near come first. Where it goes is drawn as k-means++
draws.

References
----------
.. [1] P. Franti, "Efficiency of random swap clustering", Journal of Big Data 5:13, 2018,
   doi:10.1186/s40537-018-0122-y.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dask_quant.fit.row_block import RowBlock
from dask_quant.fit.row_lloyd import CentersFit, iterate_rows
from dask_quant.kernels.seed import draw_block

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.fit.row_lloyd import HeldRows

SWAP_STEPS = 8
"""Lloyd steps after a swap, before it is judged (arbitrary; after 3, good ones are missed)."""

MAX_SWAPS = 400
"""Swaps at most (arbitrary)."""


def swap_centers(held: HeldRows, fit: CentersFit, *, patience: int, seed: np.uint64) -> CentersFit:
    """Swap centres of a fit until nothing comes of it ``patience`` times in a row.

    Never returns a fit of more inertia. Centres that are alone have nothing to swap with.
    """
    draws = draw_block(MAX_SWAPS, seed)
    order, running = _rank_swaps(held, fit)
    n_vain = 0
    for number in range(MAX_SWAPS):
        if n_vain == patience or len(fit.centers) == 1 or running[-1] <= 0:
            break
        trial = fit.centers.copy()
        row = np.searchsorted(running, draws[number] * running[-1], side="right")
        trial[order[n_vain % len(order)]] = held.block.take(row[np.newaxis])[0]
        (found,) = iterate_rows(held, [trial], max_iter=SWAP_STEPS, tol=0.0, dtype=np.float64)
        if found.totals.inertia < fit.totals.inertia:
            fit, n_vain = found, 0
            order, running = _rank_swaps(held, fit)
        else:
            n_vain += 1
    return replace(fit, n_iter=0)


def _rank_swaps(held: HeldRows, fit: CentersFit) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the centres by what they would be missed, and the running sum of all errors."""
    labels, distances = held.block.find_nearest(fit.centers)
    weights = held.block.weights
    weights = np.ones(len(labels)) if weights is None else weights
    missed = np.zeros(len(fit.centers))
    for center in range(len(fit.centers) if len(fit.centers) > 1 else 0):
        own = np.flatnonzero(labels == center)
        others = np.delete(fit.centers, center, axis=0)
        _, second = RowBlock(held.block.take(own)).find_nearest(others)
        missed[center] = (weights[own] * (second - distances[own])).sum()
    return np.argsort(missed, kind="stable"), np.cumsum(weights * distances)
