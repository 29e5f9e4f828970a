import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_quant.kernels.seed import _draw, seed_block


def seed(points, weights=None, *, k, n_trials=3, stream=0, centroids=()):
    points = np.asarray(points, dtype=np.float64)
    weights = np.ones(len(points)) if weights is None else np.asarray(weights, dtype=np.float64)
    standing = np.array(centroids, dtype=np.float64).reshape(-1, points.shape[1])
    cost = ((points[:, np.newaxis] - standing) ** 2).sum(axis=2)
    given_cost = cost.min(axis=1) if len(standing) else np.empty(0)
    columns = np.ascontiguousarray(points.T)
    return seed_block(columns, weights, given_cost, k, n_trials, np.uint64(stream))


def test_draws_are_those_of_splitmix64():
    # The sequence that is published for the seed 1234567, its upper 53 bits.
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    drawn = [_draw(np.uint64(1234567), np.uint64(i)) for i in range(3)]
    assert drawn == [(number >> 11) * 2.0**-53 for number in published]


@given(
    points=st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=40, unique=True),
    data=st.data(),
)
def test_chosen_points_are_distinct(points, data):
    k = data.draw(st.integers(1, len(points)))
    stream = data.draw(st.integers(0, 2**64 - 1))
    weights = data.draw(st.lists(st.integers(1, 10**6), min_size=len(points), max_size=len(points)))
    chosen = seed(points, weights, k=k, stream=stream)
    assert len(set(chosen.tolist())) == k
    assert set(chosen.tolist()) <= set(range(len(points)))


def test_the_same_stream_draws_the_same_and_another_may_not():
    points = np.random.default_rng(0).integers(0, 256, (500, 3))
    first = seed(points, k=8, stream=1)
    np.testing.assert_array_equal(first, seed(points, k=8, stream=1))
    others = [seed(points, k=8, stream=stream).tolist() for stream in range(2, 6)]
    assert any(other != first.tolist() for other in others)


def test_heavy_points_are_drawn_first():
    points = np.arange(30).reshape(10, 3)
    weights = np.ones(10)
    weights[7] = 1e9
    assert [int(seed(points, weights, k=1, stream=s)[0]) for s in range(20)] == [7] * 20


@pytest.mark.parametrize("stream", range(5))
def test_far_clusters_get_a_centroid_each(stream):
    rng = np.random.default_rng(0)
    corners = np.array([[0, 0, 0], [250, 0, 0], [0, 250, 0], [0, 0, 250]])
    points = (corners[:, np.newaxis] + rng.integers(0, 5, (4, 50, 3))).reshape(-1, 3)
    chosen = seed(points, k=4, n_trials=5, stream=stream)
    assert sorted((chosen // 50).tolist()) == [0, 1, 2, 3]


def test_more_trials_do_not_seed_worse_on_average():
    points = np.random.default_rng(1).integers(0, 256, (400, 3)).astype(float)

    def mean_cost(n_trials):
        costs = []
        for stream in range(12):
            centers = points[seed(points, k=12, n_trials=n_trials, stream=stream)]
            distance = ((points[:, np.newaxis] - centers) ** 2).sum(axis=2)
            costs.append(distance.min(axis=1).sum())
        return np.mean(costs)

    assert mean_cost(5) < mean_cost(1)


@pytest.mark.parametrize("stream", range(5))
def test_points_are_drawn_far_from_given_centroids(stream):
    rng = np.random.default_rng(0)
    corners = np.array([[0, 0, 0], [250, 0, 0], [0, 250, 0], [0, 0, 250]])
    points = (corners[:, np.newaxis] + rng.integers(0, 5, (4, 50, 3))).reshape(-1, 3)
    chosen = seed(points, k=2, n_trials=5, stream=stream, centroids=corners[[1, 2]])
    assert sorted((chosen // 50).tolist()) == [0, 3]


def test_a_point_on_a_given_centroid_is_never_drawn():
    points = np.array([[0, 0, 0], [9, 9, 9], [5, 5, 5]])
    for stream in range(20):
        chosen = seed(points, [1e9, 1, 1], k=3, stream=stream, centroids=[[0, 0, 0]])
        assert sorted(chosen.tolist()) == [1, 2]
