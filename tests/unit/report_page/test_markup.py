import base64

import pytest

from dask_quant.report_page.contents import Picture
from dask_quant.report_page.markup import make_picture, make_table, show_name, show_text

WILD = [
    '<script>alert("x")</script>',
    "a&b'c",
    "caf\udce9.png",
    "two\nlines",
    "\u202egnp.exe",
    "\0",
]


@pytest.mark.parametrize("name", WILD)
def test_a_name_is_a_text_whatever_it_is(parse_page, name):
    shown = show_name(name)
    page = parse_page(shown)
    assert [tag for tag, _ in page.elements] == ["bdi"]
    assert shown.encode().isascii() or "\u202e" not in shown


@pytest.mark.parametrize("name", WILD)
def test_a_name_is_an_attribute_whatever_it_is(parse_page, name):
    picture = Picture(b"data", "image/png", 4, 3)
    ((tag, attributes),) = parse_page(make_picture(picture, name)).elements
    assert tag == "img"
    assert set(attributes) == {"class", "src", "alt", "width", "height"}
    assert len(attributes["alt"]) >= len(name)


def test_letters_of_all_scripts_stay():
    assert show_text("日本語 写真.png é") == "日本語 写真.png é"


def test_a_picture_is_inside_of_the_page(parse_page):
    data = bytes(range(256))
    (image,) = parse_page(make_picture(Picture(data, "image/jpeg", 300, 200), "A")).find("img")
    kind, _, text = image["src"].partition(",")
    assert kind == "data:image/jpeg;base64"
    assert base64.b64decode(text) == data
    assert (image["alt"], image["width"], image["height"]) == ("A", "300", "200")
    assert "class" not in image


def test_small_pictures_are_enlarged_pixel_by_pixel(parse_page):
    (image,) = parse_page(make_picture(Picture(b"", "image/png", 8, 4), "A")).find("img")
    assert (image["class"], image["width"], image["height"]) == ("pixelated", "160", "80")


def test_what_is_missing_says_why(parse_page):
    page = parse_page(make_picture("No <longer> there.", "A"))
    assert page.find("img") == []
    assert page.text == "No <longer> there."


def test_a_table_has_headings_for_columns_and_rows(parse_page):
    page = parse_page(make_table("Title", ("name", "size"), [("a", "1"), ("b", "2")]))
    assert [heading["scope"] for heading in page.find("th")] == ["col", "col", "row", "row"]
    assert [cell["class"] for cell in page.find("td")] == ["number", "number"]
    assert page.texts == ["Title", "name", "size", "a", "1", "b", "2"]
