"""Small sets of weighted colours, and how methods are asked for their centroids."""

import numpy as np
import pytest

from dask_quant.fit.boxes import ColorBoxes
from dask_quant.histogram import ColorHistogram


def make_colors(seed, n, *, high=256):
    """Distinct colours in clumps, uint8 ``(n, 3)``, and uneven weights."""
    rng = np.random.default_rng(seed)
    middles = rng.integers(0, high, (5, 3))
    levels = middles[rng.integers(0, 5, 4 * n)] + rng.normal(0, 25, (4 * n, 3))
    colors = np.unique(np.clip(levels, 0, high - 1).astype(np.uint8), axis=0)
    colors = rng.permutation(colors)[:n]
    assert len(colors) == n
    return colors, rng.integers(1, 5000, n)


@pytest.fixture(params=[0, 1, 2])
def weighted(request):
    """Colours and weights, as lists of tuples and integers, and in boxes."""
    colors, weights = make_colors(request.param, 90)
    boxes = ColorBoxes.from_histogram(ColorHistogram.from_colors(colors, weights))
    return [(tuple(map(int, c)), int(w)) for c, w in zip(colors, weights, strict=True)], boxes


@pytest.fixture(scope="session")
def assert_same_colors():
    """Return a function that compares centroids whatever their order."""

    def compare(found, expected):
        expected = np.asarray(expected, dtype=float)
        assert found.shape == expected.shape
        order, other = (np.lexsort(np.round(rows, 6).T) for rows in (found, expected))
        np.testing.assert_allclose(found[order], expected[other], rtol=1e-12, atol=1e-12)

    return compare
