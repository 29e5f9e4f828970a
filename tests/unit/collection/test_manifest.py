"""A kill at any byte costs at most the rows that were being written; others read what is there."""

import io
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from dask_quant.collection.items import make_id
from dask_quant.collection.manifest import Manifest, add_up, read_rows
from dask_quant.errors import OutputError
from dask_quant.image_rows import QUARANTINED, ImageRow

KEYS = [
    "path", "frame", "output", "group", "status", "error", "width", "height", "digest",
    "n_unique_colors", "n_colors", "mse", "input_bytes", "output_bytes", "seconds",
    "squared_error", "inertia", "mean_color_error", "modified", "finished",
]  # fmt: skip


def make_row(number, **values):
    path = f"in/caf\u00e9 {number}.png"
    given = {"output": f"{number}.png", "width": 3, "height": 2, "squared_error": 0.1 * number}
    return ImageRow(path=path, id=make_id(path, 0), **given | values)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "manifest.jsonl"


@pytest.fixture
def open_manifest(path):
    opened = []

    def make(*, keeps=True):
        manifest = Manifest(path, keeps=keeps)
        opened.append(manifest)
        return manifest

    yield make
    for manifest in opened:
        manifest.close()


def test_rows_come_back_as_they_were_written(open_manifest, path):
    rows = [make_row(1), make_row(2, status=QUARANTINED, error="torn"), make_row(3, n_iter=4)]
    rows.append(make_row(4, label_counts=(1, 5)))
    manifest = open_manifest()
    manifest.append(rows[:1])
    manifest.append([])
    manifest.append(rows[1:])
    assert list(read_rows(path)) == rows
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [list(line)[:20] for line in lines] == [KEYS] * 4
    assert path.read_bytes().isascii()


def test_a_file_that_is_torn_at_any_byte_keeps_the_rows_before(path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # a thousand times: 8 s
    rows = [make_row(number) for number in range(4)]
    data = b"".join(row.to_line() for row in rows)
    ends = np.cumsum([len(row.to_line()) for row in rows])
    for size in range(ends[1], len(data) + 1):
        path.write_bytes(data[:size])
        n_whole = int((ends <= size).sum())
        assert list(read_rows(path)) == rows[:n_whole]
        manifest = Manifest(path, keeps=True)
        assert path.stat().st_size == ends[n_whole - 1]
        manifest.append([rows[3]])
        manifest.close()
        assert list(read_rows(path)) == [*rows[:n_whole], rows[3]]


def test_a_long_torn_line_and_nothing_else_are_cut(path, open_manifest):
    path.write_bytes(b"x" * 200_000)
    open_manifest()
    assert path.read_bytes() == b""
    row = make_row(1, error="e" * 200_000)
    path.write_bytes(row.to_line() + b"\0" * 200_000)
    open_manifest()
    assert path.read_bytes() == row.to_line()


def test_what_is_no_row_is_passed_over(path):
    lines = [b"\n", b"[]\n", b"3\n", b'{"path": "a"}\n', b"\0\0\0\n", b"{\n", b'{"id": "x"}\n']
    later = json.dumps({"path": "b", "id": "y", "of_a_later_version": 1}).encode() + b"\n"
    path.write_bytes(b"".join([*lines, later]))
    assert list(read_rows(path)) == [ImageRow(path="b", id="y")]


def test_a_new_job_begins_with_no_row(path, open_manifest):
    open_manifest().append([make_row(1)])
    others = (".manifest.jsonl.0123456789ab.partial", ".mine.jsonl.0123456789ab.partial")
    for name in others:
        (path.parent / name).touch()  # the first is left by a kill
    open_manifest(keeps=False)
    assert path.read_bytes() == b""
    assert sorted(each.name for each in path.parent.iterdir()) == [others[1], path.name]


def test_rows_are_dropped_all_at_once(path, open_manifest):
    rows = [make_row(number) for number in range(4)]
    manifest = open_manifest()
    manifest.append(rows)
    path.write_bytes(path.read_bytes() + b"what is no row\n")
    before = os.stat(path).st_ino
    manifest.rewrite(lambda row: row)
    assert os.stat(path).st_ino == before
    manifest.rewrite(lambda row: None if row.path == rows[2].path else row)
    assert list(read_rows(path)) == [rows[0], rows[1], rows[3]]
    assert os.stat(path).st_ino != before
    manifest.append([rows[2]])
    assert list(read_rows(path)) == [rows[0], rows[1], rows[3], rows[2]]
    assert len(path.read_bytes().splitlines()) == 4
    assert list(path.parent.iterdir()) == [path]


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from dask_quant.image_rows import ImageRow
from dask_quant.collection.manifest import Manifest
from dask_quant.errors import OutputError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
row = ImageRow(path="a.png", id="1")
manifest = Manifest(Path(sys.argv[1]), keeps=True)
manifest.append([row])
n_bytes = len(row.to_line())
for room in range(2 * n_bytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes + room, resource.RLIM_INFINITY))
    try:
        manifest.append([row, row])
    except OutputError as error:
        print(error)
    assert Path(sys.argv[1]).read_bytes() == row.to_line(), room
"""


def test_a_full_disk_leaves_no_torn_row(path):
    command = [sys.executable, "-c", FULL_DISK, str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2 * (path.stat().st_size)
    assert all(str(path) in line for line in lines)


def test_a_link_or_a_folder_in_its_place_is_refused(path, tmp_path, open_manifest):
    (tmp_path / "mine.txt").write_bytes(b"mine")
    path.symlink_to(tmp_path / "mine.txt")
    with pytest.raises(OutputError, match="is no file; move it away"):
        open_manifest()
    assert (tmp_path / "mine.txt").read_bytes() == b"mine"
    path.unlink()
    path.mkdir()
    with pytest.raises(OutputError, match="is no file"):
        open_manifest()


def test_pandas_reads_it(path, open_manifest):
    pandas = pytest.importorskip("pandas")
    open_manifest().append([make_row(1), make_row(2, status=QUARANTINED, error="torn")])
    frame = pandas.read_json(io.BytesIO(path.read_bytes()), lines=True)
    assert list(frame.columns)[:20] == KEYS
    assert frame["path"].tolist() == [make_row(1).path, make_row(2).path]
    assert frame["status"].tolist() == ["written", "quarantined"]
    assert frame["squared_error"].tolist() == [0.1, 0.2]


def test_sums_do_not_depend_on_the_order_of_the_rows():
    rng = np.random.default_rng(0)
    rows = [
        make_row(
            i, squared_error=10.0 ** rng.integers(-9, 15) * rng.random(), inertia=rng.random(),
            mean_color_error=rng.random(), input_bytes=i, output_bytes=2 * i, n_colors=i,
            n_unique_colors=i, n_iter=i, label_counts=(i, 1),
        )
        for i in range(50)
    ]  # fmt: skip
    rows.append(make_row(50, status=QUARANTINED, output_bytes=1000, squared_error=1e9))
    totals = add_up(rows, 10)
    assert totals.squared_error == math.fsum(row.squared_error for row in rows[:50])
    assert (totals.n_written, totals.n_pixels, totals.n_poor, totals.n_colors) == (50, 300, 10, 49)
    assert (totals.input_bytes, totals.output_bytes, totals.n_iter) == (1225, 2450, 49)
    assert totals.label_counts.tolist() == [1225, 50]
    shuffled = add_up([rows[i] for i in rng.permutation(51)], 10)
    for name in ("squared_error", "inertia", "mean_color_error", "n_pixels"):
        assert getattr(shuffled, name) == getattr(totals, name)
    assert add_up([], 5).label_counts is None
