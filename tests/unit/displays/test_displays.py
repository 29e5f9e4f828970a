"""What all displays have in common, however large or strangely named their value is."""

import re
import subprocess
import sys

import numpy as np
import pytest

import dask_quant as dq
from dask_quant.displays.frame import MAX_BYTES
from dask_quant.routes.planning import JobPlan

WILD = '<script>alert("x")</script>&\n\u202e\udce9 https://example.org/' + "a" * 5000


def make_palette(n_colors):
    codes = np.arange(n_colors, dtype=np.uint32) * 255
    colors = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    return dq.Palette(colors, np.full(n_colors, 10**15))


def make_histogram():
    levels = np.arange(0, 256, 8)
    colors = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    return dq.ColorHistogram.from_colors(colors.astype(np.uint8), np.full(len(colors), 10**14))


def make_curve():
    palette = make_palette(3)
    scores = tuple(dq.ColorScore(k, palette, 10_000 / k, 1 - 1 / k) for k in range(1, 257))
    return dq.ColorCurve(scores, 10**15, 2**24)


def make_report():
    return dq.Report(
        command="quantize", n_images=10**9, n_ignored=2, n_pixels=10**15, n_unique_colors=2**24,
        n_colors=65_536, palette=make_palette(65_536), mse=12.0, explained_variance=0.985,
        inertia=48.0, engine="histogram", seed=7, n_iter=31, input_bytes=10**15,
        output_bytes=10**14, outputs=(WILD,) * 1000, quarantined=(dq.Quarantined(WILD, WILD),) * 99,
        seconds={"total": 100.0}, peak_rss_bytes=10**8, version="1.2",
    )  # fmt: skip


VALUES = {
    "palette": make_palette(65_536),
    "histogram": make_histogram(),
    "curve": make_curve(),
    "plan": JobPlan(10**9, 7, 10**15, 10**6, 10**15, 10**15, 10**12, (WILD,) * 1000),
    "report": make_report(),
}

pytestmark = pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)


def test_a_display_is_whole_and_small(parse_page, value):
    text = value._repr_html_()
    assert 500 < len(text.encode()) < MAX_BYTES
    assert parse_page(text).elements[0][0] == "div"


def test_a_display_needs_and_runs_nothing_else(parse_page, value):
    text = value._repr_html_()
    for word in ("<script", "url(", "@import", "javascript:"):
        assert word not in text
    attributes = {name for _, given in parse_page(text).elements for name in given}
    assert attributes.isdisjoint({"href", "src", "id"})  # the same twice on a page is no error
    assert not any(name.startswith("on") for name in attributes)


def test_a_display_says_in_words_what_it_is(parse_page, value):
    page = parse_page(value._repr_html_())
    frame = page.elements[0][1]
    assert (frame["class"], frame["role"]) == ("dask-quant", "group")
    drawings = [given for tag, given in page.elements if tag == "svg"]
    assert all(given["role"] == "img" and given["aria-label"] for given in drawings)
    assert frame["aria-label"]


def test_its_rules_touch_nothing_around_it_and_take_the_ink_of_the_page(value):
    (rules,) = re.findall(r"<style>(.*?)</style>", value._repr_html_(), re.DOTALL)
    selectors = [part for each in re.findall(r"([^{}]+)\{", rules) for part in each.split(",")]
    assert len(selectors) > 30
    assert [s for s in selectors if not s.startswith("div.dask-quant")] == []
    assert "--ink:currentColor" in rules
    assert re.findall(r"(?<![-\w])color:(?!var)", rules) == []
    assert "@" not in rules


def test_the_plain_text_stays(value):
    begins = (
        "<Palette of ",
        "<ColorHistogram of ",
        "ColorCurve(scores=",
        "JobPlan(n_",
        "Report(co",
    )
    assert repr(value).startswith(begins)


def test_what_draws_is_not_loaded_before_one_looks(value):
    module, name = type(value).__module__, type(value).__name__
    script = (
        f"import sys, {module}; assert sys.modules['{module}'].{name}._repr_html_\n"
        "print([name for name in sys.modules if name.startswith('dask_quant.displays')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["[]"]
