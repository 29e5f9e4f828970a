"""Secrets of stores and of addresses: where a job runs, and what it says, none is told."""

import json
import os
import subprocess
import sys

import pytest
import s3_server

import dask_quant as dq
from dask_quant.errors import SourceError

DRIVER = """
import json, sys
import dask_quant as dq
from distributed import Client, LocalCluster

def list_tasks(dask_scheduler):
    return list(dask_scheduler.tasks)

if __name__ == "__main__":
    seen = set()
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            def listen(event):
                print(event, file=sys.stderr)
                seen.update(client.run_on_scheduler(list_tasks))
            for options in json.loads(sys.argv[1]):
                try:
                    report = dq.quantize(**options, n_colors=5, listener=listen)
                    print(json.dumps(report.to_json()))
                    print(repr(report))
                except dq.DaskQuantError as error:
                    print("failed:", error)
            print("board:", json.dumps(dq.read_jobs(client)))
    print(*(f"task: {key}" for key in seen), sep="\\n")
"""

LOGGING = """
logging:
  version: 1
  handlers:
    file: {class: logging.FileHandler, filename: %s, level: DEBUG}
  root: {level: DEBUG, handlers: [file]}
"""

LOGIN, SIGNATURE = "canary-login-2b91", "canary-signature-88d0"


@pytest.fixture
def said(bucket, photo_path, tmp_path):
    """All that two jobs on a cluster said, by where: one goes well but for two images."""
    for name in ("a.jpg", "web.jpg"):
        bucket.put(f"photos/{name}", data=photo_path.read_bytes())
    bucket.misbehave = lambda method, path, times: (
        "403" if method == "PUT" and path.endswith("refused/web.png") else ""
    )
    web = f"http://me:{LOGIN}@{bucket.url.removeprefix('http://')}/scans/photos"
    sources = [
        "s3://scans/photos/a.jpg",
        f"{web}/web.jpg?sig={SIGNATURE}",
        f"{web}/gone.jpg?sig={SIGNATURE}",
        f"s3://me:{LOGIN}@scans/photos/b.jpg",
    ]
    jobs = [{"sources": sources, "out": f"s3://scans/{out}/"} for out in ("out", "refused")]
    jobs[0]["report"] = str(tmp_path / "report.html")
    (tmp_path / "dask.yaml").write_text(LOGGING % (tmp_path / "debug.log"))
    (tmp_path / "driver.py").write_text(DRIVER)
    done = subprocess.run(
        [sys.executable, tmp_path / "driver.py", json.dumps(jobs)],
        env={**os.environ, "DASK_CONFIG": str(tmp_path / "dask.yaml")},
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    kept = [key for key in bucket.list_keys() if not key.startswith("photos/")]
    return {
        "stdout": done.stdout,
        "stderr": done.stderr,
        "logs": (tmp_path / "debug.log").read_bytes(),
        "page": (tmp_path / "report.html").read_bytes(),
        **{key: bucket.read(key) for key in kept},
    }


def test_no_secret_is_told_anywhere(said, bucket):
    told = said["stdout"].decode().splitlines()
    report = json.loads(told[0])
    assert report["n_images"] == 2
    web = bucket.url.replace("http://", "http://***@")
    assert {each["path"] for each in report["quarantined"]} == {
        f"{web}/scans/photos/gone.jpg?***",
        "s3://***@scans/photos/b.jpg",
    }
    refused = "failed: Cannot write s3://scans/refused/web.png: permission denied"
    assert any(line.startswith(refused) for line in told)
    (board,) = (line.removeprefix("board: ") for line in told if line.startswith("board: "))
    failed, done = json.loads(board)
    assert (done["status"], failed["status"]) == ("done", "failed")
    assert f"{web}/scans/photos/web.jpg?***" in done["call"]
    assert b"Compute Failed" in said["logs"]
    assert any(line.startswith("task: do_task-") for line in told)
    for name in ("out/a.png", "out/web.png", "out/manifest.jsonl", "out/.dask-quant/job.json"):
        assert name in said
    for secret in (s3_server.SECRET, LOGIN, SIGNATURE):
        assert [name for name, text in said.items() if secret.encode() in text] == []


def test_a_login_in_the_address_of_outputs_is_used_and_not_told(memory_url, photo_path, tmp_path):
    out, page = memory_url.replace("://", f"://me:{LOGIN}@") + "/out", tmp_path / "report.html"
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(photo_path.read_bytes())
    report = dq.quantize(tmp_path / "photos", out, n_colors=3, report=page)
    assert report.outputs == ("memory://***@scans/out/a.png",)
    text = page.read_text()
    assert text.count("<img") == 2
    assert LOGIN not in text + repr(report) + json.dumps(report.to_json())
    with pytest.raises(SourceError, match="ask the job itself"):
        dq.write_report(report, tmp_path / "again.html")
