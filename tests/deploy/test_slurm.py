"""Jobs of `deploy/slurm` on the SLURM of a test."""

import re
import shutil
import time
from contextlib import suppress
from functools import partial

import psutil
import pytest
from deployments import Deployment, run_batch, submit
from same_job import digest_files, run_command
from slurm_cluster import running_slurm

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def slurm(needs):
    needs("slurm")
    with running_slurm() as cluster:
        yield cluster


def list_listening():
    """Return where the daemons and their jobs listen."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # those of a job that is done are ending
            found |= {
                connection.laddr.ip
                for connection in process.net_connections()
                if connection.status == psutil.CONN_LISTEN
            }
    return found


def list_jobs():
    """Return the commands of Python that run below this process."""
    commands = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            commands.append(process.cmdline())
    return [command for command in commands if "worker" in command or "quantize" in command]


def test_a_job_writes_what_threads_write(slurm, assert_same, tmp_path):
    assert_same(Deployment(partial(run_batch, slurm, tmp_path)))
    (log,) = tmp_path.glob("slurm-*.out")
    registered = set(re.findall(r"Register worker addr: (\S+):\d+", log.read_text()))
    assert registered == {"tls://127.0.0.1"}
    assert list_listening() == {"127.0.0.1"}
    assert list(tmp_path.glob(".dask-quant-*")) == []  # its keys
    assert list_jobs() == []


@pytest.fixture
def many(inputs, tmp_path):
    """Arguments of a job that takes a while: many images, a palette for each."""
    pieces = tmp_path / "pieces"
    pieces.mkdir()
    for number in range(6):
        for piece in (inputs / "pieces").iterdir():
            shutil.copy(piece, pieces / f"{number}-{piece.name}")
    return [str(pieces), "-k", "16", "--per-image"]


def submit_and_wait_for_output(slurm, folder, arguments):
    """Submit a job; return its number once it has written its first images."""
    job = submit(slurm, folder, [*arguments, "-o", str(folder / "out")])
    manifest = folder / "out" / "manifest.jsonl"
    deadline = time.monotonic() + 240
    while not manifest.exists() or manifest.stat().st_size == 0:
        assert slurm.describe_job(job)["JobState"] in ("PENDING", "RUNNING")
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return job


def test_a_cancelled_job_leaves_no_process_and_no_key(slurm, many, tmp_path):
    job = submit_and_wait_for_output(slurm, tmp_path, many)
    assert len(list_jobs()) >= 4  # batch script aside: scheduler, srun, workers, driver
    slurm.call("scancel", job)
    assert slurm.wait_for_job(job)["JobState"] == "CANCELLED"
    assert list_jobs() == []
    assert list(tmp_path.glob(".dask-quant-*")) == []
    assert len(list((tmp_path / "out").glob("*.png"))) < 36


def test_a_job_that_is_started_again_goes_on_where_it_was(slurm, many, tmp_path):
    job = submit_and_wait_for_output(slurm, tmp_path, many)
    slurm.call("scontrol", "requeue", job)
    deadline = time.monotonic() + 120
    while slurm.describe_job(job)["JobState"] != "PENDING":  # it is ended first
        assert time.monotonic() < deadline
        time.sleep(0.1)
    slurm.call("scontrol", "update", f"JobId={job}", "StartTime=now")  # not in two minutes
    found = slurm.wait_for_job(job)
    log = (tmp_path / f"slurm-{job}.out").read_text()
    assert (found["JobState"], found["Restarts"]) == ("COMPLETED", "1"), log
    run_command([*many, "-o", str(tmp_path / "threads"), "--scheduler=threads"])
    assert digest_files(tmp_path / "out") == digest_files(tmp_path / "threads")


def test_the_exit_code_of_the_command_is_that_of_the_job(slurm, tmp_path):
    job = submit(slurm, tmp_path, ["missing.png", "-o", "out.png"])
    found = slurm.wait_for_job(job)
    assert (found["JobState"], found["ExitCode"]) == ("FAILED", "1:0")
    assert "missing.png" in (tmp_path / f"slurm-{job}.out").read_text()
    assert list(tmp_path.glob(".dask-quant-*")) == []
