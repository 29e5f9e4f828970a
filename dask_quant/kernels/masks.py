"""Threshold masks for ordered dithering: every rank once, spread evenly.

References
----------
B. E. Bayer, "An optimum method for two-level rendition of continuous-tone pictures", IEEE Int.
Conf. on Communications, 1973. R. Ulichney, "The void-and-cluster method for dither array
generation", Proc. SPIE 1913, 1993, doi:10.1117/12.152707.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIGMA = 1.5
"""Standard deviation, in pixels, of the weight by which pixels crowd each other: Ulichney's."""

_WEIGHT_SCALE = 1 << 24
"""What 1 is among the weights, which are integers: sums of them are the same in any order."""

_ONES_SHARE = 10
"""A tenth of the first pattern is ones, as Ulichney has it: fewer than half, or they cluster."""

_SEED = 1993
"""Seed of the first pattern (arbitrary)."""


@cache
def bayer_ranks(n_doublings: int) -> NDArray[np.int64]:
    """Return Bayer's matrix of side ``2^n_doublings``: ranks 0 to side^2 - 1, int64, read-only.

    Examples
    --------
    >>> bayer_ranks(1).tolist()
    [[0, 2], [3, 1]]
    """
    ranks = np.zeros((1, 1), dtype=np.int64)
    for _ in range(n_doublings):
        ranks = np.block([[4 * ranks, 4 * ranks + 2], [4 * ranks + 3, 4 * ranks + 1]])
    ranks.setflags(write=False)
    return ranks


@cache
def blue_noise_ranks(side: int) -> NDArray[np.int64]:
    """Return a blue-noise mask made by void and cluster: ranks 0 to side^2 - 1, int64, read-only.

    Its first ranks, however many, are pixels as far apart as they can be, across the edges as well:
    the mask tiles. It is made when it is first asked for, in 0.2 s for a side of 64, from a fixed
    seed and in integers, so that it is the same everywhere.

    Parameters
    ----------
    side : int
        Rows and columns, at least 8.
    """
    ones = _start_pattern(side)
    mask: NDArray[np.int64] = np.empty((side, side), dtype=np.int64)
    ranks = mask.reshape(-1)  # a view
    n_ones = int(ones.is_one.sum())
    rest = ones.copy()
    for rank in reversed(range(n_ones)):  # ones that are there leave, the most crowded first
        ranks[rest.leave_cluster()] = rank
    for rank in range(n_ones, side * side):  # and the others come, into the largest void
        ranks[ones.fill_void()] = rank
    mask.setflags(write=False)
    return mask


class _Pattern:
    """Ones among zeros on a torus, and how crowded each place is."""

    def __init__(self, is_one: NDArray[np.bool_], crowd: NDArray[np.int64]) -> None:
        self.is_one = is_one
        self.crowd = crowd
        self._tiled = np.tile(_weigh_distances(len(crowd)), (2, 2))

    def copy(self) -> _Pattern:
        """Return the same pattern, to be changed by itself."""
        return _Pattern(self.is_one.copy(), self.crowd.copy())

    def leave_cluster(self) -> int:
        """Make the most crowded one a zero and return its place."""
        place = int(np.where(self.is_one, self.crowd.ravel(), -1).argmax())
        self._set(place, is_one=False)
        return place

    def fill_void(self) -> int:
        """Make the least crowded zero a one and return its place."""
        most = np.iinfo(np.int64).max
        place = int(np.where(self.is_one, most, self.crowd.ravel()).argmin())
        self._set(place, is_one=True)
        return place

    def _set(self, place: int, *, is_one: bool) -> None:
        """Change one place, and how crowded it makes all others."""
        side = len(self.crowd)
        row, column = divmod(place, side)
        weights = self._tiled[side - row : 2 * side - row, side - column : 2 * side - column]
        self.is_one[place] = is_one
        self.crowd += weights if is_one else -weights

    def scatter(self, places: NDArray[np.int64]) -> None:
        """Make zeros ones."""
        for place in places.tolist():
            self._set(place, is_one=True)


def _weigh_distances(side: int) -> NDArray[np.int64]:
    """Return how much a one at (0, 0) crowds each place of a torus, int64 ``(side, side)``."""
    steps = np.arange(side)
    squared = np.minimum(steps, side - steps) ** 2
    weights = np.exp((squared[:, np.newaxis] + squared) / (-2 * _SIGMA**2))
    scaled: NDArray[np.int64] = np.rint(weights * _WEIGHT_SCALE).astype(np.int64)
    return scaled


def _start_pattern(side: int) -> _Pattern:
    """Return a tenth of ones, moved from clusters to voids until that changes nothing."""
    n_places = side * side
    pattern = _Pattern(np.zeros(n_places, dtype=bool), np.zeros((side, side), dtype=np.int64))
    # The generator's raw output is the same for every version of NumPy, its permutations may not.
    drawn = np.random.PCG64(_SEED).random_raw(n_places)
    pattern.scatter(np.argsort(drawn, kind="stable")[: n_places // _ONES_SHARE])
    while pattern.leave_cluster() != pattern.fill_void():
        pass
    return pattern
