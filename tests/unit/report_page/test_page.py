import dataclasses
import re

import pytest

from dask_quant.image_rows import QUARANTINED, ImageRow
from dask_quant.palette import Palette
from dask_quant.report_page.contents import PageContents, Pair, Picture, ShownImage
from dask_quant.report_page.page import render_page
from dask_quant.report_page.palette_part import MAX_SWATCHES
from dask_quant.report_rows import summarize_rows
from dask_quant.results import Quarantined, Report

PICTURE = Picture(b"bytes", "image/png", 200, 100)


@pytest.fixture
def report():
    return Report(
        command="quantize", n_images=1200, n_ignored=2, n_pixels=4_000_000, n_unique_colors=30_000,
        n_colors=2, palette=Palette([[0, 0, 0], [9, 9, 9]], [3_000_000, 1_000_000]), mse=12.0,
        explained_variance=0.985, inertia=48.0, engine="histogram", seed=7, n_iter=31,
        input_bytes=40_000_000, output_bytes=10_000_000, outputs=("out/a.png",), quarantined=(),
        seconds={"total": 100.0, "fit": 25.0}, peak_rss_bytes=10**8, version="1.2",
    )  # fmt: skip


def render(parse_page, report, **contents):
    return parse_page(render_page(PageContents(report, **contents)))


def read_figures(page):
    """Return the figures at the top of a page by name, with the remark where there is one."""
    text = page.texts[page.texts.index("Figures") + 1 :]
    return "\n".join(text)


def test_a_page_refers_to_nothing_outside_of_it(report):
    text = render_page(PageContents(report, single=Pair(PICTURE, PICTURE)))
    assert re.findall(r"(?:https?:)?//[a-z]", text) == []
    assert "<script" not in text
    assert "@import" not in text
    assert "url(" not in text
    assert {value[:5] for value in re.findall(r'(?:src|href)="([^"]*)"', text)} == {"data:"}


def test_a_page_is_whole_and_has_headings_in_order(parse_page, report):
    page = render(parse_page, report)
    tags = [tag for tag, _ in page.elements]
    assert page.find("html") == [{"lang": "en"}]
    assert (tags.count("h1"), tags.count("title"), tags.count("main")) == (1, 1, 1)
    labelled = [section["aria-labelledby"] for section in page.find("section")]
    assert labelled == [heading["id"] for heading in page.find("h2")]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_figures_of_the_job_are_told(parse_page, report):
    text = render(parse_page, report).text
    for figure in (
        *("1,200", "12.00", "42.11 dB", "98.50%", "of 30,000", "40.0 MB → 10.0 MB", "25%"),
        *("100.0 s", "12.0 images per second", "100.0 MB", "kmeans", "histogram", "1.2"),
    ):
        assert figure in text


def test_images_of_an_earlier_run_do_not_make_this_one_faster(parse_page, report):
    resumed = dataclasses.replace(report, n_skipped=1000)
    text = render(parse_page, resumed).text
    assert "1,000 of them by an earlier run" in text
    assert "2.0 images per second" in text


def test_an_exact_job_has_no_psnr(parse_page, report):
    text = render(parse_page, dataclasses.replace(report, mse=0.0)).text
    assert "PSNR" not in text
    assert "every pixel is exact" in text


def test_a_job_that_took_no_time_and_read_no_bytes_is_told(parse_page, report):
    quick = dataclasses.replace(report, seconds={"total": 0.0}, input_bytes=0)
    assert "per second" not in render(parse_page, quick).text


def test_the_palette_is_shown_with_its_counts(parse_page, report):
    page = render(parse_page, report)
    styles = [chip["style"] for chip in page.find("b") if "style" in chip]
    assert styles == ["background:#000000", "background:#090909"]
    assert "75.00%, 3,000,000 px" in page.text
    assert "25.00%, 1,000,000 px" in page.text


def test_a_palette_without_counts_is_shown_without(parse_page, report):
    page = render(parse_page, dataclasses.replace(report, palette=Palette([[1, 2, 3]])))
    assert "#010203" in page.text
    assert " px" not in page.text


def test_a_large_palette_is_shown_in_part(parse_page, report):
    colors = [[i // 256, i % 256, 0] for i in range(1000)]
    page = render(parse_page, dataclasses.replace(report, palette=Palette(colors)))
    assert len(page.find("code")) == MAX_SWATCHES
    assert "The first 256 of 1,000." in page.text


def test_a_palette_for_each_image_is_not_shown(parse_page, report):
    each = dataclasses.replace(report, palette=None, n_unique_colors=None, n_palettes=1200)
    page = render(parse_page, each)
    assert "Palette" not in page.texts
    assert "a palette for each image, 2 colours at most" in page.text


def test_one_image_is_shown_before_and_after(parse_page, report):
    page = render(parse_page, report, single=Pair(PICTURE, "No longer there."))
    assert [image["alt"] for image in page.find("img")] == ["Source of the image"]
    assert "No longer there." in page.texts


def test_the_worst_images_are_shown_with_their_figures(parse_page, report):
    row = ImageRow(
        path="<i>.png", mse=48.0, n_unique_colors=900, n_colors=2, input_bytes=4000,
        output_bytes=1000, seconds=0.25, frame=3,
    )  # fmt: skip
    summary = summarize_rows([row])
    shown = tuple(ShownImage(row, Pair(PICTURE, PICTURE)) for row in summary.worst)
    page = render(parse_page, report, summary=summary, worst=shown)
    alts = [image["alt"] for image in page.find("img")]
    assert alts == ["Source of <i>.png", "Output of <i>.png"]
    for text in ("<i>.png", "frame 3", "48.00", "900 → 2 colours", "4.0 kB → 1.0 kB", "250 ms"):
        assert text in page.text
    assert len(page.find("svg")) == 2


def test_what_was_set_aside_is_named_with_its_reason(parse_page, report):
    rows = [
        ImageRow(path=f"{number}.png", status=QUARANTINED, error="torn & <bad>")
        for number in range(130)
    ]
    page = render(parse_page, report, summary=summarize_rows(rows))
    assert page.texts.count("torn & <bad>") == 100
    assert "30 more are in the manifest." in page.text
    assert "Set aside: 130" in page.text


def test_without_a_manifest_the_report_says_what_was_set_aside(parse_page, report):
    torn = tuple(Quarantined(f"{i}.png", "torn") for i in range(3))
    page = render(parse_page, dataclasses.replace(report, quarantined=torn))
    assert "Set aside: 3" in page.text
    assert page.texts.count("torn") == 3


def test_a_manifest_of_nothing_written_has_no_distributions(parse_page, report):
    page = render(parse_page, report, summary=summarize_rows([]))
    assert page.find("svg") == []


def test_any_name_is_written_as_utf_8(parse_page, report):
    wild = dataclasses.replace(
        report, outputs=("caf\udce9.png",), quarantined=(Quarantined("\udcff", "\udcfe"),)
    )
    text = render_page(PageContents(wild))
    assert "caf\\udce9.png" in text
    parse_page(text.encode().decode())
