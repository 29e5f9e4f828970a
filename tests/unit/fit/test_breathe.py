from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_quant.fit.boxes import ColorBoxes
from dask_quant.fit.breathe import breathe, disturb
from dask_quant.fit.clusters import Clusters
from dask_quant.fit.kmeans import fit_centroids
from dask_quant.fit.search import mix_seed
from dask_quant.histogram import ColorHistogram


def make_boxes(colors, counts=None):
    colors = np.asarray(colors, dtype=np.uint8)
    counts = np.ones(len(colors), dtype=np.int64) if counts is None else np.asarray(counts)
    return ColorBoxes.from_histogram(ColorHistogram.from_colors(colors, counts))


def inertia_of(boxes, centroids):
    distance = ((boxes.points[:, np.newaxis].astype(float) - centroids) ** 2).sum(axis=2)
    return float((boxes.weights * distance.min(axis=1)).sum())


COLORS = st.lists(st.tuples(*[st.integers(0, 20)] * 3), min_size=1, max_size=40, unique=True)


def start_clusters(boxes, start, n_free=10):
    clusters = Clusters(boxes, len(start) + n_free)
    clusters.start(np.asarray(start, dtype=float))
    clusters.descend(30, 0.3)
    return clusters


def count_free(boxes, k):
    return min(5, k - 1, len(boxes.points) - k)


@settings(max_examples=60)
@given(colors=COLORS, data=st.data())
def test_the_search_never_ends_worse_and_keeps_the_number(colors, data):
    boxes = make_boxes(colors)
    k = data.draw(st.integers(1, len(colors)))
    start = data.draw(st.permutations(colors))[:k]
    if data.draw(st.booleans()):
        start = [start[0]] * k  # all but one win nothing
    clusters = start_clusters(boxes, start)
    n_splits = count_free(boxes, k)
    before = clusters.inertia
    assert breathe(clusters, n_splits) >= 0
    breathed = clusters.inertia
    if n_splits:
        disturb(clusters, n_splits, np.uint64(data.draw(st.integers(0, 99))))
    assert clusters.means.shape == (k, 3)
    assert np.isfinite(clusters.means).all()
    assert clusters.inertia <= breathed <= before
    scale = 1e-9 * max(1.0, float(boxes.sum_squares))
    assert inertia_of(boxes, clusters.means) <= clusters.inertia + scale


def test_a_bad_local_optimum_is_left():
    # Six tight clumps; all but one centroid start in the first of them, where Lloyd leaves them.
    rng = np.random.default_rng(0)
    centers = [
        (20, 20, 20),
        (20, 20, 230),
        (20, 230, 20),
        (230, 20, 20),
        (230, 230, 20),
        (230,) * 3,
    ]
    clumps = [center + rng.integers(-4, 5, (40, 3)) for center in np.array(centers)]
    boxes = make_boxes(np.unique(np.concatenate(clumps), axis=0))
    clusters = start_clusters(boxes, np.concatenate([clumps[0][:5], clumps[5][:1]]))
    stuck = clusters.inertia
    breathe(clusters, 5)
    assert clusters.inertia < stuck / 20
    nearest = np.sqrt(((clusters.means - np.array(centers)[:, np.newaxis]) ** 2).sum(axis=2))
    assert (nearest.min(axis=1) < 5).all()


@pytest.mark.parametrize("k", [2, 3, 16, 40])
def test_the_search_repeats_itself_to_the_bit(photo, k):
    boxes = ColorBoxes.from_histogram(ColorHistogram.from_pixels(photo[::6, ::6]))
    start = boxes.points[:: len(boxes.points) // k][:k]
    found = []
    for _ in range(2):
        clusters = start_clusters(boxes, start)
        n_iter = [breathe(clusters, min(5, k - 1)), disturb(clusters, 1, np.uint64(7))]
        found.append((clusters.means.tobytes(), clusters.inertia, n_iter))
    assert found[0] == found[1]


def test_what_is_not_better_is_put_back(photo, monkeypatch):
    boxes = ColorBoxes.from_histogram(ColorHistogram.from_pixels(photo[::6, ::6]))
    clusters = start_clusters(boxes, boxes.points[:: len(boxes.points) // 16][:16])
    restore, put_back = Clusters.restore, []

    def look(self, saved):
        worse = self.inertia
        restore(self, saved)
        put_back.append((worse, self.inertia))
        check = inertia_of(boxes, self.means)
        assert check <= self.inertia * (1 + 1e-9)

    monkeypatch.setattr(Clusters, "restore", look)
    breathe(clusters, 5)
    breathed = clusters.inertia
    disturb(clusters, 2, np.uint64(1))
    assert any(worse > better for worse, better in put_back)
    assert all(worse >= better for worse, better in put_back)
    assert clusters.inertia <= breathed <= put_back[0][1]


def test_disturbances_find_what_breaths_do_not(photo):
    boxes = ColorBoxes.from_histogram(ColorHistogram.from_pixels(photo[::4, ::4]))
    start = boxes.points[:: len(boxes.points) // 48][:48]
    clusters = start_clusters(boxes, start, n_free=12)
    breathe(clusters, 12)
    breathed = clusters.inertia
    for number in range(12):
        disturb(clusters, 6, mix_seed(0, number))
    assert clusters.inertia < breathed * 0.9995


def make_uneven_boxes(seed, common=10**10):
    """Return thirty colours or so; most stand for billions of pixels, the rest for one each."""
    rng = np.random.default_rng(seed)
    colors = np.unique(rng.integers(0, 256, (30, 3), dtype=np.uint8), axis=0)
    return make_boxes(colors, np.where(rng.random(len(colors)) < 0.6, common, 1))


@pytest.mark.parametrize("seed", range(8))
def test_inertia_is_right_where_billions_of_pixels_lie_on_their_centroids(seed):
    boxes = make_uneven_boxes(seed)
    fit = fit_centroids(boxes, n_centroids=len(boxes.points) - 1, seed=seed)
    labels = boxes.assign(fit.centroids).labels
    exact = sum(
        int(weight) * sum((int(a) - Fraction(b)) ** 2 for a, b in zip(point, centroid, strict=True))
        for point, weight, centroid in zip(
            boxes.points, boxes.weights, fit.centroids[labels].tolist(), strict=True
        )
    )
    assert fit.inertia == pytest.approx(float(exact), rel=1e-6, abs=1e-3)


def test_the_search_ends_where_a_gain_could_be_rounding_error():
    # A breath that gains nothing must count as a failure also when the inertia is nearly 0.
    for seed in range(40):
        boxes = make_uneven_boxes(seed)
        fit = fit_centroids(boxes, n_centroids=len(boxes.points) - 1, n_init=8, seed=seed)
        assert fit.inertia >= 0
        assert fit.n_iter < 20_000


def test_nearly_as_many_centroids_as_colors_are_found_soon():
    # Clusters without a pixel cost nothing to merge: pairing them all took minutes.
    rng = np.random.default_rng(0)
    colors = np.unique(rng.integers(0, 256, (1050, 3), dtype=np.uint8), axis=0)
    boxes = make_boxes(colors, rng.integers(1, 50, len(colors)))
    fit = fit_centroids(boxes, n_centroids=1024)
    assert boxes.assign(fit.centroids).count(1024).all()
