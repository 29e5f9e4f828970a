"""Jobs that workers drive: left, watched, ended, and gone on with where a worker dies."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from distributed import Client
from distributed import Event as Flag
from distributed.core import Status
from PIL import Image

import dask_quant as dq
from dask_quant import board_client, detached
from dask_quant.board import LOST_DRIVER
from dask_quant.errors import JobError
from dask_quant.faces.driver import go_on

FAR = "--scheduler=tcp://a:1"

CLI = (sys.executable, "-m", "dask_quant.faces.cli")


@contextmanager
def start_nannied(folder):
    """Give the address of a scheduler with two workers, each of which a nanny starts again."""
    file = folder / "scheduler.json"
    shared = ["--host=127.0.0.1", "--dashboard-address=127.0.0.1:0", f"--scheduler-file={file}"]
    local = ["--nworkers=2", "--nthreads=1", f"--local-directory={folder}"]
    processes = [
        subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_" + role, *more, *shared],
                         stderr=subprocess.DEVNULL, cwd=folder)
        for role, more in (("scheduler", ["--port=0"]), ("worker", local))
    ]  # fmt: skip
    while not file.exists():
        assert processes[0].poll() is None, "the scheduler ended"
        time.sleep(0.05)
    address = json.loads(file.read_text())["address"]
    with Client(address) as client:
        client.wait_for_workers(2)
    yield address
    for process in reversed(processes):
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The address of such a scheduler."""
    with start_nannied(tmp_path_factory.mktemp("cluster")) as address:
        yield address


@pytest.fixture
def client(cluster):
    with Client(cluster) as client:
        yield client


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A folder of pictures below the working directory."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for number in range(24):
        pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number:02}.png")
    return tmp_path / "in"


def read_pictures(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


def wait_until(condition):
    while not condition():
        time.sleep(0.05)


def run_cli(cluster, *arguments):
    done = subprocess.run(
        [*CLI, *arguments, f"--scheduler={cluster}"], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    return done


def find_driver(client, name):
    """Return the process that drives a job, once it tells of itself."""
    wait_until(lambda: board_client.read_job(client, name)["driver"])
    return psutil.Process(int(board_client.read_job(client, name)["driver"]["pid"]))


def test_a_job_is_left_watched_and_listed(cluster, pictures, tmp_path):
    given = ["quantize", "in", "-o", "out", "-k", "4", "--detach"]
    begin = run_cli(cluster, *given)
    name = begin.stdout.strip()
    assert begin.returncode == 0
    assert name.startswith("quantize-")
    assert f"dask-quant attach {name}" in begin.stderr
    end = run_cli(cluster, "attach", name)
    assert end.returncode == 0
    assert "is done; 24 images" in end.stderr
    listed = json.loads(run_cli(cluster, "jobs", "--json").stdout)["jobs"]
    assert [job["status"] for job in listed if job["name"] == name] == ["done"]
    assert name in run_cli(cluster, "jobs").stderr
    told = json.loads(run_cli(cluster, "status", name, "--json").stdout)
    assert (told["n_images"], told["status"], told["call"]) == (
        *(24, "done"),
        "dask-quant quantize in -o out -k 4 --scheduler=" + cluster,
    )
    dq.quantize(pictures, tmp_path / "here", n_colors=4)
    assert read_pictures(tmp_path / "out") == read_pictures(tmp_path / "here")


def test_a_job_whose_worker_is_killed_goes_on_elsewhere(client, pictures, tmp_path):
    arguments = ["quantize", "in", "-o", "out", "-k", "4", "--per-image", "--overwrite"]
    name = detached.submit_job(client, "quantize", arguments)
    driver = find_driver(client, name)
    wait_until(lambda: board_client.read_job(client, name)["stages"])
    worker = driver.parent()
    worker.kill()
    job = detached.follow_job(client, name)
    assert job["status"] == "done", job["outcome"]
    assert job["driver"]["pid"] != driver.pid
    assert not driver.is_running()
    dq.quantize(pictures, tmp_path / "here", n_colors=4, per_image=True)
    assert read_pictures(tmp_path / "out") == read_pictures(tmp_path / "here")
    assert len((tmp_path / "out" / "manifest.jsonl").read_text().splitlines()) == 24


def test_a_job_is_cancelled_and_gone_on_with(cluster, client, pictures, tmp_path):
    name = detached.submit_job(client, "quantize", ["quantize", "in", "-o", "out", "-k", "4"])
    driver = find_driver(client, name)
    wait_until(lambda: board_client.read_job(client, name)["stages"])
    done = run_cli(cluster, "cancel", name)
    assert done.returncode == 0
    assert f"{name} is cancelled" in done.stderr
    wait_until(lambda: not driver.is_running())
    assert run_cli(cluster, "attach", name).returncode == 130
    again = run_cli(cluster, "cancel", name)
    assert again.returncode == 1
    assert f"The job {name} does not run any more" in again.stderr
    dq.quantize(pictures, tmp_path / "out", n_colors=4, resume=True)
    assert len(read_pictures(tmp_path / "out")) == 24


@pytest.fixture
def busy(client):
    """Workers that have no thread left, until the test is over."""
    client.wait_for_workers(2)
    tasks = [client.submit(Flag("over").wait, pure=False) for _ in range(2)]
    wait_until(lambda: len(client.processing()) and all(client.processing().values()))
    yield
    Flag("over", client=client).set()
    client.gather(tasks)
    Flag("over", client=client).clear()


@pytest.mark.usefixtures("busy")
def test_a_job_that_has_not_begun_is_cancelled_at_once(cluster, client, pictures):
    arguments = ["quantize", "s3://me:secret@b/in", "-o", "out of it", "-k", "4"]
    name = detached.submit_job(client, "quantize", arguments)
    told = board_client.read_job(client, name)
    assert told["call"] == "dask-quant quantize 's3://***@b/in' -o 'out of it' -k 4"
    assert (
        "is cancelled; Cancelled while it had no driver" in run_cli(cluster, "cancel", name).stderr
    )
    assert detached.follow_job(client, name)["status"] == "cancelled"


def test_a_job_of_which_nothing_is_left_to_do_is_done(client, pictures, tmp_path):
    dq.quantize(pictures / "00.png", tmp_path / "out.png", n_colors=4, resume=True)
    before = (tmp_path / "out.png").stat()
    arguments = ["quantize", "in/00.png", "-o", "out.png", "-k", "4", "--resume"]
    job = detached.follow_job(client, detached.submit_job(client, "quantize", arguments))
    assert (job["status"], job["outcome"]) == ("done", "Done.")
    assert (tmp_path / "out.png").stat() == before


def test_a_command_that_cannot_be_resumed_is_begun_again(client, pictures, tmp_path):
    (tmp_path / "colors.gpl").write_text("old")
    arguments = ["palette", "in", "-o", "colors.gpl", "-k", "4", "--overwrite"]
    name = detached.submit_job(client, "palette", arguments)
    driver = find_driver(client, name)
    driver.parent().kill()
    job = detached.follow_job(client, name)
    assert job["status"] == "done", job["outcome"]
    dq.make_palette(pictures, tmp_path / "here.gpl", n_colors=4)
    assert dq.read_palette(tmp_path / "colors.gpl") == dq.read_palette(tmp_path / "here.gpl")


@pytest.mark.parametrize(
    ("state", "ends"),
    [("running", False), ("paused", False), ("closing_gracefully", False), ("closing", True)],
)
def test_a_driver_ends_with_its_worker_and_not_before(state, ends):
    task = SimpleNamespace(state="long-running")
    worker = SimpleNamespace(status=Status[state], state=SimpleNamespace(tasks={"wanted": task}))
    assert detached._is_cancelled(worker, "wanted") == ends
    assert detached._is_cancelled(worker, "given up")


def test_a_worker_that_is_sent_home_hands_its_driver_on(pictures, tmp_path):
    arguments = ["quantize", "in", "-o", "out", "-k", "4", "--per-image"]
    (tmp_path / "own").mkdir()
    with start_nannied(tmp_path / "own") as address, Client(address) as client:
        name = detached.submit_job(client, "quantize", arguments)
        driver = find_driver(client, name)
        wait_until(lambda: board_client.read_job(client, name)["stages"])
        (place,) = [each for each, pid in client.run(os.getpid).items() if pid == driver.ppid()]
        client.retire_workers([place])
        job = detached.follow_job(client, name)
    assert job["status"] == "done", job["outcome"]
    assert len(read_pictures(tmp_path / "out")) == 24


def test_a_job_that_nobody_drives_is_given_up(client):
    detached._put(client, {"name": "palette-1", "started": 1.0, "driver": {}})
    job = detached.follow_job(client, "palette-1")
    assert (job["status"], job["outcome"]) == ("failed", detached._NO_DRIVER)
    assert board_client.read_job(client, "palette-1")["status"] == "failed"


def test_a_job_whose_driver_could_not_tell_of_its_end_is_done(client):
    told = {"name": "palette-2", "started": 1.0, "status": "failed", "outcome": LOST_DRIVER}
    detached._put(client, told)
    detached._tell_end(client, "palette-2", "failed", "It ended with exit code 1.")
    assert board_client.read_job(client, "palette-2")["outcome"] == LOST_DRIVER
    detached._tell_end(client, "palette-2", "done", "Done.")
    assert board_client.read_job(client, "palette-2")["status"] == "done"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("quantize in -o out -k 4 --overwrite", "quantize --resume in -o out -k 4"),
        ("quantize in -o out --resume", "quantize in -o out --resume"),
        ("quantize in -o s3://b/out", "quantize --resume in -o s3://b/out"),
        ("quantize in -o new --overwrite", "quantize in -o new --overwrite"),
        ("quantize a.png -o a.gif --overwrite", "quantize a.png -o a.gif --overwrite"),
        ("quantize a.png -o old.zarr --overwrite", "quantize a.png -o old.zarr --overwrite"),
        ("apply in -o out --palette p.gpl", "apply --resume in -o out --palette p.gpl"),
        ("apply in -o out --model m.json", "apply in -o out --model m.json"),
        ("segment in -o out -k 4", "segment in -o out -k 4"),
        ("elbow in", "elbow in"),
    ],
)
def test_what_a_second_driver_is_asked_for(given, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "old.zarr").mkdir()
    assert go_on(given.split()) == expected.split()


def test_a_job_that_fails_before_it_begins_is_told_of(cluster, client, pictures):
    name = detached.submit_job(client, "quantize", ["quantize", "nowhere", "-o", "out"])
    job = detached.follow_job(client, name)
    assert job["status"] == "failed"
    assert "nowhere" in job["outcome"]
    done = run_cli(cluster, "attach", name)
    assert done.returncode == 1
    assert "nowhere" in done.stderr


def test_a_folder_that_workers_lack_is_told_of(client, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(os, "getcwd", lambda: str(gone))
    name = detached.submit_job(client, "quantize", ["quantize", "in", "-o", "out"])
    job = detached.follow_job(client, name)
    assert job["status"] == "failed"
    assert f"Cannot start a driver in {str(gone)!r}" in job["outcome"]


def test_a_job_that_another_process_drives_is_not_cancelled(client):
    driver = {"pid": 3, "host": "h", "client": "Client-1"}
    detached._put(client, {"name": "palette-0", "started": 1.0, "driver": driver})
    with pytest.raises(JobError, match="no task of the cluster but process 3 on h; interrupt"):
        detached.cancel_job(client, "palette-0")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["quantize", "in", "-o", "out", "--detach"], "Got --detach without --scheduler"),
        (["quantize", "-", "-o", "out", "--detach", FAR], "standard input"),
        (["info", "in", "--detach", FAR], "only prints (info)"),
        (["elbow", "in", "--detach", FAR], "only prints (elbow)"),
        (
            ["quantize", "in", "-o", "o", "--dry-run", "--detach", "--scheduler=tcp://a:1"],
            "only prints",
        ),
        (["jobs"], "scheduler"),
    ],
)
def test_what_cannot_be_left_is_refused(arguments, words, tmp_path):
    done = subprocess.run(
        [*CLI, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_driver_ends_when_what_started_it_is_gone():
    child = "import sys; from dask_quant.faces import driver; driver._end_with(int(sys.argv[1]))"
    parent = f"""
import os, subprocess, sys
started = [sys.executable, "-c", {child!r}, str(os.getpid())]
print(subprocess.Popen(started, stdout=subprocess.DEVNULL).pid, flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, check=True
    )
    pid = int(done.stdout)
    wait_until(lambda: not psutil.pid_exists(pid))
