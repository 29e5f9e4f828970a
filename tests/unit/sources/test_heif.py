"""HEIF pictures of HEVC. The files were encoded by x265 through pillow-heif 1.8, in 4:4:4."""

import builtins
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dask_quant as dq
from dask_quant.errors import SourceError
from dask_quant.sources.image_file import read_header, read_image
from dask_quant.sources.pillow import count_frames
from dask_quant.sources.signatures import find_format

FILES = Path(__file__).parent / "heif"

NEAR = 2
"""Levels by which a lossy file may differ."""


@pytest.fixture(scope="module")
def picture():
    """What all files were made of: three areas of one colour each."""
    pixels = np.empty((48, 64, 3), np.uint8)
    pixels[:24, :32], pixels[:24, 32:], pixels[24:] = (200, 30, 40), (240, 240, 240), (20, 120, 220)
    return pixels


def difference(one, two):
    return int(np.abs(one.astype(int) - two).max())


@pytest.mark.parametrize("name", ["plain", "two", "exif-turned", "10-bit"])
def test_the_first_picture_is_read_as_it_is(picture, name):
    path = FILES / f"{name}.heic"
    header = read_header(path)
    assert (header.format, header.width, header.height) == ("HEIF", 64, 48)
    assert header.mode == ("RGB;10" if name == "10-bit" else "RGB")
    assert difference(read_image(path), picture) <= NEAR
    assert count_frames(path) == 1
    assert header.codec_bytes > 0


def test_a_picture_is_turned_as_its_container_says(picture):
    header = read_header(FILES / "turned.heic")
    assert (header.width, header.height) == (48, 64)
    assert difference(read_image(FILES / "turned.heic"), np.rot90(picture, -1)) <= NEAR


def test_an_embedded_profile_is_applied(picture):
    assert read_header(FILES / "display-p3.heic").profile == "Display P3"
    found = read_image(FILES / "display-p3.heic")
    assert difference(found[:24, 32:], picture[:24, 32:]) <= NEAR  # white and grey stay
    assert found[30, 30, 2] > 225  # blue of wide primaries is bluer than that of sRGB
    assert found[5, 5, 0] > 210


def test_deep_samples_become_the_nearest_levels(picture, tmp_path):
    report = dq.quantize(FILES / "10-bit.heic", tmp_path / "o.png", n_colors=3)
    with Image.open(tmp_path / "o.png") as image:
        assert difference(np.asarray(image.convert("RGB")), picture) <= NEAR
    assert report.n_colors == 3


@pytest.mark.parametrize("brand", [b"mif1", b"msf1", b"heic", b"hevc"])
def test_brands_tell_hevc_from_av1(brand):
    behind = b"\x00\x00\x00\x00mif1%bmiaf"
    start = b"\x00\x00\x00\x1cftyp" + brand + behind
    assert find_format(start % b"heic") == "HEIF"
    expected = "AVIF" if brand in (b"mif1", b"msf1") else "HEIF"
    assert find_format(start % b"avif") == expected


@pytest.mark.parametrize("n_bytes", [40, 300, 600])
def test_what_is_torn_is_refused_in_one_line(tmp_path, n_bytes):
    data = (FILES / "plain.heic").read_bytes()
    assert n_bytes < len(data)
    (tmp_path / "a.heic").write_bytes(data[:n_bytes])
    with pytest.raises(SourceError, match=r"a\.heic") as caught:
        read_image(tmp_path / "a.heic")
    assert "\n" not in str(caught.value)


def test_without_a_reader_the_way_out_is_named(tmp_path, monkeypatch, photo):
    load = builtins.__import__

    def refuse(name, *arguments, **options):
        if name.partition(".")[0] == "pi_heif":
            raise ImportError(name)
        return load(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(SourceError, match=r"\.heic.*pip install \"dask-quant\[heif\]\""):
        read_header(FILES / "plain.heic")
    # In a folder, it is an image that is set aside, and not ignored.
    (tmp_path / "in").mkdir()
    shutil.copy(FILES / "plain.heic", tmp_path / "in" / "a.heic")
    Image.fromarray(photo[:20, :30]).save(tmp_path / "in" / "b.png")
    report = dq.quantize(tmp_path / "in", tmp_path / "out", n_colors=4, n_init=1)
    assert (report.n_images, report.n_ignored) == (1, 0)
    assert "dask-quant[heif]" in report.quarantined[0].reason


def test_pillow_itself_is_not_told_of_the_reader():
    read_image(FILES / "plain.heic")
    assert "HEIF" not in Image.OPEN
