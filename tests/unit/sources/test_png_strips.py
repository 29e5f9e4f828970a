import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from png_maker import make_chunk, make_header, make_png

from dask_quant.errors import SourceError
from dask_quant.sources import png_strips
from dask_quant.sources.png_strips import read_png_header, read_png_strips

KINDS = [(0, d) for d in (1, 2, 4, 8, 16)] + [(2, 8), (2, 16)]
KINDS += [(3, d) for d in (1, 2, 4, 8)] + [(4, 8), (4, 16), (6, 8), (6, 16)]
N_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def draw_png(color_type, depth, shape, *, seed=0, extra=(), chunk_bytes=1 << 20):
    """Return the bytes of a random PNG of all filters, and its rows of packed samples."""
    rng = np.random.default_rng(seed)
    height, width = shape
    bits = N_SAMPLES[color_type] * depth
    rows = rng.integers(0, 256, (height, -(-width * bits // 8)), dtype=np.uint8)
    if color_type == 3:
        colors = rng.integers(0, 256, 3 << depth, dtype=np.uint8).tobytes()
        extra = (make_chunk(b"PLTE", colors), *extra)
    filters = rng.integers(0, 5, height)
    step = max(1, bits // 8)
    return make_png(
        *(rows, width, depth, color_type),
        pixel_bytes=step,
        filters=filters,
        extra=extra,
        chunk_bytes=chunk_bytes,
    ), rows


def read_back(path, *, rows=3):
    with open(path, "rb") as file:
        header = read_png_header(file, name=path.name)
    strips = list(read_png_strips(str(path), header, rows=rows))
    colors = np.concatenate([colors for colors, _ in strips])
    alphas = [alpha for _, alpha in strips]
    return colors, None if alphas[0] is None else np.concatenate(alphas)


def show_by_pillow(data):
    """Colours and alpha by Pillow, of files of 8 bits and fewer."""
    with Image.open(io.BytesIO(data)) as image:
        stored = np.asarray(image.convert("RGBA"))
        return stored[..., :3], stored[..., 3]


@pytest.mark.parametrize(("color_type", "depth"), [kind for kind in KINDS if kind[1] <= 8])
@pytest.mark.parametrize("width", [1, 2, 3, 7, 8, 9, 31])
def test_pixels_are_those_that_pillow_reads(tmp_path, color_type, depth, width):
    data, _ = draw_png(color_type, depth, (11, width), seed=width)
    (tmp_path / "a.png").write_bytes(data)
    colors, alpha = read_back(tmp_path / "a.png")
    expected, expected_alpha = show_by_pillow(data)
    np.testing.assert_array_equal(colors, expected)
    if color_type in (4, 6):
        np.testing.assert_array_equal(alpha, expected_alpha)
    else:
        assert alpha is None
    assert colors.flags.c_contiguous


@pytest.mark.parametrize("color_type", [0, 2, 4, 6])
def test_samples_of_16_bits_become_their_nearest_levels(tmp_path, color_type):
    data, rows = draw_png(color_type, 16, (9, 5))
    (tmp_path / "a.png").write_bytes(data)
    samples = rows.view(">u2").reshape(9, 5, -1).astype(np.int64)
    levels = (samples * 2 + 257) // (2 * 257)
    colors, alpha = read_back(tmp_path / "a.png")
    expected = levels[..., :3] if color_type in (2, 6) else levels[..., [0, 0, 0]]
    np.testing.assert_array_equal(colors, expected)
    if color_type in (4, 6):
        np.testing.assert_array_equal(alpha, levels[..., -1])


@pytest.mark.parametrize("rows", [1, 2, 5, 10, 99])
@pytest.mark.parametrize("piece", [1, 100, 1 << 18])
def test_strips_and_pieces_show_nowhere(tmp_path, rows, piece, monkeypatch):
    monkeypatch.setattr(png_strips, "_PIECE_BYTES", piece)
    data, _ = draw_png(2, 8, (10, 13), chunk_bytes=57)
    (tmp_path / "a.png").write_bytes(data)
    colors, _ = read_back(tmp_path / "a.png", rows=rows)
    np.testing.assert_array_equal(colors, show_by_pillow(data)[0])


def test_chunks_without_data_are_passed_over(tmp_path):
    data, _ = draw_png(2, 8, (4, 4), chunk_bytes=10)
    hollow = data.replace(make_chunk(b"IEND", b""), make_chunk(b"IDAT", b"") * 2)
    hollow += make_chunk(b"tEXt", b"a\0b") + make_chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(hollow)
    np.testing.assert_array_equal(read_back(tmp_path / "a.png")[0], show_by_pillow(data)[0])


@pytest.mark.parametrize(
    ("color_type", "depth", "key"),
    [(0, 1, [1]), (0, 1, [255]), (0, 4, [9]), (0, 8, [77]), (2, 16, [1, 2, 3])],
)
def test_the_transparent_colour_is_that_of_the_samples_as_stored(tmp_path, color_type, depth, key):
    samples = np.zeros((2, 8 * N_SAMPLES[color_type]), dtype=np.uint16)
    samples[1, : len(key)] = np.array(key) & ((1 << depth) - 1)
    if depth == 16:
        rows = samples.astype(">u2").view(np.uint8).reshape(2, -1)
    else:
        bits = (samples[..., np.newaxis] >> np.arange(depth - 1, -1, -1)) & 1
        rows = np.packbits(bits.reshape(2, -1).astype(np.uint8), axis=1)
    extra = [make_chunk(b"tRNS", struct.pack(f">{len(key)}H", *key))]
    step = max(1, depth * N_SAMPLES[color_type] // 8)
    data = make_png(rows, 8, depth, color_type, pixel_bytes=step, filters=[1, 4], extra=extra)
    (tmp_path / "a.png").write_bytes(data)
    _, alpha = read_back(tmp_path / "a.png")
    assert np.argwhere(alpha == 0).tolist() == [[1, 0]]
    assert np.count_nonzero(alpha == 255) == 15


def test_a_palette_gives_its_alpha(tmp_path):
    data, rows = draw_png(3, 8, (4, 6), extra=[make_chunk(b"tRNS", bytes(range(100)))])
    (tmp_path / "a.png").write_bytes(data)
    _, alpha = read_back(tmp_path / "a.png")
    np.testing.assert_array_equal(alpha, np.where(rows < 100, rows, 255))


SOUND = draw_png(2, 8, (8, 8), chunk_bytes=50)[0]
START = len(make_header(8, 8, 8, 2))
END = make_chunk(b"IEND", b"")


def with_byte(data, place, value):
    return data[:place] + bytes([value]) + data[place + 1 :]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"GIF89a", "does not begin as a PNG"),
        (SOUND[:20], "truncated"),
        (make_chunk(b"IDAT", b"").join([SOUND[:8], b""]), "header is missing"),
        (with_byte(SOUND, 20, 3), "IHDR is damaged"),
        (make_header(0, 8, 8, 2) + SOUND[START:], "0 x 8 pixels"),
        (make_header(8, 8, 4, 2) + SOUND[START:], "no colour type 2 of 4 bits"),
        (make_header(8, 8, 8, 3) + SOUND[START:], "palette has 0 bytes"),
        (make_header(8, 8, 8, 2) + make_chunk(b"tRNS", b"123") + SOUND[START:], "3 bytes"),
        (make_header(8, 8, 8, 2) + END, "holds no image data"),
        (SOUND[:START] + struct.pack(">I4s", 2**31, b"PLTE"), "claims 2147483648 bytes"),
        (make_header(8, 9, 8, 2) + SOUND[START:], "truncated"),
        (make_header(9, 8, 8, 2) + SOUND[START:], "(truncated|filter)"),
        (with_byte(SOUND, START + 20, 1), "checksum"),
        (SOUND[: START + 90], "truncated"),
        (SOUND[: -len(END)], "truncated"),
        (SOUND[:START] + make_chunk(b"IDAT", b"no zlib") + END, "image data is damaged"),
    ],
)
def test_damage_is_told_in_one_line(tmp_path, data, expected):
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(SourceError, match=expected) as caught:
        read_back(tmp_path / "a.png")
    assert "\n" not in str(caught.value)
    assert "a.png" in str(caught.value)


def test_a_wrong_checksum_of_the_data_is_told(tmp_path):
    rows = np.zeros((4, 6), dtype=np.uint8)
    data = make_png(rows, 2, 8, 2, pixel_bytes=3, filters=[0] * 4)
    begin = data.index(b"IDAT") + 4
    size = struct.unpack(">I", data[begin - 8 : begin - 4])[0]
    body = with_byte(data[begin : begin + size], size - 1, 0)
    (tmp_path / "a.png").write_bytes(make_header(2, 4, 8, 2) + make_chunk(b"IDAT", body) + END)
    with pytest.raises(SourceError, match="image data is damaged"):
        read_back(tmp_path / "a.png")


def test_an_unknown_filter_is_told_with_its_row(tmp_path):
    filtered = np.zeros((7, 4), dtype=np.uint8)
    filtered[5, 0] = 9
    body = make_chunk(b"IDAT", zlib.compress(filtered.tobytes()))
    (tmp_path / "a.png").write_bytes(make_header(1, 7, 8, 2) + body + END)
    with pytest.raises(SourceError, match="row 5 of the PNG has the filter 9"):
        read_back(tmp_path / "a.png", rows=4)
