import numpy as np
import pytest

from dask_quant.dithering import (
    Tally,
    diffuse_rows,
    dither_block,
    dither_image,
    find_offsets,
    mean_gap,
)
from dask_quant.fit_options import DITHERS
from dask_quant.kernels.assign import build_table
from dask_quant.kernels.masks import bayer_ranks, blue_noise_ranks
from dask_quant.palette import Palette

GREYS = Palette([[40, 40, 40], [100, 100, 100], [160, 160, 160]])
BLACK_AND_WHITE = Palette([[0, 0, 0], [255, 255, 255]])
ORDERED = ("bayer", "blue-noise")


def flat(color, side=64):
    return np.full((side, side, 3), color, dtype=np.uint8)


@pytest.mark.parametrize("dither", ORDERED)
def test_offsets_reach_half_the_mean_gap_and_cancel_out(dither):
    offsets = find_offsets(GREYS, dither)
    half = mean_gap(GREYS) / 2
    assert half == pytest.approx(30 * np.sqrt(3))
    longest = np.sqrt((offsets**2).sum(axis=2)).max()
    assert 0.8 * half < longest <= half + 1
    assert offsets.min() == -offsets.max()
    assert abs(offsets.mean(axis=(0, 1))).max() < 0.01
    assert offsets.shape == ((8, 8, 3) if dither == "bayer" else (64, 64, 3))


@pytest.mark.parametrize(
    ("dither", "ranks"), [("bayer", bayer_ranks(3)), ("blue-noise", blue_noise_ranks(64))]
)
def test_offsets_are_the_ranks_of_the_mask_and_grey(dither, ranks):
    offsets = find_offsets(BLACK_AND_WHITE, dither)
    assert (offsets == offsets[..., :1]).all()
    spread = 255  # as far as the two are apart, in each band
    np.testing.assert_allclose(
        offsets[..., 0], ((ranks + 0.5) / ranks.size - 0.5) * spread, atol=0.51
    )


@pytest.mark.parametrize("dither", ORDERED)
@pytest.mark.parametrize("first", [(0, 0), (3, 5), (64, 129), (10**9 + 7, 10**9 + 9)])
def test_a_block_is_dithered_as_its_place_decides(photo, dither, first, label_oracle):
    pixels, offsets = photo[50:70, 60:90], find_offsets(GREYS, dither)
    side = len(offsets)
    y, x = np.mgrid[:20, :30]
    moved = pixels + offsets[(first[0] + y) % side, (first[1] + x) % side]
    expected = label_oracle(np.clip(moved, 0, 255), GREYS.colors)[0]
    own, distances = label_oracle(pixels, GREYS.colors)
    found = dither_block(pixels, GREYS, dither, first=first)
    np.testing.assert_array_equal(found, np.where(distances == 0, own, expected))


@pytest.mark.parametrize("dither", DITHERS[1:])
@pytest.mark.parametrize("level", [50, 70, 85, 130])
def test_a_flat_colour_is_shown_by_its_two_neighbours_in_due_shares(dither, level):
    labels, tally = dither_image(flat(level), GREYS, dither)
    assert GREYS.colors[labels].mean() == pytest.approx(level, abs=1.0)
    low, high = sorted(np.flatnonzero(tally.counts))[0], np.flatnonzero(tally.counts)[-1]
    assert GREYS.colors[low, 0] < level < GREYS.colors[high, 0]


@pytest.mark.parametrize("dither", DITHERS)
def test_colours_of_the_palette_are_left_alone(dither):
    palette = Palette([[40, 40, 40], [41, 40, 40], [250, 0, 9], [255, 255, 255]])
    labels = np.random.default_rng(0).integers(0, 4, (70, 50)).astype(np.uint8)
    found, tally = dither_image(palette.colors[labels], palette, dither)
    np.testing.assert_array_equal(found, labels)
    assert tally.squared_error == 0


@pytest.mark.parametrize("dither", DITHERS)
def test_a_palette_of_one_colour_takes_all(photo, dither):
    labels, tally = dither_image(photo[:20, :30], Palette([[90, 80, 70]]), dither)
    assert not labels.any()
    assert tally.counts.tolist() == [600]


def test_two_colours_show_a_ramp_as_light_as_it_is():
    ramp = np.tile(np.arange(256, dtype=np.uint8)[:, np.newaxis, np.newaxis], (1, 96, 3))
    for dither in DITHERS[1:]:
        labels, _ = dither_image(ramp, BLACK_AND_WHITE, dither)
        shown = BLACK_AND_WHITE.colors[labels][..., 0].reshape(8, 32, 96).mean(axis=(1, 2))
        wanted = ramp[..., 0].reshape(8, 32, 96).mean(axis=(1, 2))
        assert abs(shown - wanted).max() < 6, dither


def test_errors_that_no_entry_can_make_up_for_do_not_run_away():
    palette = Palette([[0, 0, 0], [128, 128, 128]])
    white = flat(255, 400)
    white[:, 300:] = 0
    labels, carry = diffuse_rows(white, palette, None)
    assert (labels[:, :300] == 1).all()
    # What is left over ends within a few pixels of black: at most 127 levels a pixel were kept.
    assert not labels[:, 304:].any()
    assert abs(carry).max() <= 16 * 127


def test_tallies_add_up_in_any_grouping(photo):
    parts = [photo[begin : begin + 10, :40] for begin in range(0, 50, 10)]
    tallies = [dither_image(part, GREYS, "bayer")[1] for part in parts]
    left = Tally.merge([Tally.merge(tallies[:3]), *tallies[3:]])
    right = Tally.merge([tallies[4], Tally.merge(tallies[3::-1])])
    assert left.counts.tolist() == right.counts.tolist()
    assert left.squared_error == right.squared_error
    assert left.counts.sum() == 2000
    assert tallies[0].counts.sum() == 400  # merging leaves its parts as they are


@pytest.mark.parametrize("dither", DITHERS)
def test_a_table_that_is_given_is_the_one_that_is_looked_up(photo, dither):
    pixels = photo[:20, :30]
    table = build_table(BLACK_AND_WHITE.colors, np.dtype(np.uint8))
    found, _ = dither_image(pixels, BLACK_AND_WHITE, dither, table=1 - table)
    expected, _ = dither_image(pixels, BLACK_AND_WHITE, dither)
    assert expected.any()
    if dither != "floyd-steinberg":  # where the entries decide what is handed on
        np.testing.assert_array_equal(found, 1 - expected)
    assert (found != expected).any()


def test_gaps_of_a_palette_do_not_depend_on_its_order():
    colors = np.random.default_rng(5).integers(0, 256, (50, 3))
    squared = ((colors[:, np.newaxis] - colors) ** 2).sum(axis=2) + 10**9 * np.eye(50, dtype=int)
    expected = np.sqrt(squared.min(axis=1)).mean()
    assert mean_gap(Palette(colors)) == pytest.approx(expected)
    assert mean_gap(Palette(colors[::-1])) == mean_gap(Palette(colors))
    assert mean_gap(Palette([[1, 2, 3]])) == 0
