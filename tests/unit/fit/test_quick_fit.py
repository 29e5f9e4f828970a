"""Quick fits are near the best ones, and quick only where options leave that open."""

from dataclasses import replace

import numpy as np
import pytest

from dask_quant.fit.fitting import fit_histogram
from dask_quant.fit.quick_fit import find_quick_options, fit_quickly
from dask_quant.fit_options import FitOptions
from dask_quant.histogram import ColorHistogram


def make_histogram(n_pixels, seed=0):
    rng = np.random.default_rng(seed)
    middles = rng.integers(30, 226, (9, 3))
    pixels = middles[rng.integers(0, 9, n_pixels)] + rng.normal(0, 12, (n_pixels, 3))
    return ColorHistogram.from_pixels(np.clip(pixels, 0, 255).astype(np.uint8)[np.newaxis])


@pytest.mark.parametrize("n_colors", [2, 8, 32])
def test_a_quick_fit_is_near_the_best_one(n_colors):
    histogram = make_histogram(20_000)
    quick = fit_quickly(histogram, FitOptions(n_colors=n_colors))
    best = fit_histogram(histogram, FitOptions(n_colors=n_colors, effort="best"))
    assert len(quick.palette) == n_colors
    assert quick.squared_error <= 1.08 * best.squared_error


def test_effort_and_seed_are_nothing_to_it():
    histogram = make_histogram(20_000)
    options = FitOptions(n_colors=8)
    for other in (replace(options, effort="best"), replace(options, seed=3, n_init=4, max_iter=90)):
        assert fit_quickly(histogram, other).palette == fit_quickly(histogram, options).palette


@pytest.mark.parametrize(
    "options",
    [
        FitOptions(n_colors=4, space="oklab"),
        FitOptions(n_colors=4, keep=((1, 2, 3),)),
        FitOptions(n_colors=4, method="octree"),
        FitOptions(n_colors=4, init="random"),
        FitOptions(n_colors=2, recolor=((0, 0, 0), (255, 255, 255))),
    ],
)
def test_what_options_ask_for_is_kept(options):
    histogram = make_histogram(5_000)
    expected = fit_histogram(histogram, find_quick_options(options)).palette
    assert fit_quickly(histogram, options).palette == expected


def test_few_colors_are_searched():
    histogram = make_histogram(60)
    expected = fit_histogram(histogram, FitOptions(n_colors=8, effort="fast")).palette
    assert fit_quickly(histogram, FitOptions(n_colors=8)).palette == expected


def test_effort_is_the_least_only_where_there_is_a_search():
    assert find_quick_options(FitOptions(n_colors=3)).effort == "fast"
    for options in (FitOptions(method="wu"), FitOptions(init="random")):
        assert find_quick_options(options) == options
