"""Distinct rows, what centres win of them, and distances block by block."""

import numpy as np
import pytest

from dask_quant.fit import row_block
from dask_quant.fit.row_block import find_nearest
from dask_quant.fit.rows import WeightedRows, float_type, measure_distances

RNG = np.random.default_rng(0)


def test_equal_rows_are_added_up_in_ascending_order():
    samples = np.array([[2.0, 1.0], [1.0, 5.0], [2.0, 0.0], [1.0, 5.0]])
    found = WeightedRows.from_samples(samples)
    assert found.rows.tolist() == [[1.0, 5.0], [2.0, 0.0], [2.0, 1.0]]
    assert found.weights.tolist() == [2.0, 1.0, 1.0]
    weighted = WeightedRows.from_samples(samples, np.array([0.0, 0.25, 3.0, 0.5]))
    assert weighted.rows.tolist() == [[1.0, 5.0], [2.0, 0.0]]
    assert weighted.weights.tolist() == [0.75, 3.0]


def test_rows_do_not_depend_on_the_order_of_samples():
    samples = RNG.integers(0, 4, (500, 3)) / 7
    weights = RNG.random(500)
    first = WeightedRows.from_samples(samples, weights)
    assert len(first) == 64
    for _ in range(3):
        order = RNG.permutation(500)
        again = WeightedRows.from_samples(samples[order], weights[order])
        np.testing.assert_array_equal(again.rows, first.rows)
        np.testing.assert_array_equal(again.weights, first.weights)


def test_rows_keep_their_type():
    assert WeightedRows.from_samples(np.ones((3, 2), dtype=np.float32)).rows.dtype == np.float32
    assert float_type(np.dtype(np.float32)) == np.float32
    for other in (np.uint8, np.int64, np.float16, np.float64):
        assert float_type(np.dtype(other)) == np.float64


def test_centers_move_to_weighted_means_and_those_of_nothing_go():
    found = WeightedRows(np.array([[0.0], [2.0], [10.0]]), np.array([3.0, 1.0, 5.0]))
    assert found.move(np.array([[1.0], [99.0], [8.0]])).tolist() == [[0.5], [10.0]]


def test_moving_never_raises_the_inertia():
    found = WeightedRows.from_samples(RNG.normal(size=(300, 2)), RNG.random(300))
    centers = found.rows[:5]
    for _ in range(5):
        moved = found.move(centers)
        assert found.rank(moved).inertia <= found.rank(centers).inertia
        centers = moved


def test_heavy_centers_come_first_and_equal_ones_by_value():
    found = WeightedRows(np.array([[0.0], [4.0], [5.0], [9.0]]), np.array([1.0, 1.0, 1.0, 2.0]))
    ranked = found.rank(np.array([[5.0], [0.0], [9.0], [4.0]]))
    assert ranked.centers.tolist() == [[9.0], [0.0], [4.0], [5.0]]
    assert ranked.inertia == 0.0
    assert found.rank(np.array([[8.0], [0.0]])).inertia == 16.0 + 9.0 + 2.0


@pytest.mark.parametrize("block", [1, 50, 10**6])
def test_blocks_do_not_show(block, monkeypatch):
    samples, centers = RNG.normal(size=(70, 3)), RNG.normal(size=(6, 3))
    expected = find_nearest(samples, centers), measure_distances(samples, centers, samples.dtype)
    monkeypatch.setattr(row_block, "_BLOCK_NUMBERS", block)
    labels, squares = find_nearest(samples, centers)
    distances = measure_distances(samples, centers, samples.dtype)
    np.testing.assert_array_equal(labels, expected[0][0])
    np.testing.assert_array_equal(squares, expected[0][1])
    np.testing.assert_array_equal(distances, expected[1])
    np.testing.assert_allclose(
        distances, np.linalg.norm(samples[:, np.newaxis] - centers, axis=2), rtol=1e-12
    )
    np.testing.assert_array_equal(distances.argmin(axis=1), labels)


def test_samples_of_any_type_and_layout_are_taken():
    samples, centers = RNG.integers(0, 200, (60, 3)), RNG.normal(100, 50, (5, 3))
    expected = find_nearest(samples, centers)
    frozen = samples.astype(np.float64)
    frozen.setflags(write=False)
    for same in (samples.astype(np.uint8), np.asfortranarray(samples, dtype=np.float32), frozen):
        np.testing.assert_array_equal(find_nearest(same, centers), expected)


def test_a_sample_at_a_center_has_no_distance_to_it():
    centers = RNG.normal(1e6, 1.0, (4, 3))
    distances = measure_distances(centers, centers, np.dtype(np.float32))
    assert (distances.diagonal() == 0).all()
    assert distances.dtype == np.float32
