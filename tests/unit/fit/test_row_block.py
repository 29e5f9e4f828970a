"""Blocks of rows: numbers that follow the image, features that follow the row."""

import numpy as np
import pytest

from dask_quant.fit import row_block
from dask_quant.fit.features import FeatureMap
from dask_quant.fit.row_block import RowBlock, RowNumbers, find_nearest

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("cut", [(0, 6, 0, 9), (2, 5, 0, 9), (1, 4, 3, 7)])
def test_numbers_are_those_of_the_pixels_in_the_image(cut):
    top, bottom, left, right = cut
    image = np.arange(6 * 9).reshape(6, 9)
    block = image[top:bottom, left:right]
    kept = np.flatnonzero(RNG.random(block.size) < 0.6)
    numbers = RowNumbers(100 + top * 9 + left, width=right - left, stride=9, kept=kept)
    found = numbers.find(np.arange(len(kept)))
    np.testing.assert_array_equal(found, 100 + block.ravel()[kept])


def test_features_are_shifted_then_stretched_of_the_chosen_bands():
    rows = RNG.integers(-500, 5000, (40, 5)).astype(np.int16)
    features = FeatureMap((3, 0), np.array([10.0, -4.0]), np.array([0.25, 3.0]))
    made = features.apply(rows)
    np.testing.assert_array_equal(made[:, 0], (rows[:, 3] - 10.0) * 0.25)
    np.testing.assert_array_equal(made[:, 1], (rows[:, 0] + 4.0) * 3.0)
    np.testing.assert_array_equal(features.undo(made), rows[:, [3, 0]])
    assert made.flags.c_contiguous


def test_plain_features_are_a_copy_of_the_bands():
    rows = RNG.normal(size=(4, 3))
    made = FeatureMap.choose(range(3)).apply(rows)
    made += 1
    assert not np.shares_memory(made, rows)
    np.testing.assert_array_equal(made - 1, (rows + 1) - 1)


@pytest.mark.parametrize("numbers", [1, 7, 1 << 18])
def test_neither_parts_nor_the_way_features_are_made_show(monkeypatch, numbers):
    rows = RNG.integers(0, 200, (300, 4)).astype(np.uint8)
    features = FeatureMap((0, 1, 2, 3), np.full(4, 3.0), np.array([0.5, 2.0, 1.0, 0.1]))
    centers = features.apply(rows[:6])
    expected = find_nearest(features.apply(rows), centers)
    monkeypatch.setattr(row_block, "_BLOCK_NUMBERS", numbers)
    found = RowBlock(rows, features=features).find_nearest(centers)
    np.testing.assert_array_equal(found, expected)
