"""Nearest centres of any rows."""

import numpy as np
import pytest

from dask_quant.kernels.nearest import nearest_block

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("n_features", [1, 3, 7])
@pytest.mark.parametrize("k", [1, 2, 40])
def test_nearest_is_that_of_a_comparison_with_every_center(n_features, k):
    rows, centers = RNG.normal(size=(700, n_features)), RNG.normal(size=(k, n_features))
    labels, distances = nearest_block(rows, centers)
    squares = ((rows[:, np.newaxis] - centers) ** 2).sum(axis=2)
    np.testing.assert_array_equal(labels, squares.argmin(axis=1))
    np.testing.assert_allclose(distances, squares.min(axis=1), rtol=1e-12)
    assert (labels.dtype, distances.dtype) == (np.int32, np.float64)


def test_the_lowest_index_wins_ties():
    centers = np.array([[9.0, 9.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    labels, distances = nearest_block(np.array([[0.0, 0.0], [0.5, 0.5]]), centers)
    assert labels.tolist() == [1, 1]
    assert distances.tolist() == [1.0, 0.5]


def test_a_row_does_not_depend_on_the_rows_beside():
    rows, centers = RNG.normal(size=(300, 5)), RNG.normal(size=(33, 5))
    together = nearest_block(rows, centers)
    for i in range(len(rows)):
        alone = nearest_block(rows[i : i + 1], centers)
        assert (alone[0][0], alone[1][0]) == (together[0][i], together[1][i])
