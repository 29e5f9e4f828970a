import xml.etree.ElementTree as ET

import pytest

from dask_quant.report_page.charts import MAX_BARS, draw_distribution
from dask_quant.report_rows import Distribution


def draw(counts, scale="linear", step=0.5):
    text = draw_distribution(
        Distribution(scale, step, counts), identifier="d", title="T & t", axis="PSNR", unit="dB"
    )
    return ET.fromstring(text)


def find_bars(drawing):
    return [element for element in drawing.iter("rect") if element.get("class") == "bar"]


def read_bar(bar):
    """Return what a bar says of itself: its number of images."""
    return int(bar.find("title").text.rpartition(":")[2].replace(",", ""))


@pytest.mark.parametrize(
    "counts",
    [{3: 1}, {0: 5, 1: 2}, {-40: 7, 500: 1}, {i: i for i in range(1, 400)}, {2: 1_000_000, 60: 1}],
)
@pytest.mark.parametrize(("scale", "step"), [("linear", 0.5), ("log", 0.1)])
def test_every_image_is_in_a_bar_and_bars_are_few(counts, scale, step):
    if scale == "log":
        counts = {number // 10: images for number, images in counts.items()}
    bars = find_bars(draw(counts, scale, step))
    assert 1 <= len(bars) <= MAX_BARS
    assert sum(map(read_bar, bars)) == sum(counts.values())


def test_heights_are_in_proportion():
    bars = find_bars(draw({0: 10, 3: 20, 7: 40}))
    heights = [float(bar.get("height")) for bar in bars]
    assert heights[1] == pytest.approx(2 * heights[0], rel=0.01)
    assert heights[2] == pytest.approx(4 * heights[0], rel=0.01)


def test_bars_and_labels_lie_inside_of_the_drawing():
    drawing = draw({number: 1 for number in range(-20, 70)}, "log", 0.1)
    width, height = map(float, drawing.get("viewBox").split()[2:])
    for bar in find_bars(drawing):
        x, y, w, h = (float(bar.get(name)) for name in ("x", "y", "width", "height"))
        assert x >= 0
        assert y >= 0
        assert x + w <= width
        assert y + h <= height


@pytest.mark.parametrize("last", range(60, 71))
def test_the_last_label_is_not_cut(last):
    drawing = draw({number: 1 for number in range(-20, last)}, "log", 0.1)
    labels = [text for text in drawing.iter("text") if text.text.endswith(" s")]
    end = max(labels, key=lambda text: float(text.get("x")))
    half = 0 if end.get("class") == "end" else 24
    assert float(end.get("x")) + half <= float(drawing.get("viewBox").split()[2])


def test_a_bar_begins_where_its_label_stands():
    drawing = draw({60: 3, 61: 2, 62: 1, 63: 9})
    ticks = {text.text: float(text.get("x")) for text in drawing.iter("text") if text.get("x")}
    bar = next(b for b in find_bars(drawing) if b.find("title").text.startswith("30 dB"))
    middle = float(bar.get("x")) - 0.06 * float(bar.get("width")) / 0.88
    assert ticks["30"] == pytest.approx(middle, abs=0.1)


def test_powers_of_ten_are_labelled_as_seconds():
    labels = [text.text for text in draw({-20: 1, -10: 4, 0: 2, 10: 1}, "log", 0.1).iter("text")]
    assert {"10 ms", "100 ms", "1 s", "10 s"} <= set(labels)


def test_it_says_what_it_shows_and_names_its_axes():
    drawing = draw({60: 1234, 62: 1})
    assert drawing.get("role") == "img"
    named = [drawing.find("title"), drawing.find("desc")]
    assert drawing.get("aria-labelledby").split() == [element.get("id") for element in named]
    assert named[0].text == "T & t"
    assert named[1].text == (
        "1,235 images, from 30 dB to 31.5 dB; most, 1,234, between 30 dB and 30.5 dB."
    )
    assert {"PSNR", "images"} <= {text.text for text in drawing.iter("text")}
