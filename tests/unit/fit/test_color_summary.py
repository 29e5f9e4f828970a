"""Images in brief: exact where they have few colours, and else of an error that is hardly wrong."""

import numpy as np
import pytest

from dask_quant.errors import PixelFormatError
from dask_quant.fit.color_summary import add_loss, count_summary_colors, summarize_colors
from dask_quant.fit.family_errors import ErrorMeter
from dask_quant.fit.fitting import fit_given, fit_histogram
from dask_quant.fit.summary_table import SummaryTable
from dask_quant.fit.target import find_limit, measure_error, measure_fit
from dask_quant.fit_options import FitOptions, Target
from dask_quant.histogram import ColorHistogram

TARGETS = [Target("psnr", 30), Target("mse", 100), Target("delta_e", 3)]


@pytest.fixture(scope="module")
def histogram(photo):
    return ColorHistogram.from_pixels(photo[150:250, 200:300])


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_few_colors_are_their_own_summary(target):
    histogram = ColorHistogram.from_pixels(np.arange(300, dtype=np.uint8).reshape(10, 10, 3))
    summary = summarize_colors(histogram, FitOptions(n_colors=4), target)
    assert summary.histogram == histogram
    assert summary.loss == 0


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("n_colors", [8, 100])
def test_many_colors_are_told_with_an_error_near_the_true_one(histogram, target, n_colors):
    summary = summarize_colors(histogram, FitOptions(n_colors=n_colors), target)
    assert len(summary.histogram) == count_summary_colors(n_colors) < len(histogram)
    assert summary.histogram.n_pixels == histogram.n_pixels
    palette = fit_histogram(histogram, FitOptions(n_colors=n_colors, effort="fast")).palette
    true = measure_error(target, fit_given(histogram, palette))
    table = SummaryTable.from_summaries([summary])
    meter = ErrorMeter(target, "srgb", table.has_alpha)
    (told,) = meter.measure(table, np.arange(1), palette)
    assert 0.98 * true < told < 1.3 * true


@pytest.mark.parametrize("space", ["srgb", "oklab"])
@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_the_error_of_a_summary_is_that_of_the_image_where_it_is_exact(target, space):
    rng = np.random.default_rng(0)
    histogram = ColorHistogram.from_pixels(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    options = FitOptions(n_colors=5, space=space)
    summary = summarize_colors(histogram, options, target)
    fit = fit_histogram(histogram, options)
    table = SummaryTable.from_summaries([summary, summary])
    errors = ErrorMeter(target, space, False).measure(table, np.array([1, 0]), fit.palette)
    assert errors == pytest.approx([measure_error(target, fit)] * 2, rel=1e-12)


def test_transparency_is_summarized_and_measured():
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (40, 40, 4), dtype=np.uint8)
    pixels[:10, :, 3] = 0
    histogram, target = ColorHistogram.from_pixels(pixels), Target("mse", 900)
    options = FitOptions(n_colors=8)
    summary = summarize_colors(histogram, options, target)
    assert len(summary.histogram) == 256
    assert summary.histogram.n_pixels == 1600
    fit = fit_histogram(histogram, options)
    table = SummaryTable.from_summaries([summary])
    (told,) = ErrorMeter(target, "srgb", True).measure(table, np.arange(1), fit.palette)
    assert told == pytest.approx(measure_error(target, fit), rel=0.1)
    with pytest.raises(PixelFormatError, match="not opaque with target_delta_e"):
        summarize_colors(histogram, options, Target("delta_e", 3))
    with pytest.raises(PixelFormatError, match="not opaque with space lab"):
        summarize_colors(histogram, FitOptions(space="lab"), target)


def test_what_a_palette_of_its_own_misses_is_alone(histogram):
    reached = measure_fit(TARGETS[0], fit_histogram(histogram, FitOptions(n_colors=8)))
    for step, is_alone in ((-2, False), (2, True)):
        summary = summarize_colors(
            histogram, FitOptions(n_colors=8), Target("psnr", reached + step)
        )
        assert summary.is_alone is is_alone


def test_limits_and_losses_are_in_the_unit_of_the_target():
    assert find_limit(Target("delta_e", 2)) == 2.0
    assert find_limit(Target("psnr", 0)) == 3 * 255**2
    assert add_loss(TARGETS[1], 3.0, 4.0) == 7.0
    assert add_loss(TARGETS[2], 3.0, 4.0) == 5.0


def test_pages_of_a_table_hold_every_image_in_the_order_asked_for(monkeypatch):
    monkeypatch.setattr("dask_quant.fit.summary_table.PAGE_ITEMS", 2)
    rng = np.random.default_rng(2)
    pictures = [rng.integers(0, 9, (4, n, 3), dtype=np.uint8) for n in range(1, 6)]
    histograms = [ColorHistogram.from_pixels(each) for each in pictures]
    summaries = [summarize_colors(each, FitOptions(n_colors=2), TARGETS[1]) for each in histograms]
    table, asked = SummaryTable.from_summaries(summaries), np.array([4, 0, 3, 1])
    assert len(table) == 5
    seen = []
    for part, page in table.iterate_pages(asked):
        ends = np.append(page.starts, len(page.codes))
        for item, begin, end in zip(asked[part], ends[:-1], ends[1:], strict=True):
            assert np.array_equal(page.codes[begin:end], histograms[item].codes)
            assert np.array_equal(page.counts[begin:end], histograms[item].counts)
            seen.append(item)
    assert seen == asked.tolist()
    assert table.merge(asked) == ColorHistogram.merge_all(histograms[i] for i in asked)
