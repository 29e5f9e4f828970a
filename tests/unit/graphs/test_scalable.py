import dask.array as da
import numpy as np
import pytest
from dask.callbacks import Callback
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_quant.errors import FitError, PixelFormatError
from dask_quant.graphs import scalable
from dask_quant.graphs.scalable import draw_initial_centroids, fit_dask_ml, pixel_rows


def make_pixels(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def sorted_rows(rows):
    rows = np.asarray(rows).reshape(-1, 3)
    return rows[np.lexsort(rows.T)]


def compute_here(task):
    return task.compute(scheduler="synchronous")


@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    row_chunk=st.integers(1, 12),
    column_chunk=st.integers(1, 12),
    band_chunk=st.sampled_from([1, 3]),
    min_chunks=st.integers(1, 9),
)
@settings(max_examples=60, deadline=None)
def test_every_pixel_is_a_row_once(height, width, row_chunk, column_chunk, band_chunk, min_chunks):
    pixels = make_pixels(height, width)
    image = da.from_array(pixels, chunks=(row_chunk, column_chunk, band_chunk))
    rows = pixel_rows(image, min_chunks=min_chunks)
    assert rows.dtype == np.float32
    assert rows.shape == (height * width, 3)
    assert rows.numblocks[0] >= min(min_chunks, height * width)
    assert rows.numblocks[1] == 1
    assert 0 not in rows.chunks[0]
    computed = rows.compute(scheduler="synchronous")
    assert computed.dtype == np.float32
    np.testing.assert_array_equal(sorted_rows(computed), sorted_rows(pixels))
    for index, size in enumerate(rows.chunks[0]):
        assert rows.blocks[index].compute(scheduler="synchronous").shape == (size, 3)


def test_rows_are_in_order_where_chunks_span_whole_rows():
    pixels = make_pixels(9, 5)
    rows = pixel_rows(da.from_array(pixels, chunks=(4, 5, 3)), min_chunks=7)
    np.testing.assert_array_equal(rows.compute(scheduler="synchronous"), pixels.reshape(-1, 3))


def test_a_decoded_photograph_is_cut_and_decoded_once():
    decoded = []

    def decode(block):
        decoded.append(block.shape)
        return block

    image = da.from_array(make_pixels(40, 30), chunks=-1).map_blocks(
        decode, dtype=np.uint8, meta=np.empty((0, 0, 0), dtype=np.uint8)
    )
    rows = pixel_rows(image, min_chunks=4)
    assert rows.chunks == ((300, 300, 300, 300), (3,))
    rows.compute(scheduler="synchronous")
    assert decoded == [(40, 30, 3)]


def test_large_blocks_are_cut_to_bounded_chunks(monkeypatch):
    monkeypatch.setattr(scalable, "MAX_CHUNK_ROWS", 10)
    rows = pixel_rows(da.zeros((8, 8, 3), chunks=(4, 8, 3), dtype=np.uint8))
    assert rows.chunks[0] == (8, 8, 8, 8, 8, 8, 8, 8)


@pytest.mark.parametrize(
    "image",
    [
        da.zeros((4, 4), dtype=np.uint8),
        da.zeros((4, 4, 4), dtype=np.uint8),
        da.zeros((4, 4, 3), dtype=np.uint16),
        da.zeros((0, 4, 3), dtype=np.uint8),
        da.from_array(make_pixels(4, 4), chunks=2)[da.from_array(np.array([True] * 4), chunks=2)],
    ],
)
def test_images_of_another_kind_are_refused(image):
    with pytest.raises(PixelFormatError, match="needed"):
        pixel_rows(image)
    with pytest.raises(PixelFormatError, match="needed"):
        draw_initial_centroids(image, n_clusters=1, seed=0, compute=compute_here)


def test_rows_are_lazy():
    class Refuse(Callback):
        def _start(self, dsk):
            raise AssertionError("building a graph computed something")

    with Refuse():
        pixel_rows(da.zeros((8, 8, 3), chunks=4, dtype=np.uint8))


def test_initial_centroids_are_distinct_colours_of_the_image_for_any_chunks():
    pixels = make_pixels(30, 40) // 64 * 64  # 64 colours in 1200 pixels
    draws = [
        draw_initial_centroids(
            da.from_array(pixels, chunks=chunks), n_clusters=50, seed=7, compute=compute_here
        )
        for chunks in (-1, (7, 11, 3), (1, 40, 1))
    ]
    assert draws[0].dtype == np.float32
    assert draws[0].shape == (50, 3)
    assert len(np.unique(draws[0], axis=0)) == 50
    colors = {tuple(color) for color in pixels.reshape(-1, 3).tolist()}
    assert {tuple(color) for color in draws[0].astype(int).tolist()} <= colors
    for other in draws[1:]:
        np.testing.assert_array_equal(draws[0], other)


def test_another_seed_draws_other_centroids():
    image = da.from_array(make_pixels(30, 40), chunks=10)
    first, second = (
        draw_initial_centroids(image, n_clusters=4, seed=seed, compute=compute_here)
        for seed in (0, 1)
    )
    assert not np.array_equal(first, second)


def test_rare_colours_are_drawn_in_later_rounds():
    pixels = np.zeros((100, 100, 3), dtype=np.uint8)
    pixels[:4, :50] = 255  # 2 % of the pixels
    rounds = []

    def compute(task):
        rounds.append(task.key)
        return compute_here(task)

    drawn = draw_initial_centroids(
        da.from_array(pixels, chunks=50), n_clusters=2, seed=2, compute=compute
    )
    assert sorted(drawn.tolist()) == [[0, 0, 0], [255, 255, 255]]
    assert len(rounds) > 1
    assert len(set(rounds)) == len(rounds)


def test_too_few_colours_are_said_so():
    image = da.zeros((16, 16, 3), chunks=8, dtype=np.uint8)
    with pytest.raises(FitError, match=r"Found 1 distinct colours .* dask-ml needs 3"):
        draw_initial_centroids(image, n_clusters=3, seed=0, compute=compute_here)


def lloyd(rows, centroids, n_steps):
    rows = rows.astype(np.float64)
    for _ in range(n_steps):
        nearest = ((rows[:, None] - centroids) ** 2).sum(axis=2).argmin(axis=1)
        sums = np.array([rows[nearest == k].sum(axis=0) for k in range(len(centroids))])
        counts = np.bincount(nearest, minlength=len(centroids))
        centroids = sums / np.maximum(counts, 1)[:, None]
    return centroids


@pytest.mark.parametrize("persist", [False, True])
def test_the_fit_is_lloyd_from_the_given_centroids(persist):
    pixels = make_pixels(40, 50)
    image = da.from_array(pixels, chunks=(16, 50, 3))
    start = draw_initial_centroids(image, n_clusters=5, seed=0, compute=compute_here)
    fit = fit_dask_ml(
        image,
        n_clusters=5,
        initial_centroids=start,
        max_iter=4,
        tol=0.0,
        seed=2**40,
        persist=persist,
    )
    assert fit.n_iter == 4
    assert fit.centroids.dtype == np.float64
    np.testing.assert_allclose(fit.centroids, lloyd(pixels.reshape(-1, 3), start, 4), atol=1e-4)


def test_dask_ml_turns_an_empty_cluster_black():
    pixels = np.full((8, 8, 3), 200, dtype=np.uint8)
    pixels[:4] = 220
    start = np.array([[200, 200, 200], [220, 220, 220], [0, 255, 0]], dtype=np.float32)
    fit = fit_dask_ml(
        da.from_array(pixels, chunks=4),
        n_clusters=3,
        initial_centroids=start,
        max_iter=1,
        tol=0.0,
        seed=0,
    )
    assert fit.centroids[2].tolist() == [0, 0, 0]


def test_dask_ml_compares_tol_with_the_squared_shift_and_returns_the_centroids_before_it():
    pixels = make_pixels(40, 50)
    start = np.array([[60, 60, 60], [200, 200, 200]], dtype=np.float32)
    before, after = (lloyd(pixels.reshape(-1, 3), start, n_steps) for n_steps in (1, 2))
    squared_shift = ((after - before) ** 2).sum()

    def fit(tol):
        return fit_dask_ml(
            da.from_array(pixels, chunks=20),
            n_clusters=2,
            initial_centroids=start,
            max_iter=100,
            tol=tol,
            seed=0,
        )

    stopped = fit(squared_shift * 1.01)
    assert stopped.n_iter == 2
    np.testing.assert_allclose(stopped.centroids, before, atol=1e-3)
    assert fit(squared_shift * 0.99).n_iter > 2
