"""The self-organising map against a plain loop over the same draws."""

import numpy as np
import pytest

from dask_quant.fit.methods.drawing import PixelDraws
from dask_quant.fit.methods.neuquant import CYCLE_PIXELS, N_CYCLES, fit_neurons
from dask_quant.fit_options import FitOptions
from dask_quant.kernels.self_organizing_map import train_map_block


def fit(boxes, n_colors=5, listener=lambda event: None, **options):
    return fit_neurons(boxes, FitOptions(n_colors=n_colors, method="neuquant", **options), listener)


def train_plainly(neurons, shares, rows, rate, radius):
    """Dekker's steps, one colour after another, in whole-array NumPy."""
    positions = np.arange(len(neurons))
    for row in rows:
        distances = np.abs(neurons - row).sum(axis=1)
        winner = np.argmin(distances - 1024 * (1 / len(neurons) - shares))
        shares *= 1 - 1 / 1024
        shares[np.argmin(distances)] += 1 / 1024
        away = np.abs(positions - winner)
        pull = np.where(away == 0, 1.0, 0.0)
        if radius > 1:
            pull = np.clip(1 - (away / radius) ** 2, 0, None)
        neurons += rate * pull[:, np.newaxis] * (row - neurons)


@pytest.mark.parametrize(("rate", "radius"), [(1.0, 2.5), (0.5, 4.0), (0.3, 0.0)])
def test_neurons_move_as_in_the_paper(rate, radius):
    rng = np.random.default_rng(3)
    rows = rng.integers(0, 256, (300, 3)).astype(float)
    neurons, shares = rng.uniform(0, 255, (9, 3)), np.full(9, 1 / 9)
    expected, expected_shares = neurons.copy(), shares.copy()
    train_plainly(expected, expected_shares, rows, rate, radius)
    train_map_block(neurons, shares, rows, rate, radius)
    np.testing.assert_allclose(neurons, expected, rtol=1e-9)
    np.testing.assert_allclose(shares, expected_shares, rtol=1e-9)


def test_rate_and_radius_shrink_from_cycle_to_cycle(weighted):
    _, boxes = weighted
    found, n_iter = fit(boxes, n_colors=20, seed=4)
    assert n_iter == N_CYCLES
    neurons = np.repeat(((np.arange(20) + 0.5) * 12.75)[:, np.newaxis], 3, axis=1)
    shares, pixels = np.full(20, 1 / 20), PixelDraws(boxes, 4)
    for cycle in range(N_CYCLES):
        shrunk = (29 / 30) ** cycle
        rows = pixels.draw(CYCLE_PIXELS, cycle)
        # In the kernel, which the loop above is compared with: 100 thousand colours take too long.
        radius = 2.5 * shrunk if 2.5 * shrunk > 1 else 0.0
        train_map_block(neurons, shares, rows, shrunk, radius)
    np.testing.assert_allclose(found, neurons, rtol=1e-6)


def test_pixels_are_drawn_as_often_as_there_are(weighted):
    _, boxes = weighted
    pixels = np.repeat(boxes.colors, boxes.weights, axis=0)
    rows = PixelDraws(boxes, 1).draw(20_000, 0)
    np.testing.assert_allclose(rows.mean(axis=0), pixels.mean(axis=0), atol=2)
    np.testing.assert_allclose(rows.std(axis=0), pixels.std(axis=0), atol=2)
    assert not np.array_equal(rows, PixelDraws(boxes, 1).draw(20_000, 1))
    assert not np.array_equal(rows, PixelDraws(boxes, 1, restart=1).draw(20_000, 0))


def test_every_cycle_is_told_of_and_the_seed_decides(weighted):
    _, boxes = weighted
    told = []
    first, _ = fit(boxes, listener=told.append, seed=1)
    assert [event.done for event in told] == list(range(1, N_CYCLES + 1))
    np.testing.assert_array_equal(first, fit(boxes, seed=1)[0])
    assert not np.array_equal(first, fit(boxes, seed=2)[0])
