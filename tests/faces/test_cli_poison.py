"""Files of which a decoder dies: the command names them, ends, and leaves nothing behind."""

import os
from pathlib import Path

import pytest
from poison import install_poison, make_pictures

from dask_quant.events import ignore_event
from dask_quant.fit_options import FitOptions
from dask_quant.options import RunOptions
from dask_quant.routes import collections
from dask_quant.routes.common import Job
from dask_quant.sources.discover import discover
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
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == GOOD


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
    assert not any((tmp_path / "out").glob("*"))


def test_as_many_images_as_are_worth_it_are_isolated(tmp_path, monkeypatch):
    monkeypatch.setattr(collections, "MIN_ISOLATED", 3)
    for n, expected in ((2, False), (3, True)):
        folder = make_pictures(tmp_path / str(n), *GOOD[:n])
        job = Job("quantize", FitOptions(), RunOptions(), ignore_event)
        items = collections.plan_items(discover([folder]), tmp_path / "out", job)
        assert {item.is_isolated for item in items} == {expected}
