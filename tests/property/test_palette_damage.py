"""Whatever a file of colours, counts, classes or names holds, it is read or refused in one line.

`DASK_QUANT_FUZZ=5000 pytest tests/property/test_palette_damage.py` looks at more, drawn anew.
"""

import json
import struct
import warnings
from functools import partial

import numpy as np
import pytest
from fuzzing import call_or_refuse, damaged, fuzzed
from hypothesis import given
from hypothesis import strategies as st

import dask_quant as dq
from dask_quant.class_model import ClassModel
from dask_quant.errors import PaletteError
from dask_quant.fit.features import FeatureMap
from dask_quant.given_colors import as_colors
from dask_quant.histogram import ColorHistogram
from dask_quant.palette import Palette
from dask_quant.palette_formats import PALETTE_SUFFIXES, dumps
from dask_quant.sinks.palette_file import WRITABLE_SUFFIXES
from dask_quant.sources.discover import discover

SUFFIXES = st.sampled_from(PALETTE_SUFFIXES)

RGB_BLOCK = b"\0\2\0a\0\0RGB " + struct.pack(">3fH", 1.0, 0.5, 0.0, 0)

FOREIGN = {
    ".gpl": [
        b"\xef\xbb\xbfGIMP Palette\r\nName: \xe9t\xe9\r\nColumns: 0\r\n# a\r\n  0   1 2\tb\r\n"
    ],
    ".hex": [b"#ff8000 ; a\n// b\n000000\r00ff00  # c\n"],
    ".json": [b'["#ff8000", "#000000"]', b'{"palette": ["#ff8000"], "counts": [3], "x": [[]]}'],
    ".pal": [
        b"JASC-PAL\r\n0100\r\n2\r\n255 128 0 255\r\n0 0 0 255\r\n",
        b"RIFF\x1c\0\0\0PAL data\x0c\0\0\0\0\3\2\0" + bytes([255, 128, 0, 0, 1, 2, 3, 4]),
    ],
    ".riff.pal": [b"RIFF\x28\0\0\0PAL plth\4\0\0\0abcddata\x08\0\0\0\0\3\1\0\1\2\3\4"],
    ".act": [bytes(range(256)) * 3, bytes(range(256)) * 3 + b"\0\3\xff\xff"],
    ".ase": [
        b"ASEF\0\1\0\0\0\0\0\3\xc0\1\0\0\0\4\0\1\0\0"
        + struct.pack(">HI", 1, len(RGB_BLOCK))
        + RGB_BLOCK
        + b"\xc0\2\0\0\0\0"
    ],
    ".clr": [b"# a\nnv 0 0 0\n1, 255:128 0 x\n0 1 2 3\n"],
    ".qml": [
        b'<qgis><paletteEntry value="1" color="#ff8000"/><paletteEntry value="0" color="#010203"/>'
        b"</qgis>"
    ],
}
"""Files as other programs write them."""


@st.composite
def palette_files(draw):
    """A suffix and the bytes of a sound file of it."""
    suffix = draw(SUFFIXES)
    own = draw(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=9, unique=True))
    counts = draw(st.none() | st.just(list(range(len(own)))))
    data = [dumps(Palette(np.array(own), counts), suffix), *FOREIGN[suffix]]
    return suffix, draw(st.sampled_from(data))


def read_and_use(folder, suffix, data):
    """Read a palette; one that is read can be used, and written and read back in every format."""
    path = folder / f"colors{suffix}"
    path.write_bytes(data)
    palette = call_or_refuse(lambda: dq.read_palette(path), path.name)
    if palette is None:
        return
    assert dq.relabel(np.zeros((1, 2, 3), np.uint8), palette).compute().max() < len(palette)
    for other in WRITABLE_SUFFIXES:
        file = folder / f"again{other}"
        if call_or_refuse(partial(dq.write_palette, palette, file, overwrite=True)) is None:
            assert len(palette) > 256
        else:
            assert dq.read_palette(file) == palette
    assert repr(palette).isprintable()
    assert len(palette._repr_html_()) > 0


@fuzzed()
@given(suffix=SUFFIXES, data=st.binary(max_size=300))
def test_any_bytes_are_a_palette_or_none(tmp_path, suffix, data):
    read_and_use(tmp_path, suffix, data)


@fuzzed(100)
@given(data=st.data())
def test_a_damaged_palette_is_read_or_refused(tmp_path, data):
    suffix, sound = data.draw(palette_files())
    read_and_use(tmp_path, suffix, data.draw(damaged(sound)))


MAGICS = {
    ".gpl": "GIMP Palette\n{}",
    ".hex": "{}",
    ".json": '{{"palette": [{}]}}',
    ".pal": "JASC-PAL\n0100\n1\n{}",
    ".clr": "{}",
    ".qml": '<qgis><paletteEntry value="0" color="{}"/></qgis>',
}
"""What makes any text look like a file of colours."""


@fuzzed()
@given(suffix=st.sampled_from(sorted(MAGICS)), text=st.text(max_size=60))
def test_any_text_behind_a_good_start_is_read_or_refused(tmp_path, suffix, text):
    data = MAGICS[suffix].format(text).encode("utf-8", errors="surrogatepass")
    read_and_use(tmp_path, suffix, data)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@fuzzed()
@given(colors=VALUES, counts=VALUES, version=VALUES, data=st.data())
def test_any_json_is_read_or_refused(tmp_path, colors, counts, version, data):
    one = {"format": "dask_quant palette", "version": version, "colors": colors, "counts": counts}
    other = {"palette": [data.draw(st.just("#ff8000")), colors], "counts": counts}
    for document in (colors, one, one | {"version": 1}, other):
        read_and_use(tmp_path, ".json", json.dumps(document).encode())


BIG = 2**23 - 64
"""Bytes of files as long as are read."""

ENTITIES = b"""<!DOCTYPE qgis [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
    <!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><qgis><paletteEntry color="&c;"/></qgis>"""

HOSTILE = {
    "blanks before no comment.hex": b"a" + b" " * BIG + b"b",
    "comments without end.gpl": b"GIMP Palette\n" + b"#\n" * (BIG // 2),
    "nested.json": b"[" * BIG,
    "nested a little.json": b'{"palette":' * 980 + b"1" + b"}" * 980,
    "nested in a list.json": b"[" * 980 + b"]" * 980,
    "digits.json": b"[" + b"1" * BIG + b"]",
    "version.json": b'{"format": "dask_quant palette", "version": '
    + b"[" * 900
    + b"]" * 900
    + b"}",
    "many blocks.ase": b"ASEF\0\1\0\0\xff\xff\xff\xff",
    "long block.ase": b"ASEF\0\1\0\0\0\0\0\1\0\1\xff\xff\xff\xff",
    "long name.ase": b"ASEF\0\1\0\0\0\0\0\1\0\1\0\0\0\2\xff\xff",
    "many entries.pal": b"RIFF\xff\xff\xff\xffPAL data\xff\xff\xff\xff\0\3\xff\xff",
    "long chunk.riff.pal": b"RIFF\xff\xff\xff\xffPAL what\xff\xff\xff\xff",
    "many.act": bytes(768) + b"\xff\xff\xff\xff",
    "index.clr": b"9" * BIG + b" 0 0 0",
    "promise.pal": b"JASC-PAL\n0100\n" + b"9" * BIG,
    "entities.qml": ENTITIES,
    "outside.qml": b'<!DOCTYPE q [<!ENTITY a SYSTEM "file:///etc/passwd">]><q>&a;</q>',
    "parameter.qml": b'<!DOCTYPE q [<!ENTITY % a SYSTEM "file:///etc/passwd">%a;]><q/>',
    "unknown.qml": b'<?xml version="1.0" encoding="idna"?><q/>',
    "value.qml": b'<paletteEntry value="' + b"1" * BIG + b'" color="#000000"/>',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_made_to_hang_or_to_fill_the_memory_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(HOSTILE[name])
    with pytest.raises(PaletteError, match="Cannot read a palette from") as caught:
        dq.read_palette(tmp_path / name)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("suffix", [*PALETTE_SUFFIXES, ".png"])
def test_what_is_longer_than_any_palette_is_not_read_to_its_end(tmp_path, suffix):
    path = tmp_path / f"long{suffix}"
    with path.open("wb") as file:
        file.truncate(1 << 34)
    with pytest.raises(PaletteError, match="long"):
        dq.read_palette(path)


@fuzzed(40)
@given(data=st.data())
def test_a_damaged_picture_of_colors_is_read_or_refused(tmp_path, data):
    path = tmp_path / "colors.png"
    dq.write_palette([[255, 128, 0], [0, 0, 0]], path, overwrite=True)
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    call_or_refuse(lambda: dq.read_palette(path), path.name)


@fuzzed(40)
@given(data=st.data())
def test_damaged_counts_are_read_or_refused(tmp_path, data):
    path = tmp_path / "counts.npz"
    counted = ColorHistogram.from_colors(
        np.array([[0, 0, 9], [1, 0, 0]], np.uint8), np.array([3, 1])
    )
    dq.write_histogram(counted, path, overwrite=True)
    path.write_bytes(data.draw(damaged(path.read_bytes()) | st.binary(max_size=99)))
    found = call_or_refuse(lambda: dq.read_histogram(path), path.name)
    if found is not None:
        assert dq.fit_palette(found, n_colors=1) is not None


MODEL = ClassModel(
    np.array([[10.0, 3.0], [90.0, 4.0]]), ("red", "green"), FeatureMap.plain(2)
).to_json()


def read_and_label(path):
    """Read classes and label a pixel, if they can be read."""
    model = call_or_refuse(lambda: dq.read_class_model(path), path.name)
    if model is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pixels = np.full((1, 2, len(model.band_names)), 7, dtype=np.int16)
            assert model.label(pixels).max() < len(model)
            assert len(model.colors) == len(model)


@fuzzed(40)
@given(data=st.data())
def test_damaged_classes_are_read_or_refused(tmp_path, data):
    path = tmp_path / "classes.json"
    path.write_bytes(data.draw(damaged(MODEL.encode()) | st.binary(max_size=99)))
    read_and_label(path)


@fuzzed(40)
@given(key=st.sampled_from(sorted(json.loads(MODEL))), value=VALUES)
def test_classes_of_other_values_are_read_or_refused(tmp_path, key, value):
    path = tmp_path / "classes.json"
    path.write_text(json.dumps(json.loads(MODEL) | {key: value}))
    read_and_label(path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 100_000])
def test_classes_nested_without_end_are_refused(tmp_path, text):
    path = tmp_path / "classes.json"
    path.write_text(text)
    assert call_or_refuse(lambda: dq.read_class_model(path), path.name) is None


@fuzzed()
@given(data=st.binary(max_size=80))
def test_a_list_of_any_bytes_is_read_or_refused(tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "list.txt"
    path.write_bytes(data.replace(b"/", b"").replace(b".", b""))  # no folder of this machine
    found = call_or_refuse(lambda: discover([f"@{path}"]))
    assert found is None or found.inputs


@fuzzed()
@given(text=st.text(max_size=40), is_hex=st.booleans())
def test_any_text_is_colors_or_refused(text, is_hex):
    text = f"#{text}" if is_hex else text
    for parse in (partial(as_colors, text, "keep"), partial(dq.read_palette, text)):
        assert call_or_refuse(parse) is None or len(parse()) > 0
