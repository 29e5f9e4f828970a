"""Files of counted colours: what NumPy reads is what was written, and nothing else is taken."""

import io
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dask_quant as dq
from dask_quant.errors import (
    OptionError,
    OutputExistsError,
    SourceError,
    SourceNotFoundError,
)
from dask_quant.histogram import ColorHistogram
from dask_quant.sinks import histogram_file
from dask_quant.sources import histogram_file as reading

COLORS = np.array([[0, 0, 7], [0, 1, 0], [9, 0, 0]], dtype=np.uint8)
COUNTS = np.array([3, 1, 2**40], dtype=np.int64)
ARRAYS = {"colors": COLORS, "counts": COUNTS, "version": np.array(1)}


@pytest.fixture(scope="module")
def histogram(photo):
    return ColorHistogram.from_pixels(photo[:200])


@pytest.fixture
def small_slices(monkeypatch):
    """Parts of 100 colours, so that a photograph has many."""
    monkeypatch.setattr(histogram_file, "SLICE_COLORS", 100)
    monkeypatch.setattr(reading, "SLICE_COLORS", 100)


def test_numpy_reads_the_counts_of_the_pixels(tmp_path, photo, count_oracle, small_slices):
    path = tmp_path / "counts.npz"
    n_bytes = dq.write_histogram(ColorHistogram.from_pixels(photo[:30]), path)
    assert n_bytes == path.stat().st_size
    with np.load(path, allow_pickle=False) as found:
        assert sorted(found.files) == ["colors", "counts", "version"]
        colors, counts = found["colors"], found["counts"]
        assert (colors.dtype, counts.dtype, int(found["version"])) == (np.uint8, np.int64, 1)
    keys = [tuple(color) for color in colors.tolist()]
    assert keys == sorted(keys)
    assert dict(zip(keys, counts.tolist(), strict=True)) == count_oracle(photo[:30])


def test_what_is_read_equals_what_was_written(tmp_path, histogram, small_slices):
    for name, each in (("photo", histogram), ("none", ColorHistogram.empty())):
        path = tmp_path / f"{name}.npz"
        dq.write_histogram(each, path)
        found = dq.read_histogram(path)
        assert found == each
        assert (found.codes.dtype, found.counts.dtype) == (np.uint32, np.int64)


def test_files_of_numpy_are_read(tmp_path):
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "own.npz", **ARRAYS)
        found = dq.read_histogram(tmp_path / "own.npz")
        assert found.colors.tolist() == COLORS.tolist()
        assert found.counts.tolist() == COUNTS.tolist()


def test_the_same_counts_are_the_same_bytes(tmp_path, histogram, monkeypatch):
    dq.write_histogram(histogram, tmp_path / "a.npz")
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    dq.write_histogram(histogram, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_an_existing_file_and_another_suffix_are_refused(tmp_path, histogram):
    path = tmp_path / "counts.npz"
    path.write_text("mine")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        dq.write_histogram(histogram, path)
    assert path.read_text() == "mine"
    dq.write_histogram(histogram, path, overwrite=True)
    assert dq.read_histogram(path) == histogram
    with pytest.raises(OptionError, match=r"must end in \.npz"):
        dq.write_histogram(histogram, tmp_path / "counts.txt")
    assert [each.name for each in tmp_path.iterdir()] == ["counts.npz"]


BAD = {
    "negative": ({"counts": np.array([3, -1, 2])}, "counts -1 pixels"),
    "zero": ({"counts": np.array([3, 0, 2])}, "counts 0 pixels"),
    "too many": ({"counts": np.array([3, 2**45, 2])}, "at most 2\\*\\*45"),
    "overflowing": ({"counts": np.full(3, 2**62)}, "1 to 2\\*\\*45"),
    "twice": ({"colors": COLORS[[0, 1, 1]]}, "do not ascend"),
    "descending": ({"colors": COLORS[::-1].copy()}, "do not ascend"),
    "too few counts": ({"counts": COUNTS[:2]}, "2 counts for 3 colours"),
    "too many counts": ({"counts": np.ones(4, np.int64)}, "4 counts, where there are at most 3"),
    "objects": ({"counts": np.array([1, "a", None], dtype=object)}, "counts are object"),
    "floats": ({"counts": COUNTS.astype(float)}, "counts are float64"),
    "five bands": ({"colors": np.zeros((3, 5), np.uint8)}, r"colors are uint8 \(3, 5\)"),
    "by columns": ({"colors": np.asfortranarray(COLORS)}, "colors are uint8"),
    "future": ({"version": np.array(2)}, "version 2"),
    "no version": ({"version": None}, "holds no version"),
}


@pytest.mark.parametrize("name", BAD)
def test_other_arrays_are_refused_in_one_line(tmp_path, name):
    changed, text = BAD[name]
    arrays = {key: each for key, each in (ARRAYS | changed).items() if each is not None}
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(SourceError, match=text) as caught:
        dq.read_histogram(tmp_path / "bad.npz")
    assert "bad.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


def write_raw(path, name, data):
    """Write a file of three arrays, one of which is ``data`` as it is."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, each in ARRAYS.items():
            file = io.BytesIO()
            np.save(file, each)
            archive.writestr(f"{key}.npy", data if key == name else file.getvalue())


def dump_header(shape, descr="|u1", tail=b""):
    file = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + tail


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (dump_header((2**40, 3)), "1099511627776 colors"),
        (dump_header((-3, 3)), "-3 colors"),
        (dump_header((3, 3), tail=COLORS.tobytes()[:-1]), "end early"),
        (dump_header((3, 3), tail=COLORS.tobytes() + b"!"), "go on after"),
        (b"", "EOF"),
        (b"\x93NUMPY\x09\x00", "."),
        (b"\x93NUMPY\x01\x00\x02\x00'\n", "."),
        (b"\x93NUMPY\x01\x00\x08\x00((((((((", "."),
    ],
)
def test_arrays_that_are_none_are_refused(tmp_path, data, text):
    write_raw(tmp_path / "bad.npz", "colors", data)
    with pytest.raises(SourceError, match=text):
        dq.read_histogram(tmp_path / "bad.npz")


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "text.npz").write_text("colours")
    (tmp_path / "folder.npz").mkdir()
    for name in ("text.npz", "folder.npz", "nul\0.npz"):
        with pytest.raises(SourceError, match=r"^Cannot read counts from .*\.$"):
            dq.read_histogram(tmp_path / name)
    with pytest.raises(SourceNotFoundError, match="no such file"):
        dq.read_histogram(tmp_path / "none.npz")
    with pytest.raises(OptionError, match="int for histogram"):
        dq.read_histogram(3)


@given(data=st.data())
def test_a_damaged_file_is_refused_or_read_as_it_was(data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    histogram = ColorHistogram.from_colors(COLORS, COUNTS)
    dq.write_histogram(histogram, path, overwrite=True)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with suppress(SourceError):
        found = dq.read_histogram(path)
        assert found == histogram  # what was hit, such as a date, says nothing
