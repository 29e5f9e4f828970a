"""Laws 2, 3 and 5 in every working space: nearest there, the same bytes anywhere, all in use."""

import warnings

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

import dask_quant as dq
from dask_quant.color_spaces import find_space
from dask_quant.errors import FewerColorsWarning
from dask_quant.fit.fitting import fit_given, fit_histogram
from dask_quant.fit_options import FitOptions
from dask_quant.flow import label_image

SPACES = ("linear", "oklab", "lab")


def find_nearest(pixels, colors, space):
    """Lowest index of the nearest entry on the lattice, and the squared distance, by brute force.

    The lattice is made of the floating-point conversion here, not of the kernel.
    """
    working = find_space(space)

    def place(given):
        return np.rint((working.from_srgb(given) - working.origin) * working.scale).astype(np.int64)

    offsets = place(pixels)[..., np.newaxis, :] - place(np.asarray(colors))
    distances = np.square(offsets).sum(axis=-1)
    return distances.argmin(axis=-1), distances.min(axis=-1)


@pytest.mark.parametrize("space", SPACES)
def test_labels_are_the_nearest_entries_through_both_tables(space, photo):
    rng = np.random.default_rng(1)
    pixels = np.concatenate([photo[100:130, :200], rng.integers(0, 256, (30, 200, 3))])
    pixels = pixels.astype(np.uint8)
    palette = dq.Palette(rng.permutation(np.unique(pixels.reshape(-1, 3), axis=0))[:300])
    expected, _ = find_nearest(pixels, palette.colors, space)
    lazy = dq.relabel(da.from_array(pixels, chunks=(17, 40, 3)), palette, space=space)
    assert lazy.dtype == np.uint16
    np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), expected)
    fit = fit_given(dq.ColorHistogram.from_pixels(pixels), palette, space)
    np.testing.assert_array_equal(label_image(pixels, fit), expected)
    in_srgb = dq.relabel(pixels, palette).compute(scheduler="synchronous")
    assert (in_srgb != expected).mean() > 0.02  # or the space would not show


LEVELS = st.sampled_from([0, 1, 2, 3, 100, 101, 254, 255])


@pytest.mark.parametrize("space", SPACES)
@settings(max_examples=25)
@given(
    pixels=arrays(np.uint8, st.tuples(st.integers(1, 8), st.integers(1, 8), st.just(3)),
                  elements=LEVELS),
    n_colors=st.integers(1, 40),
    seed=st.integers(0, 2**63 - 1),
)  # fmt: skip
def test_palettes_are_full_used_and_ordered(space, pixels, n_colors, seed):
    distinct = np.unique(pixels.reshape(-1, 3), axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewerColorsWarning)
        palette = dq.fit_palette(pixels, n_colors, space=space, seed=seed, n_init=1)
    assert len(palette) == len(set(palette)) == min(n_colors, len(distinct))
    labels, _ = find_nearest(pixels.reshape(-1, 3), palette.colors, space)
    counts = np.bincount(labels, minlength=len(palette))
    assert counts.tolist() == palette.counts.tolist()
    assert counts.all()
    order = [(-count, color) for count, color in zip(counts.tolist(), palette, strict=True)]
    assert order == sorted(order)
    if len(distinct) <= n_colors:
        assert set(palette) == set(map(tuple, distinct.tolist()))


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("k", [8, 64])
def test_a_fit_in_a_space_has_less_error_there_than_one_in_srgb(space, k, photo):
    histogram = dq.ColorHistogram.from_pixels(photo)
    own, other = (
        fit_histogram(histogram, FitOptions(n_colors=k, space=each)) for each in (space, "srgb")
    )
    painted = fit_given(histogram, other.palette, space)
    assert own.inertia < 0.97 * painted.inertia
    assert own.squared_error > other.squared_error
    labels, distances = find_nearest(photo, own.palette.colors, space)
    assert own.inertia == pytest.approx(distances.sum() / find_space(space).scale ** 2)
    error = np.square(photo.astype(int) - own.palette.colors[labels]).sum()
    assert own.squared_error == error
    # Centroids are levels, near the colours that were made of them.
    assert own.centroids.min() >= 0
    assert own.centroids.max() <= 255


@pytest.mark.parametrize(("space", "suffix"), [("oklab", ".png"), ("lab", ".zarr")])
def test_every_route_writes_the_same(tmp_path, photo, space, suffix, digest_output, read_indexed):
    pixels = photo[:90, :120]
    options = {"n_colors": 12, "space": space, "n_init": 1}
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    report = dq.quantize(pixels, whole, **options)
    again = dq.quantize(da.from_array(pixels, chunks=(31, 47, 3)), cut, chunks=50, **options)
    assert digest_output(cut) == digest_output(whole)
    assert (report.space, again.space) == (space, space)
    assert again.inertia == report.inertia
    dq.apply_palette(pixels, tmp_path / f"applied{suffix}", report.palette, space=space)
    assert digest_output(tmp_path / f"applied{suffix}") == digest_output(whole)
    labels, distances = find_nearest(pixels, report.palette.colors, space)
    assert report.inertia == pytest.approx(distances.sum() / find_space(space).scale ** 2)
    painted = report.palette.colors[labels].astype(int)
    assert report.mse == np.square(pixels - painted).sum() / labels.size
    if suffix == ".png":
        written, _, _ = read_indexed(whole)
        np.testing.assert_array_equal(written, labels)


@pytest.mark.parametrize("per_image", [False, True])
def test_collections_are_labelled_in_the_space(tmp_path, photo, per_image, read_indexed):
    (tmp_path / "in").mkdir()
    for name, rows in (("a", slice(0, 40)), ("b", slice(300, 340))):
        Image.fromarray(photo[rows, :60]).save(tmp_path / "in" / f"{name}.png")
    dq.quantize(tmp_path / "in", tmp_path / "out", n_colors=9, space="lab", per_image=per_image)
    for name, rows in (("a", slice(0, 40)), ("b", slice(300, 340))):
        labels, palette, _ = read_indexed(tmp_path / "out" / f"{name}.png")
        np.testing.assert_array_equal(labels, find_nearest(photo[rows, :60], palette, "lab")[0])


def test_the_shift_at_which_a_fit_stops_is_in_units_of_the_space(photo):
    """Half the way from black to white is too far for any centroid to move once more."""
    for space, far, near in (("srgb", 128, 0.01), ("oklab", 0.5, 2e-5), ("lab", 50, 0.003)):
        options = {"n_colors": 24, "space": space, "effort": "fast", "max_iter": 300}
        histogram = dq.ColorHistogram.from_pixels(photo)
        n_iter = [
            fit_histogram(histogram, FitOptions(tol=tol, **options)).n_iter for tol in (far, near)
        ]
        assert n_iter[1] > n_iter[0] + 3


@pytest.mark.parametrize("engine", ["scalable", "dask-ml"])
def test_other_engines_fit_in_srgb_alone(engine):
    with pytest.raises(dq.OptionError, match=f"space 'lab' with the {engine} engine"):
        FitOptions(space="lab", engine=engine)
    for space in ("hsv", None, 3):
        with pytest.raises(dq.OptionError, match="known are srgb, linear, oklab, lab"):
            FitOptions(space=space)
        with pytest.raises(dq.OptionError, match="known are srgb"):
            dq.relabel(np.zeros((2, 2, 3), dtype=np.uint8), [[0, 0, 0]], space=space)


@pytest.mark.parametrize("space", SPACES)
def test_colors_that_are_kept_stay_in_every_space(space, photo):
    pixels, pins = photo[150:250, 200:300], [[255, 0, 0], [1, 2, 3], [128, 128, 127]]
    palette = dq.fit_palette(pixels, 12, space=space, keep=pins)
    assert len(palette) == len(set(palette)) == 12
    assert set(map(tuple, pins)) <= set(palette)
    labels, _ = find_nearest(pixels, palette.colors, space)
    counts = np.bincount(labels.ravel(), minlength=12)
    assert counts.tolist() == palette.counts.tolist()
    is_free = [color not in set(map(tuple, pins)) for color in palette]
    assert counts[is_free].all()


def test_classes_of_a_space_are_painted_in_given_colors(tmp_path, photo, read_indexed):
    pixels, out = photo[150:250, 200:300], tmp_path / "o.png"
    plain = dq.quantize(pixels, tmp_path / "p.png", n_colors=2, space="lab")
    report = dq.quantize(pixels, out, n_colors=2, space="lab", recolor="#000,#fff")
    labels, palette, painted = read_indexed(out)
    np.testing.assert_array_equal(labels, find_nearest(pixels, plain.palette.colors, "lab")[0])
    darker = plain.palette.colors.sum(axis=1).argmin()
    assert palette[darker].tolist() == [0, 0, 0]
    assert report.mse == np.square(pixels.astype(int) - painted).sum() / labels.size
    with pytest.raises(dq.OptionError, match=r"'bayer' with recolor.* --palette '#000000,#ffffff'"):
        dq.quantize(pixels, tmp_path / "q.png", n_colors=2, recolor="#000,#fff", dither="bayer")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"method": "wu"}, "space 'lab' with the method wu"),
        ({"init": "random"}, "space 'lab' with another init"),
        ({"method": "octree", "keep": ((0, 0, 0),), "space": "srgb"}, "keep"),
        ({"init": "random", "keep": ((0, 0, 0),), "space": "srgb"}, "keep"),
    ],
)
def test_other_methods_take_neither_spaces_nor_colors_to_keep(options, text):
    with pytest.raises(dq.OptionError, match=text):
        FitOptions(**{"space": "lab", **options})
