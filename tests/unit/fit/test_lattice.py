"""Rounded centroids: no worse than rounding each, and nothing near that is better."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_quant.fit.boxes import ColorBoxes
from dask_quant.fit.clusters import Clusters
from dask_quant.fit.lattice import round_clusters
from dask_quant.fit.lloyd import iterate_lloyd
from dask_quant.histogram import ColorHistogram

LEVEL = st.integers(0, 255)
COLOR = st.tuples(LEVEL, LEVEL, LEVEL)


def make_boxes(colors, counts):
    return ColorBoxes.from_histogram(
        ColorHistogram.from_colors(np.array(colors, dtype=np.uint8), counts)
    )


def rest(boxes, k, max_iter=300):
    """Clusters where Lloyd's algorithm comes to rest from the first colours, or nearly."""
    clusters = Clusters(boxes, k)
    clusters.start(boxes.points[:k].astype(float))
    iterate_lloyd(boxes, clusters, max_iter=max_iter, tol=0)
    return clusters


def error_of(boxes, palette):
    offsets = boxes.points[:, np.newaxis].astype(int) - palette.astype(int)
    return int((boxes.weights * (offsets * offsets).sum(axis=2).min(axis=1)).sum())


def round_all(clusters):
    return np.rint(clusters.centroids).astype(np.uint8)


@given(
    colors=st.lists(COLOR, min_size=1, max_size=40, unique=True),
    n_sweeps=st.integers(1, 3),
    k=st.integers(1, 6),
    data=st.data(),
)
def test_rounding_with_care_is_never_worse(colors, n_sweeps, k, data):
    counts = data.draw(st.lists(st.integers(1, 1000), min_size=len(colors), max_size=len(colors)))
    boxes = make_boxes(colors, counts)
    clusters = rest(boxes, min(k, len(colors)))
    before = error_of(boxes, round_all(clusters))
    rounded = round_clusters(clusters, n_sweeps=n_sweeps, least_gap=0.1)
    assert rounded.dtype == np.uint8
    assert rounded.tolist() == clusters.centroids.tolist()
    assert error_of(boxes, rounded) == clusters.measure_inertia(clusters.centroids) <= before


@given(colors=st.lists(COLOR, min_size=1, max_size=9, unique=True))
def test_one_centroid_is_the_mean_rounded(colors):
    boxes = make_boxes(colors, np.ones(len(colors), dtype=int))
    clusters = rest(boxes, 1)
    mean = np.mean(colors, axis=0)
    rounded = round_clusters(clusters, n_sweeps=5, least_gap=0.0)
    assert (abs(rounded[0] - mean) <= 0.5).all()


@pytest.mark.parametrize("k", [4, 16])
def test_no_level_next_to_a_mean_is_better_in_the_end(photo, k):
    boxes = ColorBoxes.from_histogram(ColorHistogram.from_pixels(photo[::4, ::4]))
    clusters = rest(boxes, k)
    palette = round_clusters(clusters, n_sweeps=100, least_gap=0.1)
    error = error_of(boxes, palette)
    n_tried = 0
    for entry, band in np.ndindex(palette.shape):
        gap = clusters.means[entry, band] - palette[entry, band]
        if abs(gap) >= 0.1:
            moved = palette.astype(int)
            moved[entry, band] += 1 if gap > 0 else -1
            assert error_of(boxes, moved) >= error
            n_tried += 1
    assert n_tried > k


def test_sweeps_find_what_rounding_misses(photo):
    boxes = ColorBoxes.from_histogram(ColorHistogram.from_pixels(photo[::2, ::2]))
    plain, descended, swept = (
        error_of(boxes, round_clusters(rest(boxes, 64, 9), n_sweeps=n_sweeps, least_gap=least_gap))
        for n_sweeps, least_gap in ((0, 0.2), (1, 9.0), (1, 0.2))
    )
    assert swept < descended < plain < error_of(boxes, round_all(rest(boxes, 64, 9)))
