"""Laws of images with transparency, against plain NumPy."""

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.cluster import KMeans

import dask_quant as dq
from dask_quant.fit.fitting import fit_given, fit_histogram
from dask_quant.fit_options import FitOptions
from dask_quant.histogram import ColorCounter, ColorHistogram
from dask_quant.kernels import count_alpha, label_alpha
from dask_quant.palette import Palette
from dask_quant.premultiplied import find_colors, place_colors, scale_points
from dask_quant.tables import label_pixels


def composite(colors, background):
    """What is seen of RGBA ``(..., 4)`` over a grey, float64 ``(..., 3)``."""
    alpha = colors[..., 3:] / 255
    return colors[..., :3] * alpha + background * (1 - alpha)


def difference(first, second):
    """The squared difference by its definition, of RGBA ``(..., 4)``."""
    over = [composite(first, gray) - composite(second, gray) for gray in (0, 255)]
    return sum((offset**2).sum(axis=-1) for offset in over) / 2


def draw_pixels(seed, shape=(12, 15), levels=256):
    """Random RGBA, of which some are opaque and some fully transparent, of any hidden colour."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, levels, (*shape, 4), dtype=np.uint8)
    pixels[..., 3] = rng.choice([0, 0, 1, 77, 128, 254, 255, 255], shape)
    return pixels


def clear(pixels):
    """The same with black hidden where nothing is seen."""
    return np.where(pixels[..., 3:] > 0, pixels, 0).astype(np.uint8)


@pytest.fixture
def picture(photo):
    """A part of a photograph that fades out, with random colours hidden in a fifth of it."""
    pixels = np.dstack([photo[200:260, 300:380], np.zeros((60, 80), np.uint8)])
    fading = np.clip(np.linspace(-60, 270, 80), 0, 255)
    pixels[..., 3] = fading
    hidden = np.random.default_rng(3).integers(0, 256, pixels.shape, dtype=np.uint8)
    pixels[..., :3] = np.where(pixels[..., 3:] > 0, pixels, hidden)[..., :3]
    return pixels


@settings(max_examples=5)
@given(st.integers(0, 2**32 - 1))
def test_points_are_as_far_apart_as_colours_over_black_and_white(seed):
    first, second = (draw_pixels(seed + i).reshape(-1, 4) for i in range(2))
    gaps = scale_points(place_colors(first)) - scale_points(place_colors(second))
    np.testing.assert_allclose((gaps**2).sum(axis=1), difference(first, second), rtol=1e-9)
    opaque = [np.where([1, 1, 1, 0], colors, 255).astype(int) for colors in (first, second)]
    plain = ((opaque[0] - opaque[1]) ** 2).sum(axis=1)
    np.testing.assert_allclose(difference(*opaque), plain, atol=1e-6)


def test_every_colour_that_is_seen_is_found_again():
    colors = clear(draw_pixels(1, (4000,)))
    found = find_colors(scale_points(place_colors(colors)))
    np.testing.assert_array_equal(found, colors)


def test_between_colours_none_near_is_nearer_than_the_one_that_is_found():
    rng = np.random.default_rng(2)
    points = scale_points(place_colors(draw_pixels(2, (60,)))) + rng.normal(0, 0.4, (60, 4))
    found = find_colors(points)
    placed = scale_points(place_colors(found))
    errors = ((placed - points) ** 2).sum(axis=1)
    steps = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 4), axis=-1).reshape(-1, 4)
    for color, point, error in zip(found.astype(int), points, errors, strict=True):
        others = np.unique(np.clip(color + steps, 0, 255), axis=0).astype(np.uint8)
        gaps = ((scale_points(place_colors(others)) - point) ** 2).sum(axis=1)
        assert gaps.min() >= error - 1e-9


@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 5, 256]))
def test_colours_are_counted_as_numpy_counts_them(seed, levels):
    pixels = draw_pixels(seed, levels=levels)
    histogram = ColorHistogram.from_pixels(pixels)
    colors, counts = np.unique(clear(pixels).reshape(-1, 4), axis=0, return_counts=True)
    order = np.lexsort((colors[:, 2], colors[:, 1], colors[:, 0], -colors[:, 3].astype(int)))
    np.testing.assert_array_equal(histogram.colors, colors[order])
    np.testing.assert_array_equal(histogram.counts, counts[order])
    assert ColorHistogram.from_colors(colors, counts) == histogram
    whole = ColorCounter()
    for part in (pixels[:5], pixels[5:5], pixels[5:]):
        whole.add(part)
    assert whole.finish() == histogram


def test_more_colours_than_a_table_holds_are_counted_and_labelled(monkeypatch):
    pixels = draw_pixels(5, (90, 100))
    expected, palette = ColorHistogram.from_pixels(pixels), Palette(clear(draw_pixels(6, (9,))))
    labels = label_pixels(pixels, palette)
    parts = [ColorHistogram.from_pixels(pixels[row]) for row in range(90)]
    assert ColorHistogram.merge_all(parts) == expected
    monkeypatch.setattr(label_alpha, "_PART_PIXELS", 300)
    np.testing.assert_array_equal(label_pixels(pixels, palette), labels)
    # Every colour once, and twice as many as a table takes before it is emptied.
    n = 2 * count_alpha.MOST_KEYS + 5
    numbers = np.random.default_rng(7).permutation(np.arange(n, dtype="<u4") | np.uint32(9 << 24))
    many = numbers.view(np.uint8).reshape(-1, 4)
    counted = ColorHistogram.from_pixels(many)
    assert len(counted) == n
    assert (counted.counts == 1).all()
    assert np.unique(counted.codes).size == n
    found = label_pixels(many, palette)
    few = np.random.default_rng(8).choice(n, 500)
    np.testing.assert_array_equal(found[few], nearest(many[few], palette.colors))


def nearest(pixels, colors):
    """The nearest entry by comparison with every one, in integers, the lowest on ties."""
    first, second = (given.astype(np.int64) for given in (pixels, colors))
    black = [given[..., :3] * given[..., 3:] for given in (first, second)]
    white = [
        seen - 255 * given[..., 3:] for seen, given in zip(black, (first, second), strict=True)
    ]
    gaps = sum(
        ((one[..., np.newaxis, :] - other) ** 2).sum(axis=-1) for one, other in (black, white)
    )
    return gaps.argmin(axis=-1)


@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.sampled_from([3, 256]))
def test_labels_are_the_nearest_entry(seed, n_colors, levels):
    pixels = draw_pixels(seed, levels=levels)
    entries = np.unique(clear(draw_pixels(seed + 1, (n_colors,), levels)), axis=0)
    entries = np.random.default_rng(seed).permutation(entries)
    palette = Palette(entries)
    found = label_pixels(pixels, palette)
    np.testing.assert_array_equal(found, nearest(pixels, entries))
    assert found.dtype == palette.label_dtype
    histogram = ColorHistogram.from_pixels(pixels)
    counts = fit_given(histogram, palette).palette.counts
    assert counts.tolist() == np.bincount(found.ravel(), minlength=len(entries)).tolist()


def test_opaque_pixels_get_the_same_labels_with_and_without_alpha(photo):
    rgb = photo[:40, :50]
    rgba = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    palette = Palette(np.unique(rgb.reshape(-1, 3), axis=0)[::40])
    labels = label_pixels(rgb, palette)
    np.testing.assert_array_equal(label_pixels(rgba, palette), labels)
    mixed = np.concatenate([rgba, np.zeros_like(rgba[:1])])
    np.testing.assert_array_equal(label_pixels(mixed, palette)[:-1], labels)
    assert ColorHistogram.from_pixels(rgba) == ColorHistogram.from_pixels(rgb)


@pytest.mark.parametrize("n_colors", [2, 5, 16, 60])
def test_a_file_holds_what_its_figures_say(tmp_path, picture, n_colors):
    Image.fromarray(picture).save(tmp_path / "in.png")
    report = dq.quantize(tmp_path / "in.png", tmp_path / "out.png", n_colors=n_colors)
    image = Image.open(tmp_path / "out.png")
    painted, labels = np.asarray(image.convert("RGBA")), np.asarray(image)
    np.testing.assert_array_equal(painted, report.palette.colors[labels])
    np.testing.assert_array_equal(labels, nearest(picture, report.palette.colors))
    assert report.mse == pytest.approx(difference(picture, painted).mean())
    counts = np.bincount(labels.ravel(), minlength=n_colors)
    assert report.palette.counts.tolist() == counts.tolist()
    assert len(report.palette) == n_colors
    assert counts.min() > 0
    assert (np.diff(counts) <= 0).all()
    mean = scale_points(place_colors(picture.reshape(-1, 4)))
    spread = ((mean - mean.mean(axis=0)) ** 2).sum(axis=1).mean()
    assert report.explained_variance == pytest.approx(1 - report.mse / spread)
    # What is fully transparent has an entry of its own, which is so, too.
    assert (painted[picture[..., 3] == 0] == 0).all()
    assert dq.read_palette(tmp_path / "out.png") == report.palette


def test_hidden_colours_never_leak(tmp_path, picture):
    for name, pixels in (("hidden", picture), ("black", clear(picture))):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        dq.quantize(tmp_path / f"{name}.png", tmp_path / f"{name}-8.png", n_colors=8)
    files = [(tmp_path / f"{name}-8.png").read_bytes() for name in ("hidden", "black")]
    assert files[0] == files[1]
    assert (picture != clear(picture)).any()


@pytest.mark.parametrize("chunks", [(60, 80), (17, 80), (23, 31)])
def test_files_do_not_depend_on_chunks(tmp_path, picture, chunks):
    Image.fromarray(picture).save(tmp_path / "in.png")
    report = dq.quantize(tmp_path / "in.png", tmp_path / "whole.png", n_colors=9)
    source = da.from_array(picture, chunks=(*chunks, 4))
    dq.quantize(source, tmp_path / "parts.png", n_colors=9)
    assert (tmp_path / "parts.png").read_bytes() == (tmp_path / "whole.png").read_bytes()
    dq.quantize(tmp_path / "in.png", tmp_path / "parts.zarr", n_colors=9, chunks=chunks)
    labels = zarr.open_array(tmp_path / "parts.zarr" / "0", mode="r")[:]
    np.testing.assert_array_equal(labels, np.asarray(Image.open(tmp_path / "whole.png")))
    assert dq.read_palette(tmp_path / "parts.zarr") == report.palette
    relabelled = dq.relabel(source, report.palette)
    np.testing.assert_array_equal(relabelled.compute(), labels)
    shown = dq.render(relabelled, report.palette)
    assert shown.shape == (60, 80, 4)
    np.testing.assert_array_equal(shown.compute(), report.palette.colors[labels])


@pytest.mark.parametrize("per_image", [False, True])
def test_collections_may_mix_opaque_and_transparent_images(tmp_path, picture, photo, per_image):
    folder = tmp_path / "in"
    folder.mkdir()
    images = {"a": picture, "b": photo[:50, :60], "c": picture[10:40, 5:70]}
    for name, pixels in images.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    report = dq.quantize(folder, tmp_path / "out", n_colors=7, per_image=per_image)
    total = 0.0
    for name in images:
        before, after = (
            np.asarray(Image.open(path / f"{name}.png").convert("RGBA"))
            for path in (folder, tmp_path / "out")
        )
        total += difference(before, after).sum()
    assert report.mse == pytest.approx(total / report.n_pixels)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_few_colours_come_back_exactly(seed, n_colors):
    pixels = clear(draw_pixels(seed, (5, 6), levels=3))
    colors = np.unique(pixels.reshape(-1, 4), axis=0)
    fit = fit_histogram(ColorHistogram.from_pixels(pixels), FitOptions(n_colors=n_colors))
    assert len(fit.palette) == min(n_colors, len(colors))
    assert (fit.palette.counts > 0).all()
    if len(colors) <= n_colors:
        assert fit.squared_error == 0
        np.testing.assert_array_equal(np.unique(fit.palette.colors, axis=0), colors)


@pytest.mark.parametrize("n_colors", [6, 24])
def test_a_fit_is_as_good_as_scikit_learns_best_of_ten(picture, n_colors):
    pixels = picture[:, 16:]  # none that is fully transparent: each entry is free
    histogram = ColorHistogram.from_pixels(pixels)
    fit = fit_histogram(histogram, FitOptions(n_colors=n_colors))
    points = scale_points(place_colors(histogram.colors))
    peer = KMeans(n_colors, n_init=10, random_state=0).fit(points, sample_weight=histogram.counts)
    assert fit.squared_error <= 1.01 * peer.inertia_
    again = fit_histogram(histogram, FitOptions(n_colors=n_colors))
    np.testing.assert_array_equal(again.palette.colors, fit.palette.colors)
    other = fit_histogram(histogram, FitOptions(n_colors=n_colors, effort="fast", seed=4))
    assert other.squared_error <= 1.1 * peer.inertia_


def test_more_entries_than_a_search_takes_are_fitted_all_the_same():
    pixels = draw_pixels(11, (100, 80))
    histogram = ColorHistogram.from_pixels(pixels)
    fit = fit_histogram(histogram, FitOptions(n_colors=4200, max_iter=2))
    assert len(fit.palette) == 4200
    assert (fit.palette.counts > 0).all()
    assert fit.squared_error < fit_histogram(histogram, FitOptions(n_colors=16)).squared_error
