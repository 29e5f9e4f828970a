"""Colours of TIFF by their profiles: against littlecms, and the same pixels as PNG."""

import io
import tracemalloc
import warnings

import colour
import numpy as np
import pytest
import tifffile
from icc_bytes import SRGB_CURVE, build_ink_profile
from PIL import Image, ImageCms

import dask_quant as dq
from dask_quant.chunking import COPIES_IN_TASK
from dask_quant.errors import ColorProfileWarning, PixelFormatError
from dask_quant.options import Page
from dask_quant.sources import image_file, tiff
from dask_quant.sources.opening import open_image
from dask_quant.sources.sample_scaling import to_eight_bits

SHAPE = (40, 60)

LAYOUTS = [
    {"tile": (16, 32), "compression": "deflate"},
    {"rowsperstrip": 7},
    {"rowsperstrip": 40, "compression": "lzw"},
]


def make_samples(n_bands, dtype=np.uint8):
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return rng.random((*SHAPE, n_bands)).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max + 1, (*SHAPE, n_bands)).astype(dtype)


def write(path, samples, photometric="rgb", **options):
    if options.get("planarconfig") == "separate":
        samples = np.ascontiguousarray(samples.transpose(2, 0, 1))
    samples = samples[..., 0] if samples.shape[-1] == 1 else samples
    tifffile.imwrite(path, samples, photometric=photometric, **options)
    return path


def read_png(path, levels, icc):
    """Return what the same pixels come to as PNG."""
    Image.fromarray(levels).save(path, icc_profile=icc)
    return image_file.read_image(path)


def apply_littlecms(icc, levels, mode, flags=0):
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB"), mode, "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION | flags,
    )  # fmt: skip
    return np.asarray(transform.apply(Image.fromarray(levels, mode)))


def check_all_ways(path, expected):
    """Check that the file is the same in memory, in chunks, and in a slice."""
    assert np.array_equal(image_file.read_image(path), expected)
    chunked = open_image(path, chunks=16)
    assert np.array_equal(chunked.compute(scheduler="synchronous"), expected)
    part = tiff.find_tiff(path)[5:31, 17:50, 0:3]
    assert np.array_equal(np.broadcast_to(part, (26, 33, 3)), expected[5:31, 17:50])


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_rgb_is_what_it_is_as_png(tmp_path, display_p3, layout, planes):
    rgb = make_samples(3)
    path = write(tmp_path / "a.tif", rgb, planarconfig=planes, iccprofile=display_p3, **layout)
    expected = read_png(tmp_path / "a.png", rgb, display_p3)
    assert not np.array_equal(expected, rgb)
    check_all_ways(path, expected)
    found = apply_littlecms(display_p3, rgb, "RGB", ImageCms.Flags.NOOPTIMIZE)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert image_file.read_header(path).profile == "by hand"


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_deeper_rgb_is_scaled_and_converted(tmp_path, display_p3, dtype):
    samples = make_samples(3, dtype)
    path = write(tmp_path / "a.tif", samples, iccprofile=display_p3, tile=(16, 16))
    levels = to_eight_bits(samples, name="it")
    check_all_ways(path, read_png(tmp_path / "a.png", levels, display_p3))


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_grey_is_what_it_is_as_png(tmp_path, make_grey_profile, photometric, dtype):
    icc, samples = make_grey_profile(1.0), make_samples(1, dtype)
    path = write(tmp_path / "a.tif", samples, photometric, iccprofile=icc, rowsperstrip=7)
    levels = to_eight_bits(samples, name="it")[..., 0]
    levels = 255 - levels if photometric == "miniswhite" else levels
    expected = read_png(tmp_path / "a.png", levels, icc)
    assert not np.array_equal(expected[..., 0], levels)
    check_all_ways(path, expected)


def test_grey_of_few_bits_is_spread_and_converted(tmp_path, make_grey_profile):
    icc, samples = make_grey_profile(1.0), make_samples(1) >> 4
    path = write(tmp_path / "a.tif", samples, "minisblack", bitspersample=4, iccprofile=icc)
    check_all_ways(path, read_png(tmp_path / "a.png", samples[..., 0] * np.uint8(17), icc))


def test_bits_are_black_and_white_whatever_the_profile(tmp_path, make_grey_profile):
    bits = make_samples(1) > 99
    path = write(tmp_path / "a.tif", bits, "minisblack", iccprofile=make_grey_profile(1.0))
    check_all_ways(path, np.repeat(bits * np.uint8(255), 3, axis=2))


def test_a_profile_that_is_srgb_changes_nothing_and_keeps_grey_one_band(tmp_path, make_rgb_profile):
    icc, grey = make_rgb_profile("sRGB", SRGB_CURVE), make_samples(1)
    path = write(tmp_path / "a.tif", grey, "minisblack", iccprofile=icc)
    assert tiff.find_tiff(path).shape == (*SHAPE, 1)
    check_all_ways(path, np.repeat(grey, 3, axis=2))


@pytest.mark.parametrize("bits", [8, 16])
def test_colours_of_a_palette_are_converted(tmp_path, display_p3, bits):
    colors = np.random.default_rng(1).integers(0, 256, (1 << bits, 3), dtype=np.uint8)
    indices = make_samples(1, np.dtype(f"u{bits // 8}"))
    table = colors.T.astype(np.uint16) * 257
    path = write(tmp_path / "a.tif", indices, "palette", colormap=table, iccprofile=display_p3)
    check_all_ways(path, read_png(tmp_path / "a.png", colors[indices[..., 0]], display_p3))


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_inks_go_through_their_profile(tmp_path, planes, dtype):
    icc, inks = build_ink_profile(), make_samples(4, dtype)
    path = write(tmp_path / "a.tif", inks, "separated", planarconfig=planes, iccprofile=icc)
    levels = to_eight_bits(inks, name="it")
    found = image_file.read_image(path)
    assert np.array_equal(apply_littlecms(icc, levels, "CMYK"), found)
    ideal = np.asarray(Image.fromarray(levels, "CMYK").convert("RGB"))
    assert np.abs(ideal.astype(int) - found).max() > 30
    check_all_ways(path, found)


@pytest.mark.parametrize("compression", [None, "jpeg"])
def test_ycbcr_is_rgb_of_the_profile(tmp_path, display_p3, compression):
    ramp = np.add.outer(np.arange(SHAPE[0]), 3 * np.arange(SHAPE[1]))
    rgb = np.stack([ramp, 219 - ramp, ramp // 2], axis=2).astype(np.uint8)
    if compression:
        plain = write(tmp_path / "b.tif", rgb, compression=compression, subsampling=(2, 2))
        levels = image_file.read_image(plain)
        options = {"compression": compression, "subsampling": (2, 2)}
        path = write(tmp_path / "a.tif", rgb, **options, iccprofile=display_p3)
    else:
        stored = np.asarray(Image.fromarray(rgb).convert("YCbCr"))
        levels = np.asarray(Image.fromarray(rgb).convert("YCbCr").convert("RGB"))
        path = write(tmp_path / "a.tif", stored, "ycbcr", iccprofile=display_p3)
    assert image_file.read_header(path).mode == "YCbCr"
    check_all_ways(path, read_png(tmp_path / "a.png", levels, display_p3))


def store_lab(lab, photometric, dtype):
    """Return CIELAB as the two kinds of TIFF code it, in 8 and in 16 bits."""
    if photometric == "cielab":
        steps = np.array([2.55, 1, 1] if dtype == np.uint8 else [655.35, 256, 256])
        return np.rint(lab * steps).astype(np.int32).astype(dtype)
    steps = np.array([2.55, 1, 1] if dtype == np.uint8 else [652.8, 256, 256])
    return np.rint((lab + np.array([0, 128, 128])) * steps).astype(dtype)


@pytest.mark.parametrize("photometric", ["cielab", "icclab"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_cielab_agrees_with_the_formulas(tmp_path, photometric, dtype):
    white = colour.CCS_ILLUMINANTS["CIE 1931 2 Degree Standard Observer"]["D50"]
    given = colour.sRGB_to_XYZ(make_samples(3) / 255, white, "Bradford")
    levels = np.rint(colour.XYZ_to_Lab(given, white) * [2.55, 1, 1])
    lab = levels / [2.55, 1, 1]
    path = write(tmp_path / "a.tif", store_lab(lab, photometric, dtype), photometric)
    found = image_file.read_image(path)
    rgb = colour.XYZ_to_sRGB(colour.Lab_to_XYZ(lab, white), white, "Bradford")
    assert np.abs(found - np.clip(rgb * 255, 0, 255)).max() < 1
    assert image_file.read_header(path).mode == ("LAB" if dtype == np.uint8 else "LAB;16")
    check_all_ways(path, found)


def test_cielab_is_what_pillow_and_littlecms_make_of_it(tmp_path):
    stored = make_samples(3)
    path = write(tmp_path / "a.tif", stored, "cielab")
    d50 = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB", 5000)).tobytes()
    exact = ImageCms.Flags.NOOPTIMIZE
    with Image.open(path) as image:
        assert image.mode == "LAB"
        expected = apply_littlecms(d50, np.asarray(image), "LAB", exact)
    assert np.abs(expected.astype(int) - image_file.read_image(path)).max() <= 1


def test_the_ends_of_16_bit_cielab_stay_the_ends(tmp_path):
    ends = np.array([[[65535, 0x7FFF, 0x7FFF], [0, 0x8000, 0x8000]]], dtype=np.uint16)
    write(tmp_path / "a.tif", ends, "cielab", planarconfig="contig")
    narrow = np.array([[[255, 0x7F, 0x7F], [0, 0x80, 0x80]]], dtype=np.uint8)
    write(tmp_path / "b.tif", narrow, "cielab", planarconfig="contig")
    found = image_file.read_image(tmp_path / "a.tif")
    assert np.array_equal(found, image_file.read_image(tmp_path / "b.tif"))


def test_cielab_of_other_samples_is_refused(tmp_path):
    write(tmp_path / "a.tif", make_samples(3, np.float32), "cielab")
    with pytest.raises(PixelFormatError, match="read of 8 and of 16 bits"):
        image_file.read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_alpha_is_divided_out_before_the_profile_is_applied(tmp_path, display_p3, kind):
    straight = np.array([[[200, 100, 50, 255], [200, 100, 50, 51]]], dtype=np.uint8)
    stored = straight.copy()
    if kind == "assocalpha":
        stored[..., :3] = (straight[..., :3].astype(int) * straight[..., 3:] + 127) // 255
    options = {"extrasamples": [kind], "planarconfig": "contig"}
    write(tmp_path / "a.tif", stored, iccprofile=display_p3, **options)
    found = tiff.find_tiff(tmp_path / "a.tif")[0:1, 0:2, 0:4]
    expected = read_png(tmp_path / "a.png", np.ascontiguousarray(straight[..., :3]), display_p3)
    assert np.abs(found[..., :3].astype(int) - expected).max() <= (0 if kind == "unassalpha" else 3)
    assert found[..., 3].tolist() == [[255, 51]]


def test_opaque_alpha_beside_grey_and_inks_is_dropped_from_what_is_converted(
    tmp_path, make_grey_profile
):
    for n_bands, photometric, icc in (
        (2, "minisblack", make_grey_profile(1.0)), (5, "separated", build_ink_profile()),
    ):  # fmt: skip
        samples = make_samples(n_bands)
        samples[..., -1] = 255
        options = {"iccprofile": icc, "planarconfig": "contig"}
        both = write(
            tmp_path / "a.tif", samples, photometric, extrasamples=["unassalpha"], **options
        )
        plain = write(tmp_path / "b.tif", samples[..., :-1], photometric, **options)
        check_all_ways(both, image_file.read_image(plain))


@pytest.mark.parametrize("spoil", [lambda icc: icc[:200], lambda icc: build_ink_profile()])
def test_a_profile_that_cannot_be_used_is_left_out_with_one_warning(tmp_path, display_p3, spoil):
    rgb = make_samples(3)
    path = write(tmp_path / "a.tif", rgb, iccprofile=spoil(display_p3), tile=(16, 16))
    with pytest.warns(ColorProfileWarning, match=r"a\.tif is left out, for .* as sRGB") as caught:
        assert np.array_equal(image_file.read_image(path), rgb)
    assert len(caught) == 1
    with pytest.warns(ColorProfileWarning) as caught:
        image = open_image(path, chunks=16)
    assert len(caught) == 1
    with warnings.catch_warnings():  # tasks have nothing to add
        warnings.simplefilter("error")
        assert np.array_equal(image.compute(scheduler="synchronous"), rgb)
    with pytest.warns(ColorProfileWarning):  # each time that it is opened
        open_image(path)


def test_inks_without_a_usable_profile_are_ideal(tmp_path):
    inks = make_samples(4)
    path = write(tmp_path / "a.tif", inks, "separated", iccprofile=build_ink_profile()[:140])
    with pytest.warns(ColorProfileWarning, match="inks are taken as ideal"):
        found = image_file.read_image(path)
    assert np.array_equal(found, np.asarray(Image.fromarray(inks, "CMYK").convert("RGB")))


def test_levels_have_the_profile_of_their_page(tmp_path, display_p3):
    rgb = make_samples(3)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        options = {"photometric": "rgb", "tile": (16, 16)}
        file.write(rgb, subifds=1, iccprofile=display_p3, **options)
        file.write(rgb[::2, ::2], subfiletype=1, **options)
    small = np.ascontiguousarray(rgb[::2, ::2])
    found = tiff.read_tiff(tmp_path / "a.tif", page=Page(level=1))
    assert np.array_equal(found, read_png(tmp_path / "a.png", small, display_p3))


def test_a_job_is_the_same_in_memory_and_in_chunks(tmp_path, display_p3, small_units):
    rgb = make_samples(3) // 64 * 64
    path = write(tmp_path / "a.tif", rgb, iccprofile=display_p3, tile=(16, 16))
    outputs = []
    for chunks in (None, 16):
        dq.quantize(path, tmp_path / f"{chunks}.png", n_colors=5, chunks=chunks)
        outputs.append((tmp_path / f"{chunks}.png").read_bytes())
    Image.fromarray(rgb).save(tmp_path / "in.png", icc_profile=display_p3)
    dq.quantize(tmp_path / "in.png", tmp_path / "png.png", n_colors=5)
    assert outputs == [(tmp_path / "png.png").read_bytes()] * 2


@pytest.mark.parametrize(
    ("n_bands", "dtype", "photometric", "planes"),
    [
        (3, np.uint8, "rgb", "contig"),
        (3, np.float64, "rgb", "separate"),
        (4, np.uint16, "separated", "separate"),
        (3, np.uint16, "cielab", "contig"),
        (1, np.uint8, "minisblack", "contig"),
    ],
)
def test_converting_stays_within_what_is_planned(
    tmp_path, display_p3, n_bands, dtype, photometric, planes
):
    samples = np.zeros((1500, 1000, n_bands), dtype)
    icc = build_ink_profile() if n_bands == 4 else display_p3
    options = {"iccprofile": icc, "compression": "deflate", "rowsperstrip": 1500}
    write(tmp_path / "a.tif", samples, photometric, planarconfig=planes, **options)
    found = tiff.find_tiff(tmp_path / "a.tif")
    found[0:2, 0:2, 0:3]  # what is kept is made
    tracemalloc.start()
    try:
        pixels = found[0:1500, 0:1000, 0:3]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert pixels.nbytes < peak <= COPIES_IN_TASK * (found.unit_bytes + pixels.nbytes)


def test_what_is_held_in_one_go_covers_what_is_stored_decoded_and_converted(tmp_path, display_p3):
    samples = make_samples(3, np.float64)
    options = {"iccprofile": display_p3, "compression": "deflate", "rowsperstrip": 40}
    path = write(tmp_path / "a.tif", samples, **options)
    with tifffile.TiffFile(path) as file:
        stored = file.pages[0].databytecounts[0]
    assert image_file.count_held_bytes(path) > samples.nbytes + stored
    data = io.BytesIO(path.read_bytes())
    assert image_file.count_held_bytes(data) == image_file.count_held_bytes(path)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "a.png")
    assert image_file.count_held_bytes(tmp_path / "a.png") == 0
