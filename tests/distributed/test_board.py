"""Jobs on clusters, and what the board of the scheduler tells of them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import pytest
from distributed import Client, LocalCluster

import dask_quant as dq
from dask_quant import board_client
from dask_quant.board import CANCELLED, DONE, FAILED, LOST_DRIVER, RUNNING
from dask_quant.errors import ClusterError, JobError, OutputExistsError
from dask_quant.events import Event, Notice
from dask_quant.options import ClusterOptions

TIMEOUT_S = 60
SAME = ("n_images", "n_pixels", "input_bytes", "output_bytes", "n_colors", "mse", "palette")
LOGIN = "canary-login-7e21"


def wait_until(condition):
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def find_newest(client):
    return dq.read_jobs(client)[0]


def test_the_board_tells_the_numbers_of_the_report(client, folder, tmp_path):
    (folder / "broken.png").write_bytes(b"no picture")
    try:
        report = dq.quantize(folder, tmp_path / "out", n_colors=6).to_json()
    finally:
        (folder / "broken.png").unlink()
    job = find_newest(client)
    assert {key: job[key] for key in SAME} == {key: report[key] for key in SAME}
    assert job["n_pixels"] > 0
    assert (job["n_quarantined"], len(report["quarantined"])) == (1, 1)
    assert (job["status"], job["outcome"]) == (DONE, "Done; 1 inputs were set aside.")
    assert job["started"] < job["ended"] <= job["updated"]
    stages = {stage["name"]: stage for stage in job["stages"]}
    assert {"count", "fit", "relabel"} <= set(stages)
    assert (stages["count"]["done"], stages["count"]["total"], stages["count"]["unit"]) == (
        *(13, 13),
        "images",
    )
    assert all(stage["ended"] and stage["rate"] > 0 for stage in stages.values() if stage["total"])
    assert stages["relabel"]["history"]
    errors = [error for _, error in job["errors"]]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == pytest.approx(report["mse"], rel=0.05)
    assert job["driver"]["pid"] == os.getpid()
    assert job["driver"]["client"] == client.id
    assert job["call"].startswith("quantize(")
    assert job["call"].endswith("n_colors=6)")


def test_one_image_and_classes_are_told_of_as_well(client, store, raster, tmp_path):
    report = dq.quantize(store, tmp_path / "a.zarr", n_colors=4)
    job = find_newest(client)
    assert (job["command"], job["status"]) == ("quantize", DONE)
    assert (job["n_pixels"], job["mse"]) == (report.n_pixels, report.mse)
    assert [(stage["name"], stage["unit"]) for stage in job["stages"]][:2] == [
        ("count", "px"),
        ("fit", "rounds"),
    ]
    classes = dq.segment(raster, tmp_path / "c.zarr", n_clusters=3)
    job = find_newest(client)
    assert (job["command"], job["status"]) == ("segment", DONE)
    assert (job["n_pixels"], job["output_bytes"]) == (classes.n_pixels, classes.output_bytes)


def test_a_job_is_seen_while_it_runs(client, folder, tmp_path):
    seen = []

    def listen(event):
        if isinstance(event, Event) and event.stage == "relabel" and 0 < event.done < event.total:
            wait_until(lambda: find_newest(client)["stages"][-1]["done"] == event.done)
            seen.append(find_newest(client))

    dq.quantize(folder, tmp_path / "out", n_colors=6, listener=listen)
    assert seen
    assert {job["status"] for job in seen} == {RUNNING}
    assert {job["stages"][-1]["name"] for job in seen} == {"relabel"}
    assert all(len(job["palette"]) == 6 for job in seen)
    assert all(0 < job["n_images"] < 12 for job in seen)
    assert all(job["stages"][-1]["remaining_s"] > 0 for job in seen)
    assert all(job["ended"] is None and job["outcome"] is None for job in seen)


def test_a_job_that_fails_says_why(client, folder, tmp_path):
    (folder / "broken.png").write_bytes(b"no picture")
    try:
        with pytest.raises(JobError) as caught:
            dq.quantize(folder, tmp_path / "out", n_colors=3, strict=True)
    finally:
        (folder / "broken.png").unlink()
    job = find_newest(client)
    assert (job["status"], job["outcome"]) == (FAILED, f"JobError: {caught.value}")


def test_a_job_that_is_interrupted_was_cancelled(client, folder, tmp_path):
    def interrupt(event):
        if isinstance(event, Event) and event.stage == "relabel":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dq.quantize(folder, tmp_path / "out", n_colors=3, listener=interrupt)
    assert find_newest(client)["status"] == CANCELLED


def test_a_job_is_found_by_the_beginning_of_its_name(client, photo, tmp_path):
    names = []
    for number in range(2):
        dq.quantize(photo, tmp_path / f"{number}.png", n_colors=2)
        names.append(find_newest(client)["name"])
    assert len(set(names)) == 2
    for name in names:
        assert dq.read_job(client, name)["name"] == name
    others = {job["name"] for job in dq.read_jobs(client)} - {names[0]}
    beginnings = (names[0][:end] for end in range(1, len(names[0]) + 1))
    alone = next(text for text in beginnings if not any(o.startswith(text) for o in others))
    assert dq.read_job(client, alone)["name"] == names[0]
    with pytest.raises(JobError, match=f"could be: .*{names[1]}"):
        dq.read_job(client, "quantize-")
    with pytest.raises(JobError, match=r"is none of the jobs on the board: .*quantize-"):
        dq.read_job(client, "nothing")


def test_what_is_read_holds_no_more_than_json_and_is_not_the_boards_own(client, photo, tmp_path):
    dq.quantize(photo, tmp_path / "a.png", n_colors=2)
    first = dq.read_jobs(client)
    assert json.loads(json.dumps(first)) == first
    first[0]["stages"].clear()
    assert find_newest(client)["stages"]


def test_a_cluster_of_one_job_has_a_page_where_it_has_a_dashboard(photo, tmp_path):
    heard, pages = [], {}

    def listen(event):
        heard.append(event)
        if isinstance(event, Notice) and event.message.startswith("Jobs: "):
            link = event.message.removeprefix("Jobs: ")
            for path in ("", "/", "/jobs.json"):
                with urllib.request.urlopen(link + path, timeout=TIMEOUT_S) as answer:
                    pages[path] = SimpleNamespace(headers=answer.headers, text=answer.read())

    cluster = ClusterOptions(workers=1, dashboard=True)
    dq.quantize(photo, tmp_path / "a.png", n_colors=2, cluster=cluster, listener=listen)
    said = [event.message for event in heard if isinstance(event, Notice)]
    host = said[0].removeprefix("Dashboard: ").removesuffix("/status")
    assert said == [f"Dashboard: {host}/status", f"Jobs: {host}/dask-quant"]
    assert pages[""].text == pages["/"].text
    assert b"<h1>Jobs</h1>" in pages[""].text
    assert "default-src 'none'" in pages[""].headers["Content-Security-Policy"]
    assert pages["/jobs.json"].headers["Cache-Control"] == "no-store"
    assert "jobs" in json.loads(pages["/jobs.json"].text)


def test_a_cluster_of_one_job_without_a_dashboard_has_no_board(photo, tmp_path, monkeypatch):
    monkeypatch.setattr(board_client, "_open_teller", None)  # calling it fails
    dq.quantize(photo, tmp_path / "a.png", n_colors=2, cluster=ClusterOptions(workers=1))
    one = LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0")
    with one, Client(one), pytest.raises(TypeError, match="not callable"):
        dq.quantize(photo, tmp_path / "b.png", n_colors=2)


# -- schedulers as processes of their own ----------------------------------------------------------

OLDER_PACKAGE = "import sys\nsys.modules['dask_quant.dashboard'] = None\n"


@contextmanager
def running(command, **environment):
    """Run a program in a session of its own; end all of it afterwards."""
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):  # it was killed by its test
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@contextmanager
def running_scheduler(folder, *options, **environment):
    """Run a scheduler of its own process, with a worker; gives the file that tells where it is."""
    file = folder / "scheduler.json"
    place = ("--host=127.0.0.1", "--port=0", "--dashboard-address=127.0.0.1:0")
    scheduler = ("-m", "dask", "scheduler", *place, f"--scheduler-file={file}", *options)
    worker = ("-m", "dask", "worker", f"--scheduler-file={file}", "--host=127.0.0.1")
    worker += ("--dashboard-address=127.0.0.1:0", "--nthreads=1", f"--local-directory={folder}")
    with running(scheduler, **environment):
        wait_until(file.exists)
        with running(worker):
            yield file


def fetch(client, path):
    link = client.dashboard_link.removesuffix("/status")
    with urllib.request.urlopen(link + path, timeout=TIMEOUT_S) as answer:
        return answer.read().decode()


def run_command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "dask_quant.faces.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


@pytest.fixture(scope="module")
def preloaded(tmp_path_factory):
    """The file of a scheduler that has its board from the start, and lets clients add no plugin.

    Its dashboard is below a prefix.
    """
    preload = ("--preload", "dask_quant.dashboard", "--dashboard-prefix", "/site")
    blocked = {"DASK_DISTRIBUTED__SCHEDULER__BLOCKED_HANDLERS": "['register_scheduler_plugin']"}
    with running_scheduler(tmp_path_factory.mktemp("preloaded"), *preload, **blocked) as file:
        yield file


def test_a_preloaded_board_is_there_before_any_job_and_after_a_command(
    preloaded, photo_path, tmp_path
):
    cluster = ClusterOptions(scheduler_file=preloaded)
    assert dq.read_jobs(cluster) == []
    web = f"http://me:{LOGIN}@127.0.0.1:9/gone.jpg?sig={LOGIN}"
    where = ("--scheduler-file", preloaded, "-k", 4)
    done = run_command("quantize", photo_path, web, "-o", tmp_path / "out", *where)
    assert done.returncode == 3, done.stderr
    assert "on no board" not in done.stderr
    (job,) = dq.read_jobs(cluster)
    assert job["status"] == DONE
    assert job["n_quarantined"] == 1
    assert job["call"].startswith("dask-quant quantize ")
    assert f"-o {tmp_path}/out --scheduler-file {preloaded}" in job["call"]
    with Client(scheduler_file=str(preloaded)) as client:
        told = json.loads(fetch(client, "/site/dask-quant/jobs.json"))["jobs"]
        assert [each["name"] for each in told] == [job["name"]]
        assert "<h1>Jobs</h1>" in fetch(client, "/site/dask-quant")
        assert LOGIN not in json.dumps(told)
    assert dq.read_job(cluster, job["name"])["mse"] == job["mse"]


DRIVER = """
import sys, time
import dask_quant as dq
from dask_quant.events import Event

def listen(event):
    if isinstance(event, Event) and event.stage == "relabel":
        print("relabels", flush=True)
        time.sleep(600)

if __name__ == "__main__":
    cluster = dq.ClusterOptions(scheduler_file=sys.argv[2])
    dq.quantize(sys.argv[1], sys.argv[3], n_colors=3, cluster=cluster, listener=listen)
"""


def test_a_driver_that_is_killed_has_failed(preloaded, photo_path, tmp_path):
    (tmp_path / "driver.py").write_text(DRIVER)
    cluster = ClusterOptions(scheduler_file=preloaded)
    command = (tmp_path / "driver.py", photo_path, preloaded, tmp_path / "out.png")
    with running(command) as process:
        assert process.stdout.readline() == "relabels\n"

        def find():
            jobs = dq.read_jobs(cluster)
            return next((job for job in jobs if job["driver"]["pid"] == process.pid), None)

        wait_until(lambda: (find() or {}).get("status") == RUNNING)
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_until(lambda: find()["status"] == FAILED)
        assert find()["outcome"] == LOST_DRIVER


def test_a_scheduler_that_can_have_no_board_costs_a_job_one_line(photo_path, tmp_path):
    (tmp_path / "older.py").write_text(OLDER_PACKAGE)
    with running_scheduler(tmp_path, "--preload", tmp_path / "older.py") as file:
        where = ("--scheduler-file", file, "-k", 4)
        done = run_command("quantize", photo_path, "-o", tmp_path / "out.png", *where)
        assert done.returncode == 0, done.stderr
        said, summary = done.stderr.splitlines()
        assert said.startswith("This job is on no board, for the scheduler has none (ModuleNotF")
        assert said.endswith("dask scheduler --preload dask_quant.dashboard")
        assert summary.startswith("1 image in 4 of ")
        with pytest.raises(ClusterError, match="keeps no board of jobs; start it with: dask sch"):
            dq.read_jobs(ClusterOptions(scheduler_file=file))


# -- Dask's own report ----------------------------------------------------------------------


def test_a_performance_report_is_of_the_job_and_tells_no_secret(client, folder, tmp_path):
    page = tmp_path / "performance.html"
    options = {"cluster": ClusterOptions(performance_report=page), "n_colors": 3}
    sources = [folder, f"http://me:{LOGIN}@127.0.0.1:9/gone.jpg?sig={LOGIN}"]
    dq.quantize(sources, tmp_path / "out", **options)
    text = page.read_text()
    assert "Dask Performance Report" in text
    assert "do_task" in text
    assert "http://***@127.0.0.1:9/gone.jpg?***" in text
    assert LOGIN not in text
    assert [script for script in re.findall("<script[^>]*>", text) if "src" in script] == []
    before = page.read_bytes()
    with pytest.raises(OutputExistsError, match=r"performance\.html"):
        dq.quantize(sources, tmp_path / "again", **options)
    assert page.read_bytes() == before
