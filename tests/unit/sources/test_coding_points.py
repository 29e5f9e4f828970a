import io
import struct
import zlib

import colour
import imagecodecs
import numpy as np
import pytest
from PIL import Image

from dask_quant.errors import PixelFormatError
from dask_quant.sources.pillow import read_image

SPACES = {9: "ITU-R BT.2020", 12: "Display P3"}


@pytest.fixture
def colors():
    return np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def png(colors, points, **options):
    buffer = io.BytesIO()
    Image.fromarray(colors).save(buffer, "PNG", **options)
    data, body = buffer.getvalue(), b"cICP" + bytes([*points, 0, 1])
    return data[:33] + struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body)) + data[33:]


def avif(colors, points):
    """An AVIF whose code points are replaced; those of the encoder are sRGB's."""
    data = imagecodecs.avif_encode(colors, level=100, speed=10)
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">2H", *points) + data[at + 4 :]


def read_bytes(data):
    return read_image(io.BytesIO(data))


@pytest.mark.parametrize("primaries", SPACES)
def test_wide_primaries_are_brought_to_srgb(colors, primaries):
    light = colour.RGB_to_RGB(
        colour.cctf_decoding(colors / 255, function="sRGB"),
        *(SPACES[primaries], "sRGB"),
        chromatic_adaptation_transform="Bradford",
    )
    expected = colour.cctf_encoding(np.clip(light, 0, 1), function="sRGB") * 255
    assert np.abs(read_bytes(png(colors, (primaries, 13))) - expected).max() < 1.0


@pytest.mark.parametrize("points", [(1, 13), (2, 2), (1, 1)])
def test_other_code_points_change_nothing(colors, points):
    assert np.array_equal(read_bytes(png(colors, points)), colors)


def test_a_profile_goes_before_code_points(colors, make_rgb_profile):
    srgb = make_rgb_profile("sRGB", (3, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)))
    assert np.array_equal(read_bytes(png(colors, (12, 13), icc_profile=srgb)), colors)


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
@pytest.mark.parametrize("encode", [png, avif])
def test_high_dynamic_range_is_refused_by_name(colors, encode, transfer, name):
    with pytest.raises(PixelFormatError, match=rf"high dynamic range \({name}\).*\(SDR\) first"):
        read_bytes(encode(colors, (9, transfer)))


def test_code_points_of_avif_are_read(colors):
    flat = np.full((64, 64, 3), (234, 51, 35), dtype=np.uint8)
    assert np.abs(read_bytes(avif(flat, (12, 13)))[5, 5].astype(int) - [255, 0, 0]).max() <= 6
