import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_quant.kernels.split_merge import longest_axis_block, merge_block


def merge_by_brute_force(weights, means, n_merges):
    """Ward's method: compare all pairs, merge the cheapest, again and again."""
    clusters = {i: (weights[i], np.array(means[i])) for i in range(len(weights))}
    for _ in range(n_merges):
        best = None
        for i in clusters:
            for j in clusters:
                if i < j:
                    (a, p), (b, q) = clusters[i], clusters[j]
                    cost = a * b / (a + b) * ((p - q) ** 2).sum() if a + b else 0.0
                    if best is None or cost < best[0]:
                        best = cost, i, j
        _, i, j = best
        (a, p), (b, q) = clusters[i], clusters.pop(j)
        clusters[i] = a + b, (a * p + b * q) / (a + b) if a + b else p
    return clusters


@pytest.mark.parametrize("n_merges", [0, 1, 5, 19, 29])
def test_merging_is_wards_method(n_merges):
    rng = np.random.default_rng(n_merges)
    weights, means = rng.uniform(1, 100, 30), rng.uniform(0, 255, (30, 3))
    expected = merge_by_brute_force(weights, means, n_merges)
    left = merge_block(weights, means, n_merges)
    assert np.flatnonzero(left).tolist() == sorted(expected)
    for i, (weight, mean) in expected.items():
        assert weights[i] == pytest.approx(weight)
        np.testing.assert_allclose(means[i], mean)


@given(
    clusters=st.lists(
        st.tuples(st.integers(0, 3), *[st.integers(0, 3)] * 3), min_size=1, max_size=15
    ),
    data=st.data(),
)
def test_merging_keeps_the_total_also_of_empty_and_equal_clusters(clusters, data):
    table = np.array(clusters, dtype=float)
    weights, means = table[:, 0].copy(), table[:, 1:].copy()
    n_merges = data.draw(st.integers(0, len(table) - 1))
    total = weights @ means
    left = merge_block(weights, means, n_merges)
    assert left.sum() == len(table) - n_merges
    assert np.isfinite(means).all()
    np.testing.assert_allclose(weights[left] @ means[left], total, atol=1e-9)
    assert weights[left].sum() == table[:, 0].sum()


ENTRY = st.one_of(st.sampled_from([0.0, 1.0, -1.0, 1e-9]), st.floats(-1e6, 1e6))


@given(entries=st.lists(st.tuples(*[ENTRY] * 9), min_size=1, max_size=5))
def test_the_longest_axis_is_the_largest_eigenvector(entries):
    # Products with their transposes are what scatter is: symmetric, no eigenvalue below 0.
    factors = np.array(entries).reshape(-1, 3, 3)
    scatter = factors @ factors.transpose(0, 2, 1)
    values, vectors = longest_axis_block(scatter)
    for matrix, value, vector in zip(scatter, values, vectors, strict=True):
        scale = max(1e-300, float(np.abs(matrix).max()))
        assert value == pytest.approx(np.linalg.eigvalsh(matrix)[-1], rel=1e-9, abs=1e-12 * scale)
        assert np.linalg.norm(vector) == pytest.approx(1.0)
        np.testing.assert_allclose(matrix @ vector, value * vector, atol=1e-7 * scale)


def test_equal_axes_are_axes_all_the_same():
    values, vectors = longest_axis_block(np.stack([np.eye(3), np.zeros((3, 3))]))
    assert values.tolist() == [1.0, 0.0]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0)
