"""The engine ``scalable``: k-means in passes over the pixels of one image."""

import subprocess
import sys

import dask
import dask.array as da
import numpy as np
import pytest
from sklearn.datasets import load_sample_images

import dask_quant as dq
from dask_quant import row_flow
from dask_quant.engine_flow import fit_image
from dask_quant.errors import OptionError
from dask_quant.execute import Executor
from dask_quant.fit.row_block import find_nearest
from dask_quant.fit_options import FitOptions
from dask_quant.graphs.rows import RowBlocks, make_pixel_block
from dask_quant.histogram import ColorHistogram

CHUNKS = [(100, 120), (31, 47), (1, 120), (100, 7), ((0, 60, 40), (50, 0, 70))]


def make_pictures():
    row, column = np.mgrid[:200, :240]
    gradient = np.stack([row * 255 // 199, column * 255 // 239, (row + column) // 2], axis=-1)
    noise = np.random.default_rng(0).integers(0, 256, (120, 130, 3))
    china, flower = (image[::3, ::3] for image in load_sample_images().images)
    pictures = {"china": china, "flower": flower, "gradient": gradient, "noise": noise}
    return {name: picture.astype(np.uint8) for name, picture in pictures.items()}


PICTURES = make_pictures()

PICTURE = PICTURES["china"][20:120, 30:150]


def fit(pixels, *, chunks=-1, scheduler="threads", **options):
    image = da.from_array(pixels, chunks=chunks if chunks == -1 else (*chunks, 3))
    given = FitOptions(**{"n_colors": 8, "engine": "scalable"} | options)
    return fit_image(image, ColorHistogram.from_pixels(pixels), given, Executor(None, scheduler))


def measure(pixels, centers):
    """Mean squared distance of pixels to the nearest of some centres."""
    _, distances = find_nearest(pixels.reshape(-1, 3), centers)
    return distances.mean()


@pytest.fixture
def small_sample(monkeypatch):
    """Samples of 1,500 pixels, so that there is something left to do in the passes."""
    monkeypatch.setattr(row_flow, "SAMPLE_NUMBERS", 3 * 1500)


@pytest.mark.parametrize("k", [4, 16, 48])
@pytest.mark.parametrize("name", PICTURES)
def test_the_error_is_near_that_of_the_histogram_engine(name, k):
    pixels = PICTURES[name]
    ours, theirs = (fit(pixels, n_colors=k, engine=e) for e in ("scalable", "histogram"))
    assert ours.engine == "scalable"
    assert len(ours.palette) == k
    assert ours.squared_error <= 1.02 * theirs.squared_error


@pytest.mark.parametrize("name", PICTURES)
def test_it_never_ends_above_where_it_began(name, small_sample, monkeypatch):
    begun = []
    iterate = row_flow.iterate_rows

    def note(source, starts, **options):
        begun.extend(starts if isinstance(source, row_flow.SpreadRows) else [])
        return iterate(source, starts, **options)

    monkeypatch.setattr(row_flow, "iterate_rows", note)
    ended = fit(PICTURES[name])
    (start,) = begun
    assert ended.n_iter > 0
    assert measure(PICTURES[name], ended.centroids) < measure(PICTURES[name], start)


@pytest.mark.parametrize("sampled", [False, True])
def test_neither_chunks_nor_threads_show_in_a_single_bit(sampled, request):
    if sampled:
        request.getfixturevalue("small_sample")
    first = fit(PICTURE)
    for chunks in CHUNKS:
        for scheduler in ("threads", "synchronous"):
            other = fit(PICTURE, chunks=chunks, scheduler=scheduler)
            assert other.centroids.tobytes() == first.centroids.tobytes()
            assert other.palette == first.palette
            assert other.n_iter == first.n_iter


def test_labels_do_not_depend_on_chunks(tmp_path, digest_output, small_sample):
    digests, palettes = set(), set()
    for number, chunks in enumerate([None, (33, 50), (7, 120)]):
        out = tmp_path / f"{number}.png"
        report = dq.quantize(PICTURE, out, n_colors=8, engine="scalable", chunks=chunks)
        assert report.engine == "scalable"
        digests.add(digest_output(out))
        palettes.add(tuple(report.palette.hex))
    assert len(digests) == len(palettes) == 1


def test_the_seed_shows(small_sample):
    ends = {fit(PICTURE, seed=seed).centroids.tobytes() for seed in (0, 1, 2**63 - 1)}
    assert len(ends) == 3


@pytest.mark.parametrize(("n_init", "n_starts"), [(None, 8), (1, 1), (3, 3)])
def test_restarts_are_as_many_as_asked_for(monkeypatch, n_init, n_starts):
    seeded = []
    seed = row_flow.seed_rows
    monkeypatch.setattr(
        row_flow, "seed_rows", lambda *args, **kw: seeded.append(kw["restart"]) or seed(*args, **kw)
    )
    fit(PICTURE, n_init=n_init)
    assert seeded == list(range(n_starts))


def test_moves_are_limited(small_sample):
    assert fit(PICTURE, max_iter=2, tol=0).n_iter == 2
    assert fit(PICTURE, max_iter=300, tol=0).n_iter > 2


def test_the_tolerance_is_a_shift_in_levels(small_sample):
    loose, tight = fit(PICTURE, tol=1.0), fit(PICTURE, tol=0.01)
    assert loose.n_iter < tight.n_iter
    for tol, found in ((1.0, loose), (0.01, tight)):
        rows = PICTURE.reshape(-1, 3).astype(float)
        labels, _ = find_nearest(rows, found.centroids)
        means = np.stack([rows[labels == label].mean(axis=0) for label in range(8)])
        shifts = np.sqrt(np.square(means - found.centroids).sum(axis=1))
        assert shifts.max() <= tol
    assert fit(PICTURE, tol=1e200).n_iter == 0


def test_pixels_are_no_floats_and_have_their_place():
    block = make_pixel_block(PICTURE[10:20, 30:70], 10 * 120 + 30, 120)
    assert block.rows.dtype == np.uint8
    numbers = block.numbers.find(np.arange(400))
    np.testing.assert_array_equal(PICTURE.reshape(-1, 3)[numbers], block.rows)
    whole = make_pixel_block(PICTURE, 0, 120)
    assert np.shares_memory(whole.rows, PICTURE) == PICTURE.flags.c_contiguous


@pytest.mark.parametrize("chunks", CHUNKS)
def test_every_pixel_is_in_one_block_under_its_own_number(chunks):
    blocks = RowBlocks.of_image(da.from_array(PICTURE, chunks=(*chunks, 1)))
    found = np.zeros((PICTURE.shape[0] * PICTURE.shape[1], 3), dtype=int) - 1
    for block, size in zip(dask.compute(*blocks.blocks), blocks.sizes, strict=True):
        assert len(block) == size
        found[block.numbers.find(np.arange(size))] = block.rows
    np.testing.assert_array_equal(found.reshape(PICTURE.shape), PICTURE)


def test_rare_colors_that_the_sample_misses_are_painted(monkeypatch):
    monkeypatch.setattr(row_flow, "SAMPLE_NUMBERS", 3 * 50)
    pixels = np.zeros((90, 90, 3), dtype=np.uint8)
    pixels[::30, ::30] = np.arange(27).reshape(3, 3, 3) * 9 + 9
    found = fit(pixels, n_colors=6)
    assert len(found.palette) == 6
    assert (found.palette.counts > 0).all()
    centroids = set(map(tuple, np.rint(found.centroids)))
    assert len(centroids) == 6
    assert min(max(color) for color in centroids - {(0, 0, 0)}) > 9  # no second black


def test_effort_means_nothing_to_it():
    for effort in ("fast", "best"):
        with pytest.raises(OptionError, match=f"effort '{effort}' with the scalable engine"):
            dq.fit_palette(PICTURE, 4, engine="scalable", effort=effort)


def test_it_needs_neither_dask_ml_nor_scikit_learn():
    script = (
        "import sys, numpy as np, dask_quant as dq\n"
        "pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)\n"
        "print(len(dq.fit_palette(pixels, 4, engine='scalable')))\n"
        "print({'dask_ml', 'sklearn'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["4", "set()"]
