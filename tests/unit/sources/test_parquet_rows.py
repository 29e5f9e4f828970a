"""Images in Parquet files: one a row, in a struct of bytes and path, or in a column of bytes."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dask_quant.errors import SourceError
from dask_quant.sources import parquet_rows, remote_file
from dask_quant.sources.byte_ranges import DiskFile
from dask_quant.sources.discover import find_images
from dask_quant.sources.held import parse_held
from dask_quant.sources.held_bytes import read_held
from dask_quant.sources.parquet_rows import ImageTable
from dask_quant.sources.places import take_parts


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(columns, path="t.parquet", **options):
    pq.write_table(pa.table(columns), path, **options)


def make_rows(n_rows, paths=True):
    """Structs of bytes and path; every third has no path."""
    return [
        {"bytes": b"%d" % i * 50, "path": f"x/{i}.jpg" if paths and i % 3 else None}
        for i in range(n_rows)
    ]


def find(*sources):
    return list(find_images(sources))


def read(item):
    return read_held(parse_held(item.path))


def test_rows_are_images_by_their_paths_or_their_numbers():
    write({"label": range(5), "image": make_rows(5)}, row_group_size=2)
    found = find("t.parquet")
    assert [take_parts(item, item.n_above) for item in found] == [
        *("t/000000", "t/x/1.jpg", "t/x/2.jpg", "t/000003", "t/x/4.jpg")
    ]
    for number, item in enumerate(found):
        assert read(item) == b"%d" % number * 50
    for number in (3, 0, 4, 1):  # in no order, too
        assert read(found[number]) == b"%d" % number * 50
    (named,) = find("t.parquet::x/2.jpg")
    assert read(named) == b"2" * 50


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()], ids=str)
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_a_column_of_bytes_will_do(kind, compression):
    values = pa.array([b"one", b"two", b"three"], kind)
    write({"id": ["a", "b", "c"], "data": values}, compression=compression)
    assert [read(item) for item in find("*.parquet")] == [b"one", b"two", b"three"]


def test_a_row_without_an_image_says_so():
    write({"image": [{"bytes": b"1", "path": "a.jpg"}, {"bytes": None, "path": "b.jpg"}, None]})
    found = find("t.parquet")
    assert len(found) == 3
    for item, name in ((found[1], "b.jpg"), (found[2], "000002")):
        with pytest.raises(SourceError, match=rf"t\.parquet::{name}: the row holds no image"):
            read(item)


def test_the_column_is_chosen_by_its_kind_and_then_by_its_name():
    rows = make_rows(1)
    for columns in (
        {"raw": [b"no"], "picture": rows},
        {"mask": make_rows(1), "image": rows},
        {"a": [b"no"], "img": [b"0" * 50]},
    ):
        write(columns)
        (item,) = find("t.parquet")
        assert read(item) == b"0" * 50


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"a": [b"1"], "b": [b"2"]}, "several columns that could be of images (a, b); call one"),
        ({"a": ["1"], "b": [2]}, "no column of images"),
    ],
)
def test_a_table_without_one_column_of_images_is_one_image_that_says_why(columns, words):
    write(columns)
    (item,) = find("t.parquet")
    with pytest.raises(SourceError) as caught:
        read(item)
    assert words in str(caught.value)


@pytest.mark.parametrize("stop", [0, 3, 300, -20])
def test_a_file_that_is_cut_off_is_one_image_that_says_why(stop):
    write({"image": make_rows(20)})
    Path("t.parquet").write_bytes(Path("t.parquet").read_bytes()[:stop])
    (item,) = find("t.parquet")
    with pytest.raises(SourceError, match=r"^Cannot read t\.parquet from byte 0 on: \S") as caught:
        read(item)
    assert "\n" not in str(caught.value)


def test_pages_that_are_damaged_cost_the_images_in_them():
    write({"image": make_rows(40)}, row_group_size=20, compression="none", use_dictionary=False)
    data = Path("t.parquet").read_bytes()
    assert data.count(b"25" * 50) == 1
    start = ImageTable(DiskFile.find("t.parquet"))._file.metadata.row_group(1).column(0)
    at = start.data_page_offset
    Path("t.parquet").write_bytes(data[:at] + b"\xff" * 40 + data[at + 40 :])
    found = find("t.parquet")
    assert [read(item) for item in found[:20]] == [b"%d" % i * 50 for i in range(20)]
    with pytest.raises(SourceError, match=r"^Cannot read "):
        read(found[25])


def test_rows_in_their_order_are_decoded_once(monkeypatch):
    write({"image": make_rows(100)}, row_group_size=50)
    opened = []
    monkeypatch.setattr(
        parquet_rows, "ImageTable", lambda source: opened.append(source) or ImageTable(source)
    )
    parquet_rows._kept.table = None
    for number, item in enumerate(find("t.parquet")):
        assert read(item) == b"%d" % number * 50
    assert len(opened) == 1
    write({"image": make_rows(101)})
    with pytest.raises(SourceError, match="changed after its images were listed"):
        read(item)


def test_sizes_add_up_to_what_is_stored():
    write({"image": make_rows(100)}, row_group_size=50, compression="none")
    total = sum(item.size for item in find("t.parquet"))
    assert 0.9 * 100 * 95 < total < Path("t.parquet").stat().st_size


def test_tables_of_a_store_are_read(bucket):
    write({"image": make_rows(5)})
    bucket.put("d/t.parquet", data=Path("t.parquet").read_bytes())
    remote_file.forget_files()
    found = find("s3://scans/d/*.parquet")
    assert [read(item) for item in found] == [b"%d" % i * 50 for i in range(5)]


def test_arrow_is_loaded_for_tables_alone():
    code = (
        "import sys, dask_quant.sources.held_bytes, dask_quant.sources.listing\n"
        "print('pyarrow' in sys.modules, 'fsspec' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False False\n"
