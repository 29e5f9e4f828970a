import itertools
import xml.etree.ElementTree as ET

import pytest

from dask_quant.color_curve import ColorCurve, ColorScore
from dask_quant.palette import Palette

PALETTE = Palette([[255, 0, 0], [0, 0, 9]], [3, 1])


def make_curve(errors):
    scores = [ColorScore(k, PALETTE, mse, 0.5) for k, mse in errors.items()]
    return ColorCurve(tuple(scores), 4, 2)


def read_drawing(curve):
    text = curve._repr_html_()
    return ET.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])


def test_the_suggested_number_is_marked_where_its_point_is():
    curve = make_curve({2: 100.0, 3: 40.0, 4: 12.0, 5: 9.0, 16: 7.0})
    drawing = read_drawing(curve)
    (mark,) = (line for line in drawing.iter("line") if line.get("class") == "mark")
    dots = {circle.find("title").text: circle for circle in drawing.iter("circle")}
    assert len(dots) == 5
    chosen = next(dot for said, dot in dots.items() if said.startswith(f"{curve.elbow} colours"))
    assert mark.get("x1") == mark.get("x2") == chosen.get("cx")
    assert f"elbow: {curve.elbow}" in [text.text for text in drawing.iter("text")]


def test_heights_are_in_proportion():
    drawing = read_drawing(make_curve({2: 80.0, 3: 40.0, 4: 20.0}))
    lines = [float(g.get("y1")) for g in drawing.iter("line") if g.get("class") == "grid"]
    floor, top = max(lines), min(lines)
    heights = [floor - float(circle.get("cy")) for circle in drawing.iter("circle")]
    assert heights[0] == pytest.approx(floor - top)
    assert heights == pytest.approx([heights[0], heights[0] / 2, heights[0] / 4], abs=0.1)


def test_points_say_their_figures(parse_page):
    curve = make_curve({2: 3.0, 3: 0.0})
    said = [circle.find("title").text for circle in read_drawing(curve).iter("circle")]
    assert said == [
        "2 colours: mse 3.00, 48.13 dB, 50.00% explained",
        "3 colours: mse 0.00, exact, 50.00% explained",
    ]
    page = parse_page(curve._repr_html_())
    assert any("2 colours of 4 pixels" in text for text in page.texts)


@pytest.mark.parametrize("errors", [{5: 1.5}, {1: 0.0}, {2: 0.0, 3: 0.0}, {2: 1e-9, 900: 0.0}])
def test_odd_curves_are_drawn_inside_of_the_drawing(errors):
    drawing = read_drawing(make_curve(errors))
    width, height = map(float, drawing.get("viewBox").split()[2:])
    circles = list(drawing.iter("circle"))
    assert len(circles) == len(errors)
    for circle in circles:
        assert 0 <= float(circle.get("cx")) <= width
        assert 0 <= float(circle.get("cy")) <= height


def test_numbers_along_the_axis_do_not_overlap():
    drawing = read_drawing(make_curve({k: 1000.0 / k for k in range(2, 200)}))
    ticks = [line for line in drawing.iter("line") if line.get("class") == "axis"]
    places = [float(tick.get("x1")) for tick in ticks]
    assert 3 <= len(places) <= 10
    assert min(b - a for a, b in itertools.pairwise(places)) > 30


def test_the_palette_at_the_elbow_is_shown(parse_page):
    page = parse_page(make_curve({2: 3.0, 3: 0.0})._repr_html_())
    assert [i["style"] for i in page.find("i")] == [
        "flex:3 0 0;background:#ff0000",
        "flex:1 0 0;background:#000009",
    ]
