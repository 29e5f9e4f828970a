"""What can be known before the work is said before the work."""

import numpy as np
import pytest
import tifffile
from PIL import Image

import dask_quant as dq
from dask_quant.errors import (
    FewerColorsWarning,
    MemoryBudgetError,
    OptionError,
    OutputError,
    PaletteError,
)
from dask_quant.options import ClusterOptions


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    path = tmp_path / "picture.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def stages():
    """Return the stages heard so far, and the listener that hears them."""
    heard = []

    def listen(event):
        heard.append(getattr(event, "stage", "notice"))

    return heard, listen


def test_an_unknown_palette_suffix_is_refused_before_counting(picture, tmp_path, stages):
    heard, listen = stages
    with pytest.raises(PaletteError, match=r"\.txt"):
        dq.make_palette(picture, tmp_path / "p.txt", chunks=(16, 16), listener=listen)
    assert heard == []


def test_more_colors_than_png_holds_are_refused_before_the_fit(picture, tmp_path, stages):
    heard, listen = stages
    with pytest.raises(OutputError, match="256"):
        dq.quantize(picture, tmp_path / "o.png", n_colors=300, chunks=(16, 16), listener=listen)
    assert "count" in heard
    assert "fit" not in heard


@pytest.mark.parametrize("chunks", [None, (16, 16)])
def test_a_given_palette_too_large_for_png_is_refused_at_the_door(
    picture, tmp_path, stages, chunks
):
    heard, listen = stages
    palette = dq.fit_palette(picture, n_colors=300)
    with pytest.raises(OutputError, match="256"):
        dq.apply_palette(picture, tmp_path / "o.png", palette, chunks=chunks, listener=listen)
    assert heard == []


def test_a_memory_limit_is_checked_before_decoding_into_a_store(picture, tmp_path):
    store = tmp_path / "p.zarr"
    with pytest.raises(MemoryBudgetError, match=r"1\.0 MB"):
        dq.quantize(
            picture,
            tmp_path / "o.png",
            persist=store,
            cluster=ClusterOptions(memory_limit_bytes=1_000_000),
        )
    assert not store.exists()


def test_one_name_for_the_store_and_the_output_is_refused(picture, tmp_path):
    name = tmp_path / "same.zarr"
    with pytest.raises(OptionError, match="two names"):
        dq.quantize(picture, name, persist=name)
    assert not name.exists()


@pytest.mark.parametrize(("engine", "row_bytes"), [("dask-ml", 12 * 4_000_000), ("scalable", 2e8)])
def test_engines_that_fit_pixels_count_their_rows_in_the_plan(tmp_path, engine, row_bytes):
    image = np.zeros((2000, 2000, 3), dtype=np.uint8)
    plans = {
        name: dq.plan_job(image, tmp_path / "o.png", engine=name, cluster=ClusterOptions(workers=2))
        for name in ("histogram", engine)
    }
    extra = plans[engine].projected_bytes - plans["histogram"].projected_bytes
    assert extra >= row_bytes


def test_a_palette_per_image_of_one_image_warns_of_fewer_colors(tmp_path):
    path = tmp_path / "one.png"
    Image.new("RGB", (4, 4), (9, 9, 9)).save(path)
    with pytest.warns(FewerColorsWarning):
        report = dq.quantize(path, tmp_path / "o.png", n_colors=9, per_image=True)
    assert report.palette.hex == ["#090909"]


def test_a_gif_must_hold_the_page_that_is_asked_for_and_no_other(tmp_path):
    source = tmp_path / "a.tif"
    with tifffile.TiffWriter(source) as file:
        file.write(np.zeros((1, 70_000), np.uint8), photometric="minisblack")
        file.write(np.zeros((3, 4), np.uint8), photometric="minisblack")
    with pytest.raises(OutputError, match="Got an image of 70000 x 1 pixels; GIF takes"):
        dq.quantize(source, tmp_path / "a.gif", n_colors=1)
    dq.quantize(source, tmp_path / "a.gif", n_colors=1, page=1)
    with Image.open(tmp_path / "a.gif") as image:
        assert image.size == (4, 3)
