"""A row of a manifest comes back from its line, and nothing else does."""

import pytest

from dask_quant.image_rows import ImageRow, parse_rows
from dask_quant.results import psnr_db


def make_line(path="a.png", **values):
    return ImageRow(**{"path": path, "mse": 3.0, "seconds": 0.5, "id": "an-id"} | values).to_line()


def test_a_row_has_what_its_line_says():
    (row,) = parse_rows([make_line("b.png", frame=2, output="b.png", width=3, finished=9.5)])
    assert (row.path, row.frame, row.output, row.width) == ("b.png", 2, "b.png", 3)
    assert (row.finished, row.error, row.height) == (9.5, None, None)


def test_names_that_later_versions_add_are_left_out():
    (row,) = parse_rows([b'{"path": "a.png", "id": "an-id", "from_the_future": [1]}\n'])
    assert row == ImageRow(path="a.png", id="an-id")


@pytest.mark.parametrize(
    "line",
    [
        *(b'{"path": "b', b"\n", b"\xff\xfe", b"[1]\n", b'{"path": 7}\n', b'{"path": "b.png"}\n'),
        *(b'{"path": 7, "id": "an-id"}\n', b'{"path": "b.png", "id": 3}\n'),
        b'{"path": "b.png", "id": "an-id", "label_counts": 3}\n',
        make_line("b.png").rstrip(b"\n"),
    ],
)
def test_what_is_torn_or_no_row_is_passed_over(line):
    assert [row.path for row in parse_rows([make_line("a.png"), line])] == ["a.png"]


def test_names_that_are_no_text_come_back():
    (row,) = parse_rows([make_line("caf\udce9.png")])
    assert row.path == "caf\udce9.png"


def test_psnr_is_that_of_the_mse():
    rows = parse_rows([make_line(mse=3.0), make_line(mse=0.0), make_line(mse=None)])
    assert [row.psnr_db for row in rows] == [psnr_db(3.0), None, None]
