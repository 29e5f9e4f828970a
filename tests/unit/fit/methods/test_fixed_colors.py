"""Popularity and uniform levels: colours that are counted, and colours that are not."""

import itertools
from collections import Counter

import numpy as np
import pytest

from dask_quant.fit.boxes import ColorBoxes
from dask_quant.fit.methods.popularity import find_popular
from dask_quant.fit.methods.uniform import choose_levels, find_uniform
from dask_quant.histogram import ColorHistogram


@pytest.mark.parametrize("n_colors", [1, 3, 10])
def test_popular_colors_are_the_means_of_the_fullest_cubes(weighted, n_colors, assert_same_colors):
    colors, boxes = weighted
    pixels, sums = Counter(), Counter()
    for color, weight in colors:
        cube = tuple(level // 8 for level in color)
        pixels[cube] += weight
        for band in range(3):
            sums[cube, band] += weight * color[band]
    fullest = [cube for cube, _ in pixels.most_common(n_colors)]
    expected = [[sums[cube, band] / pixels[cube] for band in range(3)] for cube in fullest]
    assert_same_colors(find_popular(boxes, n_colors), expected)


def test_there_are_no_more_popular_colors_than_cubes():
    colors = np.array([[0, 0, 0], [7, 7, 7], [8, 8, 8]], dtype=np.uint8)
    boxes = ColorBoxes.from_histogram(ColorHistogram.from_colors(colors, np.array([3, 1, 2])))
    assert sorted(map(tuple, find_popular(boxes, 3))) == [(1.75, 1.75, 1.75), (8, 8, 8)]


@pytest.mark.parametrize("n_colors", [1, 2, 3, 4, 7, 8, 16, 27, 40])
def test_levels_leave_the_least_error_in_even_colors(n_colors):
    every = [
        levels
        for levels in itertools.product(range(1, n_colors + 1), repeat=3)
        if np.prod(levels) <= n_colors
    ]
    least = min(sum(n**-2 for n in levels) for levels in every)
    red, green, blue = choose_levels(n_colors)
    assert red * green * blue <= n_colors
    assert sum(n**-2 for n in (red, green, blue)) == pytest.approx(least)
    assert green >= red >= blue


@pytest.mark.parametrize(
    ("n_colors", "levels"), [(5, (1, 5, 1)), (64, (4, 4, 4)), (65_536, (40, 40, 40))]
)
def test_levels_of_some_numbers(n_colors, levels):
    found = choose_levels(n_colors)
    assert found == levels or sum(n**-2 for n in found) <= sum(n**-2 for n in levels)


def test_uniform_colors_are_the_centres_of_equal_boxes(weighted, assert_same_colors):
    _, boxes = weighted
    red, green, blue = choose_levels(12)
    levels = np.arange(256)
    parts = [[levels[levels * n // 256 == i].mean() for i in range(n)] for n in (red, green, blue)]
    expected = list(itertools.product(*parts))
    # Where 256 is no multiple of the levels, whole levels cannot be shared out evenly.
    found = find_uniform(boxes, 12)
    assert found.shape == (red * green * blue, 3)
    np.testing.assert_allclose(found, expected, atol=0.5)
    assert_same_colors(find_uniform(boxes, 8), list(itertools.product(*[(63.5, 191.5)] * 3)))
