import copy
import dataclasses
import pickle

import numpy as np
import pytest
from dask.base import tokenize

from dask_quant.errors import PaletteError
from dask_quant.palette import Palette, as_palette

COLORS = np.array([[255, 0, 0], [0, 128, 255], [1, 2, 3]])


def test_a_palette_copies_what_it_is_given_and_cannot_be_changed():
    colors, counts = COLORS.copy(), np.array([5, 4, 0])
    palette = Palette(colors, counts)
    colors[:], counts[:] = 9, 9
    assert list(palette) == [(255, 0, 0), (0, 128, 255), (1, 2, 3)]
    assert palette.counts.tolist() == [5, 4, 0]
    assert palette.colors.dtype == np.uint8
    with pytest.raises(ValueError, match="read-only"):
        palette.colors[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        palette.counts[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        palette.counts = None


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))]
)
def test_a_palette_that_travelled_is_the_same_and_as_unchangeable(duplicate):
    palette = Palette(COLORS, [5, 4, 0])
    arrived = duplicate(palette)
    assert arrived == palette
    assert arrived.counts.tolist() == [5, 4, 0]
    assert not arrived.colors.flags.writeable
    assert not arrived.counts.flags.writeable
    assert pickle.loads(pickle.dumps(Palette(COLORS))).counts is None


@pytest.mark.parametrize(
    ("colors", "reason"),
    [
        ([[0, 0]], "shape"),
        ([0, 0, 0], "shape"),
        (np.zeros((1, 5), np.uint8), "shape"),
        (np.zeros((0, 3), np.uint8), "0 colours"),
        (np.zeros((65_537, 3), np.uint8), "65537 colours"),
        ([[0, 0, 256]], "0 to 255"),
        ([[0, -1, 0]], "0 to 255"),
        ([[0.5, 0, 0]], "float64"),
        ([[1, 2, 3], [0, 0, 0], [1, 2, 3]], "1 repeated"),
    ],
)
def test_what_is_no_palette_is_refused_with_the_reason(colors, reason):
    with pytest.raises(PaletteError, match=reason):
        Palette(np.asarray(colors))


@pytest.mark.parametrize("counts", [[1, 2], [1, 2, -1], [[1, 2, 3]], []])
def test_counts_that_do_not_fit_are_refused(counts):
    with pytest.raises(PaletteError, match="counts"):
        Palette(COLORS, counts)


def test_the_largest_palette_can_be_built():
    codes = np.arange(65_536)
    palette = Palette(np.stack([codes >> 8, codes & 255, np.zeros_like(codes)], axis=1))
    assert len(palette) == 65_536
    assert palette.label_dtype == np.uint16


@pytest.mark.parametrize(("n", "dtype"), [(1, np.uint8), (256, np.uint8), (257, np.uint16)])
def test_labels_take_the_smallest_type(n, dtype):
    codes = np.arange(n)
    colors = np.stack([codes >> 8, codes & 255, codes * 0], axis=1)
    assert Palette(colors).label_dtype == dtype


def test_hex_goes_both_ways():
    texts = ["#ff8000", "#000000", "#0a0b0c"]
    assert Palette.from_hex(texts).hex == texts
    assert Palette.from_hex(["FF8000", " #000000 "]).hex == texts[:2]


@pytest.mark.parametrize("text", ["", "#fff", "#ff80001", "#gg0000", "red", "#ff8000f"])
def test_what_is_no_hex_color_is_refused(text):
    with pytest.raises(PaletteError, match="#rrggbb"):
        Palette.from_hex([text])


def test_palettes_are_equal_by_colors_in_order():
    palette = Palette(COLORS)
    same, turned = Palette(COLORS, [1, 2, 3]), Palette(COLORS[::-1])
    assert palette == same
    assert hash(palette) == hash(same)
    assert palette.digest == same.digest
    assert tokenize(palette) == tokenize(same)
    assert palette != turned
    assert palette.digest != turned.digest
    assert tokenize(palette) != tokenize(turned)
    assert palette != "#ff0000"


def test_repr_is_short():
    assert repr(Palette(COLORS)) == "<Palette of 3 colours: #ff0000, #0080ff, #010203>"
    many = Palette(np.arange(300).reshape(100, 3) % 256)
    assert repr(many).endswith(", ...>")


def test_a_colormap_has_the_colors_in_order():
    pytest.importorskip("matplotlib")
    colormap = Palette(COLORS).to_matplotlib("mine")
    assert colormap.name == "mine"
    assert colormap.N == 3
    painted = colormap(np.arange(3), bytes=True)[:, :3]
    np.testing.assert_array_equal(painted, COLORS)


@pytest.mark.parametrize("colors", [[[0, 0, 0], [1]], "warm.gpl", None, [["a", "b", "c"]]])
def test_what_is_no_array_of_colors_is_refused(colors):
    for make in (Palette, as_palette):
        with pytest.raises(PaletteError, match=r"^Got palette colours"):
            make(colors)


def test_a_palette_is_taken_as_it_is_with_its_counts():
    palette = Palette([[0, 0, 0]], [3])
    assert as_palette(palette) is palette
    assert as_palette([[0, 0, 0]]) == palette


@pytest.mark.parametrize("counts", [["a"], [[1], [2, 3]], [2**70]])
def test_counts_that_are_no_integers_are_refused(counts):
    with pytest.raises(PaletteError, match=r"^Got counts"):
        Palette([[0, 0, 0]], counts)
