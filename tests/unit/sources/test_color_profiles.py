import io
import warnings

import colour
import numpy as np
import pytest
from icc_bytes import SRGB_CURVE
from PIL import Image, ImageCms

from dask_quant.errors import ColorProfileWarning
from dask_quant.sources.color_profiles import find_conversion, look_into
from dask_quant.sources.icc_profile import describe_profile, parse_profile, read_curve


@pytest.fixture
def colors():
    """Random colours and greys, ``(16, 256, 3)``."""
    rng = np.random.default_rng(0)
    found = rng.integers(0, 256, (16, 256, 3), dtype=np.uint8)
    found[0] = np.arange(256, dtype=np.uint8)[:, np.newaxis]
    return found


def by_formula(colors, name, exponent=None):
    """sRGB levels of colours of another space, by colour-science."""
    options = {"chromatic_adaptation_transform": "Bradford"}
    values = colors / 255.0
    if exponent is not None:
        values = values**exponent
    else:
        options["apply_cctf_decoding"] = True
    light = colour.RGB_to_RGB(values, name, "sRGB", **options)
    return np.clip(colour.cctf_encoding(np.clip(light, 0, 1), function="sRGB") * 255, 0, 255)


def apply_littlecms(data, colors):
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(data)), ImageCms.createProfile("sRGB"), "RGB", "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.NOOPTIMIZE,
    )  # fmt: skip
    return np.asarray(transform.apply(Image.fromarray(colors)))


@pytest.mark.parametrize(
    ("name", "curve", "exponent"),
    [
        ("Display P3", SRGB_CURVE, None),
        ("Adobe RGB (1998)", 563 / 256, 563 / 256),
        ("ITU-R BT.2020", 2.4, 614 / 256),
        ("ProPhoto RGB", 1.8, 461 / 256),
    ],
)
def test_wide_gamuts_agree_with_the_formulas_and_with_littlecms(
    make_rgb_profile, colors, name, curve, exponent
):
    data = make_rgb_profile(name, curve)
    found = find_conversion(data, "RGB", name="it")(colors).astype(float)
    expected = by_formula(colors, name, exponent)
    # A profile holds its primaries in steps of 1/65536, and white as D50 in four digits.
    assert np.abs(found - expected).max() < 1.0
    assert np.abs(found - expected).mean() < 0.27  # rounding alone makes 0.25
    assert np.abs(found - apply_littlecms(data, colors)).max() <= 1


def test_a_colour_that_the_conversion_changes_is_another(display_p3):
    red = np.array([[[234, 51, 35]]], dtype=np.uint8)  # Display P3 of the red of sRGB
    found = find_conversion(display_p3, "RGB", name="it")(red)
    assert np.abs(found.astype(int) - [255, 0, 0]).max() <= 1


@pytest.mark.parametrize("levels", [256, 1024, 4096])
def test_profiles_of_srgb_cost_nothing(make_rgb_profile, levels):
    steps = np.linspace(0, 1, levels)
    sampled = make_rgb_profile("sRGB", colour.models.eotf_sRGB(steps))
    assert find_conversion(sampled, "RGB", name="it") is None


def test_a_profile_that_only_says_srgb_is_applied(make_rgb_profile, colors):
    data = make_rgb_profile("sRGB", 1.0).replace(b"by hand\0", b"sRGB    ")
    assert describe_profile(data) == "sRGB"
    assert not np.array_equal(find_conversion(data, "RGB", name="it")(colors), colors)


def test_the_profile_of_srgb_of_littlecms_costs_nothing():
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert find_conversion(data, "RGB", name="it") is None
    assert find_conversion(data, "GRAY", name="it") is None
    assert describe_profile(data) == "sRGB built-in"


def test_a_grey_curve_is_tabulated(make_grey_profile):
    levels = np.arange(256, dtype=np.uint8)[np.newaxis]
    found = find_conversion(make_grey_profile(1.0), "GRAY", name="it")(levels)
    expected = np.rint(colour.models.eotf_inverse_sRGB(np.arange(256) / 255) * 255)
    assert np.array_equal(found, np.repeat(expected[np.newaxis, :, np.newaxis], 3, axis=2))
    assert find_conversion(make_grey_profile(SRGB_CURVE), "GRAY", name="it") is None


def test_grey_levels_go_through_a_profile_of_rgb(make_rgb_profile):
    levels = np.arange(256, dtype=np.uint8)[np.newaxis]
    data = make_rgb_profile("Adobe RGB (1998)", 563 / 256)
    found = find_conversion(data, "GRAY", name="it")(levels)
    as_color = np.repeat(levels[..., np.newaxis], 3, axis=2)
    assert np.array_equal(found, find_conversion(data, "RGB", name="it")(as_color))


def test_ideal_inks_are_multiplied():
    rng = np.random.default_rng(1)
    inks = rng.integers(0, 256, (64, 64, 4), dtype=np.uint8)
    found = find_conversion(None, "CMYK", name="it")(inks)
    light = 1 - inks / 255.0
    assert np.abs(found - 255 * light[..., :3] * light[..., 3:]).max() <= 0.5
    assert np.array_equal(found, np.asarray(Image.fromarray(inks, "CMYK").convert("RGB")))


def test_cielab_agrees_with_the_formulas():
    lab = np.array([[53.0, 60.0, 40.0], [80.0, -30.0, 20.0], [20.0, 5.0, -20.0]])
    stored = np.rint(lab * [2.55, 1, 1]).astype(np.int16).astype(np.uint8)[np.newaxis]
    white = colour.CCS_ILLUMINANTS["CIE 1931 2 Degree Standard Observer"]["D50"]
    xyz = colour.Lab_to_XYZ(lab, white)
    expected = colour.XYZ_to_sRGB(xyz, white, "Bradford") * 255
    found = find_conversion(None, "LAB", name="it")(stored)
    assert np.abs(found[0] - np.clip(expected, 0, 255)).max() < 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: b"", None),
        (lambda data: b"nonsense", "no ICC profile"),
        (lambda data: data[:150], "claims .* tags|cut off"),
        (lambda data: data[:-40], "cut off"),
        (lambda data: data.replace(b"gTRC", b"xTRC"), "gTRC is missing"),
        (lambda data: data.replace(b"gXYZ", b"xXYZ"), "gXYZ is missing"),
        (lambda data: data.replace(b"para\0\0\0\0\0\3", b"para\0\0\0\0\0\7"), "unknown kind 7"),
        (lambda data: data.replace(b"RGB XYZ ", b"CMYKXYZ "), "one of CMYK .* are RGB"),
        (lambda data: data.replace(b"gTRC", b"A2B0"), "littlecms cannot use it"),
    ],
)
def test_profiles_that_cannot_be_used_are_left_out_with_a_warning(display_p3, change, said):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert find_conversion(change(display_p3), "RGB", name="a\nb") is None
    if said is None:
        assert caught == []
        return
    (warning,) = caught
    assert warning.category is ColorProfileWarning
    text = str(warning.message)
    assert "\n" not in text
    assert text.startswith("The colour profile of a\\nb is left out, for ")
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(text)


def test_damaged_profiles_raise_nothing(display_p3):
    rng = np.random.default_rng(3)
    probe = np.zeros((1, 1, 3), dtype=np.uint8)
    for _ in range(200):
        broken = bytearray(display_p3)
        for position in rng.integers(0, len(broken), 4):
            broken[position] = rng.integers(0, 256)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ColorProfileWarning)
            convert = find_conversion(bytes(broken), "RGB", name="it")
        assert convert is None or convert(probe).shape == probe.shape
    look_into.cache_clear()


@pytest.mark.parametrize(
    ("curve", "at", "light"),
    [
        (2.0, 51, 0.04),
        ((0, (2.0,)), 51, 0.04),
        ((1, (2.0, 2.0, -1.0)), 51, 0.0),
        ((1, (2.0, 2.0, -1.0)), 204, 0.36),
        ((2, (2.0, 2.0, -1.0, 0.25)), 51, 0.25),
        ((2, (2.0, 2.0, -1.0, 0.25)), 204, 0.61),
        ((3, (2.0, 1.0, 0.0, 0.5, 0.5)), 51, 0.1),
        ((3, (2.0, 1.0, 0.0, 0.5, 0.5)), 204, 0.64),
        ((4, (2.0, 1.0, 0.0, 0.5, 0.5, 0.25, 0.125)), 51, 0.225),
        ((4, (2.0, 1.0, 0.0, 0.5, 0.5, 0.25, 0.125)), 204, 0.89),
        ([0.0, 0.5, 1.0], 51, 0.2),
        ([0.0, 0.0, 1.0], 204, 0.6),
    ],
)
def test_every_kind_of_curve_is_read(make_grey_profile, curve, at, light):
    profile = parse_profile(make_grey_profile(curve))
    assert read_curve(profile, b"kTRC")[at] == pytest.approx(light, abs=2e-4)


def test_names_of_both_kinds_are_read(display_p3):
    assert describe_profile(display_p3) == "by hand"
    assert describe_profile(None) is None
    assert describe_profile(b"nonsense") == ""
