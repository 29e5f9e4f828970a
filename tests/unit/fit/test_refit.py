"""A palette fitted anew from an old one: indices, colours that move, colours that stay."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dask_quant as dq
from dask_quant.errors import FewerColorsWarning, OptionError
from dask_quant.fit.fitting import fit_given, fit_histogram
from dask_quant.fit_options import FitOptions
from dask_quant.histogram import ColorHistogram

OLD = [[10, 10, 10], [200, 200, 200], [90, 30, 160], [0, 255, 0]]


def refit(histogram, old, n_colors=None, **options):
    colors = np.asarray(getattr(old, "colors", old))
    return fit_histogram(
        histogram, FitOptions(n_colors=n_colors or len(colors), refit=colors, **options)
    )


def measure(histogram, palette, space="srgb"):
    return fit_given(histogram, palette, space).finished.assignment.squared_error


def iterate_slowly(colors, weights, centroids):
    """Lloyd's algorithm to rest, by comparison with all centroids; empty ones stay."""
    while True:
        distances = np.square(colors[:, None] - centroids[None]).sum(axis=2)
        labels = distances.argmin(axis=1)
        moved = centroids.copy()
        for index in range(len(centroids)):
            own = labels == index
            if own.any():
                moved[index] = np.average(colors[own], axis=0, weights=weights[own])
        if np.abs(moved - centroids).max() < 1e-12:
            return moved
        centroids = moved


@pytest.fixture(scope="module")
def halves(photo):
    """Counts of some pixels of a photograph, and of their neighbours, somewhat brighter."""
    grown = np.clip(photo[::3, 1::3].astype(int) + 4, 0, 255).astype(np.uint8)
    return ColorHistogram.from_pixels(photo[::3, ::3]), ColorHistogram.from_pixels(grown)


@pytest.mark.parametrize("space", ["srgb", "oklab"])
@pytest.mark.parametrize("n_colors", [16, 40])
def test_the_same_images_leave_every_index_its_color(halves, n_colors, space):
    old = dq.fit_palette(halves[0], n_colors, space=space)
    found = refit(halves[0], old, space=space).palette
    assert np.abs(found.colors.astype(int) - old.colors).max() <= 2
    assert measure(halves[0], found, space) <= measure(halves[0], old, space)


@pytest.mark.parametrize("space", ["srgb", "lab"])
def test_grown_images_move_colors_a_little_and_keep_labels(halves, space):
    old = dq.fit_palette(halves[0], 16, space=space)
    grown = halves[0].merge(halves[1])
    found = refit(grown, old, space=space).palette
    moved = np.linalg.norm(found.colors.astype(float) - old.colors, axis=1)
    assert 0 < moved.max() < 12
    fits = [fit_given(halves[0], palette, space) for palette in (old, found)]
    agree = fits[0].finished.assignment.labels == fits[1].finished.assignment.labels
    assert np.average(agree, weights=fits[0].boxes.weights) > 0.85
    assert found.counts.tolist() == fit_given(grown, found, space).palette.counts.tolist()
    assert measure(grown, found, space) < measure(grown, old, space)


def test_entries_are_where_plain_lloyd_leads_to():
    rng = np.random.default_rng(5)
    places = np.array([[30, 40, 50], [60, 40, 50], [200, 90, 20], [120, 220, 180]])
    pixels = np.clip(np.repeat(places, 80, 0) + rng.normal(0, 7, (320, 3)), 0, 255).astype(np.uint8)
    histogram = ColorHistogram.from_pixels(pixels)
    old = np.array([[190, 100, 30], [50, 45, 45], [20, 40, 60], [255, 255, 255]])
    found = refit(histogram, old, tol=0).palette
    rest = iterate_slowly(histogram.colors.astype(float), histogram.counts, old.astype(float))
    assert (np.abs(found.colors - rest).max(axis=1) <= 1.0).all()


def test_an_entry_without_pixels_keeps_color_and_index():
    pixels = np.array([[[12, 10, 10]] * 5 + [[14, 10, 12]] * 3 + [[3, 250, 3]] * 4 + [[3, 240, 3]]])
    found = refit(ColorHistogram.from_pixels(pixels.astype(np.uint8)), OLD, tol=0).palette
    assert found.colors[1:3].tolist() == OLD[1:3]
    assert found.counts.tolist() == [8, 0, 0, 5]
    assert np.abs(found.colors[[0, 3]] - [[12.75, 10, 10.75], [3, 248, 3]]).max() <= 0.75


def test_an_entry_that_loses_its_pixels_on_the_way_is_as_it_was():
    # The second one begins between both crowds, and the third takes all that it wins at first.
    rng = np.random.default_rng(2)
    crowd = np.clip(rng.normal([60, 60, 60], 4, (300, 3)), 0, 255).astype(np.uint8)
    old = [[60, 60, 60], [61, 61, 61], [60, 60, 61], [250, 0, 0]]
    histogram = ColorHistogram.from_pixels(crowd)
    for space in ("srgb", "oklab"):
        found = refit(histogram, old, space=space).palette
        unused = found.counts == 0
        assert (found.colors[unused] == np.array(old)[unused]).all()
        assert found.colors[3].tolist() == [250, 0, 0]


def test_further_entries_come_after_the_old_ones(halves):
    grown = halves[0].merge(halves[1])
    old = dq.fit_palette(halves[0], 12)
    found = refit(grown, old, 20).palette
    assert len(found) == 20
    assert (found.counts > 0).all()
    assert (np.diff(found.counts) > 0).any()  # by index, not by count
    moved = np.linalg.norm(found.colors[:12].astype(float) - old.colors, axis=1)
    others = np.linalg.norm(found.colors[12:].astype(float) - old.colors[:, None], axis=2)
    assert moved.mean() < others.min(axis=0).mean()
    best = measure(grown, dq.fit_palette(grown, 20))
    assert measure(grown, found) < 1.15 * best
    assert found == refit(grown, old, 20).palette
    assert found != refit(grown, old, 20, seed=1).palette


def test_few_colors_are_all_entries_and_nothing_moves():
    pixels = np.array([[[9, 9, 9], [200, 200, 200], [1, 2, 3]]], dtype=np.uint8)
    found = refit(ColorHistogram.from_pixels(pixels), OLD, 8)
    assert found.palette.colors.tolist() == [*OLD, [1, 2, 3], [9, 9, 9]]
    assert found.palette.counts.tolist() == [0, 1, 0, 0, 1, 1]
    assert (found.squared_error, found.n_iter) == (0, 0)


@given(
    colors=st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=1, max_size=40, unique=True),
    old=st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=1, max_size=12, unique=True),
    n_more=st.integers(0, 6),
    space=st.sampled_from(["srgb", "oklab"]),
    weight=st.integers(1, 1000),
)
def test_crowded_colors_stay_distinct_and_the_error_never_rises(colors, old, n_more, space, weight):
    counts = 1 + np.arange(len(colors)) * weight % 97
    histogram = ColorHistogram.from_colors(np.array(colors, np.uint8), counts)
    found = refit(histogram, old, len(old) + n_more, space=space)
    palette = found.palette
    assert len(old) <= len(palette) <= len(old) + n_more  # a Palette is of distinct colours
    unused = np.flatnonzero(palette.counts == 0)
    assert (unused < len(old)).all()
    assert (palette.colors[unused] == np.array(old)[unused]).all()
    told = found.finished.assignment.squared_error
    assert told == measure(histogram, palette, space)
    assert told <= measure(histogram, dq.Palette(np.array(old)), space)
    if len(palette) < len(old) + n_more:
        assert told == 0


def test_from_python_there_are_as_many_colors_as_in_the_old_palette(halves):
    old = dq.fit_palette(halves[0], 5)
    assert len(dq.fit_palette(halves[1], refit=old)) == 5
    assert dq.fit_palette(halves[1], refit=old) == dq.fit_palette(halves[1], 5, refit=old.hex)
    few = ColorHistogram.from_pixels(np.zeros((1, 1, 3), dtype=np.uint8))
    with pytest.warns(FewerColorsWarning):
        assert len(dq.fit_palette(few, 9, refit=old)) == 6


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"n_colors": 3}, "Got 3 colours and a palette of 4"),
        ({"method": "octree"}, "Got method octree with refit"),
        ({"engine": "scalable"}, "Got engine scalable with refit"),
        ({"effort": "best"}, "Got effort best with refit"),
        ({"n_init": 3}, "Got n_init 3 with refit"),
        ({"init": "random"}, "Got init random with refit"),
        ({"keep": "#ffffff"}, "Got keep colours with refit"),
        ({"target_mse": 3}, "Got target_mse 3 with refit"),
        ({"refit": "#ffffff,#ffffff"}, "#ffffff twice for refit"),
        ({"refit": 3}, "int for refit"),
    ],
)
def test_what_has_no_part_in_it_is_refused(halves, options, text):
    with pytest.raises(OptionError, match=text) as caught:
        dq.fit_palette(halves[0], **({"refit": OLD} | options))
    assert "\n" not in str(caught.value)
