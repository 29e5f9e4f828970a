import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_quant.fit.boxes import ColorBoxes
from dask_quant.fit.clusters import Clusters
from dask_quant.fit.lloyd import iterate_lloyd
from dask_quant.histogram import ColorHistogram

LEVEL = st.integers(0, 255)
COLOR = st.tuples(LEVEL, LEVEL, LEVEL)


def make_boxes(colors, counts=None):
    colors = np.asarray(colors, dtype=np.uint8)
    counts = np.ones(len(colors), dtype=np.int64) if counts is None else np.asarray(counts)
    return ColorBoxes.from_histogram(ColorHistogram.from_colors(colors, counts))


@pytest.fixture(scope="module")
def photo_boxes(photo):
    return ColorBoxes.from_histogram(ColorHistogram.from_pixels(photo[::2, ::2]))


def inertia_of(boxes, centroids):
    distance = ((boxes.points[:, np.newaxis].astype(float) - centroids) ** 2).sum(axis=2)
    return float((boxes.weights * distance.min(axis=1)).sum())


def rest(boxes, centroids, **options):
    """Clusters that Lloyd's algorithm left, and the iterations that it made."""
    clusters = Clusters(boxes, len(centroids))
    clusters.start(centroids)
    return clusters, iterate_lloyd(boxes, clusters, **options)


def walk(boxes, centroids, n_steps):
    """Inertias along ``n_steps`` Lloyd steps taken one at a time."""
    inertias = [inertia_of(boxes, centroids)]
    for _ in range(n_steps):
        centroids = rest(boxes, centroids, max_iter=1, tol=0)[0].centroids
        inertias.append(inertia_of(boxes, centroids))
    return inertias


def assert_never_rises(inertias):
    slack = 1e-9 * max(inertias[0], 1.0)
    assert all(after <= before + slack for before, after in itertools.pairwise(inertias))


@given(
    colors=st.lists(COLOR, min_size=1, max_size=50, unique=True),
    start=st.lists(COLOR, min_size=1, max_size=12),  # repeated, outside of all: anything
    data=st.data(),
)
def test_a_lloyd_step_never_raises_inertia(colors, start, data):
    counts = data.draw(st.lists(st.integers(1, 1000), min_size=len(colors), max_size=len(colors)))
    start = np.array(start[: len(colors)], dtype=float)
    assert_never_rises(walk(make_boxes(colors, counts), start, 6))


@pytest.mark.parametrize("k", [2, 16, 64])
def test_a_lloyd_step_on_a_photograph_never_raises_inertia(photo_boxes, k):
    points = photo_boxes.points
    start = points[np.random.default_rng(k).permutation(len(points))[:k]].astype(float)
    inertias = walk(photo_boxes, start, 8)
    assert_never_rises(inertias)
    assert inertias[-1] < inertias[0]


BAD_STARTS = {
    "all at one place": lambda k: np.full((k, 3), 128.0),
    "all far outside": lambda k: np.arange(3.0 * k).reshape(k, 3) + 1e6,
    "pairs": lambda k: np.repeat(np.linspace(0, 255, -(-k // 2)), 2)[:k, np.newaxis].repeat(3, 1),
    "one inside": lambda k: np.concatenate([[[9.0, 9, 9]], np.full((k - 1, 3), -500.0)]),
}


@pytest.mark.parametrize("start", BAD_STARTS.values(), ids=BAD_STARTS.keys())
@pytest.mark.parametrize("k", [1, 2, 7, 30])
def test_no_centroid_stays_empty_or_leaves_the_gamut(start, k):
    colors = np.random.default_rng(0).integers(0, 256, (200, 3))
    colors[:60] = 40 + colors[:60] % 3  # a dense clump
    boxes = make_boxes(colors)
    clusters, _ = rest(boxes, start(k), max_iter=300, tol=0)
    centroids = clusters.centroids
    assert np.isfinite(centroids).all()
    assert (centroids >= boxes.points.min(axis=0)).all()
    assert (centroids <= boxes.points.max(axis=0)).all()
    assert boxes.assign(centroids).count(k).all()
    inertia = clusters.measure_inertia(centroids)
    assert inertia == pytest.approx(inertia_of(boxes, centroids), rel=1e-9)


def test_as_many_centroids_as_colors_end_on_them():
    colors = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (255, 255, 255), (7, 7, 7)]
    boxes = make_boxes(colors, [5, 1, 1, 10**6, 2])
    clusters, _ = rest(boxes, np.zeros((5, 3)), max_iter=50, tol=0)
    assert sorted(map(tuple, clusters.centroids.tolist())) == sorted(colors)
    assert clusters.measure_inertia(clusters.centroids) == 0.0


def test_iterations_and_tolerance_are_kept_to(photo_boxes):
    start = photo_boxes.points[:: len(photo_boxes.points) // 7][:6].astype(float)
    assert rest(photo_boxes, start, max_iter=3, tol=0)[1] == 3
    _, loose = rest(photo_boxes, start, max_iter=300, tol=5.0)
    _, tight = rest(photo_boxes, start, max_iter=300, tol=0.01)
    assert loose < tight < 300
    ends = [rest(photo_boxes, start, max_iter=tight - i, tol=0)[0].centroids for i in range(3)]
    shifts = [
        np.sqrt(((after - before) ** 2).sum(axis=1)).max()
        for after, before in itertools.pairwise(ends)
    ]
    assert shifts[0] <= 0.01 < shifts[1]
