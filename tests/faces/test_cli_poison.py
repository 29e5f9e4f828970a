"""Files of which a decoder dies: the command names them, ends, and leaves nothing behind."""

import os
from pathlib import Path

import pytest
from outputs import list_outputs
from poison import install_poison, make_pictures

import dask_quant as dq
from dask_quant.collection.children import close_processes
from dask_quant.routes import collections
from dask_quant.sources.isolated import close_decoders

GOOD = [f"{number}.png" for number in range(5)]


@pytest.fixture(autouse=True)
def _poison(tmp_path, monkeypatch):
    """Have the processes that commands start decode by what does harm, for a few images already."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.setenv("PYTHONPATH", install_poison(site, dict(os.environ))["PYTHONPATH"])
    monkeypatch.setattr(collections, "MIN_ISOLATED", 2)
    close_decoders()  # what waits was started without
    close_processes()


@pytest.mark.parametrize("options", [[], ["--per-image"], ["--workers", "2"]], ids=str)
def test_files_of_which_a_decoder_dies_are_set_aside(tmp_path, run, options):
    bad = {"crash.png": "crashed (SIGSEGV)", "greedy.png": "more than 2.1 GB of memory"}
    make_pictures(tmp_path / "in", *GOOD, *bad)
    done = run("quantize", "in", "-o", "out", "-k", "4", "--json", *options)
    assert done.code == 3
    found = {Path(each["path"]).name: each["reason"] for each in done.json["quarantined"]}
    assert found.keys() == bad.keys()
    for name, reason in bad.items():
        assert f"in/{name}: " in found[name]
        assert reason in found[name]
        assert found[name].isprintable()
    assert list_outputs(tmp_path / "out") == GOOD


@pytest.mark.parametrize("out", ["o.png", "o.zarr"])
def test_one_image_on_a_worker_is_one_line(tmp_path, run, out):
    make_pictures(tmp_path / "in", "crash.png")
    done = run("quantize", "in/crash.png", "-o", out, "-k", "4", "--quiet", "--workers", "1")
    assert done.code == 1
    (line,) = done.lines
    assert "in/crash.png: its decoder crashed (SIGSEGV)" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "site"]


@pytest.mark.parametrize("options", [[], ["--workers", "1"]], ids=str)
def test_nothing_but_such_files_is_one_line(tmp_path, run, options):
    make_pictures(tmp_path / "in", "crash0.png", "crash1.png")
    done = run("quantize", "in", "-o", "out", "-k", "4", "--quiet", *options)
    assert done.code == 1
    (line,) = done.lines
    assert "None of 2 images can be read; the first: Cannot read in/crash0.png: its dec" in line
    assert list_outputs(tmp_path / "out") == []


def test_as_many_images_as_are_worth_it_are_isolated(monkeypatch):
    monkeypatch.setattr(collections, "MIN_ISOLATED", 3)
    assert [collections.is_isolated(GOOD[:n], on_cluster=False) for n in (2, 3)] == [False, True]
    assert collections.is_isolated(GOOD[:1], on_cluster=True)


def test_what_stays_of_a_group_gets_its_palette(tmp_path, run):
    make_pictures(tmp_path / "in", *GOOD, "abort.png")
    done = run("quantize", "in", "-o", "out", "-k", "4", "--group-by", "folder", "--json")
    assert done.code == 3
    (aside,) = done.json["quarantined"]
    assert "crashed (SIGABRT)" in aside["reason"]
    palettes = {tuple(dq.read_palette(tmp_path / "out" / name).hex) for name in GOOD}
    assert len(palettes) == 1
