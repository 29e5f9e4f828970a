"""What cannot be done is said in one line, with the right exit code, and leaves nothing behind."""

import json
import os

import numpy as np
import pytest
import zarr
from outputs import KEPT, KEPT_SHARED, MANIFEST, STATE, list_outputs, list_own
from PIL import Image

from dask_quant import cluster
from dask_quant.faces import terminal


@pytest.fixture
def inputs(tmp_path, cat):
    """Files to fail on, in the working folder."""
    Image.fromarray(cat).save(tmp_path / "cat.png")
    data = (tmp_path / "cat.png").read_bytes()
    (tmp_path / "empty.png").touch()
    (tmp_path / "torn.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("nothing to see")
    (tmp_path / "taken.png").write_bytes(b"mine")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.png").write_bytes(b"mine")
    (tmp_path / "theirs.zarr").mkdir()
    (tmp_path / "theirs.zarr" / "data").write_text("not ours")
    zarr.create_array(tmp_path / "cat.zarr", shape=cat.shape, chunks=(50, 50, 3), dtype=np.uint8)
    Image.fromarray(cat.astype(np.int32)[..., 0] * 99).save(tmp_path / "deep.tif")
    transparent = np.dstack([cat, cat[..., 0]])
    Image.fromarray(transparent).save(tmp_path / "transparent.png")
    (tmp_path / "broken.gpl").write_text("GIMP Palette\nnonsense\n")
    return tmp_path


def snapshot(folder):
    """What a folder holds, hidden files included."""
    return {
        path: path.read_bytes() if path.is_file() and not path.is_symlink() else None
        for path in folder.rglob("*")
    }


DITHERED = ["quantize", "--dither", "bayer"]
CAT = ["quantize", "cat.png", "-o"]
FAILURES = {
    "missing": (["quantize", "none.png", "-o", "o.png"], 1, "none.png: there is no such file"),
    "empty": (["quantize", "empty.png", "-o", "o.png"], 1, "empty.png"),
    "truncated": (["quantize", "torn.png", "-o", "o.png"], 1, "torn.png"),
    "truncated in chunks": (["quantize", "torn.png", "-o", "o.zarr"], 1, "torn.png"),
    "no image": (["quantize", "text.png", "-o", "o.png"], 1, "text.png"),
    "32 bit": (["quantize", "deep.tif", "-o", "o.png"], 1, "deep.tif"),
    "transparent": ([*DITHERED, "transparent.png", "-o", "o.png"], 1, "transparent.png"),
    "no matte": ([*CAT, "o.png", "--alpha", "matte:red"], 2, "red"),
    "empty input pipe": (["quantize", "-", "-o", "o.png"], 1, "nothing on standard input"),
    "no image in a folder": (["quantize", "notes", "-o", "o"], 1, "no image in the folder notes"),
    "no match": (["quantize", "*.tiff", "-o", "o"], 1, "*.tiff"),
    "address": (["quantize", "s3://bucket/a.png", "-o", "o.png"], 1, "s3://bucket/a.png"),
    "missing list": (["quantize", "@list.txt", "-o", "o"], 1, "list.txt"),
    "output exists": ([*CAT, "taken.png"], 1, "--overwrite"),
    "folder is not empty": (["quantize", "cat.png", "-o", "taken"], 1, "--overwrite"),
    "a store exists": ([*CAT, "cat.zarr"], 1, "--overwrite"),
    "not our store": ([*CAT, "theirs.zarr", "--overwrite"], 1, "not written by dask_quant"),
    "another's store": ([*CAT, "cat.zarr", "--overwrite"], 1, "not written by dask_quant"),
    "jpeg": ([*CAT, "o.jpg"], 1, "JPEG cannot hold a palette"),
    "webp": ([*CAT, "o.webp"], 1, ".png, .gif, .tif, .npz or .zarr"),
    "format": (["quantize", "pictures", "-o", "o", "--format", "bmp"], 2, "png, gif, tif"),
    "two formats": ([*CAT, "o.png", "--format", "gif"], 2, "whose name says another"),
    "several to one": (["quantize", "cat.png", "text.png", "-o", "o.png"], 1, "2 images"),
    "below a file": ([*CAT, "taken.png/o.png"], 1, "taken.png/o.png"),
    "below a file, a store": ([*CAT, "taken.png/o.zarr"], 1, "taken.png/o.zarr"),
    "below a file, a folder": (["quantize", "cat.png", "-o", "taken.png/o"], 1, "taken.png"),
    "not writable": ([*CAT, "/proc/o.png"], 1, "/proc/o.png"),
    "a device": ([*CAT, "/dev/null", "--overwrite"], 1, "/dev/null"),
    "too many for png": ([*CAT, "o.png", "-k", "257"], 1, "256"),
    "no colours": ([*CAT, "o.png", "-k", "0"], 2, "Got 0 colours; ask for 1 to 65536"),
    "too many colours": ([*CAT, "o.png", "-k", "70000"], 2, "Got 70000 colours"),
    "no number": ([*CAT, "o.png", "-k", "many"], 2, "'many' is not a valid int"),
    "no chunks": ([*CAT, "o.png", "--chunks", "0"], 2, "chunks of 0 rows"),
    "odd chunks": ([*CAT, "o.png", "--chunks", "1x2"], 2, "ROWS,COLS"),
    "odd limit": ([*CAT, "o.png", "--memory-limit", "lots"], 2, "'lots'"),
    "no seed": ([*CAT, "o.png", "--seed", "-1"], 2, "seed -1"),
    "no restarts": ([*CAT, "o.png", "--n-init", "0"], 2, "n_init 0"),
    "no workers": ([*CAT, "o.png", "--workers", "0"], 2, "0 workers"),
    "odd store": ([*CAT, "o.png", "--persist", "store"], 2, ".zarr"),
    "unknown option": ([*CAT, "o.png", "--colour", "3"], 2, "No such option"),
    "unknown engine": ([*CAT, "o.png", "--engine", "magic"], 2, "dask-ml"),
    "unknown dither": ([*CAT, "o.png", "--dither", "noise"], 2, "floyd-steinberg"),
    "dithered classes": (
        ["apply", "cat.png", "--model", "m.json", "-o", "o.tif", "--dither", "bayer"], 2,
        "Got --dither bayer with classes; it is for --palette"),
    "unknown method": ([*CAT, "o.png", "--method", "magic"], 2, "median-cut"),
    "unknown method to compare": (
        ["compare", "cat.png", "-o", "o.png", "--method", "wu,magic"], 2, "'magic'"),
    "a method of another engine": (
        [*CAT, "o.png", "--method", "wu", "--engine", "scalable"], 2, "scalable engine"),
    "iterations of what has none": (
        [*CAT, "o.png", "--method", "octree", "--max-iter", "9"], 2, "max_iter 9"),
    "effort for none that is compared": (
        ["compare", "cat.png", "-o", "o.png", "--method", "wu,octree", "--effort", "best"],
        2, "effort 'best'"),
    "no start": ([*CAT, "o.png", "--init", "n.gpl"], 1, "n.gpl"),
    "odd start": ([*CAT, "o.png", "--init", "broken.gpl"], 1, "Line 2"),
    "no output": (["quantize", "cat.png"], 2, "Missing option"),
    "no source": (["quantize", "-o", "o.png"], 2, "Missing argument"),
    "unknown command": (["quantise", "cat.png"], 2, "No such command"),
    "workers and scheduler": (
        [*CAT, "o.png", "--workers", "2", "--scheduler", "tcp://127.0.0.1:9"], 2, "--workers"),
    "odd range of workers": ([*CAT, "o.png", "--adapt", "4"], 2, "write MIN:MAX"),
    "no workers at most": ([*CAT, "o.png", "--adapt", "0:0"], 2, "MAX at least 1"),
    "workers and a range of them": (
        [*CAT, "o.png", "--workers", "2", "--adapt", "0:2"], 2, "give one of them"),
    "scaling of others": (
        [*CAT, "o.png", "--adapt", "0:2", "--scheduler", "tcp://127.0.0.1:9"], 2, "who started"),
    "detached and scaling": (
        [*CAT, "o.png", "--adapt", "0:2", "--detach", "--scheduler", "tcp://127.0.0.1:9"], 2,
        "leave --adapt out"),
    "detached workers": (
        [*CAT, "o.png", "--workers", "2", "--detach", "--scheduler", "tcp://127.0.0.1:9"], 2,
        "--workers"),
    "detached to workers that scale": (
        [*CAT, "o.png", "--adapt", "0:2", "--detach"], 2, "--detach without --scheduler"),
    "odd scheduler": ([*CAT, "o.png", "--scheduler", "nonsense"], 2, "'nonsense'"),
    "no scheduler": ([*CAT, "o.png", "--scheduler", "tcp://127.0.0.1:9"], 1, "No scheduler"),
    "no scheduler file": ([*CAT, "o.png", "--scheduler-file", "s.json"], 1, "s.json"),
    "one tls file": ([*CAT, "o.png", "--tls-cert", "cat.png"], 2, "all three"),
    "stdin on workers": (["quantize", "-", "-o", "o.png", "--workers", "1"], 2, "standard input"),
    "stdin on workers that scale": (
        ["quantize", "-", "-o", "o.png", "--adapt", "0:1"], 2, "standard input"),
    "too little memory": ([*CAT, "o.png", "--memory-limit", "90MB"], 1, "the 90.0 MB of"),
    "too little memory in chunks": (
        [*CAT, "o.zarr", "--memory-limit", "90MB"], 1, "the 90.0 MB of"),
    "too little memory for each": (
        ["quantize", "cat.png", "-o", "o", "--memory-limit", "90MB"], 1, "the 90.0 MB of"),
    "too little memory for workers": (
        [*CAT, "o.zarr", "--memory-limit", "90MB", "--workers", "2"], 1, "allow at least 533 MB"),
    "too little memory for the most workers": (
        [*CAT, "o.zarr", "--memory-limit", "90MB", "--adapt", "0:2"], 1, "allow at least 533 MB"),
    "no palette": (["apply", "cat.png", "--palette", "n.gpl", "-o", "o.png"], 1, "n.gpl"),
    "odd palette": (["apply", "cat.png", "--palette", "broken.gpl", "-o", "o.png"], 1, "Line 2"),
    "no indexed png": (["apply", "cat.png", "--palette", "cat.png", "-o", "o.png"], 1, "indexed"),
    "palette suffix": (["palette", "cat.png", "-o", "o.txt"], 1, ".gpl"),
    "palette exists": (["palette", "cat.png", "-o", "taken.png"], 1, "taken.png"),
    "sheet exists": (["compare", "cat.png", "-o", "taken.png"], 1, "--overwrite"),
    "odd range": (["compare", "cat.png", "-k", "5:2", "-o", "o.png"], 2, "'5:2'"),
    "broken info": (["info", "torn.png"], 1, "torn.png"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_is_one_line_and_leaves_nothing(case, run, inputs, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_TIMEOUT_S", 0.3)
    arguments, code, text = FAILURES[case]
    before = snapshot(inputs)
    for flags in ([], ["--json"]):
        done = run(*arguments, *flags, stdin=b"")
        (line,) = done.lines
        assert done.code == code, line
        assert line.startswith("error: ")
        assert text in line
        assert "unexpected" not in line
        if flags:
            said = json.loads(done.out)
            assert list(said) == ["command", "error"]
            assert said["command"] == arguments[0]
            assert said["error"]["message"] == line.removeprefix("error: ")
            assert said["error"]["type"].endswith("Error")
        else:
            assert done.out == ""
        after = snapshot(inputs)
        assert after == before, after.keys() ^ before.keys()


@pytest.mark.parametrize("flag", [[], ["--per-image"]], ids=["shared", "each"])
def test_a_job_of_broken_images_leaves_their_reasons_and_no_image(flag, run, inputs):
    done = run("quantize", "torn.png", "text.png", "-o", "o", *flag)
    (line,) = done.lines
    assert done.code == 1
    assert line.startswith("error: None of 2 images can be read; the first: ")
    assert list_outputs(inputs / "o") == []
    assert {MANIFEST, f"{STATE}/job.json"} <= set(list_own(inputs / "o"))
    rows = [json.loads(line) for line in (inputs / "o" / MANIFEST).read_text().splitlines()]
    assert sorted(row["path"] for row in rows) == ["text.png", "torn.png"]
    assert {row["status"] for row in rows} == {"quarantined"}
    assert all(row["path"] in row["error"] for row in rows)
    again = run("quantize", "torn.png", "text.png", "-o", "o", "--resume", *flag)
    assert (again.code, again.lines) == (1, [line])


def test_a_memory_limit_that_is_too_small_names_both_numbers(run, inputs):
    done = run("quantize", "cat.png", "-o", "o.zarr", "--memory-limit", "90MB")
    projected, limit = done.lines[0].split("Projected ")[1].split(" for ")[0], "90.0 MB"
    assert done.code == 1
    assert limit in done.lines[0]
    assert float(projected.split()[0]) > 90
    assert f"at least {projected}" in done.lines[0]
    assert run("quantize", "cat.png", "-o", "o.zarr", "--memory-limit", "4GB").code == 0


@pytest.mark.parametrize("flag", [[], ["--per-image"]], ids=["shared", "each"])
def test_broken_images_are_set_aside_by_name(flag, run, inputs, cat, measure_mse):
    (inputs / "mixed").mkdir()
    for name in ("cat.png", "torn.png", "empty.png"):
        os.link(inputs / name, inputs / "mixed" / name)
    done = run("quantize", "mixed", "-o", "out", "-k4", "--json", *flag)
    assert done.code == 3
    names = ["mixed/empty.png", "mixed/torn.png"]
    assert [entry["path"] for entry in done.json["quarantined"]] == names
    assert all(
        entry["path"] in entry["reason"] and "\n" not in entry["reason"]
        for entry in done.json["quarantined"]
    )
    assert [line.startswith("quarantined: ") for line in done.lines] == [True, True]
    assert all(name in line for name, line in zip(names, done.lines, strict=True))
    assert done.json["n_images"] == 1
    assert list_outputs(inputs / "out") == ["cat.png"]
    assert list_own(inputs / "out") == list(KEPT if flag else KEPT_SHARED)
    error = measure_mse(inputs / "out" / "cat.png", cat)
    assert done.json["mse"] == pytest.approx(error, rel=1e-12)
    info = run("info", "mixed", "--json")
    assert info.code == 3
    assert [("error" in image) for image in info.json["images"]] == [False, True, True]


def test_a_read_only_folder_is_refused(run, inputs):
    locked = inputs / "locked"
    locked.mkdir(mode=0o555)
    inputs.chmod(0o755)
    assert run("quantize", "cat.png", "-o", "o.png", "-k3").code == 0  # loads all that it needs
    if was_root := os.geteuid() == 0:
        os.seteuid(65534)  # root may write everywhere
    try:
        for out in ("locked/o.png", "locked/new/o.png"):
            done = run("quantize", "cat.png", "-o", out, "-k3")
            (line,) = done.lines
            assert (done.code, line[:7]) == (1, "error: ")
            assert out in line
    finally:
        if was_root:
            os.seteuid(0)
    assert list(locked.iterdir()) == []


def test_overwrite_replaces_what_is_ours(run, inputs):
    for out in ("o.png", "o.zarr", "folder"):
        first = run("quantize", "cat.png", "-o", out, "-k3", "--json").json
        again = run("quantize", "cat.png", "-o", out, "-k5", "--json", "--overwrite").json
        assert (first["n_colors"], again["n_colors"]) == (3, 5)
    assert run("quantize", "cat.png", "-o", "taken.png", "-k3", "--overwrite").code == 0
    with Image.open(inputs / "taken.png") as image:
        assert len(image.getcolors()) == 3
    assert not list(inputs.rglob("*.partial"))


def test_names_that_collide_are_kept_in_full(run, cat, tmp_path):
    (tmp_path / "in" / "a").mkdir(parents=True)
    for name in ("a/b.bmp", "a/b.png", "a/B.tif", "c.png"):
        Image.fromarray(cat).save(tmp_path / "in" / name)
    run("quantize", "in", "-o", "out", "-k2")
    written = {"a/b.bmp.png", "a/b.png.png", "a/B.tif.png", "c.png"}
    assert set(list_outputs(tmp_path / "out")) == written


def test_nothing_is_written_outside_the_output_folder(run, cat, tmp_path):
    outside, out = tmp_path / "outside", tmp_path / "out"
    for folder in (outside, out, tmp_path / "in" / "a", tmp_path / "other"):
        folder.mkdir(parents=True)
    Image.fromarray(cat).save(tmp_path / "in" / "a" / "b.png")
    Image.fromarray(cat).save(tmp_path / "other" / "b.png")
    (out / "a").symlink_to(outside)
    done = run("quantize", "in", "-o", "out", "-k2", "--overwrite")
    assert done.code == 1
    assert "symlink" in done.lines[0]
    assert list(outside.iterdir()) == []
    (out / "a").unlink()

    (tmp_path / "in" / "linked").symlink_to(tmp_path / "other")
    (outside / "mine.png").write_bytes(b"mine")
    (out / "b.png").symlink_to(outside / "mine.png")
    arguments = ["in/a/../../other/b.png", "in/a/b.png", "in", "-o", "out", "-k2", "--overwrite"]
    done = run("quantize", *arguments, "--json")
    assert done.code == 0, done.err
    for name in done.json["outputs"]:
        path = tmp_path / name
        assert not path.is_symlink()
        assert path.resolve().is_relative_to(out)
    assert [(path.name, path.read_bytes()) for path in outside.iterdir()] == [("mine.png", b"mine")]
    assert not list(tmp_path.rglob("*.partial"))


def test_of_many_inputs_that_were_set_aside_a_few_are_named(run, cat, tmp_path, monkeypatch):
    monkeypatch.setattr(terminal, "_MAX_QUARANTINED", 1)
    (tmp_path / "in").mkdir()
    Image.fromarray(cat).save(tmp_path / "in" / "good.png")
    for number in range(3):
        (tmp_path / "in" / f"bad{number}.png").write_bytes(b"no picture")
    done = run("quantize", "in", "-o", "out", "-k3")
    assert done.code == 3
    told = [line for line in done.lines if line.startswith("quarantined: ")]
    assert len(told) == 2
    assert "in/bad0.png" in told[0]
    assert told[1] == "quarantined: 2 more, which the manifest names"
