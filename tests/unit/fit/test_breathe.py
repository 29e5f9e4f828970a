from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_quant.fit.boxes import ColorBoxes
from dask_quant.fit.breathe import breathe
from dask_quant.fit.kmeans import fit_centroids
from dask_quant.fit.lloyd import CentroidFit, iterate_lloyd
from dask_quant.histogram import ColorHistogram


def make_boxes(colors, counts=None):
    colors = np.asarray(colors, dtype=np.uint8)
    counts = np.ones(len(colors), dtype=np.int64) if counts is None else np.asarray(counts)
    return ColorBoxes.from_histogram(ColorHistogram.from_colors(colors, counts))


def inertia_of(boxes, centroids):
    distance = ((boxes.points[:, np.newaxis].astype(float) - centroids) ** 2).sum(axis=2)
    return float((boxes.weights * distance.min(axis=1)).sum())


COLORS = st.lists(st.tuples(*[st.integers(0, 20)] * 3), min_size=1, max_size=40, unique=True)


@settings(max_examples=60)
@given(colors=COLORS, data=st.data())
def test_the_search_never_ends_worse_and_keeps_the_number(colors, data):
    boxes = make_boxes(colors)
    k = data.draw(st.integers(1, len(colors)))
    start = data.draw(st.permutations(colors))[:k]
    if data.draw(st.booleans()):
        start = [start[0]] * k  # a start that Lloyd must repair first
    fit = iterate_lloyd(boxes, np.array(start, dtype=float), max_iter=30, tol=0.3)
    found = breathe(boxes, fit)
    assert found.centroids.shape == (k, 3)
    assert np.isfinite(found.centroids).all()
    assert found.inertia <= fit.inertia
    scale = max(1.0, float(boxes.sum_squares))
    assert abs(found.inertia - inertia_of(boxes, found.centroids)) <= 1e-9 * scale
    assert found.n_iter >= fit.n_iter


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
    start = np.concatenate([clumps[0][:5], clumps[5][:1]]).astype(float)
    stuck = iterate_lloyd(boxes, start, max_iter=300, tol=0)
    found = breathe(boxes, stuck)
    assert found.inertia < stuck.inertia / 20
    nearest = np.sqrt(((found.centroids - np.array(centers)[:, np.newaxis]) ** 2).sum(axis=2))
    assert (nearest.min(axis=1) < 5).all()


@pytest.mark.parametrize("k", [1, 2, 3, 16, 40])
def test_the_search_repeats_itself_to_the_bit(photo, k):
    boxes = ColorBoxes.from_histogram(ColorHistogram.from_pixels(photo[::6, ::6]))
    start = boxes.points[:: len(boxes.points) // k][:k].astype(float)
    fit = iterate_lloyd(boxes, start, max_iter=5, tol=0.3)
    first, second = breathe(boxes, fit), breathe(boxes, fit)
    np.testing.assert_array_equal(first.centroids, second.centroids)
    assert (first.inertia, first.n_iter) == (second.inertia, second.n_iter)


@pytest.mark.parametrize("change", [0.0, 1e-9, 5.0])
def test_a_breath_that_gains_nothing_is_not_taken(monkeypatch, change):
    boxes = make_boxes(np.arange(60).reshape(20, 3))
    fit = iterate_lloyd(boxes, boxes.points[:8].astype(float), max_iter=9, tol=0)
    breaths = []

    def breathe_out(boxes, split, n_merges):
        breaths.append(n_merges)
        return CentroidFit(np.zeros((8, 3)), fit.inertia + change, 2)

    monkeypatch.setattr("dask_quant.fit.breathe._merge", breathe_out)
    found = breathe(boxes, fit)
    assert found.centroids is fit.centroids
    assert found.inertia == fit.inertia
    assert breaths == [5, 2, 1]  # ever fewer, to none
    assert found.n_iter == fit.n_iter + 6


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
        assert fit.n_iter < 5000


def test_nearly_as_many_centroids_as_colors_are_found_soon():
    # Clusters without a pixel cost nothing to merge: pairing them all took minutes.
    rng = np.random.default_rng(0)
    colors = np.unique(rng.integers(0, 256, (1050, 3), dtype=np.uint8), axis=0)
    boxes = make_boxes(colors, rng.integers(1, 50, len(colors)))
    fit = fit_centroids(boxes, n_centroids=1024)
    assert (boxes.step(fit.centroids).weights > 0).all()
