import itertools

import numpy as np
import pytest

from dask_quant.fit.boxes import ColorBoxes
from dask_quant.fit.clusters import Clusters
from dask_quant.fit.kmeans import fit_centroids
from dask_quant.fit.search import mix_seed
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
    clusters = Clusters(photo_boxes, 8)
    clusters.start(fit.centroids)
    clusters.descend(0, 0.0)
    np.testing.assert_array_equal(clusters.means, fit.centroids)


def test_the_same_seed_fits_the_same_and_seeds_differ(photo_boxes):
    fits = [
        fit_centroids(photo_boxes, n_centroids=12, seed=seed, n_init=1) for seed in (3, 3, 4, 5)
    ]
    np.testing.assert_array_equal(fits[0].centroids, fits[1].centroids)
    assert fits[0].inertia == fits[1].inertia
    assert any(not np.array_equal(fits[0].centroids, fit.centroids) for fit in fits[2:])


def test_more_restarts_never_end_with_more_error(photo_boxes):
    inertias = [
        fit_centroids(photo_boxes, n_centroids=5, n_init=n, tol=0).inertia for n in (1, 2, 4)
    ]
    # The search compares restarts before the last descent, which may swap near equals.
    assert all(b <= a * 1.001 for a, b in itertools.pairwise(inertias))


def test_every_round_is_reported(photo_boxes):
    events = []
    fit_centroids(photo_boxes, n_centroids=3, n_init=3, listener=events.append)
    assert {(e.stage, e.total, e.unit) for e in events} == {("fit", events[-1].total, "rounds")}
    n_rounds = events[-1].total
    assert [e.done for e in events] == [*range(1, n_rounds + 1), n_rounds]
    assert len(events) > 3  # restarts, and then disturbances


def test_the_error_that_is_told_falls_to_that_of_the_fit(photo_boxes):
    events = []
    fit = fit_centroids(photo_boxes, n_centroids=12, listener=events.append)
    errors = [event.error for event in events]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == pytest.approx(fit.inertia / photo_boxes.weights.sum(), rel=1e-12)
    assert errors[0] < 1.3 * errors[-1]
    palettes = [event.palette for event in events if event.palette is not None]
    assert {len(palette) for palette in palettes} == {12}
    assert events[-1].done == events[-1].total


def test_boxes_of_means_know_how_far_colours_are_from_them():
    boxes = make_boxes([[0, 0, 0], [1, 2, 3], [200, 0, 0], [203, 0, 1]], [1, 3, 5, 5])
    coarse = boxes.coarsen(8)
    assert len(coarse.points) == 2
    first = 1 * (0.75**2 + 1.5**2 + 2.25**2) + 3 * (0.25**2 + 0.5**2 + 0.75**2)
    second = 10 * (1.5**2 + 0.5**2)
    assert coarse.within == pytest.approx(first + second)
    assert boxes.within == 0.0


@pytest.mark.parametrize("k", [6, 48])
def test_more_effort_ends_with_less_error(photo_boxes, k):
    fast, default, best = (
        fit_centroids(photo_boxes, n_centroids=k, effort=effort).inertia
        for effort in ("fast", "default", "best")
    )
    assert best <= default * 1.0005  # each is rounded off by a last descent of its own
    assert default <= fast * 1.0005
    assert best < fast


def test_restarts_draw_from_streams_of_their_own():
    streams = {int(mix_seed(seed, restart)) for seed in range(200) for restart in range(20)}
    assert len(streams) == 200 * 20
    assert int(mix_seed(2**63 - 1, 3)) != int(mix_seed(2**63 - 2, 3))


@pytest.mark.parametrize("k", [1, 40, 41, 100])
def test_few_cells_are_seeded_from_their_colors(k):
    # Five cells of 125 colours: means of cells would be too few to start from.
    side = np.stack(np.meshgrid(*[np.arange(5)] * 3), axis=-1).reshape(-1, 3)
    colors = np.concatenate([side + 48 * i for i in range(5)])
    fit = fit_centroids(make_boxes(colors), n_centroids=k, n_init=1)
    assert len(np.unique(fit.centroids, axis=0)) == k
