import numpy as np
import pytest

from dask_quant.kernels.masks import bayer_ranks, blue_noise_ranks


def test_bayers_matrix_is_the_published_one():
    expected = [[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]
    assert bayer_ranks(2).tolist() == expected


@pytest.mark.parametrize("ranks", [bayer_ranks(3), blue_noise_ranks(16), blue_noise_ranks(64)])
def test_a_mask_holds_every_rank_once(ranks):
    assert sorted(ranks.ravel().tolist()) == list(range(ranks.size))
    assert not ranks.flags.writeable


def closest_pair(places, side):
    """The least distance of two places on a torus."""
    rows, columns = np.divmod(places, side)
    steps = [abs(a[:, np.newaxis] - a) for a in (rows, columns)]
    squared = sum(np.minimum(step, side - step) ** 2 for step in steps)
    return np.sqrt(squared[~np.eye(len(places), dtype=bool)].min())


@pytest.mark.parametrize("n_first", [16, 40])
def test_the_first_ranks_of_blue_noise_are_far_apart_also_across_edges(n_first):
    side = 32
    first = np.argsort(blue_noise_ranks(side).ravel())[:n_first]
    drawn = np.random.default_rng(0).permutation(side * side)[:n_first]
    # A square lattice of as many places has this distance.
    lattice = side / np.sqrt(n_first)
    assert closest_pair(first, side) > 0.7 * lattice
    assert closest_pair(drawn, side) < 0.7 * lattice


def test_blue_noise_has_no_low_frequencies():
    mask = blue_noise_ranks(64)
    spectrum = np.abs(np.fft.fft2(mask - mask.mean())) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(64)))
    low = spectrum[(frequency > 0) & (frequency < 0.1)].mean()
    high = spectrum[frequency > 0.3].mean()
    assert low < high / 100
