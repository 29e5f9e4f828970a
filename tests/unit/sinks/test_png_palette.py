from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from dask_quant.errors import PaletteError
from dask_quant.palette import Palette
from dask_quant.sinks.png import encode_labels, png_chunks
from dask_quant.sinks.png_palette import read_png_colors


def make_palette(n_colors):
    return Palette(np.random.default_rng(0).permutation(256)[:n_colors, None] ^ [[0, 85, 170]])


def make_png(palette, *, side):
    labels = np.random.default_rng(1).integers(0, len(palette), (side, side), dtype=np.uint8)
    strips = encode_labels(labels, palette)
    return b"".join(png_chunks(strips, width=side, height=side, palette=palette))


@pytest.mark.parametrize("n_colors", [1, 2, 3, 16, 200, 256])
def test_the_palette_of_a_png_is_read_without_its_pixels(n_colors):
    palette = make_palette(n_colors)
    data = make_png(palette, side=30)
    colors = read_png_colors(io.BytesIO(data[: data.index(b"IDAT")]))
    np.testing.assert_array_equal(colors, palette.colors)


@pytest.mark.parametrize(
    ("mode", "match"), [("RGB", "true colours"), ("L", "true colours"), ("RGBA", "true colours")]
)
def test_a_png_without_palette_is_refused(mode, match):
    buffer = io.BytesIO()
    Image.new(mode, (2, 2)).save(buffer, format="PNG")
    buffer.seek(0)
    with pytest.raises(PaletteError, match=match):
        read_png_colors(buffer)


def test_a_damaged_png_is_refused():
    data = make_png(make_palette(4), side=2)
    end = data.index(b"PLTE") + 20
    for size in range(end):
        with pytest.raises(PaletteError, match=r"torn|not a PNG"):
            read_png_colors(io.BytesIO(data[:size]))
    flipped = bytearray(data)
    flipped[data.index(b"PLTE") + 5] ^= 1
    with pytest.raises(PaletteError, match="torn"):
        read_png_colors(io.BytesIO(bytes(flipped)))
