"""Profiles that tests write byte by byte."""

import colour
import pytest
from icc_bytes import D50, SRGB_CURVE, build_grey_profile, build_rgb_profile


def adapted_primaries(name):
    """XYZ of the primaries of a colour space, white adapted to D50, in columns."""
    space = colour.RGB_COLOURSPACES[name]
    white = colour.xy_to_XYZ(space.whitepoint)
    adapt = colour.adaptation.matrix_chromatic_adaptation_VonKries(white, D50, "Bradford")
    return adapt @ space.matrix_RGB_to_XYZ


@pytest.fixture(scope="session")
def make_rgb_profile():
    """An RGB profile of the primaries of a named space and one curve."""
    return lambda name, curve: build_rgb_profile(adapted_primaries(name).T, curve)


@pytest.fixture(scope="session")
def make_grey_profile():
    """A grey profile of one curve."""
    return build_grey_profile


@pytest.fixture(scope="session")
def display_p3(make_rgb_profile):
    """The profile of photographs of telephones."""
    return make_rgb_profile("Display P3", SRGB_CURVE)
