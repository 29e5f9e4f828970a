import numpy as np
import pytest

from dask_quant.displays.palette import MAX_SQUARES, MAX_SWATCHES
from dask_quant.palette import Palette

COLORS = [[255, 0, 0], [0, 128, 255], [1, 2, 3]]


def read_widths(page):
    """Return the colours of the bar and how wide they are."""
    styles = [given["style"] for tag, given in page.elements if tag == "i" and "title" not in given]
    return {style.split(":")[-1]: style.split(":")[1].split()[0] for style in styles}


def test_every_color_has_a_swatch_with_its_code_and_share(parse_page):
    page = parse_page(Palette(COLORS, [3, 1, 0])._repr_html_())
    assert [b["style"] for b in page.find("b") if "style" in b] == [
        "background:#ff0000",
        "background:#0080ff",
        "background:#010203",
    ]
    assert page.texts[page.texts.index("#ff0000") :][:2] == ["#ff0000", "75.00%, 3 px"]
    assert "25.00%, 1 px" in page.texts
    assert "Palette of 3 colours" in page.texts


def test_the_bar_shows_shares(parse_page):
    page = parse_page(Palette(COLORS, [3, 1, 0])._repr_html_())
    assert read_widths(page) == {"#ff0000": "3", "#0080ff": "1"}


@pytest.mark.parametrize("counts", [None, [0, 0, 0]])
def test_no_share_is_told_where_none_is_known(parse_page, counts):
    page = parse_page(Palette(COLORS, counts)._repr_html_())
    assert read_widths(page) == {}
    assert "#010203" in page.texts
    assert not [text for text in page.texts if "%" in text and "{" not in text]


def test_alpha_is_seen(parse_page):
    page = parse_page(Palette([[255, 0, 0, 128], [0, 0, 0, 255]])._repr_html_())
    assert {"#ff000080", "#000000"} <= set(page.texts)


@pytest.mark.parametrize("n_colors", [1, MAX_SWATCHES, MAX_SWATCHES + 1, MAX_SQUARES, 2000])
def test_colors_after_the_first_are_squares(parse_page, n_colors):
    codes = np.arange(n_colors)
    palette = Palette(np.stack([codes >> 8, codes & 255, codes * 0], axis=1))
    page = parse_page(palette._repr_html_())
    titles = [given["title"] for given in page.find("i")]
    assert len(page.find("code")) == min(n_colors, MAX_SWATCHES)
    assert titles == [f"{i}: {palette.hex[i]}" for i in range(32, min(n_colors, MAX_SQUARES))]
    is_cut = any("the first 256 are shown" in text for text in page.texts)
    assert is_cut == (n_colors > MAX_SQUARES)
