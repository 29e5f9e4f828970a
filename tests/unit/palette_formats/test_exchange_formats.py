"""Palettes of other programs: as their files lie, torn, foreign and hostile."""

import contextlib
import shutil
import struct
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dask_quant.errors import PaletteError
from dask_quant.palette import Palette
from dask_quant.palette_formats import dumps, loads

PALETTE = Palette.from_hex(["#ff8000", "#000000", "#010203"])

BINARY = (".riff.pal", ".act", ".ase")


def color_block(model, *numbers, name="a"):
    named = f"{name}\0"
    body = struct.pack(">H", len(named)) + named.encode("utf-16-be")
    body += model + struct.pack(f">{len(numbers)}fH", *numbers, 0)
    return struct.pack(">HI", 1, len(body)) + body


def ase_file(*blocks):
    return b"ASEF" + struct.pack(">HHI", 1, 0, len(blocks)) + b"".join(blocks)


def riff_file(n_entries, data, form=b"PAL ", before=b""):
    chunk = struct.pack("<HH", 0x300, n_entries) + data
    body = form + before + b"data" + struct.pack("<I", len(chunk)) + chunk
    return b"RIFF" + struct.pack("<I", len(body)) + body


QML = """<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.16.7"><pipe><rasterrenderer band="1" type="paletted"><colorPalette>
{}</colorPalette></rasterrenderer></pipe></qgis>"""


@pytest.mark.parametrize(
    ("suffix", "data"),
    [
        (".pal", b"JASC-PAL\n0100\n3\n255 128 0\n0 0 0\n1 2 3\n"),
        (".pal", b"\xef\xbb\xbfJASC-PAL\r\n0100\r\n3\r\n255 128 0 255\r\n0 0 0 255\r\n1 2 3 0"),
        (".pal", riff_file(3, bytes([255, 128, 0, 0, 0, 0, 0, 4, 1, 2, 3, 0]))),
        (
            ".riff.pal",
            riff_file(
                3,
                bytes([255, 128, 0, 0, 0, 0, 0, 4, 1, 2, 3, 0]),
                before=b"plth\x03\0\0\0abc\0",  # of an odd length, and so padded
            ),
        ),
        (".act", bytes([255, 128, 0, 0, 0, 0, 1, 2, 3]) + bytes(759)),
        (".act", bytes([255, 128, 0, 0, 0, 0, 1, 2, 3]) + bytes(759) + b"\0\3\0\1"),
        (
            ".ase",
            ase_file(
                struct.pack(">HI", 0xC001, 8) + b"\0\3\0g\0h\0\0",
                color_block(b"RGB ", 1.0, 128 / 255, 0.0),
                color_block(b"Gray", 0.0),
                color_block(b"RGB ", *np.float32([1, 2, 3]) / 255, name="\u00fc\u4e00"),
                struct.pack(">HI", 0xC002, 0),
            ),
        ),
        (".clr", b"# classes\n1 255 128 0\n2 0 0 0\n3 1 2 3\n"),
        (".clr", b"30 1 2 3 Forest\r\n11,255,128,0,255\r\nnv 9 9 9\r\n12: 0:0:0\r\n"),
        (
            ".qml",
            QML.format(
                '<paletteEntry value="9" label="x &lt; y" alpha="255" color="#010203"/>'
                '<paletteEntry value="1" label="" alpha="0" color="#FF8000"/>'
                '<paletteEntry value="2" label="" alpha="255" color="#000000"></paletteEntry>'
            ).encode(),
        ),
    ],
)
def test_files_of_other_programs_are_read(suffix, data):
    assert loads(data, suffix).hex == PALETTE.hex


def test_inks_become_the_colors_that_they_leave():
    data = ase_file(
        color_block(b"CMYK", 0.0, 1.0, 1.0, 0.0),
        color_block(b"CMYK", 0.2, 0.4, 0.0, 0.5),
        color_block(b"CMYK", 0.0, 0.0, 0.0, 1.0),
        color_block(b"GRAY", 0.6),
    )
    assert list(loads(data, ".ase")) == [(255, 0, 0), (102, 76, 128), (0, 0, 0), (153, 153, 153)]


def test_what_we_write_is_as_the_formats_say():
    palette = Palette.from_hex(["#ff8000", "#000000"])
    assert dumps(palette, ".pal") == b"JASC-PAL\r\n0100\r\n2\r\n255 128 0\r\n0 0 0\r\n"
    riff = dumps(palette, ".riff.pal")
    assert riff[:4] == b"RIFF"
    assert int.from_bytes(riff[4:8], "little") == len(riff) - 8
    assert riff[8:] == b"PAL data\x0c\0\0\0\x00\x03\x02\0\xff\x80\0\0\0\0\0\0"
    act = dumps(palette, ".act")
    assert (len(act), act[:6], act[-4:]) == (772, b"\xff\x80\0\0\0\0", b"\0\2\xff\xff")
    assert dumps(palette, ".clr") == b"0 255 128 0\n1 0 0 0\n"
    ase = dumps(palette, ".ase")
    assert ase[:12] == b"ASEF\0\1\0\0\0\0\0\2"
    assert struct.unpack(">HIH", ase[12:20]) == (1, 2 + 16 + 4 + 12 + 2, 8)
    assert ase[20:36].decode("utf-16-be") == "#ff8000\0"
    assert ase[36:40] == b"RGB "
    assert struct.unpack(">3fH", ase[40:54]) == pytest.approx((1, 128 / 255, 0, 2))


@pytest.mark.parametrize(
    ("suffix", "data", "match"),
    [
        (".pal", b"", "Line 1: got ''; a .pal file begins with 'JASC-PAL' or 'RIFF'"),
        (".pal", b"GIMP Palette\n", "Line 1: got 'GIMP Palette'"),
        (".pal", b"JASC-PAL\n0100\n", "Line 3: got ''"),
        (".pal", b"JASC-PAL\n0100\n-1\n", "Line 3: got '-1'"),
        (".pal", b"JASC-PAL\n0100\n9999999999\n", "Line 3"),
        (".pal", b"JASC-PAL\n0100\n2\n0 0 0\n", "Got only 1 colours .* promises 2"),
        (".pal", b"JASC-PAL\n0100\n1\n0 0 0\n1 1 1\n2 2 2", "Got more colours .* promises 1"),
        (".pal", b"JASC-PAL\n0100\n1\n0 0 256\n", "Line 4: got '0 0 256'"),
        (".pal", b"JASC-PAL\n0100\n0\n", "without any colour"),
        (".pal", b"RIFF\0\0\0\0WAVE", "form b'WAVE'"),
        (".pal", b"RIFF\0\0\0\0PAL ", "8 bytes|torn: its chunk 'data'"),
        (".pal", riff_file(3, bytes(8)), "torn: its colours"),
        (".pal", riff_file(65_535, bytes(8)), "torn: its colours"),
        (".pal", riff_file(0, b""), "without any colour"),
        (".pal", b"RIFF\0\0\0\0PAL junk\xff\xff\xff\xff", "torn: its chunk 'data'"),
        (".riff.pal", b"JASC-PAL\n0100\n1\n0 0 0\n", "form"),
        (".act", b"", "Got 0 bytes; an .act file has 768 or 772"),
        (".act", bytes(767), "Got 767 bytes"),
        (".act", bytes(772), "an .act file of 0 colours"),
        (".act", bytes(768) + b"\1\1\0\0", "an .act file of 257 colours"),
        (".ase", b"", "torn: its header"),
        (".ase", b"ASEF\0\2\0\0\0\0\0\0", "version 2"),
        (".ase", b"FESA\0\1\0\0\0\0\0\0", "begins with b'FESA'"),
        (".ase", b"ASEF\0\1\0\0\xff\xff\xff\xff", "torn: block 1 of 4294967295"),
        (".ase", ase_file(), "without any colour"),
        (".ase", ase_file(color_block(b"RGB ", 1, 0, 0))[:-1], "torn: block 1 of 1"),
        (".ase", ase_file(struct.pack(">HIH", 1, 2, 0xFFFF)), "the colour of block 1"),
        (".ase", ase_file(color_block(b"LAB ", 0.5, 0, 0)), "Block 1: got the colour model .*LAB"),
        (".ase", ase_file(color_block(b"RGB ", 0, 0, 1.5)), "Block 1: got the numbers 0, 0, 1.5"),
        (".ase", ase_file(color_block(b"RGB ", 0, 0, np.nan)), "numbers 0, 0, nan"),
        (".ase", ase_file(color_block(b"CMYK", 0, 0, -np.inf, 0)), "-inf"),
        (".clr", b"", "without any colour"),
        (".clr", b"0 0 0\n", "Line 1: got '0 0'; write three levels"),
        (".clr", b"1 0 0 0\n1 2 2 2\n", "Line 2: got the index 1 again"),
        (".clr", b"50% 0 0 0\n", "Line 1: got '50% 0 0 0'; write an index"),
        (".clr", b"1 red\n", "Line 1: got 'red'"),
        (".clr", b"-5 0 0 0\n", "Line 1"),
        (".clr", b"9" * 5000 + b" 0 0 0\n", r"Line 1: got '9+\.\.\.'"),
        (".qml", b"", "Line 1: not XML: no element found"),
        (".qml", b"<qgis>\n<a></qgis>", "Line 2: not XML: mismatched tag"),
        (".qml", b"<qgis/>", "a style without a palette"),
        (".qml", QML.format('<paletteEntry value="1"/>').encode(), "Line 3: got the value '1'"),
        (".qml", QML.format('<paletteEntry value="x" color="#000000"/>').encode(), "value 'x'"),
        (".qml", QML.format(2 * '<paletteEntry value="1" color="#000000"/>').encode(), "1 again"),
        (".qml", b'<!DOCTYPE q [<!ENTITY a "b">]><q>&a;</q>', "declarations of its own"),
        (
            ".qml",
            b'<!DOCTYPE q [<!ENTITY % a SYSTEM "file:///etc/passwd"> %a;]><q/>',
            "declarations",
        ),
        (".qml", b'<?xml version="1.0" encoding="klingon"?><q/>', "XML"),
        (".qml", b"<a>" * 200_000, "not XML"),
    ],
)
def test_a_bad_file_is_one_line_that_says_what_is_wrong(suffix, data, match):
    with pytest.raises(PaletteError, match=match) as caught:
        loads(data, suffix)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_billion_laughs_are_not_laughed():
    words = ["ha", *(f"&l{i};" * 10 for i in range(9))]
    laughs = "".join(f'<!ENTITY l{i} "{word}">' for i, word in enumerate(words))
    style = f'<!DOCTYPE qgis [{laughs}]><qgis><paletteEntry value="1" color="&l9;"/></qgis>'
    with pytest.raises(PaletteError, match="declarations of its own"):
        loads(style.encode(), ".qml")


@pytest.mark.parametrize("suffix", BINARY)
def test_a_file_torn_anywhere_is_refused(suffix):
    data = dumps(PALETTE, suffix)
    for length in range(len(data)):
        if suffix == ".act" and length == 768:
            continue  # a file without the last four bytes is a whole one
        with pytest.raises(PaletteError):
            loads(data[:length], suffix)


@pytest.mark.parametrize("suffix", [".pal", *BINARY, ".clr", ".qml"])
@given(data=st.data())
def test_altered_bytes_are_a_palette_or_a_palette_error(suffix, data):
    altered = bytearray(dumps(PALETTE, suffix))
    for _ in range(data.draw(st.integers(1, 4))):
        altered[data.draw(st.integers(0, len(altered) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(PaletteError):
        loads(bytes(altered), suffix)


@pytest.mark.skipif(shutil.which("gdaldem") is None, reason="gdaldem, of GDAL's tools, is missing")
def test_gdal_paints_labels_in_our_clr(tmp_path):
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4) % 3
    Image.fromarray(labels).save(tmp_path / "labels.png")
    (tmp_path / "a.clr").write_bytes(dumps(PALETTE, ".clr"))
    subprocess.run(
        ["gdaldem", "color-relief", "labels.png", "a.clr", "out.png", "-of", "PNG"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=60,
    )
    painted = np.asarray(Image.open(tmp_path / "out.png"))
    np.testing.assert_array_equal(painted, PALETTE.colors[labels])
