"""Lloyd's algorithm on rows of numbers, wherever the rows are: in memory or across a cluster.

It knows rows only by what they can answer (`RowSource`): what a set of centres wins of them, and
which of them are furthest from their centres. Each answer is a pass over the rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dask_quant.fit.row_totals import FixedPoint, RowTotals
from dask_quant.fit.search import mix_seed
from dask_quant.kernels.seed import seed_block

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dask_quant.fit.row_block import RowBlock

    Centers = NDArray[np.float64]


class RowSource(Protocol):
    """Rows of ``f`` features, somewhere."""

    def add_up(self, centers: Sequence[Centers]) -> list[RowTotals]:
        """Return what each set of centres ``(k, f)`` wins of all rows, in one pass."""

    def find_far(self, centers: Centers, n_rows: int) -> Centers:
        """Return the ``n_rows`` rows furthest from their nearest centre, float64 ``(n, f)``.

        The furthest first, of equals the first; fewer where fewer lie off their centres.
        """


@dataclass(frozen=True)
class CentersFit:
    """Centres, and what they win of all rows."""

    centers: Centers
    """float64 ``(k, f)``."""
    totals: RowTotals
    """What they win: of these very centres."""
    n_iter: int
    """Times that centres were moved."""


def iterate_rows(
    source: RowSource,
    starts: Sequence[Centers],
    *,
    max_iter: int,
    tol: float,
    dtype: type[np.floating[Any]],
) -> list[CentersFit]:
    """Move centres to the means of what they win until they hardly move.

    Several sets of centres go side by side: a pass serves all that still move.

    Parameters
    ----------
    source : RowSource
        The rows.
    starts : sequence of ndarray
        Sets of centres to begin with, each float64 ``(k, f)``, each of its own ``k``.
    max_iter : int
        Times at most that centres are moved.
    tol : float
        Sum of the squared shifts of all centres of a set at which it is at rest, in squared units
        of the rows.
    dtype : type
        Type that centres are rounded to whenever they have moved.

    Returns
    -------
    list of CentersFit
        One for each of ``starts``. No centre wins nothing, unless there are fewer distinct rows.
    """
    found: dict[int, CentersFit] = {}
    moving = dict(enumerate(starts))
    n_iter = 0
    while moving:
        won = source.add_up(list(moving.values()))
        for (number, centers), totals in zip(list(moving.items()), won, strict=True):
            moved = _refill(source, centers, totals).astype(dtype).astype(np.float64)
            if float(np.square(moved - centers).sum()) > tol and n_iter < max_iter:
                moving[number] = moved
            else:
                found[number] = CentersFit(moving.pop(number), totals, n_iter)
        n_iter += 1
    return [found[number] for number in range(len(starts))]


def choose_best(fits: Sequence[CentersFit]) -> CentersFit:
    """Return the fit of least inertia, of equals the first."""
    return min(fits, key=lambda fit: fit.totals.inertia)


def _refill(source: RowSource, centers: Centers, totals: RowTotals) -> Centers:
    """Return the means of what centres won; those that won nothing go to the furthest rows."""
    moved = totals.move(centers)
    empty = np.flatnonzero(totals.weights == 0)
    if len(empty):
        far = source.find_far(centers, len(empty))
        moved[empty[: len(far)]] = far
    return moved


@dataclass(frozen=True)
class HeldRows:
    """Rows in memory."""

    block: RowBlock
    """All of them."""
    fixed: FixedPoint
    """How they are summed."""

    def add_up(self, centers: Sequence[Centers]) -> list[RowTotals]:
        """See `RowSource`."""
        return [RowTotals.of(self.block, each, self.fixed) for each in centers]

    def find_far(self, centers: Centers, n_rows: int) -> Centers:
        """See `RowSource`."""
        _, distances = self.block.find_nearest(centers)
        if self.block.weights is not None:
            distances[self.block.weights <= 0] = 0.0
        farthest = np.argsort(-distances, kind="stable")[:n_rows]
        return self.block.take(farthest[distances[farthest] > 0])


def seed_rows(
    rows: Centers,
    weights: NDArray[np.float64] | None,
    *,
    n_clusters: int,
    seed: int,
    restart: int = 0,
) -> Centers:
    """Choose first centres among rows in memory by greedy k-means++, float64 ``(k, f)``.

    Fewer than ``n_clusters`` where there are fewer distinct rows.
    """
    given = np.ones(len(rows)) if weights is None else weights
    n_trials = 2 + int(math.log(n_clusters))  # as scikit-learn has it
    columns = np.array(rows.T, order="C")
    stream = mix_seed(seed, restart)
    chosen = seed_block(columns, given, np.empty(0), min(n_clusters, len(rows)), n_trials, stream)
    return rows[chosen]
