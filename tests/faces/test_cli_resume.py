"""``--resume`` of one image, from the shell."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

HOLDER = """
import sys
from pathlib import Path
from dask_quant.routes.resuming import state_path
from dask_quant.sinks.state_folder import open_state

with open_state(state_path(Path(sys.argv[1])), {}, shown="out", resume=True):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 40, (60, 50, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")


@pytest.mark.parametrize("out", ["o.png", "o.zarr"])
def test_the_same_command_again_is_done_at_once(run, picture, tmp_path, out):
    command = ("quantize", "a.png", "-o", out, "-k", 5, "--resume")
    first = run(*command, "--json").json
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("o.*")}
    again = run(*command, "--json").json
    told = run(*command)
    assert (first["n_skipped"], again["n_skipped"], again["n_images"]) == (0, 1, 1)
    assert again["palette"] == first["palette"]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("o.*")} == before
    assert told.code == 0
    assert told.lines[-1].endswith(f": {out}; 1 was done before")


def test_a_palette_is_applied_and_done_once(run, picture):
    command = ("apply", "a.png", "-o", "o.png", "--palette", "#000,#fff", "--resume", "--json")
    assert [run(*command).json["n_skipped"] for _ in range(2)] == [0, 1]
    other = run(*(*command[:5], "#000,#f0f", *command[6:]))
    assert other.code == 1
    assert "Got palette" in other.err


def test_another_option_is_an_error_of_one_line(run, picture):
    assert run("quantize", "a.png", "-o", "o.png", "-k", 5, "--resume").code == 0
    other = run("quantize", "a.png", "-o", "o.png", "-k", 6, "--resume", "--quiet")
    assert other.code == 1
    (line,) = other.lines
    assert line == (
        "error: Got n_colors 6 where the job in 'o.png' was started with 5; give the same options, "
        "or --overwrite to start afresh."
    )
    assert run("quantize", "a.png", "-o", "o.png", "-k", 6, "--overwrite").code == 0


def test_standard_input_is_refused(run, picture, tmp_path):
    data = (tmp_path / "a.png").read_bytes()
    done = run("quantize", "-", "-o", "o.png", "--resume", stdin=data)
    assert done.code == 2
    assert "save it to a file first" in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png"]


@pytest.mark.parametrize("more", [("--resume",), ("--overwrite",)], ids=str)
def test_a_job_that_another_process_is_at_is_refused(run, picture, tmp_path, more):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "o.png")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        done = run("quantize", "a.png", "-o", "o.png", *more)
        assert done.code == 1
        assert f"'o.png' is being written by process {holder.pid} on " in done.err
        holder.kill()
    assert not (tmp_path / "o.png").exists()


def test_a_plan_is_made_of_a_job_that_goes_on(run, picture):
    command = ("quantize", "a.png", "-o", "o.png", "--resume")
    assert run(*command).code == 0
    assert run(*command, "--dry-run").code == 0
