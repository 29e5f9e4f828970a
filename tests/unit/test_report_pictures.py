import io
import warnings

import dask.array as da
import numpy as np
import pytest
from PIL import Image

import dask_quant as dq
from dask_quant.options import Page
from dask_quant.report_page.contents import Picture
from dask_quant.report_pictures import picture_output, picture_source

OUTPUTS = ("a.png", "a.gif", "a.tif", "a.npz", "a.zarr")


def decode(picture):
    assert isinstance(picture, Picture), picture
    return np.asarray(Image.open(io.BytesIO(picture.data)).convert("RGB"))


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_are_shown_as_they_are_painted(tmp_path, photo, name):
    pixels = np.ascontiguousarray(photo[:60, :80])
    report = dq.quantize(pixels, tmp_path / name, n_colors=6)
    shown = decode(picture_output(tmp_path / name, side=100))
    assert shown.shape == (60, 80, 3)
    assert {bytes(color) for color in shown.reshape(-1, 3)} == {
        bytes(color) for color in report.palette.colors
    }


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_is_gone_or_torn_leaves_a_line(tmp_path, name):
    said = picture_output(tmp_path / name, side=100)
    assert isinstance(said, str)
    assert said
    if not name.endswith(".zarr"):
        (tmp_path / name).write_bytes(b"torn")
        assert picture_output(tmp_path / name, side=100).startswith("Not shown: Cannot read")


def test_a_source_is_shown(photo_path, photo):
    shown = decode(picture_source(photo_path, side=64))
    assert shown.shape == (43, 64, 3)
    np.testing.assert_allclose(shown.mean((0, 1)), photo.mean((0, 1)), atol=3)


def test_a_frame_is_shown(tmp_path):
    frames = [Image.new("RGB", (9, 9), color) for color in ("red", "lime")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    shown = decode(picture_source(tmp_path / "a.gif", side=9, frame=1))
    assert np.unique(shown.reshape(-1, 3), axis=0).tolist() == [[0, 255, 0]]


def test_a_page_and_a_level_that_suits_are_shown(tmp_path):
    pages = [Image.new("RGB", (80, 80), color) for color in ("red", "blue")]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    shown = decode(picture_source(tmp_path / "a.tif", side=80, page=Page(number=1)))
    assert shown[0, 0].tolist() == [0, 0, 255]


def test_pixels_in_memory_are_shown_and_others_are_not(photo):
    assert decode(picture_source(photo[:, ::2], side=64)).shape == (64, 48, 3)
    for other in (da.from_array(photo), photo / 255, None, "-"):
        assert isinstance(picture_source(other, side=64), str)


def test_an_address_without_its_secrets_is_not_asked_for():
    said = picture_source("https://***@host.invalid/a.png?***", side=64)
    assert said == "Its whole address is not kept."


def test_what_the_job_has_warned_of_is_not_said_again(tmp_path, photo):
    profile = b"\0\0\0\x80torn" + bytes(120)
    Image.fromarray(photo[:20, :20]).save(tmp_path / "a.png", icc_profile=profile)
    with pytest.warns(dq.DaskQuantWarning):
        dq.quantize(tmp_path / "a.png", tmp_path / "b.png", n_colors=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(picture_source(tmp_path / "a.png", side=20)).shape == (20, 20, 3)
