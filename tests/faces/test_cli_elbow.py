"""Numbers of colours on the command line: a table, a file, one JSON object, errors in a line."""

import json

import pytest
from PIL import Image


@pytest.fixture
def inputs(tmp_path, photo):
    Image.fromarray(photo[:80, :90]).save(tmp_path / "a.png")
    (tmp_path / "taken.csv").write_text("mine")
    return tmp_path


def test_a_table_and_a_file(run, inputs):
    done = run("elbow", "a.png", "-k", "2:5", "-o", "scores.csv", "--space", "lab")
    assert (done.code, done.out) == (0, "")
    assert done.lines[0].split() == ["k", "mse", "PSNR", "dB", "explained"]
    assert [line.split()[0] for line in done.lines[1:5]] == ["2", "3", "4", "5"]
    assert done.lines[-1].startswith("elbow at ")
    assert done.lines[-1].endswith(" colours in 7,200 pixels")
    assert (inputs / "scores.csv").read_text().splitlines()[0].startswith("k,n_colors,mse")


def test_one_object_of_json(run, inputs):
    done = run("elbow", "a.png", "-k", "2,4,3", "--json")
    assert done.err == ""
    assert list(done.json) == ["command", "n_pixels", "n_unique_colors", "elbow", "scores"]
    assert done.json["command"] == "elbow"
    assert [score["k"] for score in done.json["scores"]] == [2, 3, 4]
    assert [len(score["palette"]) for score in done.json["scores"]] == [2, 3, 4]
    again = run("elbow", "a.png", "-k", "2:4", "--json", "--chunks", "30")
    assert again.json == done.json


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["none.png"], 1, "there is no such file"),
        (["a.png", "-k", "0:4"], 2, "0 colours"),
        (["a.png", "-k", "many"], 2, "many"),
        (["a.png", "-o", "taken.csv"], 1, "'taken.csv' exists"),
        (["a.png", "-o", "o.jpg"], 2, "must end in .csv or"),
        (["a.png", "--space", "hsv"], 2, "'oklab'"),
    ],
)
def test_a_failure_is_one_line(arguments, code, text, run, inputs):
    for flags in ([], ["--json"]):
        done = run("elbow", *arguments, *flags)
        (line,) = done.lines
        assert (done.code, line[:7]) == (code, "error: ")
        assert text in line
        if flags:
            assert json.loads(done.out)["command"] == "elbow"
    assert (inputs / "taken.csv").read_text() == "mine"
