"""Counts and old palettes on the command line: months of pictures, none read twice."""

import json

import numpy as np
import pytest
from PIL import Image

import dask_quant as dq


@pytest.fixture
def months(tmp_path, cat):
    """Two folders of a picture each, both in a third one, and a file that is taken."""
    for name, pixels in (("may", cat[:, :60]), ("june", cat[:, 60:])):
        for folder in (name, "both"):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / folder / f"{name}.png")
    (tmp_path / "taken.npz").write_text("mine")
    return tmp_path


def test_months_one_by_one_give_the_palette_of_all(run, months, cat, count_oracle):
    first = run("quantize", "may", "-o", "out", "-k", 8, "--save-histogram", "may.npz", "--json")
    assert first.json["outputs"][-1] == "may.npz"
    saved = ("--histogram", "may.npz", "--save-histogram", "all.npz")
    second = run("palette", "june", "-o", "a.hex", "-k", 8, *saved, "--json")
    whole = run("palette", "both", "-o", "b.hex", "-k", 8, "--json")
    assert (months / "a.hex").read_bytes() == (months / "b.hex").read_bytes()
    same = ("n_pixels", "n_unique_colors", "palette", "counts", "mse", "explained_variance")
    assert {name: second.json[name] for name in same} == {name: whole.json[name] for name in same}
    alone = run("palette", "--histogram", "all.npz", "-o", "c.hex", "-k", 8, "--json")
    assert {name: alone.json[name] for name in same} == {name: whole.json[name] for name in same}
    assert alone.json["n_images"] == 0
    with np.load("all.npz", allow_pickle=False) as found:
        keys = [tuple(color) for color in found["colors"].tolist()]
        assert dict(zip(keys, found["counts"].tolist(), strict=True)) == count_oracle(cat)


def test_an_elbow_of_counts_alone(run, months):
    run("elbow", "may", "-k", "2,3", "--save-histogram", "may.npz")
    found = run("elbow", "--histogram", "may.npz", "-k", "2:3", "--json")
    assert found.json == run("elbow", "may", "-k", "2:3", "--json").json
    twice = ("--histogram", "may.npz", "--histogram", "may.npz")
    again = run("elbow", *twice, "-k", "2:3", "--json").json
    assert again["n_pixels"] == 2 * found.json["n_pixels"]


def test_a_plan_names_the_counts_and_writes_nothing(run, months):
    done = run(
        *("quantize", "may/may.png", "-o", "o.png", "--dry-run", "--save-histogram", "n.npz"),
        "--json",
    )
    assert done.json["plan"]["outputs"] == ["o.png", "n.npz"]
    assert not (months / "n.npz").exists()


def test_an_old_palette_keeps_its_indices(run, months):
    old = run("palette", "may", "-o", "old.gpl", "-k", 6, "--save-histogram", "may.npz", "--json")
    options = ("--histogram", "may.npz", "--refit", "old.gpl", "--json")
    new = run("palette", "may", "-o", "new.gpl", *options)
    before, after = (
        np.array([list(bytes.fromhex(text[1:])) for text in done.json["palette"]], dtype=int)
        for done in (old, new)
    )
    assert np.abs(before - after).max() <= 2
    more = run("quantize", "june", "-o", "out", "-k", 8, *options)
    assert len(more.json["palette"]) == 8
    assert more.json["n_pixels"] == sum(more.json["counts"]) == 96 * 68
    each = run("quantize", "both", "-o", "each", "--per-image", "--refit", "old.gpl", "--json")
    assert (each.code, each.json["n_colors"]) == (0, 6)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["palette", "-o", "p.gpl"], 2, "no SOURCE"),
        (["elbow"], 2, "no SOURCE"),
        (["quantize", "-o", "out", "--histogram", "taken.npz"], 2, "'SOURCE...'"),
        (["palette", "--histogram", "taken.npz", "-o", "p.gpl"], 1, "taken.npz: it is no archive"),
        (["palette", "--histogram", "none.npz", "-o", "p.gpl"], 1, "no such file"),
        (
            ["palette", "may", "-o", "p.gpl", "--save-histogram", "taken.npz"],
            1,
            "taken.npz' exists",
        ),
        (["elbow", "may", "-o", "a.csv", "--save-histogram", "a.csv"], 2, "must end in .npz"),
        (["quantize", "may", "-o", "out", "--save-histogram", "a.npz", "--per-image"], 2, "each"),
        (["palette", "may", "-o", "p.gpl", "--refit", "none.gpl"], 1, "no such file"),
        (["palette", "may", "-o", "p.gpl", "--refit", "ega", "-k", "8"], 2, "a palette of 16"),
    ],
)
def test_a_failure_is_one_line(arguments, code, text, run, months):
    for flags in ([], ["--json"]):
        done = run(*arguments, *flags)
        (line,) = done.lines
        assert (done.code, line[:7]) == (code, "error: ")
        assert text in line
        if flags:
            assert json.loads(done.out)["command"] == arguments[0]
    assert (months / "taken.npz").read_text() == "mine"
    assert not (months / "out").exists()


def test_what_is_damaged_is_one_line(run, months):
    run("palette", "may", "-o", "p.hex", "--save-histogram", "may.npz")
    whole = (months / "may.npz").read_bytes()
    (months / "may.npz").write_bytes(whole[: len(whole) // 2])
    done = run("quantize", "june", "-o", "out", "--histogram", "may.npz")
    (line,) = done.lines
    assert (done.code, "may.npz" in line) == (1, True)
    assert dq.read_palette(months / "p.hex")
