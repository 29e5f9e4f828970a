"""Dithering in other spaces than sRGB: errors in sRGB, the nearest entry there, the same bytes."""

import dask.array as da
import numpy as np
import pytest
import zarr
from PIL import Image

import dask_quant as dq
from dask_quant.color_spaces import find_space
from dask_quant.dithering import Tally, dither_image, find_offsets
from dask_quant.fit_options import DITHERS
from dask_quant.options import ClusterOptions

DITHERED = DITHERS[1:]
SPACES = ("linear", "oklab", "lab")


def place(colors, space):
    """Points of the lattice, int64, made by the floating-point conversion and not by the kernel."""
    working = find_space(space)
    steps = (working.from_srgb(np.asarray(colors)) - working.origin) * working.scale
    return np.rint(steps).astype(np.int64)


def measure(pixels, entries, space):
    """Squared distances of pixels to all entries, in steps."""
    return np.square(place(pixels, space)[..., np.newaxis, :] - place(entries, space)).sum(axis=-1)


def dither_plainly(pixels, palette, dither, space):
    """Labels of a whole image: plain NumPy, error diffusion pixel by pixel in integers."""
    height, width = pixels.shape[:2]
    entries = palette.colors.astype(int)
    if dither != "floyd-steinberg":
        offsets = find_offsets(palette, dither)
        y, x = np.mgrid[:height, :width] % len(offsets)
        moved = np.clip(pixels + offsets[y, x], 0, 255)
        own = measure(pixels, entries, space)
        nearest = measure(moved, entries, space).argmin(axis=-1)
        return np.where(own.min(axis=-1) == 0, own.argmin(axis=-1), nearest)
    errors = np.zeros((height + 1, width + 2, 3), dtype=int)  # a column more on either side
    labels = np.zeros((height, width), dtype=int)
    for y in range(height):
        for x in range(width):
            wanted = np.clip(pixels[y, x] + (errors[y, x + 1] + 8) // 16, 0, 255)
            labels[y, x] = measure(wanted, entries, space).argmin()
            error = wanted - entries[labels[y, x]]
            errors[y, x + 2] += 7 * error
            errors[y + 1, x : x + 3] += np.outer([3, 5, 1], error)
    return labels


@pytest.fixture(scope="module")
def picture(photo):
    return photo[205:255, 300:370].copy()


@pytest.fixture(scope="module")
def palette(picture):
    return dq.fit_palette(picture, 9, n_init=1, space="lab")


@pytest.mark.parametrize("space", SPACES)
def test_labels_are_the_nearest_entries_in_the_space(space, picture, palette):
    for dither in DITHERED:
        expected = dither_plainly(picture, palette, dither, space)
        for chunks in ((50, 70), (17, 31), (1, 70)):
            image = da.from_array(picture, chunks=(*chunks, 3))
            lazy = dq.relabel(image, palette, space=space, dither=dither)
            np.testing.assert_array_equal(lazy.compute(scheduler="threads"), expected)
        in_srgb = dq.relabel(picture, palette, dither=dither).compute(scheduler="threads")
        assert (in_srgb != expected).mean() > 0.02  # or the space would not show


@pytest.mark.parametrize("suffix", [".png", ".zarr"])
@pytest.mark.parametrize("dither", DITHERED)
def test_chunks_do_not_show_and_the_report_is_that_of_the_file(
    tmp_path, picture, palette, small_units, digest_output, dither, suffix
):
    options = {"dither": dither, "space": "lab"}
    expected = dither_plainly(picture, palette, dither, "lab")
    error = np.square(picture - palette.colors[expected].astype(int)).sum()
    distances = measure(picture, palette.colors, "lab")
    inertia = np.take_along_axis(distances, expected[..., np.newaxis], axis=-1).sum()
    digests = set()
    for number, chunks in enumerate([(50, 70), (13, 31), (1, 70)]):
        out, image = tmp_path / f"{number}{suffix}", da.from_array(picture, chunks=(*chunks, 3))
        cluster = ClusterOptions(scheduler="synchronous") if number else None
        report = dq.apply_palette(image, out, palette, chunks=9, cluster=cluster, **options)
        digests.add(digest_output(out))
        counts = np.bincount(expected.ravel(), minlength=9)
        assert report.palette.counts.tolist() == counts.tolist()
        assert report.mse == error / expected.size
        assert report.inertia == pytest.approx(inertia / find_space("lab").scale ** 2, rel=1e-12)
        assert (report.space, report.dither) == ("lab", dither)
    assert len(digests) == 1
    read = np.asarray(Image.open(out)) if suffix == ".png" else zarr.open_group(out)["0"][...]
    np.testing.assert_array_equal(read, expected)


def test_an_image_in_memory_is_dithered_as_one_in_chunks(tmp_path, picture, digest_output):
    Image.fromarray(picture).save(tmp_path / "a.png")
    options = {"n_colors": 8, "n_init": 1, "space": "lab", "dither": "floyd-steinberg"}
    whole = dq.quantize(tmp_path / "a.png", tmp_path / "whole.png", **options)
    cut = dq.quantize(tmp_path / "a.png", tmp_path / "cut.png", chunks=(9, 70), **options)
    assert digest_output(tmp_path / "whole.png") == digest_output(tmp_path / "cut.png")
    assert whole.palette == dq.fit_palette(picture, 8, n_init=1, space="lab")
    assert (whole.mse, whole.inertia) == (cut.mse, cut.inertia)
    expected = dither_plainly(picture, whole.palette, "floyd-steinberg", "lab")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "whole.png")), expected)


def test_collections_are_dithered_in_the_space(tmp_path, photo, read_indexed):
    (tmp_path / "in").mkdir()
    originals = [photo[begin : begin + 20, 100:160] for begin in (40, 300)]
    for name, pixels in zip("ab", originals, strict=True):
        Image.fromarray(pixels).save(tmp_path / "in" / f"{name}.png")
    options = {"n_colors": 5, "n_init": 1, "space": "lab", "dither": "bayer"}
    report = dq.quantize(tmp_path / "in", tmp_path / "out", **options)
    inertia = 0
    for name, pixels in zip("ab", originals, strict=True):
        labels, colors, _ = read_indexed(tmp_path / "out" / f"{name}.png")
        own = dq.Palette(colors[:5])
        np.testing.assert_array_equal(labels, dither_plainly(pixels, own, "bayer", "lab"))
        distances = measure(pixels, own.colors, "lab")
        inertia += np.take_along_axis(distances, labels[..., np.newaxis], axis=-1).sum()
    assert report.inertia == pytest.approx(inertia / find_space("lab").scale ** 2, rel=1e-12)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("n_colors", [1, 300])
def test_distances_are_summed_as_they_are_one_by_one(space, photo, n_colors):
    rng = np.random.default_rng(n_colors)
    noise = rng.integers(0, 256, (150, 200, 3), dtype=np.uint8)
    pixels = np.concatenate([photo[:100, :200], noise])
    entries = dq.Palette(np.unique(rng.integers(0, 256, (n_colors, 3), dtype=np.uint8), axis=0))
    labels = rng.integers(0, len(entries), pixels.shape[:2]).astype(entries.label_dtype)
    tally = Tally.of(pixels, labels, entries, space)
    offsets = place(pixels, space) - place(entries.colors, space)[labels]
    assert tally.squared_distance == np.square(offsets).sum()
    assert tally.squared_error == np.square(pixels - entries.colors[labels].astype(int)).sum()
    parts = [Tally.of(pixels[i::3], labels[i::3], entries, space) for i in range(3)]
    assert Tally.merge(parts).squared_distance == tally.squared_distance


def test_in_srgb_the_distance_is_the_error(picture, palette):
    tally = dither_image(picture, palette, "bayer")[1]
    assert tally.squared_distance == tally.squared_error > 0
