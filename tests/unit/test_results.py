import dataclasses
import json
import math

import pytest

from dask_quant.palette import Palette
from dask_quant.results import ImageInfo, Quarantined, Report, explained_variance, psnr_db

REPORT_KEYS = {
    "command", "n_images", "n_ignored", "n_pixels", "n_unique_colors", "n_colors", "palette",
    "counts", "mse", "psnr_db", "explained_variance", "inertia", "method", "engine", "space",
    "dither", "seed", "n_iter", "input_bytes", "output_bytes", "outputs", "quarantined", "seconds",
    "peak_rss_bytes", "version", "n_skipped", "manifest",
    "n_palettes", "n_beyond",
}  # fmt: skip


@pytest.fixture
def report():
    return Report(
        command="quantize", n_images=1, n_ignored=2, n_pixels=4, n_unique_colors=3, n_colors=2,
        palette=Palette([[0, 0, 0], [9, 9, 9]], [3, 1]), mse=12.0, explained_variance=0.5,
        inertia=48.0, engine="histogram", seed=7, n_iter=3, input_bytes=100, output_bytes=50,
        outputs=("a.png",), quarantined=(Quarantined("b.png", "broken"),),
        seconds={"total": 1.0, "fit": 0.5}, peak_rss_bytes=10**8, version="1",
    )  # fmt: skip


def test_a_report_has_every_documented_key_and_is_json(report):
    values = json.loads(json.dumps(report.to_json()))
    assert set(values) == REPORT_KEYS
    assert values["palette"] == ["#000000", "#090909"]
    assert values["counts"] == [3, 1]
    assert values["quarantined"] == [{"path": "b.png", "reason": "broken"}]
    assert values["outputs"] == ["a.png"]
    assert list(values["seconds"])[0] == "total"  # noqa: RUF015 - the order is the point


def test_a_report_without_palette_says_null(report):
    values = dataclasses.replace(report, palette=None, n_unique_colors=None).to_json()
    assert values["palette"] is None
    assert values["counts"] is None
    uncounted = dataclasses.replace(report, palette=Palette([[0, 0, 0]]))
    assert uncounted.to_json()["counts"] is None


@pytest.mark.parametrize("mse", [0.001, 1.0, 3 * 255.0**2, 500.25])
def test_psnr_is_that_of_the_mean_over_channels(mse):
    assert psnr_db(mse) == pytest.approx(20 * math.log10(255) - 10 * math.log10(mse / 3))


def test_psnr_of_an_exact_result_is_null(report):
    assert psnr_db(0.0) is None
    assert dataclasses.replace(report, mse=0.0).to_json()["psnr_db"] is None
    assert psnr_db(3 * 255.0**2) == 0.0


def test_image_info_names_an_error_only_when_there_is_one():
    good = ImageInfo("a.png", "PNG", "RGB", 4, 3, 3, 12, 100)
    assert good.to_json()["n_pixels"] == 12
    assert "error" not in good.to_json()
    bad = dataclasses.replace(good, n_unique_colors=None, error="torn")
    assert bad.to_json()["error"] == "torn"


def test_a_constant_image_is_fully_explained():
    assert explained_variance(0, 0) == 1
    assert explained_variance(30, 120) == 0.75
    assert explained_variance(240, 120) == -1
