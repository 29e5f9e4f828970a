"""Median cut and Wu's method against the same definitions in plain Python and exact fractions."""

from fractions import Fraction

import numpy as np
import pytest

from dask_quant.fit.boxes import ColorBoxes
from dask_quant.fit.methods.median_cut import find_median_cut
from dask_quant.fit.methods.wu import find_wu
from dask_quant.histogram import ColorHistogram


def weight_of(box):
    return sum(weight for _, weight in box)


def mean_of(box):
    return [Fraction(sum(c[band] * w for c, w in box), weight_of(box)) for band in range(3)]


def error_of(box):
    squares = sum(w * level**2 for c, w in box for level in c)
    return squares - sum(sum(c[band] * w for c, w in box) ** 2 for band in range(3)) / Fraction(
        weight_of(box)
    )


def cut(box, band, level):
    return [p for p in box if p[0][band] <= level], [p for p in box if p[0][band] > level]


def find_cuts(box, band):
    """Levels after which a box can be cut: all that its colours have but the highest."""
    return sorted({c[band] for c, _ in box})[:-1]


def cut_at_median(box):
    lengths = [max(c[band] for c, _ in box) - min(c[band] for c, _ in box) for band in range(3)]
    band = lengths.index(max(lengths))
    halves = {level: cut(box, band, level) for level in find_cuts(box, band)}
    return min(halves.values(), key=lambda half: abs(weight_of(half[0]) - weight_of(half[1])))


def cut_at_variance(box):
    parts = [cut(box, band, level) for band in range(3) for level in find_cuts(box, band)]
    return min(parts, key=lambda pair: error_of(pair[0]) + error_of(pair[1]))


def split(colors, n_boxes, need, find_parts):
    """Means of boxes, the neediest cut in two until there are ``n_boxes``."""
    boxes = [colors]
    while len(boxes) < n_boxes:
        index = max(
            (i for i, box in enumerate(boxes) if len(box) > 1), key=lambda i: need(boxes[i])
        )
        boxes[index : index + 1] = find_parts(boxes[index])
    return [[float(level) for level in mean_of(box)] for box in boxes]


@pytest.mark.parametrize("n_colors", [1, 2, 3, 7, 16, 50, 90])
def test_median_cut_is_the_plain_one(weighted, n_colors, assert_same_colors):
    colors, boxes = weighted
    expected = split(colors, n_colors, weight_of, cut_at_median)
    assert_same_colors(find_median_cut(boxes, n_colors), expected)


@pytest.mark.parametrize("n_colors", [1, 2, 7, 30])
def test_wu_is_the_plain_one(weighted, n_colors, assert_same_colors):
    colors, boxes = weighted
    expected = split(colors, n_colors, error_of, cut_at_variance)
    assert_same_colors(find_wu(boxes, n_colors), expected)


@pytest.mark.parametrize("find", [find_median_cut, find_wu])
def test_boxes_of_one_color_are_left_whole_however_heavy(find):
    # The heaviest box cannot be cut; the others must be.
    points = np.array([[0, 0, 0], [200, 0, 0], [200, 0, 1], [200, 0, 2]], dtype=np.uint8)
    weights = np.array([10**12, 1, 1, 1])
    boxes = ColorBoxes.from_histogram(ColorHistogram.from_colors(points, weights))
    assert sorted(map(tuple, find(boxes, 4))) == sorted(map(tuple, points.astype(float)))
    assert len(find(boxes, 9)) == 4


def test_a_median_cut_halves_the_pixels():
    colors = np.stack([np.arange(256)] * 3, axis=1).astype(np.uint8)
    weights = np.ones(256, dtype=np.int64)
    weights[3] = 255  # as many as all the others
    boxes = ColorBoxes.from_histogram(ColorHistogram.from_colors(colors, weights))
    dark, light = sorted(find_median_cut(boxes, 2)[:, 0])
    assert dark == pytest.approx((0 + 1 + 2 + 3 * 255) / 258)
    assert light == pytest.approx(np.arange(4, 256).mean())


def test_the_colors_of_the_boxes_stay_where_they_are(weighted):
    _, boxes = weighted
    points, weights = boxes.points.copy(), boxes.weights.copy()
    find_wu(boxes, 30)
    np.testing.assert_array_equal(boxes.points, points)
    np.testing.assert_array_equal(boxes.weights, weights)
