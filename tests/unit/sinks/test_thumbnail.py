import io

import numpy as np
import pytest
from PIL import Image

from dask_quant.sinks.thumbnail import make_thumbnail


def decode(picture):
    with Image.open(io.BytesIO(picture.data)) as image:
        assert f"image/{image.format.lower()}" == picture.media_type
        assert image.size == (picture.width, picture.height)
        return np.asarray(image)


def test_a_large_picture_becomes_small_and_keeps_its_shape(photo):
    picture = make_thumbnail(photo, 64)
    assert (picture.width, picture.height) == (64, 43)
    np.testing.assert_allclose(decode(picture).mean((0, 1)), photo.mean((0, 1)), atol=3)


def test_a_line_stays_a_pixel_wide(photo):
    assert make_thumbnail(photo[:1], 64).height == 1
    assert make_thumbnail(photo[:, :1], 64).width == 1


def test_few_colors_of_a_small_picture_stay_exact(photo):
    pixels = (photo[:50, :70] // 64 * 64).copy()
    picture = make_thumbnail(pixels, 70)
    assert picture.media_type == "image/png"
    np.testing.assert_array_equal(decode(picture), pixels)


def test_grey_pixels_are_shown(photo):
    decoded = decode(make_thumbnail(np.ascontiguousarray(photo[:9, :9, 0]), 100))
    np.testing.assert_array_equal(decoded, photo[:9, :9, 0])


@pytest.mark.parametrize("side", [16, 200])
def test_alpha_stays(photo, side):
    alpha = np.full((40, 60, 1), 77, dtype=np.uint8)
    decoded = decode(make_thumbnail(np.concatenate([photo[:40, :60], alpha], axis=2), side))
    assert decoded.shape[2] == 4
    assert (decoded[..., 3] == 77).all()


def test_a_dithered_picture_looks_as_from_afar():
    checks = (np.indices((128, 128)).sum(0) % 2 * 255).astype(np.uint8)
    small = decode(make_thumbnail(checks, 16)).astype(int)
    assert abs(small - 127).max() <= 8


def test_bytes_are_bounded(photo):
    assert len(make_thumbnail(photo, 256).data) < 60_000
