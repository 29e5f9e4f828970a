from __future__ import annotations

import ctypes
import ctypes.util
import io
import random
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dask_quant.errors import OutputError, OutputExistsError
from dask_quant.palette import Palette
from dask_quant.sinks import png
from dask_quant.sinks.png import (
    MAX_SIDE,
    Strip,
    bit_depth_for,
    combine_adler32,
    deflate_level,
    dump_strip,
    encode_labels,
    encode_strip,
    load_strip,
    png_chunks,
    strip_rows,
    write_png,
)


def make_palette(n_colors):
    codes = np.arange(n_colors) * 2654435761 % 2**24
    return Palette(np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(np.uint8))


def make_labels(shape, n_colors, seed=0):
    return np.random.default_rng(seed).integers(0, n_colors, shape, dtype=np.uint8)


def make_png(labels, palette, *, rows=None):
    height, width = labels.shape
    strips = encode_labels(labels, palette, rows=rows)
    return b"".join(png_chunks(strips, width=width, height=height, palette=palette))


def read_strictly(data):
    """Read an indexed PNG by the letter of the specification; return labels and palette."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + body)
        chunks.append((kind, body))
        at += 12 + length
    kinds = [kind for kind, _ in chunks]
    assert kinds == [b"IHDR", b"PLTE", *[b"IDAT"] * (len(kinds) - 3), b"IEND"]
    width, height, depth, *rest = struct.unpack(">IIBBBBB", chunks[0][1])
    assert rest == [3, 0, 0, 0]
    stream = zlib.decompressobj()
    raw = stream.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
    assert stream.eof  # the Adler-32 agrees
    assert not stream.unused_data
    rows = np.frombuffer(raw, np.uint8).reshape(height, -1)
    assert not rows[:, 0].any()
    bits = np.unpackbits(rows[:, 1:], axis=1)[:, : width * depth].reshape(height, width, depth)
    labels = bits @ (1 << np.arange(depth)[::-1])
    return labels, np.frombuffer(chunks[1][1], np.uint8).reshape(-1, 3)


images = st.tuples(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 256), st.integers(1, 40), st.integers(0)
)


@given(case=images)
def test_pillow_reads_back_what_was_written(case):
    height, width, n_colors, rows, seed = case
    palette = make_palette(n_colors)
    labels = make_labels((height, width), n_colors, seed)
    with Image.open(io.BytesIO(make_png(labels, palette, rows=rows))) as image:
        assert image.mode in ("P", "1")
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), palette.colors[labels])


@given(case=images)
def test_a_strict_reader_reads_back_labels_and_exactly_the_palette(case):
    height, width, n_colors, rows, seed = case
    palette = make_palette(n_colors)
    labels = make_labels((height, width), n_colors, seed)
    read_labels, colors = read_strictly(make_png(labels, palette, rows=rows))
    np.testing.assert_array_equal(read_labels, labels)
    np.testing.assert_array_equal(colors, palette.colors)


class PngImage(ctypes.Structure):
    """``png_image`` of libpng's simplified interface."""

    _fields_ = (
        ("opaque", ctypes.c_void_p),
        *((name, ctypes.c_uint32) for name in ("version", "width", "height", "format", "flags")),
        ("colormap_entries", ctypes.c_uint32),
        ("warning_or_error", ctypes.c_uint32),
        ("message", ctypes.c_char * 64),
    )


def decode_with_libpng(data):
    """Decode a PNG to sRGB with the reference library itself."""
    name = ctypes.util.find_library("png16")
    if name is None:
        pytest.skip("libpng is not installed")
    libpng = ctypes.CDLL(name)
    image = PngImage(version=1)
    assert libpng.png_image_begin_read_from_memory(
        ctypes.byref(image), data, ctypes.c_size_t(len(data))
    ), image.message
    image.format = 2  # PNG_FORMAT_RGB
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    assert libpng.png_image_finish_read(
        ctypes.byref(image), None, ctypes.c_void_p(pixels.ctypes.data), 0, None
    ), image.message
    assert image.warning_or_error == 0, image.message
    return pixels


@pytest.mark.parametrize("n_colors", [1, 2, 3, 4, 5, 16, 17, 256])
@pytest.mark.parametrize("shape", [(1, 1), (37, 53), (64, 8)])
def test_libpng_reads_back_what_was_written(n_colors, shape):
    palette, labels = make_palette(n_colors), make_labels(shape, n_colors)
    image = decode_with_libpng(make_png(labels, palette, rows=5))
    np.testing.assert_array_equal(image, palette.colors[labels])


@pytest.mark.parametrize("n_colors", [2, 4, 16, 256])
def test_bytes_do_not_depend_on_who_makes_the_strips_when(n_colors):
    palette, labels = make_palette(n_colors), make_labels((100, 33), n_colors)
    depth = bit_depth_for(n_colors)
    whole = make_png(labels, palette, rows=7)
    starts = list(range(0, 100, 7))
    random.Random(0).shuffle(starts)
    made = {}
    for top in starts:
        part = np.asfortranarray(labels[top : top + 7])
        made[top] = load_strip(dump_strip(encode_strip(part, bit_depth=depth)))
    strips = [made[top] for top in sorted(made)]
    assert whole == b"".join(png_chunks(strips, width=33, height=100, palette=palette))


@given(first=st.binary(max_size=300), second=st.binary(max_size=300))
def test_adler32_combines_like_the_joined_bytes(first, second):
    combined = combine_adler32(zlib.adler32(first), zlib.adler32(second), len(second))
    assert combined == zlib.adler32(first + second)


def test_adler32_combines_over_large_strips():
    first, second = b"\xff" * 1_000_003, b"\xfe" * 3_000_017
    combined = combine_adler32(zlib.adler32(first), zlib.adler32(second), len(second))
    assert combined == zlib.adler32(first + second)


@pytest.mark.parametrize(
    ("n_colors", "depth"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 4), (16, 4), (17, 8), (256, 8)]
)
def test_the_bit_depth_is_the_smallest_that_holds_the_palette(n_colors, depth):
    labels = make_labels((3, 5), n_colors)
    assert make_png(labels, make_palette(n_colors))[24] == depth


def test_strips_depend_on_the_width_alone_and_hold_about_four_megapixels():
    assert strip_rows(1) == 4 * 2**20
    assert strip_rows(5000) * 5000 <= 4 * 2**20 < (strip_rows(5000) + 1) * 5000
    assert strip_rows(MAX_SIDE) == 1


def test_more_than_256_colors_are_refused():
    with pytest.raises(OutputError, match=r"257 colours; PNG holds at most 256; write \.zarr"):
        png_chunks([], width=1, height=1, palette=make_palette(257))


@pytest.mark.parametrize("shape", [(0, 1), (1, 0), (2**31, 1), (1, 2**31), (-1, 1)])
def test_shapes_that_png_cannot_hold_are_refused(shape):
    with pytest.raises(OutputError, match="PNG takes 1 to 2147483647"):
        png_chunks([], width=shape[1], height=shape[0], palette=make_palette(2))


def test_labels_beyond_the_palette_are_refused():
    with pytest.raises(OutputError, match="label 3; the palette's labels end at 2"):
        list(encode_labels(np.array([[0, 3]], np.uint8), make_palette(3)))
    with pytest.raises(OutputError, match="label 2"):
        encode_strip(np.array([[2]], np.uint8), bit_depth=1)


@pytest.mark.parametrize(
    "labels", [np.zeros((1, 1), np.uint16), np.zeros(3, np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_labels_of_another_kind_are_refused(labels):
    with pytest.raises(OutputError, match="PNG needs uint8"):
        encode_strip(labels, bit_depth=8)


@pytest.mark.parametrize("change", [lambda s: s[:-1], lambda s: s[:1] + s, lambda s: []])
def test_a_missing_or_repeated_strip_leaves_no_file(tmp_path, change):
    palette, labels = make_palette(4), make_labels((20, 20), 4)
    strips = change(list(encode_labels(labels, palette, rows=6)))
    with pytest.raises(OutputError, match="strips of"):
        write_png(tmp_path / "a.png", strips, width=20, height=20, palette=palette, overwrite=False)
    assert not list(tmp_path.iterdir())


def test_strips_are_taken_one_by_one():
    palette, labels, taken = make_palette(256), make_labels((1000, 1000), 256), []

    def strips():
        for strip in encode_labels(labels, palette, rows=10):
            taken.append(strip)
            yield strip

    chunks = png_chunks(strips(), width=1000, height=1000, palette=palette)
    assert taken == []
    next(chunks)
    next(chunks)
    assert len(taken) <= 2
    assert len(list(chunks)) >= 99


def test_long_data_is_cut_into_several_idat(monkeypatch):
    monkeypatch.setattr(png, "MAX_SIDE", 100)
    palette, labels = make_palette(256), make_labels((50, 50), 256)
    data = make_png(labels, palette)
    assert data.count(b"IDAT") > 20
    np.testing.assert_array_equal(read_strictly(data)[0], labels)


def test_write_png_returns_the_bytes_and_does_not_overwrite(tmp_path):
    palette, labels, path = make_palette(5), make_labels((9, 9), 5), tmp_path / "a.png"

    def write(overwrite):
        strips = encode_labels(labels, palette)
        return write_png(path, strips, width=9, height=9, palette=palette, overwrite=overwrite)

    assert write(False) == path.stat().st_size
    with pytest.raises(OutputExistsError):
        write(False)
    assert write(True) == path.stat().st_size


@given(data=st.binary(max_size=100), adler=st.integers(0, 2**32 - 1), raw=st.integers(0, 2**63))
def test_strips_survive_a_file(data, adler, raw):
    assert load_strip(dump_strip(Strip(data, adler, raw))) == Strip(data, adler, raw)


def test_every_torn_or_flipped_strip_is_detected():
    whole = dump_strip(encode_strip(make_labels((4, 9), 16), bit_depth=4))
    for size in range(len(whole)):
        with pytest.raises(OutputError, match="torn strip"):
            load_strip(whole[:size])
    for at in range(len(whole)):
        flipped = bytearray(whole)
        flipped[at] ^= 4
        with pytest.raises(OutputError, match="torn strip"):
            load_strip(bytes(flipped))
    with pytest.raises(OutputError, match="torn strip"):
        load_strip(whole + b"\0")


@pytest.mark.parametrize(("height", "level"), [(64, 6), (65, 3)])
def test_the_effort_depends_on_the_shape_alone(monkeypatch, height, level):
    monkeypatch.setattr(png, "STRIP_PIXELS", 64 * 100)
    labels = np.repeat(make_labels((height, 25), 16), 4, axis=1)
    assert deflate_level((height, 100)) == level
    first = next(encode_labels(labels, make_palette(16)))
    assert first == encode_strip(labels[:64], bit_depth=4, level=level)
    assert first != encode_strip(labels[:64], bit_depth=4, level=9 - level)
