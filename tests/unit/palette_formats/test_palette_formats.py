from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import GimpPaletteFile

from dask_quant.errors import PaletteError
from dask_quant.palette import Palette
from dask_quant.palette_formats import PALETTE_SUFFIXES, dumps, loads

level = st.integers(0, 255)
palettes = st.lists(st.tuples(level, level, level), min_size=1, max_size=300, unique=True).map(
    lambda colors: Palette(np.array(colors, dtype=np.uint8))
)


LARGEST = {suffix: 65_536 for suffix in PALETTE_SUFFIXES} | {".riff.pal": 65_535, ".act": 256}


def make_palette(n_colors):
    codes = np.arange(n_colors, dtype=np.uint32) * 251
    colors = np.stack([codes >> 16 & 255, codes >> 8 & 255, codes & 255], axis=1)
    return Palette(colors.astype(np.uint8))


@pytest.mark.parametrize("suffix", PALETTE_SUFFIXES)
@given(palette=palettes)
def test_every_format_reads_back_what_it_wrote(suffix, palette):
    palette = Palette(palette.colors[: LARGEST[suffix]])
    assert loads(dumps(palette, suffix), suffix) == palette


@pytest.mark.parametrize("suffix", PALETTE_SUFFIXES)
def test_the_largest_palette_reads_back(suffix):
    palette = make_palette(LARGEST[suffix])
    assert loads(dumps(palette, suffix), suffix) == palette


@pytest.mark.parametrize("suffix", [".riff.pal", ".act"])
def test_what_a_format_does_not_hold_is_refused(suffix):
    with pytest.raises(PaletteError, match=f"Got {LARGEST[suffix] + 1} colours; .*write .gpl"):
        dumps(make_palette(LARGEST[suffix] + 1), suffix)


@pytest.mark.parametrize("suffix", [s for s in PALETTE_SUFFIXES if LARGEST[s] == 65_536])
def test_a_file_of_more_colors_than_a_palette_holds_is_refused(suffix):
    levels = [f"{i >> 16} {i >> 8 & 255} {i & 255}" for i in range(65_537)]
    hexes = [f"#{i:06x}" for i in range(65_537)]
    entries = (f'<paletteEntry value="{i}" color="{c}"/>' for i, c in enumerate(hexes))
    texts = {
        ".gpl": "GIMP Palette\n" + "\n".join(levels),
        ".hex": "\n".join(hexes),
        ".json": json.dumps(hexes),
        ".pal": "JASC-PAL\n0100\n65537\n" + "\n".join(levels),
        ".clr": "\n".join(f"{i} {line}" for i, line in enumerate(levels)),
        ".qml": f"<qgis>{''.join(entries)}</qgis>",
    }
    if suffix == ".ase":
        first, second = (
            dumps(make_palette(65_536), suffix),
            dumps(Palette.from_hex(["#ffffff"]), suffix),
        )
        data = first[:8] + (65_537).to_bytes(4, "big") + first[12:] + second[12:]
    else:
        data = texts[suffix].encode()
    with pytest.raises(PaletteError, match="Got more than 65536 colours"):
        loads(data, suffix)


@given(palette=palettes, name=st.text(max_size=200))
def test_pillow_reads_our_gpl(palette, name):
    palette = Palette(palette.colors[:256])
    reader = GimpPaletteFile.GimpPaletteFile(io.BytesIO(dumps(palette, ".gpl", name=name)))
    data, mode = reader.getpalette()
    assert mode == "RGB"
    assert data == palette.colors.tobytes()


def test_json_keeps_counts():
    palette = Palette(np.array([[1, 2, 3], [4, 5, 6]]), np.array([2**62, 0]))
    again = loads(dumps(palette, ".json"), ".json")
    assert again == palette
    assert again.counts.tolist() == [2**62, 0]


def test_json_is_as_documented():
    document = json.loads(dumps(Palette.from_hex(["#ff8000"]), ".json"))
    assert document == {
        "format": "dask_quant palette",
        "version": 1,
        "colors": ["#ff8000"],
        "counts": None,
    }


def test_suffix_may_be_in_capitals():
    assert loads(b"FF8000", ".HEX").hex == ["#ff8000"]


@pytest.mark.parametrize("suffix", ["", ".aco", "gpl"])
def test_unknown_suffix_names_the_known_ones(suffix):
    with pytest.raises(PaletteError, match=r"\.gpl, \.hex, \.json"):
        loads(b"", suffix)
    with pytest.raises(PaletteError, match=r"\.gpl, \.hex, \.json"):
        dumps(Palette.from_hex(["#000000"]), suffix)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize(
    "lines",
    [
        [b"GIMP Palette", b"Name: Sunset", b"Columns: 4", b"#", b"255 128   0\torange", b"0 0 0"],
        [b"GIMP Palette", b"255 128 0", b"0 0 0 black"],
        [b"GIMP Palette", b"Name: x", b"# a comment", b"", b" 255\t128 0", b"# b", b"  0   0   0"],
        [b"GIMP Palette", b"Channels: RGBA", b"255 128 0 255 orange", b"0 0 0 255 Untitled"],
        [b"GIMP Palette", b"Name: caf\xe9", b"255 128 0 caf\xe9", b"0 0 0 noir"],
    ],
)
def test_gpl_of_other_programs_is_read(lines, bom, end):
    assert loads(bom + end.join(lines), ".gpl").hex == ["#ff8000", "#000000"]


@pytest.mark.parametrize(
    "data",
    [
        b"ff8000\n000000\n",
        b"\xef\xbb\xbf#FF8000\r\n#000000",
        b"; paint.net\nff8000\n\n// note\n000000 ; black\n# end",
        b"ff8000 # orange\n000000//black\n#\n",
    ],
)
def test_hex_lists_of_other_programs_are_read(data):
    assert loads(data, ".hex").hex == ["#ff8000", "#000000"]


@pytest.mark.parametrize(
    "document",
    [
        ["#ff8000", "000000"],
        {"palette": ["#ff8000", "#000000"], "counts": [3, 1], "command": "palette"},
        {"palette": ["#ff8000", "#000000"]},
        {"format": "dask_quant palette", "version": 1, "colors": ["#FF8000", "#000000"]},
    ],
)
def test_json_of_other_shapes_is_read(document):
    data = b"\xef\xbb\xbf" + json.dumps(document).encode()
    assert loads(data, ".json").hex == ["#ff8000", "#000000"]


def test_repeated_colors_are_dropped_and_their_counts_summed():
    assert loads(b"ff8000\n000000\nFF8000", ".hex").hex == ["#ff8000", "#000000"]
    again = loads(b'{"palette": ["#000000", "#ffffff", "#000000"], "counts": [1, 2, 4]}', ".json")
    assert again.hex == ["#000000", "#ffffff"]
    assert again.counts.tolist() == [5, 2]


@pytest.mark.parametrize(
    ("suffix", "data", "match"),
    [
        (".gpl", b"", "Line 1: got an empty file"),
        (".gpl", b"JASC-PAL\n0100", "Line 1: got 'JASC-PAL'"),
        (".gpl", b"GIMP Palette\n", "without any colour"),
        (".gpl", b"GIMP Palette\n#\n0 0 256\n", "Line 3: got '0 0 256'"),
        (".gpl", b"GIMP Palette\n0 0\n", "Line 2: got '0 0'"),
        (".gpl", b"GIMP Palette\n0 0 -1\n", "Line 2"),
        (".gpl", b"GIMP Palette\n0 0 " + b"9" * 9999, r"Line 2: got '0 0 9+\.\.\.'"),
        (".hex", b"", "without any colour"),
        (".hex", b"000000\n\nff80\n", "Line 3: got 'ff80'"),
        (".hex", b"ff8000f", "Line 1: got 'ff8000f'"),
        (".hex", b"ff 80 00", "Line 1: got 'ff 80 00'"),
        (".hex", "\u0661\u0661\u0661\u0661\u0661\u0661".encode(), "Line 1"),
        (".hex", b"\x89PNG\r\n\x1a\n\0\0", "Line 1"),
        (".json", b"", "Line 1: not JSON"),
        (".json", b'["#000000",\n "#ffffff"', "Line 2: not JSON"),
        (".json", b'"#000000"', "list of '#rrggbb' is needed"),
        (".json", b"{}", "Got an object for the colours"),
        (".json", b'{"palette": null}', "Got 'null' for the colours"),
        (".json", b"[]", "without any colour"),
        (".json", b'["#000000", "red"]', "Colour 2: got 'red'"),
        (".json", b"[[0, 0, 0]]", "Colour 1"),
        (".json", b'{"format": "dask_quant palette", "version": 2}', "version '2'"),
        (".json", b'{"palette": ["#000000"], "counts": [1, 2]}', "counts that are not 1 integers"),
        (".json", b'{"palette": ["#000000"], "counts": [-1]}', "counts"),
        (".json", b'{"palette": ["#000000"], "counts": [1.5]}', "counts"),
        (".json", b'{"palette": ["#000000"], "counts": [true]}', "counts"),
        (".json", b'{"palette": ["#000000"], "counts": [9223372036854775808]}', "counts"),
        (".json", b'{"palette": ["#000000"], "counts": "1"}', "counts"),
        (".json", b"[" * 100_000, "JSON"),
        (".json", b"\xff\xfe\xfd", "Got|JSON"),
        (".json", b"[" + b"9" * 5000 + b"]", "JSON"),
    ],
)
def test_a_bad_file_is_one_line_that_says_where(suffix, data, match):
    with pytest.raises(PaletteError, match=match) as caught:
        loads(data, suffix)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@given(data=st.binary(max_size=200), suffix=st.sampled_from(PALETTE_SUFFIXES))
def test_any_bytes_are_a_palette_or_a_palette_error(data, suffix):
    with contextlib.suppress(PaletteError):
        loads(data, suffix)


@given(data=st.binary(max_size=100))
def test_any_gpl_body_is_a_palette_or_a_palette_error(data):
    with contextlib.suppress(PaletteError):
        loads(b"GIMP Palette\n" + data, ".gpl")
