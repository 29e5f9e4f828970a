"""Colour spaces: published values, an independent library, and lattices that keep distances."""

import colour
import numpy as np
import pytest

from dask_quant.color_spaces import (
    find_space,
    lab_from_srgb,
    linear_from_srgb,
    oklab_from_srgb,
)
from dask_quant.fit_options import SPACES

RNG = np.random.default_rng(12)
COLORS = np.concatenate(
    [
        RNG.integers(0, 256, (20_000, 3)),
        np.repeat(np.arange(256)[:, np.newaxis], 3, axis=1),
        np.stack(np.meshgrid([0, 255], [0, 255], [0, 255]), axis=-1).reshape(-1, 3),
    ]
).astype(np.uint8)


def test_published_values_of_oklab():
    """From XYZ of the reference of Oklab: white is (1, 0, 0); primaries as CSS Color 4 has them."""
    colors = np.array([[255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 0, 0]])
    expected = [
        [1, 0, 0],
        [0.62796, 0.22486, 0.12585],
        [0.86644, -0.23389, 0.17950],
        [0.45201, -0.03246, -0.31153],
        [0, 0, 0],
    ]
    np.testing.assert_allclose(oklab_from_srgb(colors), expected, atol=1e-5)


def test_published_values_of_cielab():
    """Primaries of sRGB under D65, as B. Lindbloom's calculator has them."""
    colors = np.array([[255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [119, 119, 119]])
    expected = [
        [100, 0, 0],
        [53.2408, 80.0925, 67.2032],
        [87.7347, -86.1827, 83.1793],
        [32.2970, 79.1875, -107.8602],
        [50.0344, 0, 0],
    ]
    np.testing.assert_allclose(lab_from_srgb(colors), expected, atol=2e-3)


def test_published_values_of_the_transfer_function():
    levels = np.array([0, 10, 11, 128, 188, 255])
    expected = [0, 0.0030353, 0.0033465, 0.2158605, 0.5028865, 1]
    np.testing.assert_allclose(linear_from_srgb(levels), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["linear", "oklab", "lab"])
def test_an_independent_library_agrees(name):
    linear = colour.models.eotf_sRGB(COLORS / 255)
    xyz = linear @ np.array(colour.models.RGB_COLOURSPACE_sRGB.matrix_RGB_to_XYZ).T
    expected = {
        "linear": linear,
        "oklab": colour.XYZ_to_Oklab(xyz),
        "lab": colour.XYZ_to_Lab(xyz, colour.XYZ_to_xy(xyz[-1])),
    }[name]
    found = find_space(name).from_srgb(COLORS)
    reach = np.ptp(expected, axis=0).max()
    np.testing.assert_allclose(found, expected, atol=2e-3 * reach)


@pytest.mark.parametrize("name", SPACES)
def test_there_and_back(name):
    space = find_space(name)
    np.testing.assert_allclose(space.to_srgb(space.from_srgb(COLORS)), COLORS, atol=1e-8)


@pytest.mark.parametrize("name", SPACES)
def test_points_are_the_space_rounded(name):
    space = find_space(name)
    points = space.place(COLORS)
    expected = (space.from_srgb(COLORS) - space.origin) * space.scale
    assert points.dtype == (np.uint8 if name == "srgb" else np.uint16)
    assert points.max() < 1 << 14
    assert np.abs(points - expected).max() < 0.5 + 1e-6
    # Points between those of the lattice lead back to levels.
    np.testing.assert_allclose(space.find_levels(expected), COLORS, atol=1e-8)


@pytest.mark.parametrize("name", SPACES)
def test_a_color_has_its_point_whatever_is_beside_it(name):
    space, whole = find_space(name), find_space(name).place(COLORS)
    for part in (slice(0, 1), slice(5, 12), slice(3, 9000, 7)):
        np.testing.assert_array_equal(space.place(COLORS[part]), whole[part])


@pytest.mark.parametrize("name", ["linear", "oklab", "lab"])
def test_no_two_of_all_colors_share_a_point(name):
    codes = np.arange(1 << 24, dtype=np.uint32)
    colors = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(np.uint8)
    points = find_space(name).place(colors)
    packed = points[:, 0].astype(np.uint64)
    for band in (1, 2):
        packed = packed << np.uint64(14) | points[:, band]
    packed.sort()
    assert (packed[1:] > packed[:-1]).all()


@pytest.mark.parametrize("name", SPACES)
def test_a_level_of_srgb_is_as_many_steps_as_it_says(name):
    space = find_space(name)
    black, white = space.place(np.array([[0, 0, 0], [255, 255, 255]], dtype=np.uint8)).astype(float)
    steps = np.linalg.norm(white - black) / np.linalg.norm([255, 255, 255])
    assert space.level == pytest.approx(steps, rel=0.01)


@pytest.mark.parametrize("name", ["linear", "oklab", "lab"])
def test_levels_stay_within_srgb(name):
    space = find_space(name)
    levels = space.find_levels(RNG.uniform(0, 16383, (1000, 3)))
    assert levels.min() >= 0
    assert levels.max() <= 255
