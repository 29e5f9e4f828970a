"""Features: row by row the same in any company, within their bounds, and undone."""

import numpy as np
import pytest

from dask_quant.fit.features import FeatureMap

RNG = np.random.default_rng(5)


def make_features(n_components, n_bands=6):
    directions, _ = np.linalg.qr(RNG.normal(size=(n_bands, n_bands)))
    return FeatureMap(
        RNG.normal(0, 100, n_bands), RNG.uniform(0.001, 5, n_bands), directions[:n_components]
    )


@pytest.mark.parametrize("n_components", [1, 3, 6])
def test_components_are_projections_of_what_was_brought_to_scale(n_components):
    features = make_features(n_components)
    rows = RNG.integers(0, 3000, (50, 6), dtype=np.int16)
    expected = (rows - features.offset) * features.factor @ features.components.T
    found = features.apply(rows)
    assert found.flags.c_contiguous
    assert found.shape == (50, n_components) == (50, features.n_features)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-9)


def test_a_feature_has_the_same_bits_whatever_rows_are_beside_it():
    features = make_features(5)
    rows = RNG.normal(0, 1e3, (999, 6))
    whole = features.apply(rows)
    for part in (slice(0, 1), slice(1, 8), slice(998, 999), slice(3, 900, 7)):
        np.testing.assert_array_equal(features.apply(rows[part]), whole[part])


@pytest.mark.parametrize("n_components", [1, 4, 6])
def test_no_row_lies_outside_of_the_bounds_in_its_last_bit(n_components):
    features = make_features(n_components)
    low, high = RNG.normal(-50, 20, 6), RNG.normal(900, 20, 6)
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True)), axis=-1).reshape(-1, 6)
    below, above = features.bound(low, high)
    found = features.apply(np.concatenate([corners, RNG.uniform(low, high, (500, 6))]))
    np.testing.assert_array_equal(found.min(axis=0), below)  # some corner is there
    np.testing.assert_array_equal(found.max(axis=0), above)


def test_bands_come_back_from_all_components_and_near_the_offset_from_fewer():
    rows = RNG.normal(0, 1e3, (9, 6))
    whole, fewer = make_features(6), make_features(2)
    np.testing.assert_allclose(whole.undo(whole.apply(rows)), rows, rtol=1e-9)
    again = fewer.undo(fewer.apply(rows))
    np.testing.assert_allclose(fewer.apply(again), fewer.apply(rows), rtol=1e-9)
    spreads = [np.square((bands - fewer.offset) * fewer.factor).sum() for bands in (again, rows)]
    assert spreads[0] < spreads[1]
