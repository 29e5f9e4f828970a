import dataclasses

import pytest

from dask_quant.palette import Palette
from dask_quant.results import Quarantined, Report


@pytest.fixture
def report():
    return Report(
        command="quantize", n_images=3, n_ignored=0, n_pixels=4_000_000, n_unique_colors=30_000,
        n_colors=2, palette=Palette([[0, 0, 0], [9, 9, 9]], [3, 1]), mse=12.0,
        explained_variance=0.985, inertia=48.0, engine="histogram", seed=7, n_iter=31,
        input_bytes=40_000_000, output_bytes=10_000_000, outputs=("out/a.png",), quarantined=(),
        seconds={"total": 100.0, "fit": 25.0}, peak_rss_bytes=10**8, version="1.2",
    )  # fmt: skip


def test_a_report_shows_figures_palette_and_output(parse_page, report):
    page = parse_page(report._repr_html_())
    assert {"quantize: 3 images", "12.00", "98.50%", "25%"} <= set(page.texts)
    assert {"#000000", "#090909", "75.00%, 3 px", "out/a.png"} <= set(page.texts)
    assert page.find("table") == []


def test_what_was_set_aside_is_told_as_text(parse_page, report):
    torn = Quarantined("in/<b>.png", "Cannot read it: <i>torn</i>.")
    page = parse_page(dataclasses.replace(report, quarantined=(torn,))._repr_html_())
    assert {"in/<b>.png", "Cannot read it: <i>torn</i>."} <= set(page.texts)
    assert "more are in report.quarantined" not in page.text


def test_of_many_set_aside_the_first_are_named(parse_page, report):
    torn = tuple(Quarantined(f"{number}.png", "Torn.") for number in range(1010))
    page = parse_page(dataclasses.replace(report, quarantined=torn)._repr_html_())
    assert "9.png" in page.texts
    assert "10.png" not in page.texts
    assert "1,000 more are in report.quarantined." in page.texts


def test_a_palette_for_each_image_is_not_shown(parse_page, report):
    each = dataclasses.replace(
        report, palette=None, n_unique_colors=None, n_palettes=3, manifest="out/manifest.jsonl"
    )
    page = parse_page(each._repr_html_())
    assert page.find("ol") == []
    assert "out/manifest.jsonl" in page.texts
    assert "out/a.png" not in page.texts
    assert any("a palette for each image, 2 colours at most" in text for text in page.texts)
