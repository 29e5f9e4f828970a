"""Workers of a running cluster are asked for their software and their files before a job begins."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
from distributed import Client
from PIL import Image

import dask_quant as dq
from dask_quant import worker_check
from dask_quant.cluster import open_client
from dask_quant.errors import ClusterError, OptionError, WorkerVersionWarning
from dask_quant.options import ClusterOptions

PROGRAM = """
import importlib.metadata, importlib.util, os, sys
{change}
from distributed.cli.dask_{role} import main
if __name__ == "__main__":
    main(sys.argv[1:])
"""

BARE = """
class Hide:
    def find_spec(self, name, path=None, target=None):
        is_sent = any(each.endswith("dask_quant.zip") for each in sys.path)
        if name == "dask_quant" and not is_sent:
            raise ModuleNotFoundError(name)
sys.meta_path[:] = [each for each in sys.meta_path if "editable" not in str(each).lower()]
sys.meta_path.insert(0, Hide())
"""
"""A worker in whose environment dask_quant is not installed."""

OTHER_VERSION = """
real = importlib.metadata.version
def version(name):
    if name == "{name}":
        {instead}
    return real(name)
importlib.metadata.version = version
"""


@pytest.fixture
def start_worker(tmp_path):
    """Return a function that yields the address of a scheduler with one changed worker."""

    def run(role, change, *arguments):
        program = tmp_path / f"{role}.py"
        program.write_text(PROGRAM.format(role=role, change=change))
        environment = dict(os.environ)
        if change == BARE:
            environment.pop("PYTHONPATH", None)
        shared = ["--host=127.0.0.1", "--no-dashboard", "--dashboard-address=127.0.0.1:0"]
        return subprocess.Popen(
            [sys.executable, str(program), *arguments, *shared],
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=tmp_path,
        )

    @contextmanager
    def start(change, at_scheduler=None):
        file, scratch = tmp_path / "scheduler.json", tmp_path / "scratch"
        named = f"--scheduler-file={file}"
        local = [f"--local-directory={scratch}", "--no-nanny", "--nthreads=1"]
        processes = [
            # Code that is sent to workers is sent to the scheduler, too.
            run("scheduler", at_scheduler or (BARE if change == BARE else ""), named, "--port=0"),
            run("worker", change, named, *local),
        ]
        try:
            while not file.exists():
                assert processes[0].poll() is None, "the scheduler ended"
                time.sleep(0.05)
            yield json.loads(file.read_text())["address"]
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait(30)

    return start


def test_a_worker_without_dask_quant_is_told_of_with_the_way_out(start_worker):
    message = r"has no dask_quant; install .*--upload-code"
    with start_worker(BARE) as address, pytest.raises(ClusterError, match=message) as caught:
        open_client(ClusterOptions(scheduler=address)).__enter__()
    assert "\n" not in str(caught.value)


def test_a_scheduler_without_dask_quant_is_told_of_and_sent_it(start_worker, photo_path, tmp_path):
    message = r"The scheduler tcp://.* has no dask_quant; install .*--upload-code"
    with start_worker("", BARE) as address:
        with pytest.raises(ClusterError, match=message):
            open_client(ClusterOptions(scheduler=address)).__enter__()
        options = ClusterOptions(scheduler=address, upload_code=True)
        dq.quantize(photo_path, tmp_path / "out.png", n_colors=4, cluster=options)
        (job,) = dq.read_jobs(ClusterOptions(scheduler=address))
        assert (job["command"], job["status"]) == ("quantize", "done")
    assert (tmp_path / "out.png").exists()


def test_code_that_is_sent_does_the_job(start_worker, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    dq.quantize(tmp_path / "a.png", tmp_path / "here.png", n_colors=4)
    with start_worker(BARE) as address:
        options = ClusterOptions(scheduler=address, upload_code=True)
        dq.quantize(tmp_path / "a.png", tmp_path / "there.png", n_colors=4, cluster=options)
        with Client(address) as client:
            (place,) = client.run(lambda: sys.modules["dask_quant"].__file__).values()
        assert place.endswith(os.path.join("dask_quant.zip", "dask_quant", "__init__.py"))
    assert (tmp_path / "there.png").read_bytes() == (tmp_path / "here.png").read_bytes()


def test_code_is_not_sent_where_it_is(start_worker, tmp_path):
    with start_worker("") as address:
        options = ClusterOptions(scheduler=address, upload_code=True)
        with open_client(options) as client:
            (place,) = client.run(lambda: __import__("dask_quant").__file__).values()
            assert not worker_check.upload_code(client)
    assert ".zip" not in place


def test_sent_code_is_the_same_bytes_each_time():
    assert worker_check._pack_code() == worker_check._pack_code()


def test_code_is_only_sent_to_a_running_cluster():
    with pytest.raises(OptionError, match="without a scheduler"):
        ClusterOptions(workers=2, upload_code=True)


def test_a_missing_package_is_told_of(start_worker):
    change = OTHER_VERSION.format(
        name="numba", instead="raise importlib.metadata.PackageNotFoundError(name)"
    )
    message = r"lacks numba; install numba==\d.* there"
    with start_worker(change) as address, pytest.raises(ClusterError, match=message):
        open_client(ClusterOptions(scheduler=address, upload_code=True)).__enter__()


def test_another_version_of_a_package_is_a_warning(start_worker):
    change = OTHER_VERSION.format(name="zarr", instead="return '0.1'")
    with start_worker(change) as address:
        options = ClusterOptions(scheduler=address)
        message = r"has zarr 0\.1, this process has zarr \d"
        with pytest.warns(WorkerVersionWarning, match=message), open_client(options) as client:
            assert client.submit(sum, [1, 2]).result() == 3


@pytest.mark.parametrize(
    ("there", "message"),
    [
        ({"python": "3.8"}, r"has Python 3\.8, this process has 3.11, whose code"),
        (
            {"dask_quant": "9.9"},
            r"has dask_quant 9\.9, this process has .* on scheduler and workers",
        ),
    ],
)
def test_other_versions_that_do_not_go_together_are_refused(monkeypatch, there, message):
    here = worker_check._make_report()() | {"python": "3.11"}
    monkeypatch.setattr(worker_check, "_make_report", lambda: lambda: here)
    fine, other = [("scheduler tcp://a:1", here)], [("scheduler tcp://a:1", here | there)]
    monkeypatch.setattr(worker_check, "_ask_scheduler", lambda client: fine)
    monkeypatch.setattr(worker_check, "_ask", lambda client: {"worker tcp://a:2": here | there})
    with pytest.raises(ClusterError, match=f"The worker tcp://a:2 {message}"):
        worker_check.check_software(None)
    monkeypatch.setattr(worker_check, "_ask_scheduler", lambda client: other)
    with pytest.raises(ClusterError, match=f"The scheduler tcp://a:1 {message}"):
        worker_check.check_software(None)


# --- Files.


BLIND = """
import builtins
real_isdir, real_isfile = os.path.isdir, os.path.isfile
os.path.isdir = lambda path: "{hidden}" not in str(path) and real_isdir(path)
os.path.isfile = lambda path: "{hidden}" not in str(path) and real_isfile(path)
"""
"""A worker whose disk lacks some of what is on that of the others."""


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(1)
    (tmp_path / "shots").mkdir()
    for number in range(3):
        pixels = rng.integers(0, 256, (8, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "shots" / f"{number}.png")
    return tmp_path / "shots"


@pytest.mark.parametrize(
    ("hidden", "what"), [("shots", "shots, which is to be read"), ("scratch-", "was just made")]
)
def test_a_folder_that_workers_do_not_see_ends_a_collection(
    start_worker, pictures, tmp_path, hidden, what
):
    message = f"does not see .*{what}; use a path that all"
    with start_worker(BLIND.format(hidden=hidden)) as address:
        options = ClusterOptions(scheduler=address)
        with pytest.raises(ClusterError, match=message):
            dq.quantize(pictures, tmp_path / "out", n_colors=4, cluster=options)
    assert not list(tmp_path.glob("out/**/*.png"))


@pytest.mark.parametrize(
    ("hidden", "what"), [("0.png", "which is to be read"), (".dask-quant-seen", "just written")]
)
def test_a_file_that_workers_do_not_see_ends_a_job(start_worker, pictures, tmp_path, hidden, what):
    out = tmp_path / "out.png"
    with start_worker(BLIND.format(hidden=hidden)) as address:
        options = ClusterOptions(scheduler=address)
        with pytest.raises(ClusterError, match=f"does not see .*{what}"):
            dq.quantize(pictures / "0.png", out, n_colors=4, cluster=options)
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".png"]
    assert not list(tmp_path.glob(".dask-quant-*"))


def test_a_file_of_another_size_is_another_file(tmp_path):
    from dask_quant.routes.visibility import _Sight, find_unseen

    path = tmp_path / "a.png"
    path.write_bytes(b"1234")
    assert find_unseen([_Sight(str(path), 4), _Sight(str(tmp_path), None)]) is None
    assert find_unseen([_Sight(str(tmp_path), None), _Sight(str(path), 5)]) == str(path)
    assert find_unseen([_Sight(str(path), None)]) == str(path)


def test_what_workers_see_is_worked_on(start_worker, pictures, tmp_path):
    with start_worker("") as address:
        options = ClusterOptions(scheduler=address)
        assert dq.quantize(pictures, tmp_path / "out", n_colors=4, cluster=options).n_images == 3
        dq.quantize(pictures / "0.png", tmp_path / "out.png", n_colors=4, cluster=options)
    assert not list(tmp_path.glob(".dask-quant-seen*"))
