"""What decoding takes beside 7 bytes a pixel, by header alone; measured in tests/property."""

import io

import imagecodecs
import numpy as np
import pytest
from decode_memory import KINDS
from PIL import Image

from dask_quant.sources.pillow import read_header

SHAPE = (40, 60)

PIXELS = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("kind", "n_more", "n_files"),
    [
        ("PNG, RGB", 0, 0),
        ("PNG, 16-bit grey", 0, 0),
        ("PNG, 16-bit RGB", 5, 1),
        ("JPEG, RGB", 0, 0),
        ("JPEG, progressive RGB", 3, 0),
        ("JPEG, progressive CMYK", 5, 0),
        ("WebP, RGB", 10, 2),
        ("AVIF, RGB", 6, 2),
        ("AVIF, 10-bit RGB", 6, 2),
        ("JPEG 2000, grey", 2, 2),
        ("JPEG 2000, RGB", 12, 2),
        ("JPEG 2000, 16-bit RGB", 12, 2),
        ("PGM of digits", 6, 0),
        ("PPM of 16 bits", -3, 1),
    ],
)
def test_codecs_hold_more_than_pixels(kind, n_more, n_files):
    data = KINDS[kind](PIXELS)
    header = read_header(io.BytesIO(data))
    assert header.codec_bytes == n_more * PIXELS[..., 0].size + n_files * len(data)


def test_what_is_turned_takes_as_much(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for number, options in enumerate([{}, {"exif": exif}]):
        Image.fromarray(PIXELS).save(tmp_path / f"{number}.webp", lossless=True, **options)
    plain, turned = (read_header(tmp_path / f"{number}.webp") for number in range(2))
    assert (turned.width, turned.height) == (plain.height, plain.width)
    more = 2 * (turned.input_bytes - plain.input_bytes)
    assert turned.codec_bytes == plain.codec_bytes + more


def test_alpha_of_deep_samples_counts_as_a_band():
    opaque = np.dstack([PIXELS.astype(np.uint16) << 2, np.full(SHAPE, 512, np.uint16)])
    data = imagecodecs.avif_encode(opaque, level=90, bitspersample=10)
    header = read_header(io.BytesIO(data))
    assert header.mode == "RGBA;10"
    assert header.codec_bytes == (17 - 7) * PIXELS[..., 0].size + 2 * len(data)
