import io
import os
import struct
import sys
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from dask_quant.errors import DaskQuantError, PixelFormatError, SourceError, SourceNotFoundError
from dask_quant.sources import pillow, pillow_open, pillow_state
from dask_quant.sources.pillow import read_header, read_image
from dask_quant.sources.signatures import looks_like_image

HEIGHT, WIDTH = 11, 17


@pytest.fixture
def rgb():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def encode(image, name, **options):
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(
        buffer, name, **options
    )
    return buffer.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, color, pixels, before=b"", after=b""):
    """Encode a PNG by hand; ``pixels`` are the packed rows, without filter bytes."""
    rows = b"".join(b"\0" + row for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    parts = chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(rows)) + after
    return b"\x89PNG\r\n\x1a\n" + parts + chunk(b"IEND", b"")


def read_bytes(data, **options):
    return read_image(io.BytesIO(data), **options)


@pytest.mark.parametrize("name", ["PNG", "BMP", "TIFF", "PPM"])
def test_rgb_comes_back_exactly(rgb, name):
    pixels = read_bytes(encode(rgb, name))
    assert np.array_equal(pixels, rgb)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA", "RGBA"])
def test_every_supported_mode_agrees_with_pillow(rgb, mode):
    image = Image.fromarray(rgb).convert(mode)
    data = encode(image, "PNG")
    assert np.array_equal(read_bytes(data), np.asarray(image.convert("RGB")))
    assert read_header(io.BytesIO(data)).mode == mode


def test_strips_do_not_change_the_pixels(rgb, monkeypatch):
    monkeypatch.setattr("dask_quant.sources.pillow_pixels._STRIP_PIXELS", 3 * WIDTH)
    assert np.array_equal(read_bytes(encode(rgb, "PNG")), rgb)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied_to_pixels_and_header(rgb, name, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if name == "WEBP" else {}
    data = encode(rgb, name, exif=exif, **options)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    pixels, header = read_bytes(data), read_header(io.BytesIO(data))
    assert np.array_equal(pixels, expected)
    assert pixels.flags.c_contiguous
    assert (header.height, header.width) == pixels.shape[:2]


def test_orientation_behind_the_pixels_of_a_png_is_found_without_decoding(rgb, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = 6
    late = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    data = png(WIDTH, HEIGHT, 8, 2, [row.tobytes() for row in rgb], after=late)
    assert np.array_equal(read_bytes(data), np.rot90(rgb, k=-1))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    header = read_header(io.BytesIO(data))
    assert (header.height, header.width) == (WIDTH, HEIGHT)


def test_corrupt_exif_costs_neither_the_picture_nor_a_warning(rgb):
    data = encode(rgb, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_bytes(data).shape == rgb.shape


def test_first_frame_of_an_animation_is_read(rgb):
    frames = [Image.fromarray(rgb), Image.new("RGB", (WIDTH, HEIGHT))]
    data = encode(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert np.array_equal(read_bytes(data), rgb)


def test_real_transparency_is_refused_with_the_number_of_pixels(rgb):
    rgba = np.dstack([rgb, np.full((HEIGHT, WIDTH), 255, np.uint8)])
    rgba[2, 3:6, 3] = (0, 128, 254)
    with pytest.raises(PixelFormatError, match=rf"3 of {HEIGHT * WIDTH} pixels not opaque"):
        read_bytes(encode(rgba, "PNG"))


@pytest.mark.parametrize("transparency", [2, b"\xff\xff\x80"])
def test_palette_transparency_counts_only_where_it_is_used(transparency):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    data = encode(image, "PNG", transparency=transparency)
    assert read_bytes(data).tolist() == [[[40, 50, 60]] * 4] * 4
    image.putpixel((0, 0), 2)
    with pytest.raises(PixelFormatError, match="1 of 16 pixels not opaque"):
        read_bytes(encode(image, "PNG", transparency=transparency))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_transparent_grey_is_compared_at_the_depth_it_is_stored_in(depth):
    largest = 2**depth - 1
    row = bytes([(largest << (8 - depth)) & 0xFF] + ([0] if depth == 8 else []))
    key = chunk(b"tRNS", struct.pack(">H", largest))
    with pytest.raises(PixelFormatError, match="1 of 2 pixels not opaque"):
        read_bytes(png(2, 1, depth, 0, [row], before=key))


def test_transparent_rgb_key_is_refused_only_where_a_pixel_has_it():
    key = chunk(b"tRNS", struct.pack(">3H", 1, 2, 3))
    assert read_bytes(png(1, 1, 8, 2, [bytes([1, 2, 4])], before=key)).tolist() == [[[1, 2, 4]]]
    with pytest.raises(PixelFormatError, match="1 of 1 pixels"):
        read_bytes(png(1, 1, 8, 2, [bytes([1, 2, 3])], before=key))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (Image.new("I", (2, 2)), "32-bit integers.*use segment"),
        (Image.fromarray(np.full((2, 2), 3, np.float32)), "float samples of 3 to 3.*use segment"),
    ],
)
def test_samples_without_a_white_are_refused(image, said):
    with pytest.raises(PixelFormatError, match=said):
        read_bytes(encode(image, "TIFF"))


def test_16_bit_rgb_tiff_is_refused():
    tifffile = pytest.importorskip("tifffile")
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((4, 4, 3), np.uint16), photometric="rgb")
    with pytest.raises(PixelFormatError, match="16"):
        read_bytes(buffer.getvalue())


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.zeros((4, 4, 3), np.float32), "3 band.s. of 32-bit float"),
        (np.zeros((4, 4, 4), np.uint8), "4 bands"),
        (np.zeros((4, 4, 3), np.int8), "signed|mode"),
    ],
)
def test_tiff_of_other_samples_says_what_it_holds(pixels, said):
    tifffile = pytest.importorskip("tifffile")
    buffer = io.BytesIO()
    extra = {"extrasamples": ["unspecified"]} if pixels.shape[2] == 4 else {}
    tifffile.imwrite(buffer, pixels, photometric="rgb", **extra)
    with pytest.raises(PixelFormatError, match=said):
        read_bytes(buffer.getvalue())


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_depth_of_avif_is_read_from_its_configuration(bits):
    from dask_quant.sources.sample_depth import _read_avif_bits

    flags = {8: 0x00, 10: 0x40, 12: 0x60}[bits]
    assert _read_avif_bits(io.BytesIO(bytes(40) + b"av1C\x81\x00" + bytes([flags, 0]))) == bits


def test_depth_of_jpeg_2000_is_read_from_its_codestream(rgb):
    from dask_quant.sources.sample_depth import _read_jpeg2000_bits

    try:
        data = encode(rgb, "JPEG2000")
    except (KeyError, OSError) as error:
        pytest.skip(f"Pillow here does not write JPEG 2000: {error}")
    assert np.array_equal(read_bytes(data), rgb)
    assert _read_jpeg2000_bits(io.BytesIO(data), name="a") == 8
    start = data.index(b"\xff\x4f\xff\x51")
    deep = bytearray(data)
    deep[start + 4 + 38 : start + 4 + 47 : 3] = bytes([11] * 3)
    assert read_header(io.BytesIO(bytes(deep))).mode == "RGB;12"


@pytest.mark.parametrize("name", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncation_is_an_error(name, share):
    rng = np.random.default_rng(1)
    data = encode(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), name)
    with pytest.raises(SourceError):
        read_bytes(data[: int(len(data) * share)])


def test_every_bit_flip_in_png_data_is_an_error(rgb):
    data = encode(rgb, "PNG")
    start = data.index(b"IDAT") + 4
    size = struct.unpack(">I", data[start - 8 : start - 4])[0]
    for position in range(start, start + size):
        broken = bytearray(data)
        broken[position] ^= 1 << (position % 8)
        with pytest.raises(SourceError, match="damaged"):
            read_bytes(bytes(broken))


def test_png_without_its_end_is_truncated(rgb):
    with pytest.raises(SourceError, match="its end is missing"):
        read_bytes(encode(rgb, "PNG")[:-12])


def test_garbage_behind_the_end_does_not_matter(rgb):
    assert np.array_equal(read_bytes(encode(rgb, "PNG") + b"garbage"), rgb)


@pytest.mark.parametrize("name", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "QOI"])
def test_damaged_files_raise_nothing_but_our_errors(name):
    rng = np.random.default_rng(2)
    data = encode(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8), name)
    messages = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(150):
            broken = bytearray(data)
            for position in rng.integers(0, min(len(data), 200), 3):
                broken[position] = rng.integers(0, 256)
            try:
                read_bytes(bytes(broken), max_pixels=10**6)
            except DaskQuantError as error:
                messages.append(str(error))
    assert messages
    assert not any("\n" in message for message in messages)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "empty"), (b"<html></html>", "not an image"), (b"\x89PNG\r\n\x1a\n", "begins as PNG")],
)
def test_files_that_are_no_image_say_which(tmp_path, content, said):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=said) as caught:
        read_header(path)
    assert str(path) in str(caught.value)
    assert not isinstance(caught.value, SourceNotFoundError)


def test_missing_files_and_folders_say_which(tmp_path):
    with pytest.raises(SourceNotFoundError, match="no such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(SourceError, match="a folder"):
        read_image(tmp_path)
    with pytest.raises(SourceError, match="null"):
        read_image("a\0b.png")
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(SourceNotFoundError):
        read_image(tmp_path / "a.png" / "b.png")


def test_a_pipe_is_refused_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(SourceError, match="not a regular file"):
        read_image(tmp_path / "pipe.png")
    assert not looks_like_image(tmp_path / "pipe.png")


def test_permission_denied_is_said(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"x")

    def deny(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pillow_open, "open", deny, raising=False)
    with pytest.raises(SourceError, match="permission denied"):
        read_image(path)


def test_images_above_the_limit_are_refused_from_the_header(rgb, monkeypatch):
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    with pytest.raises(SourceError, match=f"{HEIGHT * WIDTH} pixels.*may have 100;"):
        read_bytes(encode(rgb, "PNG"), max_pixels=100)
    for side in (30_000, 60_000):  # below and above where Pillow itself refuses
        with pytest.raises(SourceError, match=rf"{side**2} pixels.*{pillow.MAX_PIXELS}; convert"):
            read_header(io.BytesIO(png(side, side, 8, 2, [b""])))


def test_image_above_pillows_own_limit_is_read_without_a_warning(rgb, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(read_bytes(encode(rgb, "PNG")), rgb)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_overlapping_readers_restore_pillow_once(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    before = list(warnings.filters)
    first, second = pillow_state.borrow_pillow(), pillow_state.borrow_pillow()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert Image.MAX_IMAGE_PIXELS == pillow_state.MAX_PIXELS
    second.__exit__(None, None, None)
    assert Image.MAX_IMAGE_PIXELS == 10
    assert list(warnings.filters) == before


def test_header_says_what_is_stored(tmp_path, rgb):
    path = tmp_path / "a.png"
    path.write_bytes(encode(rgb, "PNG"))
    header = read_header(str(path))
    assert header.path == str(path)
    assert (header.format, header.mode, header.bands) == ("PNG", "RGB", 3)
    assert (header.height, header.width) == (HEIGHT, WIDTH)
    assert header.input_bytes == path.stat().st_size


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS refuses such names")
def test_names_that_are_not_utf8_work_and_their_errors_print(tmp_path, rgb):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")
    with open(path, "wb") as file:
        file.write(encode(rgb, "PNG"))
    assert np.array_equal(read_image(path), rgb)
    with pytest.raises(SourceNotFoundError) as caught:
        read_image(path + "x")
    str(caught.value).encode("utf-8")


def test_a_stream_is_left_open_and_named(rgb):
    stream = io.BytesIO(encode(rgb, "PNG"))
    read_header(stream)
    assert np.array_equal(read_image(stream), rgb)
    with pytest.raises(SourceError, match="<stream>"):
        read_bytes(b"nothing")


def test_images_are_told_by_their_signature(tmp_path, rgb):
    (tmp_path / "picture").write_bytes(encode(rgb, "JPEG"))
    (tmp_path / "text.png").write_bytes(b"text")
    assert looks_like_image(tmp_path / "picture")
    assert not looks_like_image(tmp_path / "text.png")
    assert not looks_like_image(tmp_path)
    assert not looks_like_image(tmp_path / "none")


def test_a_tiff_whose_numbers_are_texts_is_refused_in_one_line(tmp_path):
    path = tmp_path / "a.tif"
    tags = [
        (256, 4, 1, 2),
        (257, 4, 1, 2),
        (258, 3, 1, 99),
        (262, 3, 1, 2),
        (277, 2, 4, 0x0A0A0A0A),
    ]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    path.write_bytes(struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4))
    with pytest.raises(SourceError, match="header is damaged") as caught:
        read_header(path)
    assert str(caught.value).isprintable()
