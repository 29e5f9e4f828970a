"""Every 16-bit value and other depths against the rounding of exact fractions."""

from fractions import Fraction

import numpy as np
import pytest

from dask_quant.errors import PixelFormatError
from dask_quant.sources.sample_scaling import check_scalable, to_eight_bits


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
def test_every_integer_goes_to_its_nearest_level(bits):
    most = (1 << bits) - 1
    samples = np.arange(most + 1, dtype=np.uint16)
    expected = [int(Fraction(255 * value, most) + Fraction(1, 2)) for value in range(most + 1)]
    np.testing.assert_array_equal(to_eight_bits(samples, name="it", bits=bits), expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_levels_from_0_to_1(dtype):
    levels = np.arange(256)
    np.testing.assert_array_equal(
        to_eight_bits((levels / 255).astype(dtype), name="it"), levels.astype(np.uint8)
    )


def test_8_bit_samples_are_not_copied():
    samples = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert to_eight_bits(samples, name="it") is samples


def test_booleans_are_black_and_white():
    assert to_eight_bits(np.array([[True, False]]), name="it").tolist() == [[255, 0]]


@pytest.mark.parametrize(
    ("samples", "bits", "text"),
    [
        (np.array([0.0, 1.5]), None, "0 to 1.5"),
        (np.array([-0.1, 0.5]), None, "-0.1 to 0.5"),
        (np.array([np.nan, 0.5]), None, "1 that are no finite numbers"),
        (np.array([np.nan]), None, "no finite number"),
        (np.array([1024], dtype=np.uint16), 10, "above 1023"),
        (np.array([1], dtype=np.int16), None, "int16"),
        (np.array([1], dtype=np.uint32), None, "segment"),
        (np.array([1j]), None, "complex128"),
    ],
)
def test_nothing_is_clipped_in_silence(samples, bits, text):
    with pytest.raises(PixelFormatError, match=r"^Got it") as caught:
        to_eight_bits(samples, name="it", bits=bits)
    assert text in str(caught.value)


def test_types_are_checked_before_pixels_are_there():
    check_scalable(np.uint16, name="it")
    with pytest.raises(PixelFormatError, match="int32"):
        check_scalable(np.int32, name="it")
