"""Counts to a power: what few pixels have is not lost."""

import warnings

import numpy as np
import pytest

import dask_quant as dq
from dask_quant.fit.boxes import ColorBoxes
from dask_quant.fit.fitting import fit_histogram
from dask_quant.fit_options import FitOptions
from dask_quant.histogram import ColorHistogram


@pytest.fixture(scope="module")
def lawn():
    """Many greens, and a red flower of 1 in 2000 pixels."""
    rng = np.random.default_rng(0)
    pixels = np.stack(
        [rng.integers(20, 90, (200, 200)), rng.integers(90, 220, (200, 200)),
         rng.integers(10, 60, (200, 200))], axis=-1,
    ).astype(np.uint8)  # fmt: skip
    pixels[50:54, 50:55] = (220, 20, 30)
    return pixels


def has_red(palette):
    levels = palette.colors.astype(int)
    return bool((levels[:, 0] > levels[:, 1] + 100).any())


@pytest.mark.parametrize("method", ["kmeans", "wu"])
def test_a_small_flower_survives(lawn, method):
    grey = np.repeat(lawn[..., 1:2] // 8 * 8, 3, axis=2)
    grey[50:54, 50:55] = (220, 20, 30)
    assert not has_red(dq.fit_palette(grey, 3, method=method))
    kept = dq.fit_palette(grey, 3, method=method, weight_power=0.0)
    assert has_red(kept)
    assert kept.counts.sum() == grey.shape[0] * grey.shape[1]


def test_counts_and_errors_are_of_the_pixels(lawn):
    histogram = ColorHistogram.from_pixels(lawn)
    plain = fit_histogram(histogram, FitOptions(n_colors=6))
    powered = fit_histogram(histogram, FitOptions(n_colors=6, weight_power=0.3))
    labels = dq.relabel(lawn, powered.palette).compute()
    np.testing.assert_array_equal(powered.palette.counts, np.bincount(labels.ravel()))
    error = np.square(lawn - powered.palette.colors[labels].astype(int)).sum()
    assert powered.squared_error == error > plain.squared_error


def test_a_power_of_zero_is_the_fit_of_distinct_colors(lawn):
    colors = ColorHistogram.from_pixels(lawn).colors
    once = dq.fit_palette(colors[np.newaxis], 5)
    powered = dq.fit_palette(lawn, 5, weight_power=0)
    assert sorted(once.hex) == sorted(powered.hex)


@pytest.mark.parametrize("power", [0.0, 0.25, 0.5, 0.999])
def test_weights_are_shares_of_powers(power):
    rng = np.random.default_rng(1)
    codes = np.sort(rng.choice(1 << 24, 500, replace=False)).astype(np.uint32)
    counts = rng.integers(1, 100_000, 500)
    boxes = ColorBoxes.from_histogram(ColorHistogram(codes, counts))
    shares = boxes.weigh(power).weights
    expected = boxes.weights.astype(float) ** power
    np.testing.assert_allclose(shares / shares.sum(), expected / expected.sum(), rtol=1e-5)
    assert shares.dtype == np.int64


def test_a_power_of_one_changes_nothing(lawn):
    boxes = ColorBoxes.from_histogram(ColorHistogram.from_pixels(lawn))
    assert boxes.weigh(1) is boxes


@pytest.mark.parametrize("space", ["srgb", "linear", "oklab", "lab"])
def test_more_pixels_than_sums_of_squares_hold_are_scaled(space):
    """A count of 2^52 in every colour: 70 billion gigapixels."""
    rng = np.random.default_rng(2)
    codes = np.sort(rng.choice(1 << 24, 1000, replace=False)).astype(np.uint32)
    few = ColorHistogram(codes, rng.integers(1, 9, 1000))
    many = ColorHistogram(codes, few.counts << 38)
    small, large = (
        fit_histogram(each, FitOptions(n_colors=7, space=space)) for each in (few, many)
    )
    assert sorted(small.palette.hex) == sorted(large.palette.hex)
    np.testing.assert_array_equal(small.palette.counts << 38, large.palette.counts)
    boxes = large.boxes.weigh(1)
    assert (boxes.cell_moments >= 0).all()


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan"), "half", None])
def test_what_is_no_power_is_refused(wrong):
    with pytest.raises(dq.OptionError, match="weight_power"):
        FitOptions(weight_power=wrong)


def test_engines_that_count_no_colors_refuse_a_power():
    with pytest.raises(dq.OptionError, match="scalable engine"):
        FitOptions(weight_power=0.5, engine="scalable")


def test_nothing_is_warned_of(lawn):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dq.fit_palette(lawn, 4, weight_power=0.5)
