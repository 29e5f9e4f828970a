"""Jobs of many images by the command: killed with all their processes at work, and gone on with."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from outputs import list_outputs, read_manifest
from PIL import Image
from poison import install_poison

import dask_quant as dq
from dask_quant.routes.collections import MIN_ISOLATED

SCRIPT = Path(sys.executable).parent / "dask-quant"
N_IMAGES = MIN_ISOLATED + 4
FEW = ("-k", "3", "--n-init", "1", "--max-iter", "5", "--per-image")


@pytest.fixture
def folder(tmp_path):
    """As many small images as are worth processes of their own, of which one is called so."""
    rng = np.random.default_rng(1)
    (tmp_path / "in").mkdir()
    for number in range(N_IMAGES):
        name = "spin" if number == N_IMAGES // 2 else f"{number:03}"
        pixels = rng.integers(0, 256, (6, 7, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{name}.png")
    return tmp_path / "in"


@pytest.mark.slow
def test_a_job_killed_with_its_processes_at_work_is_gone_on_with(
    folder, tmp_path, spawn, monkeypatch
):
    (tmp_path / "site").mkdir()
    environment = install_poison(tmp_path / "site", dict(os.environ))
    command = [str(SCRIPT), "quantize", "in", "-o", "out", *FEW, "--quiet"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as process:
        while not (folder / "spin.png.begun").exists():
            assert process.poll() is None
            time.sleep(0.01)  # the test's own time limit ends it
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert family
    assert psutil.wait_procs(family, 60)[1] == []
    out = tmp_path / "out"
    assert not (out / "spin.png").exists()
    n_before = len(list_outputs(out))

    refused = spawn("quantize", "in", "-o", "out", *FEW)
    assert (refused.code, len(refused.lines)) == (1, 1)
    assert "or --resume to go on with the job that it holds" in refused.err
    done = spawn("quantize", "in", "-o", "out", *FEW, "--resume", "--json", "--quiet")
    assert done.code == 0, done.err
    assert done.json["n_images"] == N_IMAGES
    assert 0 <= done.json["n_skipped"] <= n_before

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dask_quant.routes.collections.MIN_ISOLATED", N_IMAGES + 1)
    dq.quantize("in", "whole", n_colors=3, n_init=1, max_iter=5, per_image=True)
    names = list_outputs(tmp_path / "whole")
    assert len(names) == N_IMAGES
    assert list_outputs(out) == names
    assert all((out / n).read_bytes() == (tmp_path / "whole" / n).read_bytes() for n in names)
    assert read_manifest(out) == read_manifest(tmp_path / "whole")


def test_strict_and_retry_by_the_command(run, tmp_path, pictures):
    (pictures / "torn.png").write_bytes(b"\x89PNG")
    strict = run("quantize", "pictures", "-o", "out", "-k3", "--per-image", "--strict")
    (line,) = strict.lines
    assert strict.code == 1
    assert "torn.png" in line
    assert line.endswith("The job is strict, and ends here; go on with --resume.")
    wrong = run("quantize", "pictures", "-o", "out", "-k3", "--retry-quarantined")
    assert (wrong.code, len(wrong.lines)) == (2, 1)
    left = run("quantize", "pictures", "-o", "out", "-k3", "--per-image", "--resume", "--json")
    assert left.code == 3
    assert len(left.json["quarantined"]) == 1
    Image.new("RGB", (3, 2)).save(pictures / "torn.png")
    again = ("--resume", "--retry-quarantined", "--json")
    done = run("quantize", "pictures", "-o", "out", "-k3", "--per-image", *again)
    assert done.code == 0, done.err
    assert (done.json["n_images"], done.json["n_skipped"]) == (4, 3)
    lines = (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["written"] * 4
