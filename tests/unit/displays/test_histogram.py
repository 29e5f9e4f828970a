import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from dask_quant.displays.dots import Dots, gather_dots
from dask_quant.displays.histogram import MAX_DOTS
from dask_quant.displays.scatter import draw_scatter
from dask_quant.histogram import ColorHistogram


@pytest.fixture
def many():
    draw = np.random.default_rng(0)
    return ColorHistogram.from_pixels(draw.integers(0, 256, (200, 300, 3), dtype=np.uint8))


def read_circles(dots):
    drawing = ET.fromstring(draw_scatter(dots, "Colours & more"))
    return drawing, list(drawing.iter("circle"))


def test_few_colors_are_dots_each():
    pixels = np.array([[1, 2, 3], [1, 2, 3], [250, 0, 9]], dtype=np.uint8)
    dots = gather_dots(ColorHistogram.from_pixels(pixels), 2)
    assert dots.colors.tolist() == [[1, 2, 3], [250, 0, 9]]
    assert (dots.counts.tolist(), dots.levels) == ([2, 1], 1)


@pytest.mark.parametrize("limit", [1, 7, 8, 100, MAX_DOTS])
def test_every_pixel_is_in_a_dot_and_dots_are_few(many, limit):
    dots = gather_dots(many, limit)
    assert 1 <= len(dots.colors) <= limit
    assert dots.counts.sum() == many.n_pixels
    mean = (dots.counts @ dots.colors) / many.n_pixels
    np.testing.assert_allclose(mean, (many.counts @ many.colors) / many.n_pixels)


def test_a_dot_lies_in_its_cell(many):
    dots = gather_dots(many, 64)
    assert dots.levels == 64
    assert len(np.unique(dots.colors // 64, axis=0)) == len(dots.colors) == 64


def test_colors_that_are_not_opaque_are_left_out():
    pixels = np.array([[9, 9, 9, 255], [200, 0, 0, 40], [0, 0, 0, 0]], dtype=np.uint8)
    assert gather_dots(ColorHistogram.from_pixels(pixels), 8).colors.tolist() == [[9, 9, 9]]
    clear = ColorHistogram.from_pixels(pixels[1:])
    assert "<svg" not in clear._repr_html_()


def test_no_pixel_is_shown_as_none(parse_page):
    page = parse_page(ColorHistogram.empty()._repr_html_())
    assert any("0 colours of 0 pixels" in text for text in page.texts)
    assert page.find("svg") == []


def test_the_figures_are_told(parse_page):
    pixels = np.array([[1, 2, 3]] * 3 + [[250, 0, 9]], dtype=np.uint8)
    page = parse_page(ColorHistogram.from_pixels(pixels)._repr_html_())
    assert {"4", "2", "2.0 pixels to a colour", "#010203", "75.00%"} <= set(page.texts)
    assert "2 dots, each a colour, as large as its share of the pixels." in page.texts


def test_dots_have_their_colors_and_those_in_front_come_last():
    colors = np.array([[255, 0, 0], [0, 0, 255], [127, 127, 127]], dtype=np.float64)
    _, circles = read_circles(Dots(colors, np.array([1, 1, 1]), 1))
    assert [circle.get("fill") for circle in circles] == ["#0000ff", "#7f7f7f", "#ff0000"]


def test_areas_are_in_proportion():
    colors = np.array([[255, 0, 0], [0, 0, 255]], dtype=np.float64)
    _, (far, near) = read_circles(Dots(colors, np.array([100, 900]), 1))
    assert float(far.get("r")) == pytest.approx(3 * float(near.get("r")), abs=0.2)


def test_dots_lie_inside_of_the_cube_and_of_the_drawing():
    levels = np.array([0.0, 255.0])
    corners = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    drawing, circles = read_circles(Dots(corners, np.ones(8, dtype=np.int64), 1))
    lines = list(drawing.iter("line"))
    ends = {(line.get(f"x{i}"), line.get(f"y{i}")) for line in lines for i in (1, 2)}
    assert len(lines) == 12
    assert {(circle.get("cx"), circle.get("cy")) for circle in circles} == ends
    width, height = map(float, drawing.get("viewBox").split()[2:])
    for circle in circles:
        x, y, radius = (float(circle.get(name)) for name in ("cx", "cy", "r"))
        assert radius <= x <= width - radius
        assert radius <= y <= height - radius


def test_black_is_below_white_and_is_called_so():
    colors = np.array([[0, 0, 0], [255, 255, 255]], dtype=np.float64)
    drawing, circles = read_circles(Dots(colors, np.array([1, 1]), 1))
    y = {circle.get("fill"): float(circle.get("cy")) for circle in circles}
    assert y["#000000"] > y["#ffffff"]
    names = {text.text: float(text.get("y")) for text in drawing.iter("text")}
    assert set(names) == {"black", "red", "magenta", "white", "cyan", "green"}
    assert abs(names["black"] - y["#000000"]) < 30
    assert drawing.get("aria-label") == "Colours & more"


def test_the_same_histogram_is_drawn_the_same(many):
    assert many._repr_html_() == ColorHistogram(many.codes, many.counts)._repr_html_()
    assert len(re.findall("<circle", many._repr_html_())) == 512
