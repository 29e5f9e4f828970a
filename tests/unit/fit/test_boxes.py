import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_quant.fit import boxes as module
from dask_quant.fit.boxes import ColorBoxes
from dask_quant.fit.clusters import Clusters
from dask_quant.histogram import ColorHistogram

LEVEL = st.sampled_from([0, 1, 2, 7, 8, 9, 31, 32, 100, 128, 255])
WEIGHTED = st.dictionaries(
    st.tuples(LEVEL, LEVEL, LEVEL), st.integers(1, 10**9), min_size=1, max_size=60
)
# Integers and halves: many centroids as near as another, some of them equal.
CENTROIDS = st.lists(
    st.tuples(*[st.integers(-2, 514).map(lambda n: n / 2)] * 3), min_size=1, max_size=12
).map(np.array)


def make_boxes(weighted):
    colors = np.array(list(weighted), dtype=np.uint8)
    counts = np.array(list(weighted.values()), dtype=np.int64)
    return ColorBoxes.from_histogram(ColorHistogram.from_colors(colors, counts))


def photo_boxes(photo):
    return ColorBoxes.from_histogram(ColorHistogram.from_pixels(photo))


def step_by_brute_force(boxes, centroids):
    """Weights, sums and inertia by comparing every colour with every centroid, bands in order."""
    nearest = np.zeros(len(boxes.points), dtype=np.int64)
    best = np.full(len(boxes.points), np.inf)
    for index, (c0, c1, c2) in enumerate(centroids):
        d0, d1, d2 = c0 - boxes.points[:, 0], c1 - boxes.points[:, 1], c2 - boxes.points[:, 2]
        distance = d0 * d0 + d1 * d1 + d2 * d2
        closer = distance < best
        nearest[closer], best[closer] = index, distance[closer]
    weights = np.zeros(len(centroids), dtype=np.int64)
    sums = np.zeros((len(centroids), 3), dtype=np.int64)
    np.add.at(weights, nearest, boxes.weights)
    np.add.at(sums, nearest, boxes.weights[:, np.newaxis] * boxes.points.astype(np.int64))
    return weights, sums, float((boxes.weights * best).sum())


def check_step(boxes, centroids):
    weights, sums, inertia = step_by_brute_force(boxes, centroids)
    clusters = Clusters(boxes, len(centroids))
    clusters.start(centroids)
    clusters.descend(0, 0.0)
    np.testing.assert_array_equal(clusters.weights, weights)
    np.testing.assert_array_equal(clusters.sums, sums)
    scale = max(1.0, float(boxes.sum_squares))
    assert abs(clusters.measure_inertia(centroids) - inertia) <= 1e-11 * scale


@given(weighted=WEIGHTED, centroids=CENTROIDS)
def test_a_pruned_step_equals_brute_force(weighted, centroids):
    check_step(make_boxes(weighted), centroids)


@pytest.mark.parametrize("k", [1, 2, 16, 64, 256])
def test_a_pruned_step_on_a_photograph_equals_brute_force(photo, k):
    boxes = photo_boxes(photo)
    rng = np.random.default_rng(k)
    check_step(boxes, boxes.points[rng.permutation(len(boxes.points))[:k]].astype(float))
    check_step(boxes, rng.uniform(0, 255, (k, 3)))


def test_boxes_hold_every_color_with_its_weight(photo):
    histogram = ColorHistogram.from_pixels(photo)
    boxes = ColorBoxes.from_histogram(histogram)
    assert ColorHistogram.from_colors(boxes.points, boxes.weights) == histogram
    levels = photo.reshape(-1, 3).astype(np.int64)
    assert boxes.sum_squares == (levels**2).sum()
    np.testing.assert_array_equal(boxes.cell_sums.sum(axis=0), levels.sum(axis=0))
    assert boxes.cell_weights.sum() == len(levels)


def check_boxes(boxes):
    """Compare bounds and moments of every cell, and bounds of every block, with its colours."""
    spans = np.stack([boxes.starts[:-1], boxes.starts[1:]], axis=1)
    for cell, (begin, end) in enumerate(spans):
        points = boxes.points[begin:end].astype(np.int64)
        weights = boxes.weights[begin:end]
        assert boxes.low[cell].tolist() == points.min(axis=0).tolist()
        assert boxes.high[cell].tolist() == points.max(axis=0).tolist()
        assert len(np.unique(points // 8, axis=0)) == 1
        r, g, b = points.T
        terms = [np.ones_like(r), r, g, b, r * r, g * g, b * b, r * g, r * b, g * b]
        assert boxes.cell_moments[cell].tolist() == [int((weights * t).sum()) for t in terms]
    for block in range(len(boxes.block_starts) - 1):
        own = slice(boxes.block_starts[block], boxes.block_starts[block + 1])
        assert (boxes.block_low[block] == boxes.low[own].min(axis=0)).all()
        assert (boxes.block_high[block] == boxes.high[own].max(axis=0)).all()


@given(weighted=WEIGHTED)
def test_boxes_are_tight_and_moments_exact(weighted):
    check_boxes(make_boxes(weighted))


# Entries on a lattice, colours on one twice as fine: half of all colours lie between entries.
COARSE, FINE = (st.integers(0, 17).map(lambda n, by=by: n % (16 // by + 1) * by) for by in (4, 2))


@given(
    weighted=st.dictionaries(
        st.tuples(FINE, FINE, FINE), st.integers(1, 9), min_size=1, max_size=60
    ),
    palette=st.lists(st.tuples(COARSE, COARSE, COARSE), min_size=1, max_size=20, unique=True),
)
def test_assignment_is_the_nearest_entry_lowest_on_ties(weighted, palette, label_oracle):
    boxes = make_boxes(weighted)
    assigned = boxes.assign(np.array(palette, dtype=np.uint8))
    labels, distances = label_oracle(boxes.points, palette)
    np.testing.assert_array_equal(assigned.labels, labels)
    np.testing.assert_array_equal(assigned.distances, distances)
    counts = [int(boxes.weights[labels == i].sum()) for i in range(len(palette))]
    assert assigned.count(len(palette)).tolist() == counts
    assert assigned.squared_error == int((boxes.weights * distances).sum())


@given(
    weighted=st.dictionaries(
        st.tuples(FINE, FINE, FINE), st.integers(1, 9), min_size=1, max_size=60
    ),
    palette=st.lists(st.tuples(COARSE, COARSE, COARSE), min_size=1, max_size=20, unique=True),
)
def test_ties_are_all_pairs_of_a_color_and_a_nearest_entry(weighted, palette):
    boxes = make_boxes(weighted)
    assigned, ties = boxes.assign_with_ties(np.array(palette, dtype=np.uint8))
    distances = ((boxes.points[:, np.newaxis].astype(int) - palette) ** 2).sum(axis=2)
    is_nearest = distances == distances.min(axis=1, keepdims=True)
    expected = np.argwhere(is_nearest & (is_nearest.sum(axis=1, keepdims=True) > 1))
    np.testing.assert_array_equal(np.stack([ties.colors, ties.entries], axis=1), expected)
    np.testing.assert_array_equal(assigned.labels, is_nearest.argmax(axis=1))


@pytest.mark.parametrize("k", [256, 257, 1000])
def test_assignment_to_large_palettes(photo, k, label_oracle):
    boxes = photo_boxes(photo[:100, :200])
    palette = np.random.default_rng(k).integers(0, 256, (k, 3), dtype=np.uint8)
    labels, distances = label_oracle(boxes.points, palette)
    assigned = boxes.assign(palette)
    np.testing.assert_array_equal(assigned.labels, labels)
    np.testing.assert_array_equal(assigned.distances, distances)


def test_sums_of_a_trillion_pixels_do_not_overflow():
    boxes = make_boxes({(255, 255, 255): 10**12, (0, 0, 0): 1})
    clusters = Clusters(boxes, 2)
    clusters.start(np.array([[0.0, 0, 0], [255, 255, 255]]))
    clusters.descend(0, 0.0)
    assert clusters.sums.tolist() == [[0, 0, 0], [255 * 10**12] * 3]
    assert boxes.sum_squares == 3 * 255**2 * 10**12
    assert boxes.assign(np.zeros((1, 3), np.uint8)).squared_error == 3 * 255**2 * 10**12


@given(weighted=WEIGHTED, side=st.sampled_from([2, 4, 8]))
def test_coarse_points_are_the_means_of_small_cubes(weighted, side):
    boxes = make_boxes(weighted)
    coarse = boxes.coarsen(side)
    check_boxes(coarse)
    cubes = {}
    for color, weight in weighted.items():
        cubes.setdefault(tuple(level // side for level in color), []).append((color, weight))
    assert len(coarse.points) == len(cubes)
    found = [
        (tuple(level // side for level in color), color, weight)
        for color, weight in zip(coarse.points.tolist(), coarse.weights.tolist(), strict=True)
    ]
    for cube, color, weight in found:
        members = cubes[cube]
        assert weight == sum(w for _, w in members)
        mean = [sum(c[band] * w for c, w in members) / weight for band in range(3)]
        assert np.abs(np.subtract(color, mean)).max() <= 0.5
    assert coarse.weights.sum() == boxes.weights.sum()


@given(weighted=WEIGHTED, palette=CENTROIDS, n=st.integers(1, 70), width=st.integers(1, 70))
def test_the_worst_colors_are_those_of_a_stable_sort(weighted, palette, n, width):
    boxes = make_boxes(weighted)
    assigned = boxes.assign(np.clip(palette, 0, 255).astype(np.uint8))
    errors = boxes.weights * assigned.distances
    expected = [i for i in np.argsort(-errors, kind="stable")[:n].tolist() if errors[i] > 0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SLICE", width)
        assert assigned.find_worst(n).tolist() == expected
        assert assigned.squared_error == errors.sum()
        counts = np.bincount(assigned.labels, boxes.weights, len(palette))
        assert assigned.count(len(palette)).tolist() == counts.tolist()
