import dask
import dask.array as da
import numpy as np
import pytest
from dask.callbacks import Callback
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_quant.graphs.sampling import draw_pixel_indices, gather_pixels, splitmix64


def make_pixels(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def fancy_rows(pixels, indices):
    return pixels.reshape(-1, pixels.shape[2])[indices]


def test_splitmix64_gives_the_published_sequence():
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert splitmix64(1234567, np.arange(5, dtype=np.uint64)).tolist() == expected


def test_draws_go_on_where_the_last_ones_ended():
    whole = draw_pixel_indices(3, 10**6, 100)
    parts = [draw_pixel_indices(3, 10**6, 40), draw_pixel_indices(3, 10**6, 60, first_draw=40)]
    assert whole.dtype == np.int64
    np.testing.assert_array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_draws_are_uniform(seed):
    n_draws, n_pixels = 100_000, 50
    counts = np.bincount(draw_pixel_indices(seed, n_pixels, n_draws), minlength=n_pixels)
    expected = n_draws / n_pixels
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert len(counts) == n_pixels
    assert chi_squared < 100  # 49 degrees of freedom: above 94.0 once in 10,000


def test_neighbouring_seeds_share_no_draws():
    draws = [set(draw_pixel_indices(seed, 2**40, 1000).tolist()) for seed in range(4)]
    assert len(set.union(*draws)) == 4000


@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    row_chunk=st.integers(1, 12),
    column_chunk=st.integers(1, 12),
    band_chunk=st.sampled_from([1, 2, 3]),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_gathered_rows_are_those_of_numpy(height, width, row_chunk, column_chunk, band_chunk, data):
    pixels = make_pixels(height, width)
    places = st.integers(0, height * width - 1)
    indices = np.array(data.draw(st.lists(places, max_size=20)), dtype=np.int64)
    image = da.from_array(pixels, chunks=(row_chunk, column_chunk, band_chunk))
    rows = gather_pixels(image, indices).compute(scheduler="synchronous")
    assert rows.dtype == np.uint8
    np.testing.assert_array_equal(rows, fancy_rows(pixels, indices))


def test_uneven_and_empty_chunks_are_met():
    pixels = make_pixels(10, 7)
    image = da.from_array(pixels, chunks=((1, 0, 6, 3), (5, 2), 3))
    indices = np.arange(69, -1, -1)
    rows = gather_pixels(image, indices).compute(scheduler="synchronous")
    np.testing.assert_array_equal(rows, fancy_rows(pixels, indices))


def test_only_chunks_with_a_drawn_pixel_are_read():
    pixels = make_pixels(20, 20)
    read = []

    def record(block, block_id=None):
        read.append(block_id[:2])
        return block

    image = da.from_array(pixels, chunks=(5, 5, 3)).map_blocks(
        record, dtype=np.uint8, meta=np.empty((0, 0, 0), dtype=np.uint8)
    )
    indices = np.array([0, 399, 21, 0])  # corners of the image: blocks (0, 0) and (3, 3)
    rows = gather_pixels(image, indices).compute(scheduler="synchronous")
    np.testing.assert_array_equal(rows, fancy_rows(pixels, indices))
    assert sorted(read) == [(0, 0), (3, 3)]


def test_gathering_computes_nothing():
    class Refuse(Callback):
        def _start(self, dsk):
            raise AssertionError("building a graph computed something")

    with Refuse(), dask.config.set(scheduler="synchronous"):
        gather_pixels(da.zeros((8, 8, 3), chunks=4, dtype=np.uint8), np.array([1, 2]))
