"""Which engine fits which samples, and what none of them may show."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from dask_quant.fit import samples as module
from dask_quant.fit.fitting import fit_histogram
from dask_quant.fit.samples import fit_samples
from dask_quant.fit_options import FitOptions
from dask_quant.histogram import ColorHistogram

RNG = np.random.default_rng(0)

COLORS = RNG.integers(0, 256, (400, 3), dtype=np.uint8)

ROWS = RNG.normal(size=(300, 2)).round(1)

OPTIONS = FitOptions(n_colors=5, n_init=1)


def test_8_bit_colors_of_any_type_are_counted():
    for dtype in (np.uint8, np.int64, np.float32, np.float64):
        fit = fit_samples(COLORS.astype(dtype), None, OPTIONS)
        assert fit.engine == "histogram"
        assert fit.palette == fit_histogram(ColorHistogram.from_pixels(COLORS), OPTIONS).palette


@pytest.mark.parametrize(
    ("samples", "weights"),
    [
        (COLORS[:, :2], None),
        (COLORS.astype(np.int64) - 1, None),
        (COLORS.astype(np.int64) + 1, None),
        (COLORS / 2, None),
        (COLORS, np.full(400, 0.5)),
        (COLORS, np.full(400, 2.0**40)),
    ],
    ids=["two features", "below 0", "above 255", "fractions", "fractional weights", "huge weights"],
)
def test_other_samples_go_to_scikit_learn(samples, weights):
    fit = fit_samples(samples, weights, OPTIONS)
    assert (fit.engine, fit.palette) == ("scikit-learn", None)
    assert fit.ranked.centers.shape == (5, samples.shape[1])


@pytest.mark.parametrize("samples", [COLORS, ROWS], ids=["colours", "rows"])
def test_repetition_is_weight_and_order_does_not_matter(samples):
    weights = RNG.integers(0, 4, len(samples))
    order = RNG.permutation(len(samples))
    expected = fit_samples(samples, weights.astype(np.float64), OPTIONS).ranked
    for fit in (
        fit_samples(np.repeat(samples, weights, axis=0), None, OPTIONS),
        fit_samples(samples[order], weights[order].astype(np.float64), OPTIONS),
    ):
        np.testing.assert_array_equal(fit.ranked.centers, expected.centers)
        assert fit.ranked.inertia == expected.inertia


@pytest.mark.parametrize(
    ("samples", "weights"),
    [
        (np.array([[3, 2, 1], [0, 0, 7], [3, 2, 1]], dtype=np.uint8), None),
        (np.array([[0.1, 0.7], [0.3, 0.2], [0.1, 0.7]]), None),
        (np.array([[0.1], [0.3], [0.1]], dtype=np.float32), np.array([0.1, 0.2, 0.3])),
    ],
)
def test_few_distinct_samples_are_the_centers_exactly(samples, weights):
    fit = fit_samples(samples, weights, OPTIONS)
    np.testing.assert_array_equal(fit.ranked.centers, samples[:2])
    assert (fit.ranked.inertia, fit.n_iter) == (0.0, 0)


def test_threads_that_add_up_in_another_order_do_not_show():
    samples = np.random.default_rng(1).normal(size=(5000, 6))
    fits = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            fits.append(fit_samples(samples, None, OPTIONS).ranked)
    np.testing.assert_array_equal(fits[0].centers, fits[1].centers)
    assert fits[0].inertia == fits[1].inertia


def test_centers_have_the_type_of_the_samples():
    for samples in (COLORS, ROWS):
        for dtype, expected in ((np.float32, np.float32), (np.float16, np.float64)):
            fit = fit_samples(samples.astype(dtype), None, OPTIONS)
            assert fit.ranked.centers.dtype == expected


def test_restarts_iterations_and_seeds_are_passed_on():
    fits = [
        fit_samples(ROWS, None, FitOptions(n_colors=20, n_init=1, seed=seed, max_iter=2))
        for seed in (0, 0, 1, 2**32)
    ]
    inertias = [fit.ranked.inertia for fit in fits]
    assert inertias[0] == inertias[1] == inertias[3] != inertias[2]
    assert {fit.n_iter for fit in fits} == {2}
    many = fit_samples(ROWS, None, FitOptions(n_colors=20, n_init=10, max_iter=2))
    assert many.ranked.inertia < inertias[0]


def test_more_effort_finds_better_centers_by_more_restarts():
    fits = [
        fit_samples(ROWS, None, FitOptions(n_colors=30, effort=effort)).ranked.inertia
        for effort in ("fast", "default", "best")
    ]
    assert fits[0] > fits[1] > fits[2]


def test_tolerance_is_a_shift_in_the_units_of_the_samples():
    def n_iter(samples, tol):
        return fit_samples(samples, None, FitOptions(n_colors=20, n_init=1, tol=tol)).n_iter

    found = [n_iter(ROWS, tol) for tol in (0.0, 0.5, np.inf)]
    assert found[0] > found[1] > found[2] == 1
    assert found == [n_iter(ROWS * 1024, tol) for tol in (0.0, 512.0, np.inf)]


def test_samples_that_hardly_vary_have_no_tolerance():
    assert module._relative_tol(np.array([[0.0], [5e-324]]), 1.0) == 0.0
