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


def test_features_are_bands_shifted_then_stretched():
    rows = RNG.integers(-500, 5000, (40, 2)).astype(np.int16)
    features = FeatureMap(np.array([10.0, -4.0]), np.array([0.25, 3.0]))
    made = features.apply(rows)
    np.testing.assert_array_equal(made[:, 0], (rows[:, 0] - 10.0) * 0.25)
    np.testing.assert_array_equal(made[:, 1], (rows[:, 1] + 4.0) * 3.0)
    np.testing.assert_array_equal(features.undo(made), rows)
    assert made.flags.c_contiguous


def test_plain_features_are_a_copy_of_the_bands():
    rows = RNG.normal(size=(4, 3))
    made = FeatureMap.plain(3).apply(rows)
    np.testing.assert_array_equal(made, rows)
    assert not np.shares_memory(made, rows)


@pytest.mark.parametrize("numbers", [1, 7, 1 << 18])
def test_neither_parts_nor_the_way_features_are_made_show(monkeypatch, numbers):
    rows = RNG.integers(0, 200, (300, 4)).astype(np.uint8)
    features = FeatureMap(np.full(4, 3.0), np.array([0.5, 2.0, 1.0, 0.1]))
    centers = features.apply(rows[:6])
    expected = find_nearest(features.apply(rows), centers)
    monkeypatch.setattr(row_block, "_BLOCK_NUMBERS", numbers)
    found = RowBlock(rows, features=features).find_nearest(centers)
    np.testing.assert_array_equal(found, expected)
