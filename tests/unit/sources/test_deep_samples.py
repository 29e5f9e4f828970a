"""Samples of more than 8 bits, against the nearest level of the sample that was written."""

import io
import struct
import zlib
from fractions import Fraction

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from dask_quant.errors import PixelFormatError, SourceError
from dask_quant.sources.pillow import read_header, read_image

HEIGHT, WIDTH = 13, 19

COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


@pytest.fixture
def samples():
    """16-bit samples of four bands, the last of them full."""
    rng = np.random.default_rng(0)
    found = rng.integers(0, 65536, (HEIGHT, WIDTH, 4), dtype=np.uint16)
    found[0, :, 0] = [0, 127, 128, 129, 255, 256, 257, 385, 386, *range(65526, 65536)]
    found[..., 3] = 65535
    return found


def nearest(samples, most):
    """The nearest level of each sample, in exact fractions, halves up."""
    levels = [int(Fraction(int(value) * 255, most) + Fraction(1, 2)) for value in samples.ravel()]
    return np.array(levels, dtype=np.uint8).reshape(samples.shape)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png16(samples, *, before=b"", data=None):
    """A 16-bit PNG of samples ``(y, x, band)``, written by hand."""
    height, width, n_bands = samples.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, COLOR_TYPES[n_bands], 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(rows) if data is None else data)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + body + chunk(b"IEND", b"")


def ppm(samples, most, kind):
    header = f"{kind} {samples.shape[1]} {samples.shape[0]}\n# words\n{most}\n".encode()
    if kind in ("P2", "P3"):
        return header + " ".join(map(str, samples.ravel())).encode()
    return header + samples.astype(np.uint8 if most < 256 else ">u2").tobytes()


def read_bytes(data):
    return read_image(io.BytesIO(data))


def mode_of(data):
    return read_header(io.BytesIO(data)).mode


@pytest.mark.parametrize(
    ("bands", "mode"),
    [([0], "I;16"), ([0, 3], "LA;16"), ([0, 1, 2], "RGB;16"), ([0, 1, 2, 3], "RGBA;16")],
)
def test_16_bit_png_is_read_to_the_nearest_level(samples, bands, mode):
    data = png16(samples[..., bands])
    assert mode_of(data) == mode
    colors = nearest(samples[..., [0] * 3 if len(bands) < 3 else [0, 1, 2]], 65535)
    assert np.array_equal(read_bytes(data), colors)
    assert np.array_equal(
        imagecodecs.png_decode(data).reshape(HEIGHT, WIDTH, -1), samples[..., bands]
    )


def test_interlaced_16_bit_png_is_read(samples):
    passes = []  # Adam7: first row and column, and their steps
    for top, left, rows, columns in (
        *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)),
        *((2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)),
    ):
        part = samples[top::rows, left::columns, :3]
        passes += [b"\0" + row.astype(">u2").tobytes() for row in part if row.size]
    data = png16(samples[..., :3], data=zlib.compress(b"".join(passes)))
    header = bytearray(data[16:29])
    header[12] = 1
    data = data[:8] + chunk(b"IHDR", bytes(header)) + data[33:]
    assert np.array_equal(read_bytes(data), nearest(samples[..., :3], 65535))


@pytest.mark.parametrize("n_bands", [1, 3])
def test_a_transparent_colour_is_compared_at_16_bits(samples, n_bands):
    stored = samples[..., :n_bands]
    key = [int(value) for value in stored[3, 4]]
    beside = [*key[:-1], key[-1] ^ 1]  # the same level of 8 bits, nearly always
    pack = lambda values: chunk(b"tRNS", struct.pack(f">{n_bands}H", *values))  # noqa: E731
    expected = nearest(np.broadcast_to(stored, (HEIGHT, WIDTH, 3)), 65535)
    assert np.array_equal(read_bytes(png16(stored, before=pack(beside))), expected)
    with pytest.raises(PixelFormatError, match=f"1 of {HEIGHT * WIDTH} pixels not opaque"):
        read_bytes(png16(stored, before=pack(key)))


def test_transparency_of_16_bits_is_refused_with_the_number_of_pixels(samples):
    samples[2, 5:7, 3] = (0, 60_000)
    for bands in ([0, 3], [0, 1, 2, 3]):
        with pytest.raises(PixelFormatError, match=f"2 of {HEIGHT * WIDTH} pixels not opaque"):
            read_bytes(png16(samples[..., bands]))


def test_a_truncated_16_bit_png_is_an_error(samples):
    whole = zlib.compress(samples[..., :3].tobytes())
    for cut in (whole[: len(whole) // 2], b"", zlib.compress(b"\0")):
        with pytest.raises(SourceError):
            read_bytes(png16(samples[..., :3], data=cut))


@pytest.mark.parametrize("most", [1, 99, 255, 256, 1000, 1023, 4095, 65534, 65535])
@pytest.mark.parametrize("kind", ["P2", "P3", "P5", "P6"])
def test_pgm_and_ppm_of_any_white_are_read_to_the_nearest_level(kind, most):
    rng = np.random.default_rng(most)
    n_bands = 3 if kind in ("P3", "P6") else 1
    values = rng.integers(0, most + 1, (HEIGHT, WIDTH, n_bands))
    values[0, 0], values[0, 1] = 0, most
    found = read_bytes(ppm(values, most, kind))
    expected = nearest(np.broadcast_to(values, (HEIGHT, WIDTH, 3)), most)
    # Written in digits they come by way of 16 bits, or with halves to the even level.
    off = 1 if kind in ("P2", "P3") else 0
    assert np.abs(found.astype(int) - expected).max() <= off
    assert np.count_nonzero(found != expected) <= off * found.size // 50
    assert not found[0, 0].any()
    assert (found[0, 1] == 255).all()


def test_a_ppm_that_lies_is_an_error():
    values = np.full((HEIGHT, WIDTH, 3), 900)
    with pytest.raises(SourceError, match="sample 900 and says that 800 is white"):
        read_bytes(ppm(values, 800, "P6"))
    with pytest.raises(SourceError, match="truncated, 2 bytes are missing"):
        read_bytes(ppm(values, 900, "P6")[:-2])


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("n_bands", [1, 3])
def test_deep_jpeg_2000_is_read_to_the_nearest_level(samples, bits, n_bands):
    stored = samples[..., :n_bands] >> (16 - bits)
    data = imagecodecs.jpeg2k_encode(
        stored.squeeze(), level=0, reversible=True, bitspersample=bits, codecformat="jp2"
    )
    assert mode_of(data) == ("I;16" if n_bands == 1 else f"RGB;{bits}")
    expected = nearest(np.broadcast_to(stored, (HEIGHT, WIDTH, 3)), (1 << bits) - 1)
    assert np.array_equal(read_bytes(data), expected)


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_avif_is_read_from_its_own_samples(bits):
    ramp = np.linspace(0, (1 << bits) - 1, 64).astype(np.uint16)
    stored = np.ascontiguousarray(np.broadcast_to(ramp[:, np.newaxis], (64, 64, 3)))
    data = imagecodecs.avif_encode(stored, level=100, bitspersample=bits, speed=10)
    assert mode_of(data) == f"RGB;{bits}"
    found, decoded = read_bytes(data), imagecodecs.avif_decode(data)
    assert np.array_equal(found, nearest(decoded, (1 << bits) - 1))
    assert np.abs(found - nearest(stored, (1 << bits) - 1).astype(int)).max() <= 1


@pytest.mark.parametrize("order", ["I;16", "I;16B"])
def test_16_bit_grey_of_either_byte_order_is_read(samples, order):
    kind = "<u2" if order == "I;16" else ">u2"
    image = Image.frombytes(order, (WIDTH, HEIGHT), samples[..., 0].astype(kind).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "TIFF")
    found = read_bytes(buffer.getvalue())
    assert np.array_equal(found[..., 1], nearest(samples[..., 0], 65535))


def test_floats_from_0_to_1_are_read():
    values = np.linspace(0, 1, 60, dtype=np.float32).reshape(6, 10)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "TIFF")
    found = read_bytes(buffer.getvalue())
    assert np.array_equal(found[..., 2], (values * np.float32(255) + np.float32(0.5)).astype(int))
