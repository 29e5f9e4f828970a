"""Palettes of ascending numbers of colours: exact figures, never worse, nearly as good as fits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dask_quant.fit.boxes import ColorBoxes
from dask_quant.fit.curve import trace_palettes
from dask_quant.fit.fitting import fit_histogram
from dask_quant.fit_options import FitOptions
from dask_quant.histogram import ColorHistogram


def trace(pixels, numbers, space="srgb"):
    boxes = ColorBoxes.from_histogram(ColorHistogram.from_pixels(pixels), space)
    return list(trace_palettes(boxes, numbers, seed=0))


@settings(max_examples=40)
@given(
    pixels=arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)),
                  elements=st.sampled_from([0, 1, 2, 90, 91, 200, 255])),
    numbers=st.lists(st.integers(1, 90), min_size=1, max_size=6, unique=True).map(sorted),
)  # fmt: skip
def test_palettes_are_full_used_and_exact(pixels, numbers, label_oracle):
    n_distinct = len(np.unique(pixels.reshape(-1, 3), axis=0))
    errors = []
    for number, (palette, error) in zip(numbers, trace(pixels, numbers), strict=True):
        assert len(palette) == len(set(palette)) == min(number, n_distinct)
        labels, distances = label_oracle(pixels.reshape(-1, 3), palette.colors)
        assert error == distances.sum()
        assert palette.counts.tolist() == np.bincount(labels, minlength=len(palette)).tolist()
        assert palette.counts.all()
        errors.append(error)
    assert errors == sorted(errors, reverse=True)
    assert (errors[-1] == 0) == (numbers[-1] >= n_distinct)


@pytest.mark.parametrize("space", ["srgb", "lab"])
def test_the_error_is_near_that_of_fits_of_their_own(photo, space):
    numbers = [2, 3, 7, 8, 16, 40]
    histogram = ColorHistogram.from_pixels(photo)
    errors = [error for _, error in trace(photo, numbers, space)]
    for number, error in zip(numbers, errors, strict=True):
        options = FitOptions(n_colors=number, effort="default", space=space)
        assert error < 1.03 * fit_histogram(histogram, options).squared_error


def test_means_stand_for_many_colors():
    rng = np.random.default_rng(2)
    middles = rng.integers(40, 215, (9, 3))
    pixels = (middles[rng.integers(0, 9, (300, 300))] + rng.normal(0, 9, (300, 300, 3))).clip(
        0, 255
    )
    pixels = pixels.astype(np.uint8)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 1 << 15  # or there would be no means
    numbers = [2, 5, 9, 20]
    fits = [
        fit_histogram(ColorHistogram.from_pixels(pixels), FitOptions(n_colors=number))
        for number in numbers
    ]
    for fit, (palette, error) in zip(fits, trace(pixels, numbers), strict=True):
        assert len(palette) == len(fit.palette)
        assert error < 1.03 * fit.squared_error


def test_more_colors_than_can_be_split_all_at_once(photo):
    numbers = [1, 600]
    (_, flat), (palette, error) = trace(photo[150:250, 200:300], numbers)
    assert len(palette) == 600
    assert error < 0.01 * flat
