"""TIFF against readers that are not ours: Pillow, and tifffile's and GDAL's whole-image readers."""

import pickle
import struct
import warnings

import dask
import numpy as np
import pytest
import tifffile
from PIL import Image

from dask_quant.errors import OptionError, PixelFormatError, SourceError, SourceNotFoundError
from dask_quant.options import Page
from dask_quant.sources import image_file, tiff
from dask_quant.sources.opening import open_image
from dask_quant.sources.sample_scaling import to_eight_bits
from dask_quant.sources.tiff_layout import TiffLayout

HEIGHT, WIDTH = 90, 123

TILED = {"tile": (48, 32)}
STRIPS = {"rowsperstrip": 17}
ONE_STRIP = {"rowsperstrip": HEIGHT}

WINDOWS = [(0, HEIGHT, 0, WIDTH), (47, 49, 31, 33), (80, 90, 100, 123), (5, 6, 0, 123)]


def make_samples(shape, dtype, seed=0):
    """Samples of any type with runs in them, so that codecs have something to do."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.random(shape).astype(dtype)
    top = 2 if dtype == np.bool_ else np.iinfo(dtype).max + 1
    coarse = rng.integers(0, top, shape)
    return np.repeat(coarse, 3, axis=-1 if len(shape) == 2 else 1)[:, : shape[1]].astype(dtype)


def write(path, samples, photometric="rgb", **options):
    """Write samples ``(y, x)`` or ``(y, x, sample)``."""
    if options.get("planarconfig") == "separate":
        samples = np.ascontiguousarray(samples.transpose(2, 0, 1))
    tifffile.imwrite(path, samples, photometric=photometric, **options)
    return path


def check(path, expected):
    """Check that all, and parts, of a file are what is expected, in memory and in chunks."""
    expected = np.dstack([expected] * 3) if expected.ndim == 2 else expected
    assert np.array_equal(image_file.read_image(path), expected)
    found = tiff.find_tiff(path)
    assert found.shape[:2] == expected.shape[:2]
    for top, bottom, left, right in WINDOWS:
        part = found[top:bottom, left:right, 0 : found.shape[2]]
        wanted = expected[top:bottom, left:right]
        assert np.array_equal(np.broadcast_to(part[..., :3], wanted.shape), wanted)
    chunked = open_image(path, chunks=(64, 70))
    assert np.array_equal(chunked.compute(scheduler="synchronous"), expected)


CODECS = [
    {},
    {"compression": "lzw"},
    {"compression": "lzw", "predictor": True},
    {"compression": "deflate"},
    {"compression": "deflate", "predictor": True},
    {"compression": "zstd"},
    {"compression": "zstd", "predictor": True},
    {"compression": "lzma"},
    {"compression": "packbits"},
]


@pytest.mark.parametrize("codec", CODECS, ids=str)
@pytest.mark.parametrize("layout", [TILED, STRIPS, ONE_STRIP], ids=["tiles", "strips", "strip"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_every_codec_and_layout_of_rgb(tmp_path, codec, layout, planes):
    rgb = make_samples((HEIGHT, WIDTH, 3), np.uint8)
    path = write(tmp_path / "a.tif", rgb, planarconfig=planes, **codec, **layout)
    check(path, rgb)


@pytest.mark.parametrize("dtype", [np.uint16, np.float16, np.float32, np.float64], ids=str)
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("layout", [TILED, STRIPS], ids=["tiles", "strips"])
def test_deeper_samples_of_both_byte_orders(tmp_path, dtype, byteorder, bigtiff, layout):
    samples = make_samples((HEIGHT, WIDTH, 3), dtype)
    options = {"byteorder": byteorder, "bigtiff": bigtiff, "predictor": dtype != np.float64}
    path = write(tmp_path / "a.tif", samples, compression="deflate", **options, **layout)
    expected = to_eight_bits(samples, name="it")
    check(path, expected)
    assert 0 < expected.mean() < 255
    check(write(tmp_path / "b.tif", samples, byteorder=byteorder, **layout), expected)


@pytest.mark.parametrize("photometric", ["miniswhite", "minisblack"])
@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.uint16, np.float32], ids=str)
@pytest.mark.parametrize("layout", [TILED, STRIPS], ids=["tiles", "strips"])
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_grey(tmp_path, photometric, dtype, layout, compression):
    samples = make_samples((HEIGHT, WIDTH), dtype)
    path = write(tmp_path / "a.tif", samples, photometric, compression=compression, **layout)
    levels = to_eight_bits(samples, name="it")
    check(path, 255 - levels if photometric == "miniswhite" else levels)


@pytest.mark.parametrize("bits", [2, 4, 6, 10, 12, 14])
@pytest.mark.parametrize("layout", [TILED, STRIPS], ids=["tiles", "strips"])
def test_grey_of_odd_depths(tmp_path, bits, layout):
    top = (1 << bits) - 1
    samples = np.random.default_rng(bits).integers(0, top + 1, (HEIGHT, WIDTH))
    dtype = np.uint8 if bits <= 8 else np.uint16
    path = tmp_path / "a.tif"
    write(path, samples.astype(dtype), "minisblack", bitspersample=bits, **layout)
    check(path, np.floor(samples * (255 / top) + 0.5).astype(np.uint8))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("layout", [TILED, STRIPS], ids=["tiles", "strips"])
def test_palettes_lose_the_lower_half_of_their_colors(tmp_path, bits, layout):
    rng = np.random.default_rng(bits)
    table = rng.integers(0, 65536, (3, 1 << bits), dtype=np.uint16)
    indices = make_samples((HEIGHT, WIDTH), np.uint8 if bits == 8 else np.uint16)
    write(tmp_path / "a.tif", indices, "palette", colormap=table, **layout)
    check(tmp_path / "a.tif", (table >> 8).astype(np.uint8).T[indices])
    if bits == 8:
        with Image.open(tmp_path / "a.tif") as image:
            check(tmp_path / "a.tif", np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize(
    "options", [{"tiled": True, "blockxsize": 32, "blockysize": 48}, {}], ids=str
)
def test_palettes_of_few_bits_are_read_as_gdal_writes_them(tmp_path, bits, options):
    rasterio = pytest.importorskip("rasterio")
    rng = np.random.default_rng(bits)
    indices = rng.integers(0, 1 << bits, (HEIGHT, WIDTH), dtype=np.uint8)
    colors = rng.integers(0, 256, (1 << bits, 3), dtype=np.uint8)
    profile = {"driver": "GTiff", "height": HEIGHT, "width": WIDTH, "count": 1, "dtype": "uint8"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(
            *(tmp_path / "a.tif", "w"), nbits=bits, photometric="palette", compress="lzw",
            **profile, **options,
        ) as file:  # fmt: skip
            file.write(indices, 1)
            file.write_colormap(1, {n: tuple(map(int, color)) for n, color in enumerate(colors)})
    assert tiff.read_header(tmp_path / "a.tif").mode == "P"
    check(tmp_path / "a.tif", colors[indices])


def test_a_palette_of_8_bits_is_taken_as_such(tmp_path):
    table = np.random.default_rng(0).integers(0, 256, (3, 256), dtype=np.uint16)
    indices = make_samples((HEIGHT, WIDTH), np.uint8)
    write(tmp_path / "a.tif", indices, "palette", colormap=table, **STRIPS)
    check(tmp_path / "a.tif", table.astype(np.uint8).T[indices])


@pytest.mark.parametrize(
    "options", [{}, {"compression": "lzw"}, {"planarconfig": "separate"}], ids=str
)
def test_cmyk_is_converted_as_pillow_does(tmp_path, options):
    inks = make_samples((HEIGHT, WIDTH, 4), np.uint8)
    path = write(tmp_path / "a.tif", inks, "separated", **options, **TILED)
    check(path, np.asarray(Image.frombytes("CMYK", (WIDTH, HEIGHT), inks.tobytes()).convert("RGB")))


@pytest.mark.parametrize(
    "layout", [{"tile": (48, 32)}, {"rowsperstrip": 16}, {"rowsperstrip": 160}]
)
@pytest.mark.parametrize("sampling", [(1, 1), (2, 1), (2, 2)])
def test_jpeg_in_tiff_is_decoded_as_pillow_does(tmp_path, layout, sampling):
    smooth = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH))[..., np.newaxis] // np.array(
        [2, 3, 4]
    )
    write(
        *(tmp_path / "a.tif", smooth.astype(np.uint8)),
        compression="jpeg",
        subsampling=sampling,
        compressionargs={"level": 80},
        **layout,
    )
    assert tiff.read_header(tmp_path / "a.tif").mode == "YCbCr"
    with Image.open(tmp_path / "a.tif") as image:
        expected = np.asarray(image.convert("RGB"))
    assert np.abs(expected.astype(int) - smooth).mean() < 8
    check(tmp_path / "a.tif", expected)


@pytest.mark.parametrize("photometric", ["rgb", "minisblack", "separated"])
def test_jpeg_of_other_kinds_is_decoded_as_pillow_does(tmp_path, photometric):
    n_samples = {"rgb": 3, "minisblack": 1, "separated": 4}[photometric]
    smooth = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH))[..., np.newaxis] // np.arange(
        2, 2 + n_samples
    )
    smooth = smooth.astype(np.uint8).squeeze()
    options = {"compressionargs": {"outcolorspace": photometric}} if n_samples == 3 else {}
    write(tmp_path / "a.tif", smooth, photometric, compression="jpeg", **options, **TILED)
    with Image.open(tmp_path / "a.tif") as image:
        check(tmp_path / "a.tif", np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt", "packbits"])
def test_fax_is_decoded_as_pillow_does(tmp_path, compression):
    bilevel = np.random.default_rng(0).random((HEIGHT, WIDTH)) < 0.1
    Image.fromarray(bilevel).save(tmp_path / "a.tif", compression=compression)
    check(tmp_path / "a.tif", np.where(bilevel, np.uint8(255), np.uint8(0)))


@pytest.mark.parametrize("compression", ["webp", "jpeg2000"])
def test_codecs_with_a_header_of_their_own(tmp_path, compression):
    rgb = make_samples((HEIGHT, WIDTH, 3), np.uint8)
    args = {"lossless": True} if compression == "webp" else {"reversible": True}
    write(tmp_path / "a.tif", rgb, compression=compression, compressionargs=args, **TILED)
    check(tmp_path / "a.tif", rgb)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("layout", [TILED, STRIPS], ids=["tiles", "strips"])
def test_orientations_are_applied_as_pillow_does(tmp_path, orientation, layout):
    rgb = make_samples((HEIGHT, WIDTH, 3), np.uint8)
    path = tmp_path / "a.tif"
    write(path, rgb, extratags=[(274, 3, 1, orientation, True)], **layout)
    with Image.open(path) as image:
        image.load()
        expected = np.asarray(image)
    header = tiff.read_header(path)
    assert (header.height, header.width) == expected.shape[:2]
    assert np.array_equal(tiff.read_tiff(path), expected)
    found = tiff.find_tiff(path)
    for top, bottom, left, right in [(0, 1, 0, 1), (20, 80, 60, 89), (33, 34, 5, 6)]:
        part = found[top:bottom, left:right, 0:3]
        assert np.array_equal(part, expected[top:bottom, left:right])


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_opaque_alpha_is_dropped_and_any_other_refused(tmp_path, kind):
    rgba = make_samples((HEIGHT, WIDTH, 4), np.uint8)
    rgba[..., 3] = 255
    path = write(tmp_path / "a.tif", rgba, extrasamples=[kind], **TILED)
    check(path, rgba[..., :3])
    rgba[3, 5, 3] = 254
    write(path, rgba, extrasamples=[kind], **TILED)
    with pytest.raises(PixelFormatError, match="1 of 11070 pixels not opaque"):
        image_file.read_image(path)
    with pytest.raises(PixelFormatError, match="not opaque"):
        open_image(path).compute(scheduler="synchronous")


def test_alpha_comes_straight_and_of_8_bits(tmp_path):
    rgba = np.array([[[100, 50, 0, 128], [128, 128, 128, 128], [9, 9, 9, 0]]], dtype=np.uint8)
    write(tmp_path / "a.tif", rgba, extrasamples=["assocalpha"])
    found = tiff.find_tiff(tmp_path / "a.tif")[0:1, 0:3, 0:4]
    assert found.tolist() == [[[199, 99, 0, 128], [255, 255, 255, 128], [255, 255, 255, 0]]]
    grey = np.array([[[257 * 7, 65535], [257 * 8, 65535]]], dtype=np.uint16)
    write(
        tmp_path / "b.tif", grey, "minisblack", extrasamples=["unassalpha"], planarconfig="contig"
    )
    assert image_file.read_image(tmp_path / "b.tif").tolist() == [[[7] * 3, [8] * 3]]


@pytest.mark.parametrize(
    ("shape", "dtype", "options", "said"),
    [
        ((4, 4, 4), np.uint8, {"extrasamples": ["unspecified"]}, "4 bands, of which RGB would"),
        ((4, 4, 6), np.uint8, {"extrasamples": ["unspecified"] * 3,
                               "planarconfig": "contig"}, "6 bands.*use segment"),
        ((4, 4, 3), np.uint32, {}, "uint32 samples, which have no white"),
        ((4, 4, 3), np.int16, {}, "int16 samples, which have no white"),
        ((4, 4, 3), np.int8, {"photometric": "cielab"}, "CIELAB of 8-bit int8"),
        ((4, 4), np.complex64, {"photometric": "minisblack"}, "complex64 samples"),
        ((4, 4, 4), np.uint8, {"photometric": "minisblack", "volumetric": True,
                               "tile": (16, 16, 16)}, "depth"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_as_color_is_refused_at_once(tmp_path, shape, dtype, options, said):
    write(tmp_path / "a.tif", np.zeros(shape, dtype), **options)
    for read in (image_file.read_image, open_image):
        with pytest.raises(PixelFormatError, match=said) as caught:
            read(tmp_path / "a.tif")
        assert "\n" not in str(caught.value)
    assert image_file.read_header(tmp_path / "a.tif").width == 4


def test_floats_outside_their_range_are_refused_when_read(tmp_path):
    write(tmp_path / "a.tif", np.full((4, 4, 3), 1.5, np.float32))
    with pytest.raises(PixelFormatError, match=r"float samples of 1\.5 to 1\.5"):
        image_file.read_image(tmp_path / "a.tif")


def test_the_array_is_small_and_reads_only_what_a_slice_touches(tmp_path, monkeypatch):
    rgb = make_samples((HEIGHT, WIDTH, 3), np.uint8)
    found = tiff.find_tiff(write(tmp_path / "a.tif", rgb, compression="zstd", **TILED))
    assert found.unit == (48, 32)
    assert len(pickle.dumps(found)) < 1000
    decoded = []
    real = TiffLayout.decode_segment
    monkeypatch.setattr(
        TiffLayout,
        "decode_segment",
        lambda self, data, at: decoded.append(at) or real(self, data, at),
    )
    pickle.loads(pickle.dumps(found))[40:60, 30:32, 0:3]
    assert decoded == [(0, 0, 0), (0, 1, 0)]


def test_strips_without_compression_are_cut_into_pieces(tmp_path):
    samples = make_samples((3000, 500, 3), np.uint8)
    found = tiff.find_tiff(write(tmp_path / "a.tif", samples))
    assert found.unit[0] * 1500 <= 1 << 20
    assert np.array_equal(found[690:710, 3:5, 0:3], samples[690:710, 3:5])
    whole = tiff.find_tiff(
        write(tmp_path / "b.tif", samples, compression="zstd", rowsperstrip=3000)
    )
    assert whole.unit == (3000, 500)
    assert samples.nbytes < whole.unit_bytes < 3 * samples.nbytes  # and what it is converted in


def test_segments_that_are_left_out_are_zero_or_nodata(tmp_path):
    rgb = make_samples((96, 64, 3), np.uint8)
    path = write(tmp_path / "a.tif", rgb, compression="deflate", tile=(48, 64))
    with tifffile.TiffFile(path, mode="r+") as file:
        for name in ("TileOffsets", "TileByteCounts"):
            tag = file.pages[0].tags[name]
            tag.overwrite((0, tag.value[1]))
    rgb[:48] = 0
    assert np.array_equal(image_file.read_image(path), rgb)


@pytest.fixture
def pyramid(tmp_path):
    """A page with levels in its SubIFDs, then a page of its own, then one with reduced ones."""
    pages = [make_samples((HEIGHT, WIDTH, 3), np.uint8, seed) for seed in range(3)]
    with tifffile.TiffWriter(tmp_path / "p.tif") as file:
        file.write(pages[0], photometric="rgb", subifds=2, **TILED)
        for step in (2, 4):
            file.write(pages[0][::step, ::step], photometric="rgb", subfiletype=1, **TILED)
        file.write(pages[1], photometric="rgb")
        file.write(pages[2], photometric="rgb")
        file.write(pages[2][::2, ::2], photometric="rgb", subfiletype=1)
    return tmp_path / "p.tif", pages


def test_pages_and_levels_are_found(pyramid):
    path, pages = pyramid
    for page, level, expected in [
        (None, 0, pages[0]),
        (0, 1, pages[0][::2, ::2]),
        (None, 2, pages[0][::4, ::4]),
        (1, 0, pages[1]),
        (2, 0, pages[2]),
        (2, 1, pages[2][::2, ::2]),
        (3, 0, pages[2][::2, ::2]),
    ]:
        chosen = Page(number=page, level=level)
        assert np.array_equal(image_file.read_image(path, page=chosen), expected)
        header = image_file.read_header(path, page=chosen)
        assert (header.height, header.width) == expected.shape[:2]
        chunked = open_image(path, page=page, level=level, chunks=50)
        assert np.array_equal(chunked.compute(scheduler="synchronous"), expected)
    n_pages, levels = image_file.list_pages(path)
    assert (n_pages, levels) == (4, ((90, 123), (45, 62), (23, 31)))
    assert image_file.list_pages(path, page=Page(number=2))[1] == ((90, 123), (45, 62))


def test_pages_and_levels_that_are_not_there_are_option_errors(pyramid, tmp_path):
    path, _ = pyramid
    with pytest.raises(OptionError, match=r"Got page 4 of .*, which has 4; they count from 0"):
        open_image(path, page=4)
    with pytest.raises(OptionError, match=r"Got level 3 of .*: 123 x 90, 62 x 45, 31 x 23"):
        open_image(path, level=3)
    with pytest.raises(OptionError, match="Got level -1"):
        open_image(path, level=-1)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(OptionError, match="only TIFF and OME-Zarr have pages and levels"):
        open_image(tmp_path / "a.png", page=1)


def test_a_first_page_that_is_reduced_is_passed_over(tmp_path):
    rgb = make_samples((HEIGHT, WIDTH, 3), np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(rgb[::4, ::4], photometric="rgb", subfiletype=1)
        file.write(rgb, photometric="rgb")
    check(tmp_path / "a.tif", rgb)


def test_directories_in_a_circle_end(tmp_path):
    rgb = make_samples((HEIGHT, WIDTH, 3), np.uint8)
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for _ in range(150):
            file.write(rgb[:2, :2], photometric="rgb")
    with tifffile.TiffFile(path) as file:
        last, second = file.pages[149], file.pages[1].offset
        link = last.offset + 2 + 12 * len(last.tags)
    data = bytearray(path.read_bytes())
    data[link : link + 4] = struct.pack("<I", second)
    path.write_bytes(data)
    assert image_file.list_pages(path)[0] == 150
    with pytest.raises(OptionError, match="has 150"):
        open_image(path, page=1000)


def test_a_file_that_changes_after_opening_is_an_error(tmp_path):
    path = write(tmp_path / "a.tif", make_samples((HEIGHT, WIDTH, 3), np.uint8), **TILED)
    image = open_image(path)
    write(path, make_samples((HEIGHT, WIDTH, 3), np.uint8, seed=1), compression="zstd", **TILED)
    with pytest.raises(SourceError, match="leave it unchanged"):
        image.compute(scheduler="synchronous")


def test_names_follow_path_size_time_and_page(pyramid):
    path, _ = pyramid
    names = {open_image(path, level=level).name for level in (0, 0, 1)}
    assert len(names) == 2


def test_files_that_are_not_there_say_so(tmp_path):
    for read in (tiff.read_tiff, tiff.find_tiff, tiff.read_header):
        with pytest.raises(SourceNotFoundError, match="there is no such file"):
            read(tmp_path / "none.tif")


def fail(read, path):
    """Return what an error of ours says, in one line, or nothing where the file was read."""
    try:
        read(path)
    except (SourceError, PixelFormatError, OptionError) as error:
        return str(error)
    return ""


def read_all(path):
    """Return what is wrong with a file in the words of each way to read it."""
    ways = (image_file.read_header, image_file.read_image, image_file.list_pages)
    found = [fail(read, path) for read in ways]
    assert not any("\n" in text for text in found)
    return "".join(found)


DAMAGED = [
    {"compression": "lzw", "predictor": True, **STRIPS},
    {"compression": "deflate", **TILED},
    {"compression": "zstd", **TILED},
    {"compression": "jpeg", **TILED},
    {"compression": "packbits", **STRIPS},
    {"compression": "webp", **TILED},
    {"compression": "jpeg2000", **TILED},
    {"planarconfig": "separate", "compression": "lzma", **STRIPS},
    {"bigtiff": True, **STRIPS},
]


@pytest.mark.parametrize("options", DAMAGED, ids=str)
def test_damaged_files_are_errors_of_ours(tmp_path, options):
    rgb = make_samples((HEIGHT, WIDTH, 3), np.uint8)
    data = write(tmp_path / "a.tif", rgb, **options).read_bytes()
    rng = np.random.default_rng(0)
    n_errors = 0
    for trial in range(24):
        torn = bytearray(data)
        if trial % 4 == 0:
            torn = torn[: rng.integers(4, len(torn))]
        else:  # header and tags first, where a bit does most
            top = 600 if trial % 2 else len(torn)
            for place in rng.integers(4, min(top, len(torn)), rng.integers(1, 6)):
                torn[place] ^= 1 << rng.integers(8)
        (tmp_path / "b.tif").write_bytes(torn)
        n_errors += read_all(tmp_path / "b.tif") != ""
    assert n_errors >= 4


def test_truncated_files_are_refused_before_they_are_decoded(tmp_path):
    rgb = make_samples((HEIGHT, WIDTH, 3), np.uint8)
    for options in ({}, {"compression": "zstd", **TILED}):
        data = write(tmp_path / "a.tif", rgb, **options).read_bytes()
        (tmp_path / "b.tif").write_bytes(data[:-100])
        with pytest.raises(SourceError, match="truncated or damaged"):
            open_image(tmp_path / "b.tif")


def test_a_jpeg_that_claims_more_than_its_tile_is_not_decoded(tmp_path):
    rgb = make_samples((HEIGHT, WIDTH, 3), np.uint8)
    path = write(tmp_path / "a.tif", rgb, compression="jpeg", **TILED)
    data = bytearray(path.read_bytes())
    frame = data.index(b"\xff\xc0\x00\x11\x08")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 65000, 65000)
    path.write_bytes(data)
    with pytest.raises(SourceError, match="claims 65000 x 65000 pixels where 32 x 48 belong"):
        image_file.read_image(path)


def test_a_strip_too_large_to_be_decoded_is_refused_with_numbers(tmp_path, monkeypatch):
    rgb = make_samples((HEIGHT, WIDTH, 3), np.uint8)
    monkeypatch.setattr("dask_quant.sources.tiff_layout.MAX_SEGMENT_BYTES", 20_000)
    write(tmp_path / "a.tif", rgb, compression="zstd", **ONE_STRIP)
    with pytest.raises(
        SourceError, match=r"123 x 90 pixels takes 33.2 kB, and 20.0 kB are the most"
    ):
        open_image(tmp_path / "a.tif")
    check(write(tmp_path / "b.tif", rgb), rgb)


def test_jpeg_of_the_old_kind_is_left_to_pillow(tmp_path):
    rgb = make_samples((HEIGHT, WIDTH, 3), np.uint8)
    path = write(tmp_path / "a.tif", rgb, **STRIPS)
    assert image_file.is_tiff(path)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["Compression"].overwrite(6)
    assert not image_file.is_tiff(path)


def test_tasks_share_one_layout_and_give_the_same_for_any_chunks(tmp_path):
    rgb = make_samples((HEIGHT, WIDTH, 3), np.uint8)
    path = write(tmp_path / "a.tif", rgb, compression="lzw", **TILED)
    images = [
        open_image(path, chunks=chunks) for chunks in ((1, 123), (48, 32), (90, 123), (17, 21))
    ]
    for image in dask.compute(*images, scheduler="threads"):
        assert np.array_equal(image, rgb)


def test_a_tiff_that_pillow_cannot_open_is_one_frame(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((3, 2, 3), np.float32), photometric="rgb")
    assert image_file.count_frames(path) == 1
