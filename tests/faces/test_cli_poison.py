"""Files of which a decoder dies: the command names them, ends, and leaves nothing behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from poison import install_poison, make_pictures

SCRIPT = Path(sys.executable).parent / "dask-quant"

GOOD = [f"{number}.png" for number in range(5)]


@pytest.fixture
def run_poisoned(tmp_path):
    """Return a function that runs a command whose decoders do harm, inside ``tmp_path``."""
    site = tmp_path / "site"
    site.mkdir()
    environment = install_poison(site, dict(os.environ))

    def run(*arguments):
        command = [SCRIPT, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False
        )

    return run


@pytest.mark.parametrize("options", [[], ["--per-image"], ["--workers", "2"]], ids=str)
def test_files_of_which_a_decoder_dies_are_set_aside(tmp_path, run_poisoned, options):
    bad = {"crash.png": "crashed (SIGSEGV)", "greedy.png": "more than 2.1 GB of memory"}
    make_pictures(tmp_path / "in", *GOOD, *bad)
    done = run_poisoned("quantize", "in", "-o", "out", "-k", "4", "--json", *options)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    found = {
        Path(each["path"]).name: each["reason"] for each in json.loads(done.stdout)["quarantined"]
    }
    assert found.keys() == bad.keys()
    for name, reason in bad.items():
        assert reason in found[name]
        assert found[name].isprintable()
        assert f"in/{name}" in found[name]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == GOOD


@pytest.mark.parametrize("options", [[], ["--workers", "2"]], ids=str)
def test_nothing_but_such_files_is_one_line(tmp_path, run_poisoned, options):
    make_pictures(tmp_path / "in", *(f"crash{number}.png" for number in range(3)))
    done = run_poisoned("quantize", "in", "-o", "out", "-k", "4", "--quiet", *options)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "None of 3 images can be read; the first: Cannot read in/crash0.png" in done.stderr
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())
