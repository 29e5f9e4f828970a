import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from dask.sizeof import sizeof
from hypothesis import given
from hypothesis import strategies as st

from dask_quant import histogram as histogram_module
from dask_quant.errors import PixelFormatError
from dask_quant.histogram import ColorCounter, ColorHistogram, ImageCounter


def test_a_photograph_is_counted_exactly(photo, count_oracle):
    histogram = ColorHistogram.from_pixels(photo)
    expected = count_oracle(photo)
    assert histogram.n_pixels == photo.shape[0] * photo.shape[1]
    assert len(histogram) == histogram.n_unique_colors == len(expected)
    found = zip(map(tuple, histogram.colors.tolist()), histogram.counts.tolist(), strict=True)
    assert dict(found) == expected
    assert histogram.nbytes == 12 * len(expected)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((2, 2, 3), np.uint16),
        np.zeros((2, 2, 3)),
        np.zeros((2, 2, 5), np.uint8),
        np.zeros((2, 2), np.uint8),
        np.zeros((), np.uint8),
    ],
)
def test_other_pixels_are_refused(pixels):
    with pytest.raises(PixelFormatError, match="uint8 arrays of shape"):
        ColorHistogram.from_pixels(pixels)


def test_weighted_colors_are_summed_sorted_and_cleaned():
    colors = np.array([[9, 9, 9], [1, 2, 3], [9, 9, 9], [0, 0, 1]], dtype=np.uint8)
    histogram = ColorHistogram.from_colors(colors, np.array([2, 5, 3, 0]))
    assert histogram.colors.tolist() == [[1, 2, 3], [9, 9, 9]]
    assert histogram.counts.tolist() == [5, 5]


def test_no_pixel_is_the_empty_histogram():
    empty = ColorHistogram.empty()
    assert ColorHistogram.from_pixels(np.empty((0, 7, 3), np.uint8)) == empty
    assert ColorHistogram.merge_all([]) == empty
    assert (len(empty), empty.n_pixels, empty.mean_color_mse) == (0, 0, 0.0)
    assert empty.colors.shape == (0, 3)


def test_histograms_are_equal_by_value_and_survive_pickling(photo):
    histogram = ColorHistogram.from_pixels(photo[:20])
    assert pickle.loads(pickle.dumps(histogram)) == histogram
    assert histogram != ColorHistogram.from_pixels(photo[:21])
    assert histogram != "histogram"
    with pytest.raises(TypeError, match="unhashable"):
        hash(histogram)
    shown = repr(ColorHistogram.from_colors(np.zeros((1, 3), np.uint8), np.array([1500])))
    assert shown == "<ColorHistogram of 1 colours, 1,500 pixels>"


def test_merging_does_not_touch_its_inputs(photo):
    first, second = (ColorHistogram.from_pixels(part) for part in (photo[:9], photo[9:18]))
    before = pickle.dumps((first, second))
    first.merge(second)
    assert pickle.dumps((first, second)) == before


@given(
    st.dictionaries(
        st.tuples(*[st.integers(0, 255)] * 3), st.integers(1, 10**12), min_size=1, max_size=20
    )
)
def test_mean_color_mse_is_the_exact_variance(weighted):
    colors = np.array(list(weighted), dtype=np.uint8)
    histogram = ColorHistogram.from_colors(colors, np.array(list(weighted.values())))
    total = sum(weighted.values())
    variance = Fraction(0)
    for band in range(3):
        mean = Fraction(sum(n * color[band] for color, n in weighted.items()), total)
        variance += sum(n * (color[band] - mean) ** 2 for color, n in weighted.items()) / total
    assert histogram.mean_color_mse == pytest.approx(float(variance), rel=1e-12)
    assert (histogram.mean_color_mse == 0) == (len(weighted) == 1)


def test_blocks_counted_side_by_side_are_one_histogram():
    pixels = np.random.default_rng(0).integers(0, 9, (80_000, 3), dtype=np.uint8)
    pixels[::2] = 7  # more than 8 bits can count, on every thread
    counter = ColorCounter()
    with ThreadPoolExecutor(4) as pool:
        sizes = list(pool.map(counter.add, np.array_split(pixels, 40)))
    assert sizes == [2000] * 40
    assert counter.finish() == ColorHistogram.from_pixels(pixels)
    assert counter.finish() == ColorHistogram.empty()


def test_a_block_that_cannot_be_counted_is_refused_and_costs_nothing():
    counter = ColorCounter()
    counter.add(np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(PixelFormatError, match="uint8 arrays of shape"):
        counter.add(np.zeros((2, 2, 3)))
    assert counter.finish().counts.tolist() == [4]


@pytest.mark.parametrize("limit", [1, 30, 100, 10_000])
def test_images_counted_together_are_the_sum_of_each(limit, monkeypatch):
    monkeypatch.setattr(histogram_module, "POOL_PIXELS", limit)
    rng = np.random.default_rng(0)
    shapes = [(5, 6, 3), (1, 1, 3), (40, 3), (9, 9, 3), (2, 2, 3)]
    images = [rng.integers(0, 6, shape, dtype=np.uint8) for shape in shapes]
    counter = ImageCounter()
    for image in images:
        counter.add(image)
    total = counter.finish()
    expected = ColorHistogram.merge_all(ColorHistogram.from_pixels(image) for image in images)
    assert np.array_equal(total.codes, expected.codes)
    assert np.array_equal(total.counts, expected.counts)


def test_no_image_is_the_empty_histogram():
    assert len(ImageCounter().finish()) == 0


def test_dask_knows_how_large_counts_are():
    pixels = np.random.default_rng(0).integers(0, 256, (1000, 3), dtype=np.uint8)
    counts = ColorHistogram.from_pixels(pixels)
    assert 12 * len(counts) <= sys.getsizeof(counts) < 12 * len(counts) + 500
    assert sizeof(counts) == sys.getsizeof(counts)
