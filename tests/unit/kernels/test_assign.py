import numpy as np
import pytest

from dask_quant.kernels.assign import build_table, label_block, table_of_colors
from dask_quant.kernels.count_block import unpack_colors


def cube(step):
    """A cubic grid of colours: halfway between entries lie exact ties."""
    levels = np.arange(0, 256, step)
    return np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)


def random_palette(k, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.unique(rng.integers(0, 1 << 24, 2 * k))  # some may come twice
    return unpack_colors(rng.permutation(codes)[:k].astype(np.uint32))


PALETTES = {
    "one": np.array([[3, 200, 7]]),
    "two": np.array([[0, 0, 0], [255, 255, 255]]),
    "swapped two": np.array([[255, 255, 255], [0, 0, 0]]),
    "even greys": np.repeat(np.arange(0, 256, 2)[:, np.newaxis], 3, axis=1),
    "falling greys": np.repeat(np.arange(254, -1, -4)[:, np.newaxis], 3, axis=1),
    "cube 64": cube(64),
    "cube 50": cube(50)[::-1],
    "cube 26, 1000 entries": cube(26),
    "neighbours": np.array([[100, 100, 100 + i] for i in range(16)]),
    **{f"random {k}": random_palette(k) for k in (2, 16, 256, 257, 1000)},
}


@pytest.fixture(params=PALETTES.values(), ids=PALETTES.keys())
def palette(request):
    return request.param.astype(np.uint8)


@pytest.fixture
def probes(palette):
    """Colours that are hard to label: entries, what lies beside them, and midpoints of pairs."""
    rng = np.random.default_rng(1)
    entries = palette.astype(np.int64)
    pairs = rng.integers(0, len(entries), (2, 3000))
    middle = (entries[pairs[0]] + entries[pairs[1]]) // 2
    beside = middle + rng.integers(-1, 2, middle.shape)
    everywhere = rng.integers(0, 256, (3000, 3))
    corners = np.array([[r, g, b] for r in (0, 255) for g in (0, 255) for b in (0, 255)])
    found = np.concatenate([entries, middle, beside, everywhere, corners])
    return np.clip(found, 0, 255).astype(np.uint8)


def test_the_table_holds_the_nearest_entry_of_every_color(palette, probes, label_oracle):
    dtype = np.dtype(np.uint8 if len(palette) <= 256 else np.uint16)
    labels = label_block(probes, build_table(palette, dtype))
    assert labels.dtype == dtype
    np.testing.assert_array_equal(labels, label_oracle(probes, palette)[0])


def test_the_table_of_all_colors_has_no_gap(label_oracle):
    palette = PALETTES["cube 64"].astype(np.uint8)
    table = build_table(palette, np.dtype(np.uint8))
    # The whole of one plane of colour space, every level of green and blue.
    plane = unpack_colors((np.arange(1 << 16) + (97 << 16)).astype(np.uint32))
    np.testing.assert_array_equal(label_block(plane, table), label_oracle(plane, palette)[0])
    assert table.max() == len(palette) - 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_table_of_some_colors_gives_their_labels_back(dtype):
    colors = random_palette(5000, seed=3)
    labels = (np.arange(5000) % 251).astype(np.uint16)
    table = table_of_colors(colors, labels, np.dtype(dtype))
    assert table.dtype == dtype
    np.testing.assert_array_equal(label_block(colors, table), labels)


def test_labels_keep_the_shape_of_the_pixels():
    table = build_table(np.array([[0, 0, 0], [255, 255, 255]], np.uint8), np.dtype(np.uint8))
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    labels = label_block(pixels, table)
    assert labels.shape == (6, 8)
    for view in (pixels[::2, ::-1], pixels.transpose(1, 0, 2), pixels[:0]):
        expected = label_block(view.copy(), table)
        np.testing.assert_array_equal(label_block(view, table), expected)
    np.testing.assert_array_equal(label_block(pixels[::2, ::-1], table), labels[::2, ::-1])


def test_pixels_at_any_address_are_labelled(label_oracle):
    palette = random_palette(40)
    table = build_table(palette, np.dtype(np.uint8))
    buffer = np.random.default_rng(6).integers(0, 256, 120, dtype=np.uint8)
    for n_rows in (0, 1, 2, 3, 4, 5, 8, 30):
        for offset in range(9):
            rows = buffer[offset : offset + 3 * n_rows].reshape(-1, 3)
            np.testing.assert_array_equal(label_block(rows, table), label_oracle(rows, palette)[0])
