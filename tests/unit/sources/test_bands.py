import numpy as np
import pytest

from dask_quant.errors import PixelFormatError
from dask_quant.sources.bands import check_pixels, to_rgb


def test_grey_is_repeated_over_three_bands():
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for block in (grey, grey[..., None]):
        rgb = to_rgb(block)
        assert rgb.shape == (2, 3, 3)
        assert rgb.flags.c_contiguous
        assert all(np.array_equal(rgb[..., band], grey) for band in range(3))


def test_rgb_passes_without_a_copy():
    block = np.zeros((2, 3, 3), dtype=np.uint8)
    assert np.shares_memory(to_rgb(block), block)


def test_opaque_rgba_loses_its_alpha():
    block = np.full((2, 3, 4), 255, dtype=np.uint8)
    block[..., 0] = 7
    assert np.array_equal(to_rgb(block), block[..., :3])


def test_transparent_pixels_are_refused_with_their_number():
    block = np.full((2, 3, 4), 255, dtype=np.uint8)
    block[0, :2, 3] = 254
    with pytest.raises(PixelFormatError, match="2 of 6 pixels not opaque"):
        to_rgb(block)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((4, 4), np.uint16),
        ((4, 4, 3), np.float32),
        ((4, 4), bool),
        ((4,), np.uint8),
        ((4, 4, 2), np.uint8),
        ((3, 40, 40), np.uint8),
        ((1, 4, 4, 3), np.uint8),
        ((0, 4, 3), np.uint8),
    ],
)
def test_other_shapes_and_types_are_refused_with_both(shape, dtype):
    with pytest.raises(PixelFormatError) as caught:
        check_pixels(shape, dtype, name="an array")
    assert str(shape) in str(caught.value)
    assert np.dtype(dtype).name in str(caught.value)
