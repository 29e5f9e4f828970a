"""Principal components: those of NumPy and scikit-learn, and the same bits for any blocks."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from dask_quant.fit.components import PrincipalComponents, ProductScale, RowProducts
from dask_quant.fit.features import FeatureMap
from dask_quant.fit.row_block import RowBlock
from dask_quant.fit.row_totals import RowRange

RNG = np.random.default_rng(17)


def multiply(rows, parts=None, features=None):
    block = RowBlock(rows, features=features)
    given = ProductScale.from_range(RowRange.of(block))
    parts = [np.arange(len(rows))] if parts is None else parts
    return RowProducts.merge_all(
        [RowProducts.of(RowBlock(rows[p], features=features), given) for p in parts]
    )


def draw_rows(n, dtype="float64"):
    mixed = RNG.normal(0, 300, (n, 5)) @ RNG.normal(size=(5, 5)) + [9000, 1, 500, 0, 7]
    return mixed.clip(-30_000, 30_000).astype(dtype)


@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
def test_means_and_covariance_are_those_of_all_rows(dtype):
    rows = draw_rows(5000, dtype)
    found = multiply(rows)
    np.testing.assert_allclose(found.means, rows.astype(float).mean(axis=0), rtol=1e-9)
    expected = np.cov(rows.astype(float).T, bias=True)
    np.testing.assert_allclose(found.covariance, expected, rtol=1e-7, atol=1e-7 * expected.max())
    np.testing.assert_array_equal(found.covariance, found.covariance.T)


def test_whole_numbers_are_multiplied_exactly():
    rows = RNG.integers(0, 256, (3000, 4), dtype=np.uint8)
    found = multiply(rows)
    shifted = rows.astype(np.int64) - found.given.middle.astype(np.int64)
    high, low = found.parts
    sums = ((high << 32) + low)[:4, :4] / found.given.scale[:4, :4]
    np.testing.assert_array_equal(sums, np.tril(shifted.T @ shifted))


def test_bits_depend_neither_on_blocks_nor_on_their_order():
    rows = draw_rows(4000, "float32")
    parts = np.split(RNG.permutation(len(rows)), [1, 700, 701, 2500])
    np.testing.assert_array_equal(multiply(rows).parts, multiply(rows, parts).parts)


def test_products_are_those_of_features():
    rows = draw_rows(300)
    features = FeatureMap(np.full(5, 100.0), np.array([1, 0.1, 2, 3, 0.5]))
    expected = np.cov(features.apply(rows).T, bias=True)
    found = multiply(rows, features=features).covariance
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7 * expected.max())


def test_components_are_those_of_scikit_learn():
    rows = draw_rows(2000)
    found = PrincipalComponents.from_covariance(multiply(rows).covariance)
    expected = PCA().fit(rows)
    np.testing.assert_allclose(found.shares, expected.explained_variance_ratio_, rtol=1e-6)
    cosines = np.abs((found.directions * expected.components_).sum(axis=1))
    np.testing.assert_allclose(cosines, 1.0, rtol=1e-9)
    largest = np.abs(found.directions).argmax(axis=1)
    assert (found.directions[np.arange(5), largest] > 0).all()


@pytest.mark.parametrize(
    ("share", "number"), [(0.001, 1), (0.69, 1), (0.71, 2), (0.95, 3), (0.9999999, 3)]
)
def test_as_many_components_are_counted_as_hold_a_share(share, number):
    found = PrincipalComponents.from_covariance(np.diag([20.0, 0.0, 70.0, 10.0]))
    np.testing.assert_allclose(found.shares, [0.7, 0.2, 0.1, 0.0])
    assert found.count(share) == number


def test_rows_that_are_all_the_same_have_components_that_hold_nothing():
    found = PrincipalComponents.from_covariance(multiply(np.full((9, 3), 4.0)).covariance)
    assert found.shares.tolist() == [0.0, 0.0, 0.0]
    np.testing.assert_allclose(found.directions @ found.directions.T, np.eye(3), atol=1e-12)
    assert found.count(0.5) == 3
