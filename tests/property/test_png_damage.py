"""Whatever is done to a PNG, its strips are pixels, or an error of ours of one line.

`DASK_QUANT_FUZZ=5000 pytest tests/property/test_png_damage.py` looks at more examples, drawn anew.
"""

import contextlib
import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from png_maker import SIGNATURE, make_chunk, make_png

from dask_quant.errors import SourceError
from dask_quant.sources.png_strips import read_png_header, read_png_strips

N_FUZZ = int(os.environ.get("DASK_QUANT_FUZZ", "0"))

fuzzed = settings(
    max_examples=N_FUZZ or 60,
    derandomize=not N_FUZZ,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
N_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}

MAX_PIXELS = 1 << 16
"""More are not read: damage may claim any size, which is refused or planned elsewhere."""


@st.composite
def pngs(draw):
    """Bytes of a sound PNG."""
    color_type = draw(st.sampled_from(sorted(DEPTHS)))
    depth = draw(st.sampled_from(DEPTHS[color_type]))
    width, height = draw(st.integers(1, 20)), draw(st.integers(1, 8))
    bits = N_SAMPLES[color_type] * depth
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    rows = rng.integers(0, 256, (height, -(-width * bits // 8)), dtype=np.uint8)
    n_colors = draw(st.integers(1, 1 << depth)) if color_type == 3 else 0
    palette = [make_chunk(b"PLTE", rng.bytes(3 * n_colors))] if n_colors else []
    return make_png(
        *(rows, width, depth, color_type),
        pixel_bytes=max(1, bits // 8),
        filters=draw(st.lists(st.integers(0, 4), min_size=height, max_size=height)),
        extra=palette,
        chunk_bytes=draw(st.integers(1, 300)),
    )


def read_strips(path, rows):
    with open(path, "rb") as file:
        header = read_png_header(file, name="a.png")
    if header.is_interlaced or header.height * header.width > MAX_PIXELS:
        return []
    return list(read_png_strips(str(path), header, rows=rows))


def read_or_refuse(path, data, rows=3):
    """Read strips; anything but strips and an error of ours is a failure."""
    path.write_bytes(data)
    try:
        return read_strips(path, rows)
    except SourceError as error:
        message = str(error)
    assert "\n" not in message
    assert message.startswith("Cannot read ")
    return None


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.png"


@fuzzed
@given(data=pngs(), rows=st.integers(1, 9))
def test_a_sound_file_is_read_as_pillow_reads_it(path, data, rows):
    strips = read_or_refuse(path, data, rows)
    assert strips is not None
    colors = np.concatenate([colors for colors, _ in strips])
    with Image.open(path) as image:
        if not image.mode.startswith("I;16") and data[24] < 16:
            np.testing.assert_array_equal(colors, np.asarray(image.convert("RGB")))
        assert colors.shape == (image.height, image.width, 3)


@fuzzed
@given(
    data=pngs(),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_changed_bytes_are_noticed_or_harmless(path, data, changes):
    changed = bytearray(data)
    for place, value in changes:
        changed[int(place * (len(data) - 1))] = value
    read_or_refuse(path, bytes(changed))


@fuzzed
@given(data=pngs(), keep=st.floats(0, 1))
def test_a_file_that_breaks_off_is_refused(path, data, keep):
    assert read_or_refuse(path, data[: int(keep * (len(data) - 1))]) is None


def split_chunks(data):
    """The kind and the body of every chunk."""
    position, chunks = len(SIGNATURE), []
    while position < len(data):
        size, kind = struct.unpack(">I4s", data[position : position + 8])
        chunks.append((kind, data[position + 8 : position + 8 + size]))
        position += 12 + size
    return chunks


@fuzzed
@given(data=pngs(), order=st.randoms(use_true_random=False), drop=st.integers(0, 3))
def test_chunks_may_come_in_any_order_or_not_at_all(path, data, order, drop):
    chunks = split_chunks(data)
    order.shuffle(chunks)
    kept = chunks[drop:] + chunks[:1]
    read_or_refuse(path, SIGNATURE + b"".join(make_chunk(*chunk) for chunk in kept))


@fuzzed
@given(
    data=pngs(),
    place=st.floats(0, 1),
    junk=st.binary(max_size=8),
    is_inside=st.booleans(),
)
def test_damage_behind_good_checksums_is_refused_or_harmless(path, data, place, junk, is_inside):
    chunks = split_chunks(data)
    stream = b"".join(body for kind, body in chunks if kind == b"IDAT")
    if is_inside:  # filters and samples of another kind and number, compressed well
        stream = zlib.decompress(stream)
    cut = int(place * len(stream))
    stream = stream[:cut] + junk + stream[cut + len(junk) // 2 :]
    if is_inside:
        stream = zlib.compress(stream)
    front = b"".join(make_chunk(*chunk) for chunk in chunks if chunk[0] in (b"IHDR", b"PLTE"))
    end = make_chunk(b"IDAT", stream) + make_chunk(b"IEND", b"")
    strips = read_or_refuse(path, SIGNATURE + front + end)
    if strips is not None and is_inside:
        with contextlib.suppress(OSError, SyntaxError), Image.open(path) as image:
            if data[24] < 16:
                colors = np.concatenate([colors for colors, _ in strips])
                np.testing.assert_array_equal(colors, np.asarray(image.convert("RGB")))


@fuzzed
@given(junk=st.binary(max_size=200))
def test_anything_behind_a_signature_is_refused(path, junk):
    assert not read_or_refuse(path, SIGNATURE + junk)
