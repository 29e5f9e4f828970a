"""Swaps leave local optima, and never make a fit worse."""

import numpy as np
import pytest

from dask_quant.fit.row_block import RowBlock
from dask_quant.fit.row_lloyd import HeldRows, iterate_rows
from dask_quant.fit.row_swap import swap_centers
from dask_quant.fit.row_totals import FixedPoint, RowRange


def hold(rows, weights=None):
    block = RowBlock(rows, weights)
    return HeldRows(block, FixedPoint.from_range(RowRange.of(block)))


def descend(held, centers):
    (fit,) = iterate_rows(held, [centers], max_iter=100, tol=0.0, dtype=np.float64)
    return fit


def make_clumps(n_clumps, seed):
    rng = np.random.default_rng(seed)
    middles = rng.uniform(0, 1000, (n_clumps, 4))
    return middles, middles[rng.integers(0, n_clumps, 3000)] + rng.normal(0, 3, (3000, 4))


def test_a_center_that_is_too_many_here_is_moved_to_where_one_is_missing():
    middles, rows = make_clumps(6, 0)
    held = hold(rows)
    stuck = descend(held, np.concatenate([middles[:1] - 1, middles[:1] + 1, middles[2:]]))
    swapped = swap_centers(held, stuck, patience=10, seed=np.uint64(0))
    assert swapped.totals.inertia < 0.1 * stuck.totals.inertia
    found = np.abs(swapped.centers[:, np.newaxis] - middles).max(axis=2).min(axis=0)
    assert found.max() < 1.0


@pytest.mark.parametrize("seed", range(5))
def test_swaps_never_make_it_worse_and_totals_are_of_the_centers(seed):
    _, rows = make_clumps(9, seed)
    weights = np.random.default_rng(seed).uniform(0, 2, len(rows))
    held = hold(rows, weights)
    fit = descend(held, rows[:7])
    swapped = swap_centers(held, fit, patience=5, seed=np.uint64(seed))
    assert swapped.totals.inertia <= fit.totals.inertia
    assert swapped.totals.inertia == held.add_up([swapped.centers])[0].inertia


@pytest.mark.parametrize("rows", [[[1.0, 2.0]] * 5, [[1.0], [4.0], [9.0]]])
def test_where_nothing_can_be_swapped_the_fit_stays(rows):
    held = hold(np.array(rows))
    fit = descend(held, np.unique(rows, axis=0))
    swapped = swap_centers(held, fit, patience=5, seed=np.uint64(0))
    np.testing.assert_array_equal(swapped.centers, fit.centers)
