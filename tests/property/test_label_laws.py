"""Law 3: labels are the nearest entry of the palette as written, the lowest index on ties."""

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import dask_quant as dq
from dask_quant.fit.fitting import fit_given
from dask_quant.flow import label_image

# A coarse lattice: most colours lie exactly halfway between several entries.
LATTICE = st.sampled_from([0, 32, 64, 96, 128, 160])
COLORS = st.lists(st.tuples(LATTICE, LATTICE, LATTICE), min_size=1, max_size=30, unique=True)


def check_all_ways(pixels, palette, label_oracle):
    """Both tables, that of all colours and that of the image's own, against brute force."""
    expected = label_oracle(pixels, palette.colors)[0]
    lazy = dq.relabel(da.from_array(pixels, chunks=(3, 4, 3)), palette)
    np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), expected)
    fit = fit_given(dq.ColorHistogram.from_pixels(pixels), palette)
    np.testing.assert_array_equal(label_image(pixels, fit), expected)


@settings(max_examples=15)
@given(
    pixels=arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)),
                  elements=LATTICE | st.integers(0, 255)),
    palette=COLORS,
)  # fmt: skip
def test_labels_are_nearest_and_lowest_on_ties(pixels, palette, label_oracle):
    check_all_ways(pixels, dq.Palette(palette), label_oracle)


def cube_palette(step):
    levels = np.arange(0, 256, step)
    return np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)


@pytest.mark.parametrize(
    "colors",
    [
        cube_palette(64),
        cube_palette(64)[::-1],
        cube_palette(28),
        np.repeat(np.arange(0, 256, 2)[:, np.newaxis], 3, axis=1)[::-1],
    ],
    ids=["cube", "cube, falling", "1000 entries", "greys, falling"],
)
def test_grids_of_ties_go_to_the_lowest_index(colors, label_oracle):
    palette = dq.Palette(colors)
    step = int(np.diff(np.unique(colors))[0])
    rng = np.random.default_rng(0)
    middles = rng.integers(0, 256 // (step // 2), (40, 50, 3)) * (step // 2)
    greys = rng.integers(0, 256, (10, 50, 1)).repeat(3, axis=2)
    pixels = np.concatenate([middles, greys, rng.integers(0, 256, (10, 50, 3))]).astype(np.uint8)
    check_all_ways(pixels, palette, label_oracle)
    assert len(np.unique(label_oracle(pixels, colors)[0])) > 16


@pytest.mark.parametrize("k", [1, 2, 16, 256, 257, 1000])
def test_fitted_palettes_label_a_photograph_exactly(photo, k, label_oracle):
    pixels = photo[150:200, 200:260]
    palette = dq.fit_palette(pixels, k, n_init=1, max_iter=5)
    check_all_ways(pixels, palette, label_oracle)
    labels = label_oracle(pixels, palette.colors)[0]
    assert np.bincount(labels.ravel(), minlength=k).tolist() == palette.counts.tolist()


@pytest.mark.parametrize(("k", "suffix"), [(16, ".png"), (256, ".png"), (300, ".zarr")])
def test_the_report_is_that_of_what_was_written(
    tmp_path, photo, k, suffix, read_indexed, label_oracle
):
    pixels, out = photo[150:250, 200:300], tmp_path / f"o{suffix}"
    report = dq.quantize(pixels, out, n_colors=k, n_init=1)
    if suffix == ".png":
        labels, palette, painted = read_indexed(out)
        palette = palette[:k]
    else:
        labels = zarr.open_group(out, mode="r")["0"][...]
        palette = dq.read_palette(out).colors
        painted = palette[labels]
    np.testing.assert_array_equal(labels, label_oracle(pixels, palette)[0])
    assert np.bincount(labels.ravel(), minlength=k).tolist() == report.palette.counts.tolist()
    assert report.mse == ((pixels.astype(np.int64) - painted) ** 2).sum() / labels.size
