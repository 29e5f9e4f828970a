import itertools

import pytest

from dask_quant.fit.effort import FEW_CENTROIDS, MAX_CENTROIDS, plan_search
from dask_quant.fit_options import EFFORTS


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("k", [1, 2, 3, 16, 64, 256, 4096, 65_536])
@pytest.mark.parametrize("spare", [0, 1, 3, 100, 10**6])
def test_no_plan_needs_more_clusters_than_colors(effort, k, spare):
    plan = plan_search(effort, k, k + spare)
    assert 0 <= plan.n_splits <= min(k - 1, spare)
    assert 0 <= plan.n_swaps <= min(k - 1, spare)
    assert plan.n_init >= 1
    assert plan.n_rounds == 0 or plan.n_swaps > 0


def test_more_effort_never_does_less():
    for k in (2, 16, 64, 256, 4096):
        plans = [plan_search(effort, k, 10**6) for effort in EFFORTS]
        for less, more in itertools.pairwise(plans):
            assert less.n_init <= more.n_init
            assert less.n_rounds <= more.n_rounds
            assert less.n_splits <= more.n_splits
            assert less.max_iter <= more.max_iter
            assert less.tol >= more.tol
            assert less.patience <= more.patience
            assert less.n_trials <= more.n_trials
            assert less.n_sweeps <= more.n_sweeps
            assert less.least_gap >= more.least_gap
            assert less.cube_side >= more.cube_side


def test_other_levels_are_not_tried_for_very_many_centroids():
    assert plan_search("best", 1024, 10**6).n_sweeps > 0
    assert plan_search("best", 1025, 10**6).n_sweeps == 0


def test_few_centroids_are_restarted_and_many_disturbed():
    few, many = plan_search("default", 8, 10**5), plan_search("default", 256, 10**5)
    assert few.n_init > many.n_init == 1
    assert few.n_rounds < many.n_rounds


def test_restarts_that_were_asked_for_are_all_made():
    plan = plan_search("default", 16, 10**5, n_init=3)
    assert (plan.n_init, plan.patience) == (3, 3)


def test_the_fast_search_is_for_few_centroids_and_no_search_for_very_many():
    assert plan_search("fast", FEW_CENTROIDS, 10**5).n_splits > 0
    assert plan_search("fast", FEW_CENTROIDS + 1, 10**5).n_splits == 0
    assert plan_search("best", MAX_CENTROIDS + 1, 10**5).n_splits == 0


@pytest.mark.parametrize(
    ("effort", "k", "n_colors", "side"),
    [
        ("default", 16, 1000, 1),
        ("default", 16, 10**6, 8),
        ("default", 64, 10**6, 4),
        ("default", 4096, 2**18, 1),
        ("fast", 64, 2**12, 1),
        ("fast", 64, 2**12 + 1, 8),
        ("fast", 65, 2**13, 4),
    ],
)
def test_plenty_of_colors_are_looked_at_in_cubes(effort, k, n_colors, side):
    assert plan_search(effort, k, n_colors).cube_side == side
