"""The command line in this process and as a process of its own; pictures to give it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from PIL import Image

from dask_quant.faces.cli import cli

SCRIPTS = Path(sys.executable).parent


@dataclass(frozen=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """The one JSON object on standard output."""
        assert self.code in (0, 3), (self.out, self.err)
        return json.loads(self.out)

    @property
    def lines(self):
        """The lines on standard error."""
        return self.err.splitlines()


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs a command in this process, inside ``tmp_path``."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments, stdin=None):
        done = CliRunner().invoke(cli, list(map(str, arguments)), input=stdin)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return Done(done.exit_code, done.stdout, done.stderr)

    return invoke


@pytest.fixture
def spawn(tmp_path):
    """Return a function that runs the installed command, or another, as a process."""

    def start(*arguments, program="dask-quant", **options):
        command = [str(SCRIPTS / program), *map(os.fspath, arguments)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, **options)
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    return start


@pytest.fixture(scope="session")
def cat():
    """A picture like a cat: soft shapes and fur, (96, 128, 3), thousands of colours."""
    rng = np.random.default_rng(9)
    y, x = np.mgrid[:96, :128]
    head = np.hypot(x - 64, 1.2 * (y - 50)) < 36
    ears = (abs(abs(x - 64) - 24) < (y - 4) / 2) & (y < 40)
    eyes = np.hypot(abs(x - 64) - 14, y - 44) < 5
    picture = np.stack([90 + y, 120 + x / 2, 60 + y / 2 + x / 3], axis=-1)
    picture[head | ears] = (190, 120, 60)
    picture[eyes] = (40, 200, 80)
    picture += rng.normal(0, 12, (96, 128, 1)) + rng.normal(0, 4, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.fixture
def pictures(tmp_path, cat):
    """A folder of three pictures, one below, and a file that is none."""
    folder = tmp_path / "pictures"
    (folder / "below").mkdir(parents=True)
    Image.fromarray(cat).save(folder / "cat.png")
    Image.fromarray(cat[:, ::-1]).save(folder / "tac.bmp")
    Image.fromarray(cat[::-1]).save(folder / "below" / "flipped.tif")
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture
def store(tmp_path, cat):
    """The cat as a Zarr store."""
    path = tmp_path / "cat.zarr"
    zarr.create_array(path, shape=cat.shape, chunks=(40, 50, 3), dtype=np.uint8)[:] = cat
    return path


@pytest.fixture(scope="session")
def read_labels():
    """Return labels and colours of a written PNG or label store, by Pillow or zarr alone."""

    def read(path):
        if path.suffix == ".zarr":
            group = zarr.open_group(path, mode="r")
            codes = [bytes.fromhex(c[1:]) for c in group.attrs["dask_quant"]["palette"]]
            return group["0"][:], np.array([list(code) for code in codes], dtype=np.uint8)
        with Image.open(path) as image:
            assert image.mode == "P"
            return np.asarray(image), np.array(image.getpalette(), dtype=np.uint8).reshape(-1, 3)

    return read


@pytest.fixture(scope="session")
def measure_mse(read_labels):
    """Return the mean squared error of a written file, by NumPy alone."""

    def measure(path, pixels):
        labels, colors = read_labels(path)
        difference = colors[labels].astype(np.int64) - pixels
        return np.square(difference).sum() / labels.size

    return measure
