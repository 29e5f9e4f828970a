"""Mini-batches against plain loops over the same draws."""

import numpy as np
import pytest

from dask_quant.fit.methods.mini_batch import BATCH_PIXELS, fit_mini_batches
from dask_quant.fit.search import mix_seed
from dask_quant.fit_options import FitOptions
from dask_quant.kernels.mini_batch import move_centroids_block
from dask_quant.kernels.seed import draw_block


def fit(boxes, **options):
    options = FitOptions(n_colors=3, method="mini-batch", **options)
    return fit_mini_batches(boxes, options, lambda event: None)


def test_a_centroid_is_the_mean_of_all_that_it_won():
    rng = np.random.default_rng(0)
    centroids, counts = np.zeros((4, 3)), np.zeros(4, dtype=np.int64)
    won = {label: [] for label in range(4)}
    for _ in range(3):
        rows = rng.uniform(0, 255, (50, 3))
        labels = rng.integers(0, 3, 50).astype(np.int32)  # the last wins nothing
        before = centroids.copy()
        shift = move_centroids_block(centroids, counts, rows, labels)
        assert shift == pytest.approx(np.linalg.norm(centroids - before, axis=1).max())
        for row, label in zip(rows, labels, strict=True):
            won[int(label)].append(row)
    for label in range(3):
        np.testing.assert_allclose(centroids[label], np.mean(won[label], axis=0))
        assert counts[label] == len(won[label])
    assert (centroids[3] == 0).all()


def test_mini_batches_are_plain_loops_over_drawn_pixels(weighted):
    _, boxes = weighted
    start = ((10.0, 20.0, 30.0), (120.0, 100.0, 140.0), (250.0, 200.0, 220.0))
    found, n_iter = fit(boxes, init=start, max_iter=4, seed=5)
    assert n_iter == 4
    pixels = np.repeat(boxes.points, boxes.weights, axis=0)
    centroids, counts = np.array(start), np.zeros(3)
    for step in range(4):
        draws = draw_block(BATCH_PIXELS, mix_seed(int(mix_seed(5, 0)), step + 1))
        rows = pixels[(draws * len(pixels)).astype(int)].astype(float)
        labels = ((rows[:, np.newaxis] - centroids) ** 2).sum(axis=2).argmin(axis=1)
        for row, label in zip(rows, labels, strict=True):
            counts[label] += 1
            centroids[label] += (row - centroids[label]) / counts[label]
    np.testing.assert_allclose(found, centroids, rtol=1e-12)


def test_a_tolerance_ends_the_mini_batches(weighted):
    _, boxes = weighted
    assert fit(boxes)[1] > fit(boxes, tol=3.0)[1] >= 1
    assert fit(boxes, tol=1000.0)[1] == 1


def test_the_best_of_several_starts_is_kept(weighted):
    _, boxes = weighted
    gains = []
    for seed in range(4):
        found = [fit(boxes, max_iter=1, init="random", seed=seed, n_init=n) for n in (1, 2, 3)]
        errors = [boxes.assign(centroids).squared_error for centroids, _ in found]
        assert errors == sorted(errors, reverse=True)
        assert [n_iter for _, n_iter in found] == [1, 2, 3]
        gains.append(errors[0] - errors[-1])
    assert max(gains) > 0


def test_the_seed_decides(weighted):
    _, boxes = weighted
    first, again, other = (fit(boxes, seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
