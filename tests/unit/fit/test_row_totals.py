"""Totals of rows: exact for integers, and the same bits for any blocks in any order."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_quant.fit.row_block import RowBlock
from dask_quant.fit.row_totals import FixedPoint, RowRange, RowTotals

DTYPES = ("uint8", "int16", "uint16", "int32", "float32", "float64")


def draw_rows(dtype, n, n_features, rng):
    if np.dtype(dtype).kind == "f":
        return (rng.normal(0, 1, (n, n_features)) * 10.0 ** rng.integers(-6, 7)).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, (n, n_features), dtype=dtype, endpoint=True)


def draw_weights(kind, n, rng):
    if kind == "none":
        return None
    if kind == "whole":
        return np.append(1.0, rng.integers(0, 9, n - 1))
    return np.append(1.0, rng.uniform(0, 3, n - 1) * (rng.random(n - 1) < 0.8))


def fix(rows, weights):
    return FixedPoint.from_range(RowRange.of(RowBlock(rows, weights)))


def take(array, part):
    return None if array is None else array[part]


@given(
    dtype=st.sampled_from(DTYPES),
    kind=st.sampled_from(["none", "whole", "any"]),
    n=st.integers(1, 60),
    n_features=st.integers(1, 9),
    k=st.integers(1, 6),
    seed=st.integers(0, 2**32),
)
def test_totals_do_not_depend_on_blocks_or_their_order(dtype, kind, n, n_features, k, seed):
    rng = np.random.default_rng(seed)
    rows, weights = draw_rows(dtype, n, n_features, rng), draw_weights(kind, n, rng)
    centers = rows[rng.integers(0, n, k)].astype(float)
    fixed = fix(rows, weights)
    whole = RowTotals.of(RowBlock(rows, weights), centers, fixed)
    cuts = np.sort(rng.integers(0, n + 1, 3))
    parts = np.split(rng.permutation(n), cuts)
    blocks = [RowTotals.of(RowBlock(rows[p], take(weights, p)), centers, fixed) for p in parts]
    merged = RowTotals.merge_all([RowTotals.merge_all(blocks[:2]), RowTotals.merge_all(blocks[2:])])
    np.testing.assert_array_equal(merged.parts, whole.parts)


@given(
    dtype=st.sampled_from(["uint8", "int16", "uint16", "int32"]),
    kind=st.sampled_from(["none", "whole"]),
    n=st.integers(1, 40),
    seed=st.integers(0, 2**32),
)
def test_totals_of_integers_are_exact(dtype, kind, n, seed):
    rng = np.random.default_rng(seed)
    rows, weights = draw_rows(dtype, n, 3, rng), draw_weights(kind, n, rng)
    fixed = fix(rows, weights)
    totals = RowTotals.of(RowBlock(rows, weights), np.zeros((1, 3)), fixed)
    counts = [1] * n if weights is None else weights.astype(int).tolist()
    assert totals.weights.tolist() == [sum(counts)]
    for feature in range(3):
        high, low = totals.parts[:, 0, feature].tolist()
        total = Fraction(high * 2**32 + low) / Fraction(float(fixed.scale[feature]))
        middle = int(fixed.middle[feature])
        numbers = rows[:, feature].tolist()
        assert total == sum(w * (x - middle) for w, x in zip(counts, numbers, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["none", "whole", "any"])
def test_totals_are_those_of_a_comparison_with_every_center(dtype, kind):
    rng = np.random.default_rng(5)
    rows, weights = draw_rows(dtype, 5000, 6, rng), draw_weights(kind, 5000, rng)
    centers = rows[:7].astype(float)
    totals = RowTotals.of(RowBlock(rows, weights), centers, fix(rows, weights))
    distances = ((rows[:, np.newaxis].astype(float) - centers) ** 2).sum(axis=2)
    labels, weights = distances.argmin(axis=1), np.ones(5000) if weights is None else weights
    won = np.bincount(labels, weights, 7)
    np.testing.assert_allclose(totals.weights, won, rtol=1e-6)
    errors = np.bincount(labels, weights * distances.min(axis=1), 7)
    np.testing.assert_allclose(totals.errors, errors, rtol=1e-6)
    assert totals.inertia == pytest.approx(errors.sum(), rel=1e-6)
    means = [np.average(rows[labels == c], axis=0, weights=weights[labels == c]) for c in range(7)]
    reach = np.ptp(rows.astype(float), axis=0).max()
    np.testing.assert_allclose(totals.move(centers), means, atol=1e-6 * reach)


def test_a_center_that_wins_nothing_stays():
    rows = np.array([[0.0, 0.0], [1.0, 3.0]])
    centers = np.array([[0.0, 0.0], [50.0, 50.0]])
    totals = RowTotals.of(RowBlock(rows, None), centers, fix(rows, None))
    assert totals.move(centers).tolist() == [[0.5, 1.5], [50.0, 50.0]]


def test_rows_without_weight_count_nowhere():
    rows = np.array([[1.0], [np.nan], [3.0]])
    weights = np.array([1.0, 0.0, 1.0])
    found = RowRange.of(RowBlock(rows, weights))
    assert (found.low[0], found.high[0], found.n_rows, found.is_finite) == (1, 3, 2, True)
    totals = RowTotals.of(RowBlock(rows, weights), np.array([[2.0]]), fix(rows, weights))
    assert (totals.weights[0], totals.inertia, totals.move(np.zeros((1, 1)))[0, 0]) == (2, 2, 2)
    assert not RowRange.of(RowBlock(rows, None)).is_finite


def test_a_trillion_of_weight_keeps_its_bits():
    rows = np.array([[65535], [1]], dtype=np.uint16)
    weights = np.array([2.0**21, 2.0**21])
    fixed = fix(rows, weights)
    one = RowTotals.of(RowBlock(rows, weights), np.zeros((1, 1)), fixed)
    many = one
    for _ in range(40):
        many = RowTotals.merge_all([many, many])
    assert many.move(np.zeros((1, 1))).tolist() == [[32768.0]]
    assert many.weights[0] == 2.0**62
