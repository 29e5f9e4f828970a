"""Pictures of spectra: the same bytes again, and something to see."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from dask_quant.class_table import ClassTable
from dask_quant.errors import OutputError
from dask_quant.sinks.figures import FIGURE_SUFFIXES
from dask_quant.sinks.spectra import draw_spectra


def make_table(k=3, n_bands=4, *, level=None, names=None):
    rng = np.random.default_rng(5)
    mean = rng.uniform(100, 900, (k, n_bands)) * (1.0 if level is None else level)
    std = 0.05 * mean
    return ClassTable(
        band_names=names or tuple(f"band {number}" for number in range(1, n_bands + 1)),
        colors=tuple(f"#{40 + 5 * n % 200:02x}{n % 256:02x}c0" for n in range(k)),
        n_pixels=tuple(range(10 * k, 9 * k, -1)),
        area_m2=None,
        mean=mean,
        std=std,
        min=mean - 3 * std,
        max=mean + 3 * std,
    )


def read_svg(table):
    """The text of an SVG whose letters are text, not outlines."""
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        return draw_spectra(table, ".svg").decode()


def count_color(picture, color):
    code = tuple(bytes.fromhex(color[1:]))
    return int((np.asarray(picture) == code).all(axis=2).sum())


@pytest.mark.parametrize("suffix", FIGURE_SUFFIXES)
def test_the_same_table_gives_the_same_bytes(suffix):
    data = draw_spectra(make_table(), suffix)
    assert draw_spectra(make_table(), suffix.upper()) == data
    assert data.startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix])


@pytest.mark.parametrize(("k", "n_bands"), [(1, 1), (1, 4), (3, 1), (24, 8), (3, 36)])
def test_every_class_shows_in_its_color(k, n_bands):
    table = make_table(k, n_bands)
    picture = Image.open(io.BytesIO(draw_spectra(table, ".png"))).convert("RGB")
    assert max(picture.size) <= 2000
    assert all(count_color(picture, color) > 10 for color in table.colors)


def test_a_legend_names_shares_and_bands_are_labelled():
    text = read_svg(make_table(2, 3))
    assert all(f">{shown}<" in text for shown in ("0: 51.3%", "1: 48.7%", "band 1", "band 3"))
    assert "2 classes" in text
    assert "1 class<" in read_svg(make_table(1, 3))


def test_many_classes_are_drawn_without_a_legend():
    table = make_table(300, 2)
    text = read_svg(table)
    assert "the 128 largest of 300 classes" in text
    assert "class: share" not in text
    assert table.colors[127] in text


def test_names_are_drawn_as_they_are_written():
    names = ("$\\frac{$", "a_b^c", "$x$", "<&>")
    text = read_svg(make_table(2, 4, names=names))
    assert all(shown in text for shown in ("$\\frac{$", "a_b^c", "$x$", "&lt;&amp;&gt;"))


def test_long_names_are_cut_and_of_many_bands_some_are_named():
    text = read_svg(make_table(2, 2, names=("n" * 100, "short")))
    assert "n" * 23 + "\N{HORIZONTAL ELLIPSIS}" in text
    assert "n" * 24 not in text
    text = read_svg(make_table(2, 200))
    assert sum(f">band {number}<" in text for number in range(1, 201)) == 34


def test_bands_of_very_different_level_have_scales_of_their_own():
    near = make_table(3, 3, level=np.array([1.0, 2.0, 0.5]))
    assert "each band by itself" not in read_svg(near)
    far = make_table(3, 3, level=np.array([1e-3, 1.0, 1.0]))
    text = read_svg(far)
    assert "each band by itself" in text
    low = (far.mean - far.std).min(axis=0)
    high = (far.mean + far.std).max(axis=0)
    assert f"{low[0]:.3g} to {high[0]:.3g}" in text


def test_a_band_that_is_the_same_everywhere_changes_no_scale():
    level = np.array([1.0, 1.0, 0.0])
    assert "each band by itself" not in read_svg(make_table(3, 3, level=level))
    text = read_svg(make_table(3, 3, level=np.array([1e-3, 1.0, 0.0])))
    assert "each band by itself" in text
    assert "inf" not in text
    assert ">0<" in text


@pytest.mark.parametrize("which", [slice(0, 1), slice(None)])
def test_classes_without_pixels_are_drawn_without_a_line(which):
    table = make_table()
    table.mean[which], table.std[which] = np.nan, np.nan
    picture = Image.open(io.BytesIO(draw_spectra(table, ".png"))).convert("RGB")
    assert picture.width > 400


def test_without_matplotlib_the_way_out_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(OutputError, match=r'pip install "dask-quant\[plot\]"'):
        draw_spectra(make_table(), ".png")


def test_drawing_leaves_the_settings_of_others_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw_spectra(make_table(), ".svg")
    assert dict(matplotlib.rcParams) == before
