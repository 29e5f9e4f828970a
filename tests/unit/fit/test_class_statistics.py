"""Statistics of classes: those of NumPy, and the same bits for any blocks."""

import numpy as np
import pytest

from dask_quant.fit.class_statistics import ClassStatistics, StatisticsScale
from dask_quant.fit.features import FeatureMap
from dask_quant.fit.row_block import RowBlock
from dask_quant.fit.row_totals import RowRange

RNG = np.random.default_rng(11)


def describe(rows, centers, features=None, parts=None):
    given = StatisticsScale.from_range(RowRange.of(RowBlock(rows)))
    parts = [np.arange(len(rows))] if parts is None else parts
    return ClassStatistics.merge_all(
        [ClassStatistics.of(RowBlock(rows[p], features=features), centers, given) for p in parts]
    )


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
def test_statistics_are_those_of_the_rows_of_the_class(dtype):
    rows = (RNG.normal(100, 30, (4000, 3)) * [1, 1, 0.5]).clip(0, 250).astype(dtype)
    centers = rows[:5].astype(float)
    found = describe(rows, centers)
    labels = ((rows[:, np.newaxis].astype(float) - centers) ** 2).sum(axis=2).argmin(axis=1)
    for c in range(5):
        own = rows[labels == c].astype(float)
        assert found.counts[c] == len(own)
        np.testing.assert_allclose(found.means[c], own.mean(axis=0), rtol=1e-9)
        np.testing.assert_allclose(found.deviations[c], own.std(axis=0), rtol=1e-6)
        np.testing.assert_array_equal(found.low[c], own.min(axis=0))
        np.testing.assert_array_equal(found.high[c], own.max(axis=0))


def test_bits_depend_neither_on_blocks_nor_on_their_order():
    rows = RNG.normal(0, 1e3, (3000, 4)).astype(np.float32)
    centers = rows[:4].astype(float)
    parts = np.split(RNG.permutation(len(rows)), [10, 700, 2500])
    whole, cut = describe(rows, centers), describe(rows, centers, parts=parts)
    np.testing.assert_array_equal(whole.parts, cut.parts)
    np.testing.assert_array_equal(whole.low, cut.low)
    np.testing.assert_array_equal(whole.deviations, cut.deviations)


def test_distances_are_those_of_features_and_statistics_those_of_bands():
    rows = np.array([[0.0, 0.0], [0.0, 9.0], [5.0, 0.0], [5.0, 9.0]])
    features = FeatureMap(np.zeros(2), np.array([1.0, 0.001]))
    found = describe(rows, features.apply(rows[[0, 2]]), features)
    assert found.means.tolist() == [[0.0, 4.5], [5.0, 4.5]]
    assert found.deviations.tolist() == [[0.0, 4.5], [0.0, 4.5]]


def test_a_class_without_rows_has_none():
    rows = np.array([[1.0], [2.0]])
    found = describe(rows, np.array([[1.5], [100.0]]))
    assert found.counts.tolist() == [2, 0]
    assert np.isnan(found.means[1, 0])
    assert np.isnan(found.deviations[1, 0])
    assert found.low[1, 0] == np.inf
