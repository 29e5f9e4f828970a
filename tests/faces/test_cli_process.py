"""The installed command as a process: what it imports, its signals, its workers, odd names."""

import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import zarr
from PIL import Image

import dask_quant

SCRIPT = Path(sys.executable).parent / "dask-quant"
TIMEOUT_S = 60


def imports_of(code, *arguments, folder):
    """Modules that are loaded when ``code`` is done."""
    program = f"import atexit, sys\natexit.register(lambda: print(*sys.modules))\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_the_plugin_is_light_to_import(tmp_path):
    loaded = imports_of("import dask_quant.faces.cli", folder=tmp_path)
    assert "dask_quant.faces.cli" in loaded
    heavy = {"numpy", "numba", "dask", "distributed", "PIL", "zarr", "rich", "sklearn", "dask_ml"}
    assert loaded & heavy == set()


def test_a_small_image_needs_no_dask(tmp_path, cat):
    Image.fromarray(cat).save(tmp_path / "cat.png")
    command = "from dask_quant.faces.cli import main\nmain()"
    arguments = ["quantize", "cat.png", "-o", "out.png", "-k", "5", "--quiet"]
    loaded = imports_of(command, *arguments, folder=tmp_path)
    assert {"numpy", "numba", "PIL", "dask_quant.flow"} <= loaded
    heavy = {"dask.array", "distributed", "zarr", "sklearn", "dask_ml", "rich", "scipy.linalg"}
    heavy |= {"fsspec", "asyncio", "sqlite3", "dask_quant.routes.page"}
    assert loaded & heavy == set()
    assert (tmp_path / "out.png").is_file()


@pytest.mark.parametrize("palettes", [[], ["--per-image"]], ids=["shared", "each"])
def test_a_folder_of_files_needs_no_arrays_of_dask(tmp_path, cat, palettes):
    (tmp_path / "in").mkdir()
    Image.fromarray(cat).save(tmp_path / "in" / "cat.png")
    command = "from dask_quant.faces.cli import main\nmain()"
    arguments = ["quantize", "in", "-o", "out", "-k", "5", "--quiet", *palettes]
    loaded = imports_of(command, *arguments, folder=tmp_path)
    assert {"dask", "numba", "dask_quant.collection.work"} <= loaded
    heavy = {"dask.array", "distributed", "zarr", "sklearn", "dask_ml", "rich"}
    heavy |= {"fsspec", "asyncio", "dask_quant.routes.page"}
    assert loaded & heavy == set()
    assert (tmp_path / "out" / "cat.png").is_file()


def test_the_installed_commands_are_there(spawn, tmp_path, cat):
    (tmp_path / "in").mkdir()
    Image.fromarray(cat).save(tmp_path / "in" / "cat.png")
    version = spawn("--version")
    assert (version.code, version.out.split()[-1]) == (0, dask_quant.__version__)
    mine = spawn("quantize", "in", "-o", "mine", "-k3", "--json")
    plugin = spawn("quant", "quantize", "in", "-o", "plugin", "-k3", "--json", program="dask")
    assert mine.json["palette"] == plugin.json["palette"]
    same = [(tmp_path / out / "cat.png").read_bytes() for out in ("mine", "plugin")]
    assert same[0] == same[1]
    broken = spawn("quant", "info", "none.png", "--json", program="dask")
    assert (broken.code, json.loads(broken.out)["error"]["type"]) == (1, "SourceNotFoundError")
    assert broken.err == "error: Cannot read none.png: there is no such file or folder.\n"


def test_names_that_are_not_unicode_are_files_like_others(spawn, tmp_path, cat):
    folder = os.fsencode(tmp_path) + b"/in"
    os.mkdir(folder)
    for name in (b"caf\xe9.png", b"line\nbreak.png"):
        with open(os.path.join(folder, name), "wb") as file:
            Image.fromarray(cat).save(file, "PNG")
    with open(os.path.join(folder, b"torn\xff.png"), "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n torn")
    done = spawn("quantize", b"in", "-o", b"out\xfe", "-k3", "--json")
    assert done.code == 3, done.err
    assert sorted(os.listdir(os.fsencode(tmp_path) + b"/out\xfe")) == [
        b".dask-quant",
        b"caf\xe9.png",
        b"line\nbreak.png",
        b"manifest.jsonl",
    ]
    (line,) = done.lines
    assert "torn\\udcff.png" in line
    assert os.fsencode(done.json["quarantined"][0]["path"]) == b"in/torn\xff.png"
    one = spawn("quantize", b"in/caf\xe9.png", "-o", b"one\xe9.png", "-k3")
    assert one.code == 0
    assert b"one\xe9.png" in os.listdir(os.fsencode(tmp_path))


def test_workers_give_the_bytes_of_threads(spawn, tmp_path, store):
    done = [
        spawn("quantize", store, "-o", f"{name}.zarr", "-k6", "--json", *options)
        for name, options in (("threads", []), ("workers", ["--workers", "2"]))
    ]
    reports = [entry.json for entry in done]
    for field in ("palette", "counts", "mse", "inertia", "n_iter", "output_bytes"):
        assert reports[0][field] == reports[1][field], field
    assert [entry.err for entry in done] == ["", ""]
    assert reports[1]["peak_rss_bytes"] > reports[0]["peak_rss_bytes"] + 100e6
    files = [
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "threads.zarr", tmp_path / "workers.zarr")
    ]
    assert files[0] == files[1] != {}


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A store of 16 million random pixels of 512 colours: its labels take a while to compress."""
    path = tmp_path_factory.mktemp("noise") / "noise.zarr"
    codes = np.random.default_rng(1).integers(0, 512, (4000, 4000), dtype=np.uint16)
    array = zarr.create_array(
        path, shape=(4000, 4000, 3), chunks=(500, 4000, 3), dtype=np.uint8, compressors=None
    )
    array[:] = np.stack([codes % 8 * 30, codes // 8 % 8 * 30, codes // 64 * 30], axis=-1)
    return path


@pytest.fixture
def launch(tmp_path):
    """Return a function that starts the command, in a process group as a shell would."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [str(SCRIPT), *map(str, arguments)],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_for(process, condition):
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.002)


def assert_interrupted(process, number, as_json=False):
    """Check exit code and words, and that no process of the group is left."""
    out, err = process.communicate(timeout=TIMEOUT_S)
    word = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}[number]
    assert process.returncode == 128 + number, err
    lines = err.decode().splitlines()
    assert len(lines) == 1, lines
    (line,) = lines
    assert line.startswith(f"error: {word}; ")
    if as_json:
        assert json.loads(out)["error"]["message"] == line.removeprefix("error: ")
    else:
        assert out == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_reading_standard_input(number, launch, tmp_path):
    process = launch("quantize", "-", "-o", "out.png", "--json")
    process.stdin.write(b"\x89PNG")
    process.stdin.flush()

    def has_read():
        left = fcntl.ioctl(process.stdin, termios.FIONREAD, b"\0" * 4)
        return struct.unpack("i", left) == (0,)

    wait_for(process, has_read)
    process.send_signal(number)
    assert_interrupted(process, number, as_json=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "name", "options"),
    [
        (signal.SIGINT, "out.png", []),
        (signal.SIGTERM, "out.zarr", []),
        (signal.SIGINT, "out.zarr", ["--workers", "2"]),
        (signal.SIGTERM, "out.png", ["--workers", "2"]),
    ],
)
def test_a_signal_while_writing_leaves_nothing(number, name, options, noise, launch, tmp_path):
    fast = ["-k", "200", "--n-init", "1", "--max-iter", "1", "--chunks", "500,4000"]
    process = launch("quantize", noise, "-o", name, *fast, *options)
    wait_for(process, lambda: list(tmp_path.glob(f".{name}.*.partial")))
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= len(options)
    assert process.poll() is None
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as Ctrl-C does, workers included
    else:
        process.send_signal(number)
    assert_interrupted(process, number)
    assert list(tmp_path.iterdir()) == []
    assert psutil.wait_procs(family, TIMEOUT_S)[1] == []
