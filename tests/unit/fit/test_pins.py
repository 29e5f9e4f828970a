"""Centroids that are pinned: k-means around colours that stay where they are."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_quant.fit.boxes import ColorBoxes
from dask_quant.fit.clusters import Clusters
from dask_quant.fit.fitting import fit_histogram
from dask_quant.fit.kmeans import fit_centroids
from dask_quant.fit_options import FitOptions
from dask_quant.histogram import ColorHistogram

PINS = {
    "corners": [(0, 0, 0), (255, 255, 255), (255, 0, 0)],
    "unused": [(0, 255, 0), (255, 0, 255)],
    "in the midst": [(128, 120, 110)],
    "side by side": [(90, 90, 90), (91, 90, 90), (90, 91, 90), (90, 90, 91), (91, 91, 91)],
}


@pytest.fixture(scope="module")
def histogram(photo):
    return ColorHistogram.from_pixels(photo[::4, ::4])


def measure_error(histogram, entries, label_oracle):
    _, distances = label_oracle(histogram.colors, entries)
    return int((histogram.counts * distances).sum())


def check_pinned(histogram, fit, n_colors, pins, label_oracle):
    """The whole contract of a palette that was fitted around pins."""
    palette = fit.palette
    known = {tuple(color) for color in histogram.colors.tolist()} | set(pins)
    assert len(palette) == min(n_colors, len(known))
    assert set(pins) <= set(palette)
    labels, distances = label_oracle(histogram.colors, palette.colors)
    counts = np.bincount(labels, histogram.counts, len(palette)).astype(np.int64)
    np.testing.assert_array_equal(palette.counts, counts)
    unused = {color for color, n in zip(palette, counts.tolist(), strict=True) if n == 0}
    assert unused <= set(pins)
    keys = [(-count, color) for count, color in zip(counts.tolist(), palette, strict=True)]
    assert keys == sorted(keys)
    assert fit.squared_error == int((histogram.counts * distances).sum())


@pytest.mark.parametrize("name", PINS)
@pytest.mark.parametrize(("n_colors", "effort"), [(6, "default"), (24, "fast"), (40, "default")])
def test_the_error_is_at_most_that_of_adding_pins_to_a_fit(
    histogram, name, n_colors, effort, label_oracle
):
    pins = PINS[name]
    options = {"n_init": 1, "effort": effort}
    fit = fit_histogram(histogram, FitOptions(n_colors=n_colors, keep=pins, **options))
    check_pinned(histogram, fit, n_colors, pins, label_oracle)
    naive = fit_histogram(histogram, FitOptions(n_colors=n_colors - len(pins), **options)).palette
    added = np.concatenate([naive.colors, np.array(pins)])
    assert fit.squared_error <= measure_error(histogram, added, label_oracle)


def test_pins_that_the_fit_would_choose_cost_nothing(histogram):
    free = fit_histogram(histogram, FitOptions(n_colors=12))
    pinned = fit_histogram(histogram, FitOptions(n_colors=12, keep=free.palette.colors[:5]))
    assert pinned.squared_error <= 1.001 * free.squared_error


def assign_plainly(colors, centroids):
    """Squared distances to all centroids by NumPy, and the nearest one, the lowest on ties."""
    squares = ((colors[:, np.newaxis].astype(float) - centroids) ** 2).sum(axis=2)
    return squares, squares.argmin(axis=1)


def iterate_plainly(colors, weights, centroids, n_pinned, n_iter):
    """Lloyd's algorithm by NumPy, on every colour and centroid, the first ones held in place."""
    centroids = np.array(centroids, dtype=float)
    for _ in range(n_iter):
        _, labels = assign_plainly(colors, centroids)
        for j in range(n_pinned, len(centroids)):
            own = labels == j
            if own.any():
                centroids[j] = (weights[own] @ colors[own].astype(float)) / weights[own].sum()
    return centroids


@pytest.mark.parametrize("n_pinned", [0, 1, 3])
def test_a_descent_is_lloyd_with_centroids_held_in_place(histogram, n_pinned):
    boxes = ColorBoxes.from_histogram(histogram)
    start = np.random.default_rng(4).integers(0, 256, (9, 3)).astype(float)
    clusters = Clusters(boxes, 9, n_pinned=n_pinned)
    clusters.start(start)
    assert clusters.descend(5, 0.0) == 5
    expected = iterate_plainly(boxes.points, boxes.weights, start, n_pinned, 5)
    np.testing.assert_allclose(clusters.centroids, expected, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(clusters.centroids[:n_pinned], start[:n_pinned])
    squares, labels = assign_plainly(boxes.points, expected)
    means = iterate_plainly(boxes.points, boxes.weights, expected, n_pinned, 1)
    offsets = boxes.points - means[labels]
    inertia = (boxes.weights * (offsets**2).sum(axis=1)).sum()
    assert clusters.inertia == pytest.approx(inertia, rel=1e-9)
    assert (np.bincount(labels, boxes.weights, 9) == clusters.weights).all()
    assert squares.shape[1] == 9


def test_the_longest_axis_of_a_pinned_cluster_goes_through_its_pin():
    colors = np.array([[100, 50, 50], [110, 50, 50], [105, 52, 50]], dtype=np.uint8)
    boxes = ColorBoxes.from_histogram(ColorHistogram.from_colors(colors, np.array([3, 2, 1])))
    clusters = Clusters(boxes, 2, n_pinned=1)
    clusters.start(np.array([[10.0, 50, 50]]))
    clusters.assign()
    errors, axes = clusters.find_axes()
    offsets = boxes.points - np.array([10.0, 50, 50])
    values, vectors = np.linalg.eigh((boxes.weights[:, np.newaxis] * offsets).T @ offsets)
    assert errors[0] == pytest.approx(values[-1])
    assert abs(vectors[:, -1] @ axes[0]) == pytest.approx(1)
    clusters.split(np.array([0]), errors, axes)
    np.testing.assert_array_equal(clusters.centroids[0], [10, 50, 50])
    assert 90 < clusters.centroids[1, 0] < 120  # where the pixels are


def test_merging_with_a_pin_gives_its_pixels_to_the_pin():
    colors = np.array([[0, 0, 0], [4, 0, 0], [100, 0, 0], [110, 0, 0]], dtype=np.uint8)
    boxes = ColorBoxes.from_histogram(ColorHistogram.from_colors(colors, np.array([9, 1, 5, 5])))
    clusters = Clusters(boxes, 4, n_pinned=1)
    clusters.start(np.array([[0.0, 0, 0], [4, 0, 0], [100, 0, 0], [110, 0, 0]]))
    clusters.descend(9, 0.0)
    clusters.merge(1)  # 1 pixel to the pin costs 16, the two others' union 250
    clusters.descend(0, 0.0)
    assert clusters.centroids[:, 0].tolist() == [0, 100, 110]
    clusters.merge(1)
    clusters.descend(9, 0.0)
    assert clusters.centroids[:, 0].tolist() == [0, 105]
    assert clusters.inertia == 16 + 10 * 25


@pytest.mark.parametrize("seed", range(4))
def test_the_optimum_of_a_few_colors_is_found(seed):
    rng = np.random.default_rng(seed)
    colors = np.unique(rng.integers(0, 256, (8, 3)).astype(np.uint8), axis=0)
    weights = rng.integers(1, 20, len(colors))
    pin = rng.integers(0, 256, (1, 3)).astype(np.uint8)
    boxes = ColorBoxes.from_histogram(ColorHistogram.from_colors(colors, weights))
    lowest = np.inf
    for labels in map(np.array, itertools.product(range(3), repeat=len(colors))):
        error = (weights * ((colors - pin.astype(float)) ** 2).sum(axis=1))[labels == 0].sum()
        for j in (1, 2):
            own = colors[labels == j].astype(float)
            if len(own):
                mean = np.average(own, axis=0, weights=weights[labels == j])
                error += (weights[labels == j] * ((own - mean) ** 2).sum(axis=1)).sum()
        lowest = min(lowest, error)
    fit = fit_centroids(boxes, n_centroids=3, pins=pin, effort="best", tol=0.0)
    assert fit.inertia == pytest.approx(lowest, rel=1e-9)
    np.testing.assert_array_equal(fit.centroids[0], pin[0])
    np.testing.assert_array_equal(fit.rounded[0], pin[0])


SMALL = st.tuples(*[st.integers(0, 4)] * 3)


@settings(max_examples=100)
@given(
    weighted=st.dictionaries(SMALL, st.integers(1, 5), min_size=1, max_size=40),
    pins=st.lists(st.tuples(*[st.integers(0, 7)] * 3), max_size=8, unique=True),
    n_free=st.integers(0, 12),
    effort=st.sampled_from(["fast", "default"]),
)
def test_any_colors_around_any_pins(weighted, pins, n_free, effort, label_oracle):
    histogram = ColorHistogram.from_colors(
        np.array(list(weighted), dtype=np.uint8), np.array(list(weighted.values()))
    )
    n_colors = max(1, len(pins) + n_free)
    options = FitOptions(n_colors=n_colors, keep=pins, effort=effort, n_init=1)
    fit = fit_histogram(histogram, options)
    check_pinned(histogram, fit, n_colors, pins, label_oracle)


def test_with_room_for_all_colors_there_is_no_error_and_nothing_to_iterate():
    colors = np.array([[0, 0, 0], [1, 0, 0], [255, 255, 255]], dtype=np.uint8)
    histogram = ColorHistogram.from_colors(colors, np.array([1, 10**7, 3]))
    fit = fit_histogram(histogram, FitOptions(n_colors=5, keep=["#00ff00", "#010000"]))
    assert fit.palette.hex == ["#010000", "#ffffff", "#000000", "#00ff00"]
    assert fit.palette.counts.tolist() == [10**7, 3, 1, 0]
    assert (fit.squared_error, fit.n_iter) == (0, 0)


def test_nothing_but_pins_needs_no_fit(histogram, label_oracle):
    pins = PINS["corners"]
    fit = fit_histogram(histogram, FitOptions(n_colors=3, keep=pins))
    check_pinned(histogram, fit, 3, pins, label_oracle)
    assert fit.n_iter == 0


@settings(max_examples=100)
@given(
    colors=st.sets(SMALL, min_size=1, max_size=30),
    others=st.lists(st.tuples(*[st.integers(0, 6)] * 3), max_size=20, unique=True),
)
def test_colors_are_counted_with_others(colors, others):
    array = np.array(sorted(colors), dtype=np.uint8)
    boxes = ColorBoxes.from_histogram(
        ColorHistogram.from_colors(array, np.ones(len(array), dtype=np.int64))
    )
    found = boxes.count_colors(np.array(others, dtype=np.uint8).reshape(-1, 3))
    assert found == len(colors | set(others))
