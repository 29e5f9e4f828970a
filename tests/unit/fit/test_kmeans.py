import itertools

import numpy as np
import pytest

from dask_quant.fit import kmeans
from dask_quant.fit.boxes import ColorBoxes
from dask_quant.fit.kmeans import _mix, choose_n_init, fit_centroids
from dask_quant.fit.lloyd import CentroidFit, iterate_lloyd
from dask_quant.histogram import ColorHistogram


def make_boxes(colors, counts=None):
    colors = np.asarray(colors, dtype=np.uint8)
    counts = np.ones(len(colors), dtype=np.int64) if counts is None else np.asarray(counts)
    return ColorBoxes.from_histogram(ColorHistogram.from_colors(colors, counts))


@pytest.fixture(scope="module")
def photo_boxes(photo):
    return ColorBoxes.from_histogram(ColorHistogram.from_pixels(photo[::2, ::2]))


def test_at_rest_every_centroid_is_the_mean_of_what_it_wins(photo_boxes):
    fit = fit_centroids(photo_boxes, n_centroids=8, n_init=1, tol=0)
    moments = photo_boxes.step(fit.centroids)
    np.testing.assert_array_equal(moments.sums / moments.weights[:, np.newaxis], fit.centroids)


def test_the_same_seed_fits_the_same_and_seeds_differ(photo_boxes):
    fits = [
        fit_centroids(photo_boxes, n_centroids=12, seed=seed, n_init=1) for seed in (3, 3, 4, 5)
    ]
    np.testing.assert_array_equal(fits[0].centroids, fits[1].centroids)
    assert fits[0].inertia == fits[1].inertia
    assert any(not np.array_equal(fits[0].centroids, fit.centroids) for fit in fits[2:])


def test_the_best_restart_wins_the_first_of_equals(photo_boxes, monkeypatch):
    inertias, found, starts = iter([5.0, 3.0, 4.0, 3.0]), [], []

    def search(boxes, fit):
        found.append(CentroidFit(fit.centroids, next(inertias), 1))
        return found[-1]

    def spy(boxes, centroids, **options):
        starts.append(centroids)
        return iterate_lloyd(boxes, centroids, **options)

    monkeypatch.setattr(kmeans, "breathe", search)
    monkeypatch.setattr(kmeans, "iterate_lloyd", spy)
    fit_centroids(photo_boxes, n_centroids=6, n_init=4)
    assert len(found) == 4
    assert starts[-1] is found[1].centroids


def test_more_restarts_never_end_with_more_error(photo_boxes):
    inertias = [
        fit_centroids(photo_boxes, n_centroids=5, n_init=n, tol=0).inertia for n in (1, 2, 4)
    ]
    # The search compares restarts before the last descent, which may swap near equals.
    assert all(b <= a * 1.001 for a, b in itertools.pairwise(inertias))


@pytest.mark.parametrize(("k", "most"), [(1, 8), (16, 8), (64, 2), (256, 1), (65_536, 1)])
def test_small_palettes_are_restarted_more_often(k, most):
    assert choose_n_init(k) == most


def test_every_restart_is_reported(photo_boxes):
    events = []
    fit_centroids(photo_boxes, n_centroids=3, n_init=3, listener=events.append)
    assert [(e.stage, e.done, e.total, e.unit) for e in events] == [
        ("fit", i, 3, "restarts") for i in (1, 2, 3)
    ]


def test_restarts_draw_from_streams_of_their_own():
    streams = {int(_mix(seed, restart)) for seed in range(200) for restart in range(20)}
    assert len(streams) == 200 * 20
    assert int(_mix(2**63 - 1, 3)) != int(_mix(2**63 - 2, 3))


@pytest.mark.parametrize("k", [1, 40, 41, 100])
def test_few_cells_are_seeded_from_their_colors(k):
    # Five cells of 125 colours: means of cells would be too few to start from.
    side = np.stack(np.meshgrid(*[np.arange(5)] * 3), axis=-1).reshape(-1, 3)
    colors = np.concatenate([side + 48 * i for i in range(5)])
    fit = fit_centroids(make_boxes(colors), n_centroids=k, n_init=1)
    assert len(np.unique(fit.centroids, axis=0)) == k
