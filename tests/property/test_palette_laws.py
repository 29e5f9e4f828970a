"""Laws 4 and 5: every colour asked for is used; colours that fit come back exactly."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import dask_quant as dq
from dask_quant.errors import FewerColorsWarning

FEW_LEVELS = st.sampled_from([0, 1, 2, 3, 100, 101, 254, 255])


def fit(image, n_colors, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewerColorsWarning)
        return dq.fit_palette(image, n_colors, **options)


def check_palette(pixels, palette, n_colors, label_oracle):
    """Size, distinctness, use, counts and order of a fitted palette, all from scratch."""
    distinct = {tuple(color) for color in pixels.reshape(-1, 3).tolist()}
    assert len(palette) == len(set(palette)) == min(n_colors, len(distinct))
    labels, distances = label_oracle(pixels.reshape(-1, 3), palette.colors)
    counts = np.bincount(labels, minlength=len(palette))
    assert counts.tolist() == palette.counts.tolist()
    assert counts.all()
    order = [(-count, color) for count, color in zip(counts.tolist(), palette, strict=True)]
    assert order == sorted(order)
    if len(distinct) <= n_colors:
        assert set(palette) == distinct
        assert not distances.any()


@settings(max_examples=80)
@given(
    pixels=arrays(
        np.uint8, st.tuples(st.integers(1, 8), st.integers(1, 8), st.just(3)), elements=FEW_LEVELS
    ),
    n_colors=st.integers(1, 70),
    seed=st.integers(0, 2**63 - 1),
    max_iter=st.sampled_from([1, 300]),
)
def test_palettes_are_full_used_and_ordered(pixels, n_colors, seed, max_iter, label_oracle):
    palette = fit(pixels, n_colors, seed=seed, n_init=1, max_iter=max_iter)
    check_palette(pixels, palette, n_colors, label_oracle)


def greys(step):
    return np.arange(0, 256, step, dtype=np.uint8)[:, np.newaxis].repeat(3, axis=1)


def cube(n, step):
    levels = np.arange(n) * step
    axes = np.meshgrid(levels, levels, levels, indexing="ij")
    return np.stack(axes, axis=-1).reshape(-1, 3).astype(np.uint8)


IMAGES = {
    "all greys": greys(1),
    "every other grey": greys(2),
    "greys, twice": np.repeat(greys(1), 2, axis=0),
    "greys, weighted": np.repeat(greys(1), np.arange(256) % 5 + 1, axis=0),
    "cube of 6": cube(6, 51),
    "cube of 12": cube(12, 23),
    "neighbours": cube(6, 1) + np.uint8(100),
    "corners": cube(2, 255),
    "one color": np.zeros((50, 3), np.uint8),
    "one odd pixel": np.concatenate([np.zeros((9999, 3), np.uint8), [[255, 255, 255]]]),
}


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("n_colors", [1, 2, 3, 8, 64, 216])
def test_palettes_of_images_full_of_ties(name, n_colors, label_oracle):
    pixels = IMAGES[name].astype(np.uint8)[np.newaxis]
    check_palette(pixels, fit(pixels, n_colors, n_init=2), n_colors, label_oracle)


@pytest.mark.parametrize("n_colors", [2, 255, 256, 257, 1000])
def test_palettes_of_a_photograph(photo, n_colors, label_oracle):
    pixels = photo[100:160, 200:300]
    palette = fit(pixels, n_colors, n_init=1, max_iter=3)
    check_palette(pixels, palette, n_colors, label_oracle)


@pytest.mark.parametrize("n_extra", [0, 1, 100])
def test_colors_that_fit_are_written_exactly(tmp_path, n_extra, read_indexed):
    pixels = cube(6, 51)[:200].reshape(10, 20, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewerColorsWarning)
        report = dq.quantize(pixels, tmp_path / "o.png", n_colors=200 + n_extra)
    np.testing.assert_array_equal(read_indexed(tmp_path / "o.png")[2], pixels)
    assert (report.mse, report.psnr_db, report.explained_variance) == (0, None, 1)
    assert report.n_colors == report.n_unique_colors == 200


def test_no_rare_color_turns_black(tmp_path):
    pixels = np.full((100, 100, 3), (200, 150, 100), dtype=np.uint8)
    pixels[0, :4] = [[250, 250, 250], [200, 150, 101], [201, 150, 100], [90, 200, 90]]
    palette = fit(pixels, 4)
    assert (palette.colors.min(axis=1) >= 90).all()
    assert palette.counts.sum() == 10_000


@settings(max_examples=15)
@given(seed=st.integers(0, 2**63 - 1), n_colors=st.integers(1, 12))
def test_a_seed_gives_one_palette(photo, seed, n_colors):
    pixels = photo[::16, ::16]
    first, second = (fit(pixels, n_colors, seed=seed, n_init=1) for _ in range(2))
    assert first == second
    assert first.counts.tolist() == second.counts.tolist()


def test_order_of_pixels_does_not_matter(photo):
    pixels = photo[::4, ::4].reshape(-1, 3)
    shuffled = np.random.default_rng(0).permutation(pixels)
    assert fit(pixels[np.newaxis], 9) == fit(shuffled[np.newaxis], 9)
