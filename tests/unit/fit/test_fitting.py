import tracemalloc

import numpy as np
import pytest

from dask_quant.errors import FitError
from dask_quant.fit.boxes import ColorBoxes
from dask_quant.fit.fitting import finish_fit, fit_given, fit_histogram
from dask_quant.fit_memory import _FIT_BYTES_PER_COLOR
from dask_quant.fit_options import FitOptions
from dask_quant.flow import describe_fit
from dask_quant.histogram import ColorHistogram
from dask_quant.palette import Palette


@pytest.fixture(scope="module")
def histogram(photo):
    return ColorHistogram.from_pixels(photo[::3, ::3])


@pytest.mark.parametrize("n_colors", [1, 2, 16, 257])
def test_a_fit_has_all_its_colors_in_use_and_its_error_is_exact(histogram, n_colors, label_oracle):
    fit = fit_histogram(histogram, FitOptions(n_colors=n_colors, n_init=1))
    labels, distances = label_oracle(histogram.colors, fit.palette.colors)
    assert len(fit.palette) == n_colors
    assert len(np.unique(labels)) == n_colors
    assert fit.squared_error == int((histogram.counts * distances).sum())
    assert fit.palette.counts.sum() == histogram.n_pixels
    assert fit.engine == "histogram"
    assert fit.n_iter >= 1


def test_one_color_is_the_rounded_mean(histogram, photo):
    fit = fit_histogram(histogram, FitOptions(n_colors=1))
    mean = photo[::3, ::3].reshape(-1, 3).mean(axis=0)
    assert fit.palette.colors[0].tolist() == np.rint(mean).astype(int).tolist()


@pytest.mark.parametrize("n_colors", [3, 4, 1000])
def test_colors_that_fit_come_back_exactly_without_iterating(n_colors):
    colors = np.array([[0, 0, 0], [1, 0, 0], [255, 255, 255]], dtype=np.uint8)
    histogram = ColorHistogram.from_colors(colors, np.array([1, 10**7, 3]))
    events = []
    fit = fit_histogram(histogram, FitOptions(n_colors=n_colors), events.append)
    assert list(fit.palette) == [(1, 0, 0), (255, 255, 255), (0, 0, 0)]
    assert fit.palette.counts.tolist() == [10**7, 3, 1]
    assert (fit.squared_error, fit.n_iter) == (0, 0)
    assert [(e.done, e.total) for e in events] == [(1, 1)]


def test_more_restarts_are_never_worse_before_rounding(histogram):
    errors = [
        fit_histogram(histogram, FitOptions(n_colors=12, n_init=n)).squared_error for n in (1, 6)
    ]
    assert errors[1] <= errors[0] * 1.001  # rounding may cost a thousandth


def test_no_tolerance_is_not_the_default_tolerance(histogram):
    exact = fit_histogram(histogram, FitOptions(n_colors=8, n_init=1, tol=0.0))
    loose = fit_histogram(histogram, FitOptions(n_colors=8, n_init=1, tol=20.0))
    assert loose.n_iter < exact.n_iter


@pytest.mark.parametrize(
    "fit",
    [
        lambda empty: fit_histogram(empty, FitOptions()),
        lambda empty: fit_given(empty, Palette.from_hex(["#000000"])),
        lambda empty: finish_fit(empty, np.zeros((1, 3)), n_colors=1, engine="x", n_iter=0),
    ],
)
def test_no_pixel_cannot_be_fitted(fit):
    with pytest.raises(FitError, match="no pixel"):
        fit(ColorHistogram.empty())


def test_centroids_of_another_engine_are_finished(histogram):
    # What dask-ml may return: blacks for clusters that died, and duplicates.
    centroids = np.array([[0.0, 0, 0], [0, 0, 0], [120.4, 110.6, 99.5], [120.4, 110.6, 99.5]])
    fit = finish_fit(histogram, centroids, n_colors=8, engine="dask-ml", n_iter=7)
    assert len(fit.palette) == 8
    assert (fit.palette.counts > 0).all()
    assert (fit.engine, fit.n_iter) == ("dask-ml", 7)


def test_a_given_palette_is_not_fitted(histogram, label_oracle):
    given = Palette.from_hex(["#ffffff", "#000000", "#00ff00"])
    fit = fit_given(histogram, given)
    labels, distances = label_oracle(histogram.colors, given.colors)
    assert fit.palette == given
    assert fit.palette.counts.tolist() == [
        int(histogram.counts[labels == i].sum()) for i in range(3)
    ]
    assert fit.squared_error == int((histogram.counts * distances).sum())
    assert (fit.engine, fit.n_iter) == ("none", 0)


def test_a_fit_takes_no_more_bytes_a_color_than_are_planned():
    n = 1 << 21
    histogram = ColorHistogram(np.arange(n, dtype=np.uint32) << 3, np.full(n, 3, dtype=np.int64))
    tracemalloc.start()
    try:
        fit = fit_histogram(histogram, FitOptions(n_colors=2, n_init=1, max_iter=1))
        describe_fit(histogram, fit)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    fixed_bytes = 50 * 2**20  # tables of cells and cubes, and slices of colours
    assert histogram.nbytes + peak < _FIT_BYTES_PER_COLOR * n + fixed_bytes
    assert fit.palette.counts.sum() == 3 * n


def test_a_fast_fit_of_dense_clumps_does_not_choose_among_a_few_cells():
    # 5,000 greys, nearly: hundreds of colours to a cell, and hardly more cells than entries.
    rng = np.random.default_rng(0)
    near_grey = rng.integers(0, 256, (20_000, 1)) + rng.integers(-4, 5, (20_000, 3))
    pixels = np.clip(near_grey, 0, 255).astype(np.uint8)
    histogram = ColorHistogram.from_pixels(pixels)
    boxes = ColorBoxes.from_histogram(histogram)
    assert len(histogram) > 1 << 12
    assert len(boxes.low) < 8 * 64
    fast, default = (
        fit_histogram(histogram, FitOptions(n_colors=64, effort=effort)).squared_error
        for effort in ("fast", "default")
    )
    assert default <= fast < 1.06 * default
