"""Whatever an image file holds, it is read, or refused in one line that names it.

`DASK_QUANT_FUZZ=5000 pytest tests/property/test_image_damage.py` looks at more, drawn anew.
"""

import io
import math
import struct
import warnings
from functools import cache, partial

import numpy as np
import pytest
import tifffile
from fuzzing import EXTREMES, call_or_refuse, damaged, fuzzed
from hypothesis import given
from hypothesis import strategies as st
from icc_bytes import DISPLAY_P3, SRGB_CURVE, build_grey_profile, build_rgb_profile
from PIL import Image

from dask_quant.errors import ColorProfileWarning
from dask_quant.options import Page
from dask_quant.sources.byte_ranges import DiskFile
from dask_quant.sources.color_profiles import find_conversion
from dask_quant.sources.geotiff_tags import read_geo_tags
from dask_quant.sources.icc_profile import describe_profile
from dask_quant.sources.image_file import count_frames, list_pages, read_header, read_image
from dask_quant.sources.jpeg_strips import is_progressive
from dask_quant.sources.pillow import find_stored_conversion
from dask_quant.sources.png_strips import read_png_header, read_png_strips
from dask_quant.sources.reading import Origin
from dask_quant.sources.reading import read_geo_tags as copy_geo_tags
from dask_quant.sources.tiff import find_tiff

MAX_PIXELS = 1 << 16
"""More are not decoded: damage may claim any size, which is refused or planned elsewhere."""

PIXELS = np.random.default_rng(0).integers(0, 6, (21, 19, 3), dtype=np.uint8) * 51

PROFILES = (build_rgb_profile(DISPLAY_P3, SRGB_CURVE), build_grey_profile(2.2))

ORIENTATION = 0x0112


def encode(pixels, kind, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=kind, **options)
    return file.getvalue()


def make_exif():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[282] = exif[283] = 300.0
    exif[296] = 2
    return exif


@cache
def sound_files():
    """Bytes of files of every format but TIFF."""
    grey, alpha = PIXELS[..., 0], np.dstack([PIXELS, np.full(PIXELS.shape[:2], 255, np.uint8)])
    indexed = Image.fromarray(PIXELS).quantize(7)
    deep = np.arange(21 * 19, dtype=np.uint16).reshape(21, 19) * 150
    gif, frames = io.BytesIO(), [Image.fromarray(PIXELS), Image.fromarray(PIXELS[::-1])]
    frames[0].save(gif, "GIF", save_all=True, append_images=frames[1:])
    cmyk, icons = io.BytesIO(), io.BytesIO()
    Image.fromarray(PIXELS).convert("CMYK").save(cmyk, "JPEG")
    indexed.save(icons, "PNG", dpi=(300, 300), transparency=0)
    return {
        "jpeg": encode(PIXELS, "JPEG", exif=make_exif(), icc_profile=PROFILES[0], dpi=(72, 72)),
        "progressive": encode(PIXELS, "JPEG", progressive=True),
        "grey jpeg": encode(grey, "JPEG", icc_profile=PROFILES[1]),
        "cmyk jpeg": cmyk.getvalue(),
        "png": encode(PIXELS, "PNG", exif=make_exif(), icc_profile=PROFILES[0]),
        "deep png": encode(deep, "PNG"),
        "alpha png": encode(alpha, "PNG"),
        "indexed png": icons.getvalue(),
        "gif": gif.getvalue(),
        "bmp": encode(PIXELS, "BMP"),
        "webp": encode(PIXELS, "WEBP", lossless=True, exif=make_exif(), icc_profile=PROFILES[0]),
        "lossy webp": encode(PIXELS, "WEBP"),
        "avif": encode(PIXELS, "AVIF", icc_profile=PROFILES[0]),
        "jpeg 2000": encode(PIXELS, "JPEG2000"),
        "deep jpeg 2000": encode(deep, "JPEG2000"),
        "ppm": b"P3 # a\n2 1 255\n1 2 3 4 5 6\n",
        "pgm": encode(grey, "PPM"),
        "deep ppm": b"P6 2 1 1000\n" + struct.pack(">6H", 0, 1000, 1, 2, 3, 4),
        "qoi": encode(PIXELS, "QOI"),
    }


def use(path):
    """Ask all there is to ask of a file, then return its pixels, or None where it is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ColorProfileWarning)
        header = call_or_refuse(partial(read_header, path), path.name)
        call_or_refuse(partial(list_pages, path), path.name)
        call_or_refuse(partial(count_frames, path), path.name)
        call_or_refuse(partial(read_image, path, max_pixels=MAX_PIXELS, frame=1), path.name)
        pixels = call_or_refuse(partial(read_image, path, max_pixels=MAX_PIXELS), path.name)
    if pixels is not None:
        assert header is not None
        assert pixels.shape == (header.height, header.width, 3)
        assert pixels.dtype == np.uint8
    return pixels


@pytest.mark.parametrize("kind", sound_files())
def test_sound_files_are_read(tmp_path, kind):
    path = tmp_path / "a.img"
    path.write_bytes(sound_files()[kind])
    assert (use(path) is None) == (kind == "indexed png")  # of which a colour is transparent


@fuzzed(80)
@given(kind=st.sampled_from(sorted(sound_files())), data=st.data())
def test_a_damaged_file_is_read_or_refused(tmp_path, kind, data):
    path = tmp_path / "a.img"
    path.write_bytes(data.draw(damaged(sound_files()[kind])))
    use(path)
    call_or_refuse(partial(find_stored_conversion, path), path.name)
    with path.open("rb") as file:
        assert is_progressive(file) in (True, False)
    assert copy_geo_tags(Origin(path), (21, 19)) is None


@fuzzed()
@given(kind=st.sampled_from(sorted(sound_files())), n_kept=st.integers(1, 40), junk=st.binary())
def test_anything_behind_a_good_start_is_read_or_refused(tmp_path, kind, n_kept, junk):
    path = tmp_path / "a.img"
    path.write_bytes(sound_files()[kind][:n_kept] + junk)
    use(path)


@fuzzed()
@given(kind=st.sampled_from(["png", "indexed png", "alpha png", "deep png"]), data=st.data())
def test_strips_of_a_png_are_what_pillow_reads(tmp_path, kind, data):
    path = tmp_path / "a.png"
    path.write_bytes(data.draw(damaged(sound_files()[kind])))
    with path.open("rb") as file:
        header = call_or_refuse(partial(read_png_header, file, name="a.png"), "a.png")
    if header is None or header.is_interlaced or header.height * header.width > MAX_PIXELS:
        return
    strips = call_or_refuse(lambda: list(read_png_strips(str(path), header, rows=5)), "a.png")
    try:
        with Image.open(path) as image:
            mode, known = image.mode, np.asarray(image.convert("RGB"))
    except Exception:  # Pillow raises almost any type
        return
    if strips is not None and not mode.startswith("I"):
        np.testing.assert_array_equal(np.concatenate([colors for colors, _ in strips]), known)


def encode_tiff(pixels, **options):
    file = io.BytesIO()
    with tifffile.TiffWriter(
        file, bigtiff=options.pop("bigtiff", False), byteorder=options.pop("byteorder", "<")
    ) as writer:
        writer.write(pixels, **options)
    return file.getvalue()


GEO_TAGS = [
    (33550, 12, 3, (10.0, 10.0, 0.0), True),
    (33922, 12, 6, (0.0, 0.0, 0.0, 5e5, 4e6, 0.0), True),
    (34735, 3, 8, (1, 1, 0, 1, 3072, 0, 1, 32633), True),
    (34736, 12, 1, (1.0,), True),
    (34737, 2, 0, "UTM 33N|", True),
    (42113, 2, 0, "-9999", True),
]


@cache
def sound_tiffs():
    """Bytes of TIFFs of every compression and kind."""
    tiles = {"tile": (16, 16), "photometric": "rgb"}
    grey = PIXELS[..., 0]
    deep = grey.astype(np.uint16) * 257
    table = np.arange(768, dtype=np.uint16).reshape(3, 256) * 85
    pages = io.BytesIO()
    with tifffile.TiffWriter(pages) as writer:
        writer.write(PIXELS, photometric="rgb", subifds=1)
        writer.write(PIXELS[::2, ::2], photometric="rgb", subfiletype=1)
        writer.write(grey)
    fax = {"photometric": "minisblack", "rowsperstrip": 8}
    files = {
        "plain": encode_tiff(PIXELS, photometric="rgb", rowsperstrip=4, extratags=GEO_TAGS),
        "big": encode_tiff(PIXELS, bigtiff=True, byteorder=">", **tiles),
        "planes": encode_tiff(
            PIXELS.transpose(2, 0, 1), photometric="rgb", planarconfig="separate", tile=(16, 16)
        ),
        "deep": encode_tiff(deep, byteorder=">", predictor=2, compression="zlib"),
        "float": encode_tiff((PIXELS / 255).astype("f4"), predictor=3, compression="zlib", **tiles),
        "table": encode_tiff(grey, photometric="palette", colormap=table),
        "bits": encode_tiff(grey > 99, compression="packbits", **fax),
        "pages": pages.getvalue(),
        "turned": encode_tiff(PIXELS, photometric="rgb", extratags=[(274, 3, 1, 6, True)]),
    }
    for name in ("lzw", "zlib", "lzma", "zstd", "packbits", "jpeg", "webp", "jpeg2000"):
        options = {"compressionargs": {"lossless": True}} if name == "webp" else {}
        files[name] = encode_tiff(PIXELS, compression=name, **tiles, **options)
    return files


def use_tiff(path):
    """Ask all there is to ask of a TIFF, decode it whole and in parts."""
    pixels = use(path)
    for page in (Page(number=1), Page(level=1)):
        call_or_refuse(partial(read_header, path, page=page), path.name)
        call_or_refuse(partial(read_image, path, max_pixels=MAX_PIXELS, page=page), path.name)
    geo = call_or_refuse(partial(read_geo_tags, path), path.name)
    if geo is not None:
        assert geo.transform is None or len(geo.transform) == 6
        assert geo.epsg is None or geo.epsg > 0
        geo.to_extra_tags()
    copy_geo_tags(Origin(path), (21, 19))
    image = call_or_refuse(partial(find_tiff, path), path.name)
    if image is not None and math.prod(image.shape[:2]) <= MAX_PIXELS and pixels is not None:
        part = image[2:9, 1:7, 0:3]
        np.testing.assert_array_equal(np.broadcast_to(part, (*part.shape[:2], 3)), pixels[2:9, 1:7])
    return pixels


@pytest.mark.parametrize("kind", sound_tiffs())
def test_sound_tiffs_are_read(tmp_path, kind):
    path = tmp_path / "a.tif"
    path.write_bytes(sound_tiffs()[kind])
    pixels = use_tiff(path)
    assert pixels is not None
    assert DiskFile.find(path).size() == path.stat().st_size


def read_by_tifffile(path):
    """The first page as tifffile reads it, or None."""
    try:
        with tifffile.TiffFile(path) as tiff:
            return tiff.pages.first.asarray()
    except Exception:  # it raises almost any type
        return None


PLAIN_KINDS = ("plain", "big", "lzw", "zlib", "lzma", "zstd", "packbits")
"""Of which tifffile's samples are the levels as they are."""


@fuzzed(80)
@given(kind=st.sampled_from(sorted(sound_tiffs())), data=st.data())
def test_a_damaged_tiff_is_read_or_refused(tmp_path, kind, data):
    path = tmp_path / "a.tif"
    path.write_bytes(data.draw(damaged(sound_tiffs()[kind])))
    pixels = use_tiff(path)
    if pixels is None or kind not in PLAIN_KINDS or pixels.shape != PIXELS.shape:
        return
    known = read_by_tifffile(path)
    if known is not None and known.shape == pixels.shape and known.dtype == np.uint8:
        assert np.array_equal(pixels, known) or not is_plain(path)


def is_plain(path):
    """Whether a TIFF still says that it is of upright RGB, all of whose strips are there."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        is_rgb = page.photometric == 2 and not page.extrasamples
        is_whole = min(page.databytecounts) > 0  # without compression they are not looked at here
        return (
            is_rgb and is_whole and page.tags.valueof(274, default=1) == 1 and page.fillorder == 1
        )


@fuzzed(80)
@given(kind=st.sampled_from(sorted(sound_tiffs())), data=st.data())
def test_tags_of_any_value_are_read_or_refused(tmp_path, kind, data):
    stored = bytearray(sound_tiffs()[kind])
    with tifffile.TiffFile(io.BytesIO(bytes(stored))) as tiff:
        tags = [
            (tag.offset, tag.offset + 20 if tiff.is_bigtiff else tag.offset + 12)
            for page in tiff.pages
            for tag in page.tags
        ]
    for _ in range(data.draw(st.integers(1, 2))):
        begin, end = data.draw(st.sampled_from(tags))
        place = data.draw(st.integers(begin, end - 1))
        junk = data.draw(st.sampled_from(EXTREMES) | st.binary(min_size=1, max_size=4))
        stored[place : place + len(junk)] = junk[: end - place]
    path = tmp_path / "a.tif"
    path.write_bytes(bytes(stored))
    use_tiff(path)


@fuzzed()
@given(profile=st.sampled_from(PROFILES), data=st.data(), space=st.sampled_from(["RGB", "GRAY"]))
def test_a_damaged_profile_is_used_or_left_out(profile, data, space):
    broken = data.draw(damaged(profile))
    assert (describe_profile(broken) or "").isprintable()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        convert = find_conversion(broken, space, name="a.png")
        if convert is not None:
            levels = convert(PIXELS if space == "RGB" else PIXELS[..., 0])
            assert (levels.shape, levels.dtype) == (PIXELS.shape, np.uint8)
    for each in caught:
        assert each.category is ColorProfileWarning
        assert str(each.message).isprintable()
