import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_quant.fit.boxes import ColorBoxes
from dask_quant.fit.clusters import Clusters
from dask_quant.histogram import ColorHistogram

LEVEL = st.integers(0, 255)
COLOR = st.tuples(LEVEL, LEVEL, LEVEL)


def make_boxes(colors, counts=None):
    colors = np.asarray(colors, dtype=np.uint8)
    counts = np.ones(len(colors), dtype=np.int64) if counts is None else np.asarray(counts)
    return ColorBoxes.from_histogram(ColorHistogram.from_colors(colors, counts))


def check_against_brute_force(boxes, clusters):
    """Compare what every cluster won with a comparison of every colour with every centroid."""
    offsets = boxes.points[:, np.newaxis].astype(float) - clusters.centroids
    distances = (offsets * offsets)[..., 0] + (offsets * offsets)[..., 1] + (offsets**2)[..., 2]
    nearest = distances.argmin(axis=1)
    k = len(clusters.centroids)
    weights, sums = np.zeros(k, dtype=np.int64), np.zeros((k, 3), dtype=np.int64)
    np.add.at(weights, nearest, boxes.weights)
    np.add.at(sums, nearest, boxes.weights[:, np.newaxis] * boxes.points.astype(np.int64))
    np.testing.assert_array_equal(clusters.weights, weights)
    np.testing.assert_array_equal(clusters.sums, sums)
    check_axes(boxes, clusters, nearest)


def check_axes(boxes, clusters, nearest):
    """Compare the errors along the longest axes with eigenvalues of the scatter of each cluster."""
    errors, axes = clusters.find_axes()
    for cluster, (error, axis) in enumerate(zip(errors, axes, strict=True)):
        points, weights = boxes.points[nearest == cluster].astype(float), boxes.weights
        weights = weights[nearest == cluster].astype(float)
        offsets = points - clusters.means[cluster]
        scatter = (offsets * weights[:, np.newaxis]).T @ offsets
        slack = 1e-9 * max(1.0, float(weights.sum())) * 255**2
        assert error == pytest.approx(np.linalg.eigvalsh(scatter)[-1], rel=1e-6, abs=slack)
        assert axis @ scatter @ axis == pytest.approx(error, rel=1e-6, abs=slack)


def walk_at_random(boxes, clusters, rng, n_free, n_steps):
    """Split, merge, move and put back, and compare with brute force after each."""
    saved = clusters.snapshot()
    for _ in range(n_steps):
        n = int(rng.integers(1, n_free + 1))
        action = rng.integers(4)
        if action == 0:
            errors, axes = clusters.find_axes()
            chosen = rng.permutation(len(errors))[:n]
            clusters.split(chosen, errors, axes)
            clusters.descend(int(rng.integers(0, 4)), float(rng.choice([0.0, 0.3, 3.0])))
            check_against_brute_force(boxes, clusters)
            clusters.merge(len(chosen))
        elif action == 1:
            place = rng.integers(0, len(clusters.centroids), 1)
            clusters.place(place, rng.integers(0, 256, (1, 3), dtype=np.uint8))
        elif action == 2:
            clusters.settle()
        else:
            clusters.restore(saved)
        clusters.descend(int(rng.integers(0, 4)), float(rng.choice([0.0, 0.3, 3.0])))
        check_against_brute_force(boxes, clusters)
        if rng.random() < 0.3:
            saved = clusters.snapshot()


@settings(max_examples=60)
@given(
    colors=st.lists(COLOR, min_size=2, max_size=60, unique=True),
    start=st.lists(COLOR, min_size=2, max_size=12),
    seed=st.integers(0, 2**32),
)
def test_whatever_was_done_every_color_is_with_its_nearest_centroid(colors, start, seed):
    rng = np.random.default_rng(seed)
    boxes = make_boxes(colors, rng.integers(1, 1000, len(colors)))
    clusters = Clusters(boxes, len(start) + 3)
    clusters.start(np.array(start, dtype=float))
    clusters.descend(0, 0.0)
    check_against_brute_force(boxes, clusters)
    walk_at_random(boxes, clusters, rng, min(3, len(start) - 1), 6)


@pytest.mark.parametrize("k", [3, 20, 90])
def test_on_a_photograph_too(photo, k):
    rng = np.random.default_rng(k)
    boxes = ColorBoxes.from_histogram(ColorHistogram.from_pixels(photo[::5, ::5]))
    clusters = Clusters(boxes, k + 5)
    clusters.start(boxes.points[rng.permutation(len(boxes.points))[:k]].astype(float))
    clusters.descend(3, 0.3)
    check_against_brute_force(boxes, clusters)
    walk_at_random(boxes, clusters, rng, min(5, k - 1), 20)


def test_centroids_nearer_than_the_tolerance_stay():
    boxes = make_boxes([(0, 0, 0), (2, 0, 0), (100, 0, 0), (101, 0, 0)])
    clusters = Clusters(boxes, 2)
    clusters.start(np.array([[0.0, 0, 0], [100.5, 0, 0]]))
    assert clusters.descend(9, 1.0) == 0  # its mean is just 1 level away
    assert clusters.centroids.tolist() == [[0, 0, 0], [100.5, 0, 0]]
    assert clusters.descend(9, 0.9) == 1
    assert clusters.centroids.tolist() == [[1, 0, 0], [100.5, 0, 0]]
    assert clusters.inertia == 2.5


def test_splits_lie_on_the_longest_axis_a_deviation_from_the_mean():
    boxes = make_boxes([(10, 50, 9), (10, 90, 9), (10, 70, 10), (10, 70, 8)])
    clusters = Clusters(boxes, 2)
    clusters.start(np.array([[0.0, 0, 0]]))
    clusters.descend(5, 0.0)
    errors, axes = clusters.find_axes()
    assert errors.tolist() == [800]
    assert np.abs(axes).tolist() == [[0, 1, 0]]
    clusters.split(np.array([0]), errors, axes)
    deviation = np.sqrt(800 / 4)
    assert sorted(clusters.centroids[:, 1]) == pytest.approx([70 - deviation, 70 + deviation])


def test_clusters_without_a_pixel_are_merged_first():
    boxes = make_boxes([(10, 10, 10), (60, 60, 60), (200, 200, 200)])
    clusters = Clusters(boxes, 5)
    clusters.start(np.array([[10.0] * 3, [60.0] * 3, [200.0] * 3, [10.0] * 3, [255.0] * 3]))
    clusters.descend(5, 0.0)
    clusters.merge(2)
    clusters.descend(5, 0.0)
    assert clusters.centroids[:, 0].tolist() == [10, 60, 200]
    clusters.merge(1)
    clusters.descend(5, 0.0)
    assert clusters.centroids[:, 0].tolist() == [35, 200]


def test_sums_of_a_trillion_pixels_are_exact():
    boxes = make_boxes([(255, 255, 255), (253, 255, 255)], [10**12, 10**12])
    clusters = Clusters(boxes, 1)
    clusters.start(np.zeros((1, 3)))
    clusters.descend(9, 0.0)
    assert clusters.inertia == 2e12
    assert clusters.find_axes()[0].tolist() == pytest.approx([2e12], rel=1e-3)
