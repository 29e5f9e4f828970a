"""Plain Lloyd iterations against NumPy's, and against OpenCV's where it is installed."""

import numpy as np
import pytest

from dask_quant.fit.boxes import ColorBoxes
from dask_quant.fit.fitting import fit_histogram
from dask_quant.fit.kmeans import fit_centroids
from dask_quant.fit.starts import choose_start
from dask_quant.fit_options import FitOptions
from dask_quant.histogram import ColorHistogram


@pytest.fixture(scope="module")
def pixels(photo):
    return photo[::6, ::6].reshape(-1, 3)


@pytest.fixture(scope="module")
def boxes(pixels):
    return ColorBoxes.from_histogram(ColorHistogram.from_pixels(pixels))


def iterate_plainly(pixels, centroids, max_iter, tol):
    """Lloyd's algorithm on every pixel: centroids, inertia, iterations."""

    def assign():
        distances = ((pixels[:, np.newaxis] - centroids) ** 2).sum(axis=2)
        return distances.argmin(axis=1), distances.min(axis=1).sum()

    labels, _ = assign()
    n_iter, shift = 0, np.inf
    while n_iter < max_iter and shift > tol:
        n_iter += 1
        means = np.array([pixels[labels == i].mean(axis=0) for i in range(len(centroids))])
        shift = np.linalg.norm(means - centroids, axis=1).max()
        centroids = means
        labels, inertia = assign()
    return centroids, inertia, n_iter


@pytest.mark.parametrize(("max_iter", "tol"), [(1, 0.0), (5, 0.0), (300, 0.0), (300, 1.0)])
def test_plain_iterations_are_those_of_numpy(pixels, boxes, max_iter, tol):
    start = pixels[[5, 900, 2000, 4000, 5500, 7000]].astype(float)
    init = tuple(map(tuple, start.tolist()))
    found = fit_centroids(boxes, n_centroids=6, init=init, max_iter=max_iter, tol=tol)
    centroids, inertia, n_iter = iterate_plainly(pixels.astype(float), start, max_iter, tol)
    np.testing.assert_allclose(found.centroids, centroids, rtol=1e-10)
    assert found.inertia == pytest.approx(inertia, rel=1e-10)
    assert found.n_iter == n_iter
    np.testing.assert_array_equal(found.rounded, np.rint(centroids))


def test_random_starts_fill_the_widened_box_of_the_colors(boxes):
    start = choose_start(boxes, 2000, "random", seed=3, restart=0)
    low, high = boxes.points.min(axis=0), boxes.points.max(axis=0).astype(float)
    third = (high - low) / 3
    assert (start >= low - third).all()
    assert (start <= high + third).all()
    np.testing.assert_allclose(start.mean(axis=0), (low + high) / 2, rtol=0.05)
    np.testing.assert_allclose(np.ptp(start, axis=0), high - low + 2 * third, rtol=0.02)
    assert not np.array_equal(start, choose_start(boxes, 2000, "random", seed=3, restart=1))


def test_a_centroid_that_wins_nothing_goes_to_the_largest_cluster():
    colors = np.array([[0, 0, 0], [10, 0, 0], [16, 0, 0], [200, 0, 0]], dtype=np.uint8)
    histogram = ColorHistogram.from_colors(colors, np.array([50, 3, 1, 9]))
    boxes = ColorBoxes.from_histogram(histogram)
    init = ((5.0, 0.0, 0.0), (200.0, 0.0, 0.0), (0.0, 255.0, 255.0))
    found = fit_centroids(boxes, n_centroids=3, init=init, max_iter=1, tol=0.0)
    # It takes the farthest colour of the cluster of 54 pixels, and there is where it stands.
    assert found.centroids[2].tolist() == [16, 0, 0]
    assert found.centroids[0].tolist() == [pytest.approx(46 / 54), 0, 0]


def test_more_starts_are_never_worse(boxes):
    errors = [
        fit_centroids(boxes, n_centroids=12, init="random", seed=1, n_init=n, max_iter=4).inertia
        for n in (1, 2, 4, 8)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0]


def test_a_search_finds_less_error_than_random_starts(boxes):
    searched = fit_centroids(boxes, n_centroids=32)
    plain = fit_centroids(boxes, n_centroids=32, init="random")
    assert searched.inertia < plain.inertia


@pytest.mark.parametrize("n_colors", [2, 8, 25])
def test_random_starts_end_at_the_error_of_opencv(pixels, n_colors):
    cv2 = pytest.importorskip("cv2")
    rule = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 10, 1.0)
    rows, histogram = pixels.astype(np.float32), ColorHistogram.from_pixels(pixels)
    theirs, ours = [], []
    for seed in range(8):
        cv2.setRNGSeed(seed)
        centers = cv2.kmeans(rows, n_colors, None, rule, 10, cv2.KMEANS_RANDOM_CENTERS)[2]
        distances = ((rows[:, np.newaxis] - centers) ** 2).sum(axis=2)
        theirs.append(distances.min(axis=1).mean())
        options = FitOptions(
            n_colors=n_colors, init="random", n_init=10, max_iter=10, tol=1.0, seed=seed
        )
        ours.append(fit_histogram(histogram, options).squared_error / len(pixels))
    # Means of eight differ by some two percent, by the draw alone.
    assert np.mean(ours) == pytest.approx(np.mean(theirs), rel=0.06)
