import numpy as np
import pytest

from dask_quant.kernels.assign import build_table
from dask_quant.kernels.dither import (
    diffuse_block,
    measure_gaps_block,
    offset_block,
    start_carry,
    tally_block,
)

RNG = np.random.default_rng(3)
PALETTE = np.unique(RNG.integers(0, 256, (9, 3), dtype=np.uint8), axis=0)
WIDE = np.stack([np.arange(300) // 2, np.arange(300) % 256, np.arange(300) % 7], 1).astype(np.uint8)
SHAPES = [(1, 1), (1, 7), (7, 1), (2, 2), (5, 8), (12, 33)]


def make_pixels(shape):
    """Soft gradients with noise, and some colours of the palette."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    soft = np.stack([9 * y, 6 * x, 200 - 3 * x - y], axis=-1) + RNG.integers(-20, 20, (*shape, 3))
    pixels = np.clip(soft, 0, 255).astype(np.uint8)
    pixels[::3, ::2] = PALETTE[4]
    return pixels


def table_of(palette):
    return build_table(palette, np.dtype(np.uint8 if len(palette) <= 256 else np.uint16))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("palette", [PALETTE, PALETTE[:1], WIDE], ids=["9", "1", "300"])
@pytest.mark.parametrize("reach", [20, 255])
def test_offsets_are_added_clipped_and_repeated(shape, palette, reach, label_oracle):
    pixels = make_pixels(shape)
    offsets = RNG.integers(-reach, reach + 1, (4, 4, 3))
    found = offset_block(pixels, offsets, table_of(palette), palette)
    y, x = np.mgrid[: shape[0], : shape[1]]
    moved = np.clip(pixels + offsets[y % 4, x % 4], 0, 255)
    expected = label_oracle(moved, palette)[0]
    own, distances = label_oracle(pixels, palette)
    np.testing.assert_array_equal(found, np.where(distances == 0, own, expected))
    assert found.dtype == (np.uint16 if len(palette) > 256 else np.uint8)


@pytest.fixture(scope="module")
def diffuse_oracle():
    """Error diffusion of a whole image, pixel by pixel, and what goes below its last row."""

    def diffuse(pixels, palette):
        height, width = pixels.shape[:2]
        levels, entries = pixels.astype(int), palette.astype(int)
        errors = np.zeros((height + 1, width + 2, 3), dtype=int)  # a column more on either side
        labels = np.zeros((height, width), dtype=int)
        for y in range(height):
            for x in range(width):
                wanted = np.clip(levels[y, x] + (errors[y, x + 1] + 8) // 16, 0, 255)
                labels[y, x] = ((entries - wanted) ** 2).sum(axis=1).argmin()
                error = wanted - entries[labels[y, x]]
                errors[y, x + 2] += 7 * error
                errors[y + 1, x : x + 3] += np.outer([3, 5, 1], error)
        return labels, errors[height, 1:-1]

    return diffuse


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("palette", [PALETTE, PALETTE[:2], WIDE], ids=["9", "2", "300"])
def test_errors_are_diffused_pixel_by_pixel(shape, palette, diffuse_oracle):
    pixels = make_pixels(shape)
    labels, carry = diffuse_block(pixels, table_of(palette), palette, start_carry(shape[1]))
    expected, below = diffuse_oracle(pixels, palette)
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_array_equal(carry[1:], below)


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
def test_errors_are_handed_from_block_to_block(photo, rows):
    pixels, table = photo[100:131, 200:290], table_of(PALETTE)
    whole, last = diffuse_block(pixels, table, PALETTE, start_carry(90))
    carry, parts = start_carry(90), []
    for begin in range(0, len(pixels), rows):
        before = carry.copy()
        labels, below = diffuse_block(pixels[begin : begin + rows], table, PALETTE, carry)
        np.testing.assert_array_equal(carry, before)  # a task that is run again finds it so
        carry = below
        parts.append(labels)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(carry, last)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_tally_counts_labels_and_sums_their_error(shape):
    pixels, labels = make_pixels(shape), RNG.integers(0, len(PALETTE), shape, dtype=np.uint8)
    counts, error = tally_block(pixels, labels, PALETTE)
    assert counts.tolist() == np.bincount(labels.ravel(), minlength=len(PALETTE)).tolist()
    assert error == ((pixels.astype(int) - PALETTE[labels]) ** 2).sum()


def test_the_largest_errors_are_summed_exactly():
    pixels = np.full((300, 300, 3), 255, dtype=np.uint8)
    labels, black = np.zeros((300, 300), dtype=np.uint8), np.zeros((1, 3), dtype=np.uint8)
    assert tally_block(pixels, labels, black)[1] == 90_000 * 3 * 255**2


@pytest.mark.parametrize("k", [2, 3, 40, 500])
def test_gaps_are_distances_to_the_nearest_other_entry(k):
    colors = np.unique(RNG.integers(0, 256, (k, 3), dtype=np.uint8), axis=0)
    squared = ((colors[:, np.newaxis].astype(int) - colors) ** 2).sum(axis=2)
    squared[np.eye(len(colors), dtype=bool)] = 10**9
    assert measure_gaps_block(colors).tolist() == squared.min(axis=1).tolist()
