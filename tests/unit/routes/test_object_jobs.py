"""Whole jobs on collections in object stores: the same files as on disk, whatever goes wrong."""

import io
import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import dask_quant as dq
from dask_quant.collection import remote_output
from dask_quant.errors import JobError, OutputExistsError
from dask_quant.faces.cli import cli
from dask_quant.sinks import object_lock

pytestmark = pytest.mark.usefixtures("no_waiting")

MODES = {
    "shared": {},
    "each": {"per_image": True},
    "groups": {"group_by": "folder"},
    "families": {"group_by": "colors", "target_psnr": 28},
}

KEPT = [".dask-quant/job.json", ".dask-quant/outcome.json", "manifest.jsonl"]
"""What a job with one palette leaves beside its outputs."""

SOURCES, OUT = "s3://scans/photos/", "s3://scans/out/"


def draw(seed):
    """A small picture, PNG: a slope of two colours and noise of its own."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:20, : 24 + seed]
    slope = np.stack([5 * x, 9 * y, 3 * (x + y) + 20 * (seed % 3)], axis=-1)
    pixels = np.clip(slope + rng.integers(0, 9, slope.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


PICTURES = {
    f"{folder}/{n}.png": draw(3 * n + len(folder)) for folder in ("a", "bc") for n in range(3)
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """The pictures, in a folder of this machine."""
    folder = tmp_path_factory.mktemp("disk") / "photos"
    for name, data in PICTURES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def expected(photos, tmp_path_factory):
    """What jobs of each kind make of them on this machine."""
    made = {}
    for mode, options in MODES.items():
        out = tmp_path_factory.mktemp("expected") / mode
        dq.quantize(photos, out, n_colors=5, **options)
        made[mode] = {name: (out / name).read_bytes() for name in PICTURES}
    return made


@pytest.fixture
def store(bucket):
    """A store that holds the pictures below ``photos/``."""
    for name, data in PICTURES.items():
        bucket.put(f"photos/{name}", data=data)
    bucket.forget()
    return bucket


def quantize(**options):
    """Do the job from store to store."""
    return dq.quantize(SOURCES, OUT, n_colors=5, **options)


def command(*arguments):
    """Do a job by the command line, in this process."""
    done = CliRunner().invoke(cli, ["quantize", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def list_out(store):
    """Return what is below ``out/``: outputs, and the names of all else."""
    keys = [key.removeprefix("out/") for key in store.list_keys() if key.startswith("out/")]
    outputs = {key: store.read(f"out/{key}") for key in keys if key.endswith(".png")}
    return outputs, sorted(key for key in keys if not key.endswith(".png"))


def read_manifest(store, name="manifest.jsonl"):
    return [json.loads(line) for line in store.read(f"out/{name}").splitlines()]


@pytest.mark.parametrize(
    ("way", "mode"),
    [
        *(("store to store", mode) for mode in MODES),
        ("store to disk", "groups"),
        ("disk to store", "shared"),
    ],
)
def test_the_bytes_are_those_of_a_job_on_disk(way, mode, store, photos, expected, tmp_path):
    source, target = way.split(" to ")
    sources, out = photos if source == "disk" else SOURCES, OUT
    if target == "disk":
        out = tmp_path / "out"
    report = dq.quantize(sources, out, n_colors=5, **MODES[mode])
    if target == "disk":
        outputs = {name: (out / name).read_bytes() for name in PICTURES}
        lines = (out / "manifest.jsonl").read_text().splitlines()
        assert report.manifest == str(out / "manifest.jsonl")
        rows = [json.loads(line) for line in lines]
    else:
        outputs, others = list_out(store)
        kept = [name for name in KEPT if mode == "shared" or "outcome" not in name]
        kept += [".dask-quant/families.jsonl"] if mode == "families" else []
        assert others == sorted(kept)
        assert report.outputs == tuple(f"{OUT}{name}" for name in PICTURES)
        assert report.manifest == f"{OUT}manifest.jsonl"
        rows = read_manifest(store)
    assert outputs == expected[mode]
    start = f"{photos}/" if source == "disk" else SOURCES
    assert sorted(row["path"] for row in rows) == [f"{start}{name}" for name in PICTURES]
    assert sorted(row["output"] for row in rows) == list(PICTURES)
    for row in rows:
        assert row["input_bytes"] == len(PICTURES[row["output"]])
        assert row["output_bytes"] == len(outputs[row["output"]])
    assert report.n_images == len(PICTURES)


@pytest.mark.parametrize("fault", ["500", "slow", "cut", "lost"])
def test_what_fails_once_is_asked_for_again(fault, store, expected):
    store.misbehave = lambda method, path, times: "" if times else fault
    report = quantize()
    assert list_out(store) == (expected["shared"], KEPT)
    assert report.n_images == len(PICTURES)
    assert report.quarantined == ()
    has_answer = {"GET"} if fault == "cut" else {"GET", "PUT", "DELETE"}  # that shows the fault
    for method, key in [
        ("GET", "photos/a/0.png"),
        ("PUT", "out/a/0.png"),
        ("PUT", "out/.dask-quant/job.json"),
        ("PUT", "out/manifest.jsonl"),
        ("DELETE", "out/.dask-quant/manifest-000001.jsonl"),
    ]:
        n_asked = store.asked[method, f"/scans/{key}"]
        assert n_asked >= 1 + (fault != "slow" and method in has_answer), key


@pytest.mark.parametrize(("status", "reason"), [("404", "no such file"), ("403", "permission")])
def test_an_object_that_cannot_be_had_is_set_aside(status, reason, store, photos, tmp_path):
    name = f"{SOURCES}bc/1.png"
    store.misbehave = lambda method, path, times: status if path.endswith("s/bc/1.png") else ""
    done = command(SOURCES, "-o", OUT, "-k", "5", "--json")
    assert done.exit_code == 3
    [entry] = json.loads(done.stdout)["quarantined"]
    assert entry["path"] == name
    assert entry["reason"].startswith(f"Cannot read {name}: ")
    assert reason in entry["reason"]
    assert f"quarantined: {entry['reason']}" in done.stderr
    [row] = [row for row in read_manifest(store) if row["status"] != "written"]
    assert (row["status"], row["path"], row["output"]) == ("quarantined", name, None)
    outputs, others = list_out(store)
    assert (sorted(outputs), others) == ([each for each in PICTURES if each != "bc/1.png"], KEPT)
    again = command(SOURCES, "-o", OUT, "-k", "5", "--resume")
    assert again.exit_code == 3
    store.misbehave = lambda method, path, times: ""
    last = command(SOURCES, "-o", OUT, "-k", "5", "--resume", "--retry-quarantined")
    assert last.exit_code == 0
    assert sorted(list_out(store)[0]) == list(PICTURES)
    assert [row["status"] for row in read_manifest(store)] == ["written"] * len(PICTURES)


def test_a_store_that_fails_for_long_ends_the_job_and_says_how_to_go_on(store, expected):
    store.misbehave = lambda method, path, times: (
        "503" if path.endswith("s/a/2.png") and times else ""
    )
    with pytest.raises(
        JobError, match=r"photos/a/2.png: .*; try again later\. .* --resume"
    ) as told:
        quantize()
    assert "\n" not in str(told.value)
    store.misbehave = lambda method, path, times: ""
    quantize(resume=True)
    assert list_out(store) == (expected["shared"], KEPT)


def test_an_output_that_cannot_be_put_ends_the_job(store, expected):
    store.misbehave = lambda method, path, times: (
        "403" if (method, path[-7:]) == ("PUT", "a/1.png") else ""
    )
    done = command(SOURCES, "-o", OUT, "-k", "5")
    assert done.exit_code == 1
    assert f"Cannot write {OUT}a/1.png: permission denied (" in done.stderr
    store.misbehave = lambda method, path, times: ""
    store.forget()
    assert command(SOURCES, "-o", OUT, "-k", "5", "--resume").exit_code == 0
    assert list_out(store) == (expected["shared"], KEPT)


DRIVER = """
import sys
from dask_quant.collection import remote_output
from dask_quant.faces.cli import cli
remote_output._PUT_S = remote_output._PUT_SHARE = 0
cli(sys.argv[1:])
"""


@pytest.mark.parametrize("strikes", ["first output behind a row", "while rows are joined"])
def test_a_job_that_is_killed_goes_on(strikes, store, expected, monkeypatch):
    end = "/out/manifest.jsonl" if strikes.startswith("while") else ".png"
    started = threading.Event()

    def kill(method, path, times):
        has_rows = store.asked["PUT", "/scans/out/.dask-quant/manifest-000002.jsonl"]
        if method == "PUT" and has_rows and path.endswith(end):
            started.wait()
            process.kill()
            return "500"
        return ""

    store.misbehave = kill
    arguments = ["quantize", SOURCES, "-o", OUT, "-k", "5"]
    one_by_one = ["--scheduler", "synchronous"]  # so that rows are put before the last output is
    process = subprocess.Popen([sys.executable, "-c", DRIVER, *arguments, *one_by_one])
    started.set()
    assert process.wait(120) == -signal.SIGKILL
    store.settle()
    before, others = list_out(store)
    segments = [name for name in others if "/manifest-" in name]
    recorded = [row["output"] for name in segments for row in read_manifest(store, name)]
    assert recorded
    assert set(recorded) <= set(before)
    assert ".dask-quant/lock" in others
    put_at = {key: store.client.head_object(Bucket="scans", Key=f"out/{key}") for key in recorded}

    monkeypatch.setattr(object_lock, "_SETTLE_S", 0.0)
    store.misbehave = lambda method, path, times: ""
    store.forget()
    with pytest.raises(OutputExistsError, match="--resume to go on with the job"):
        quantize()
    report = quantize(resume=True)
    assert list_out(store) == (expected["shared"], KEPT)
    assert report.n_skipped == len(recorded)
    for key, head in put_at.items():
        assert store.count("PUT", f"out/{key}") == 0
        now = store.client.head_object(Bucket="scans", Key=f"out/{key}")
        assert (now["ETag"], now["LastModified"]) == (head["ETag"], head["LastModified"])
    assert sorted(row["output"] for row in read_manifest(store)) == list(PICTURES)
    store.forget()
    done = quantize(resume=True)
    assert (done.n_skipped, done.mse, done.palette) == (6, report.mse, report.palette)
    assert store.count("PUT", ".png") == store.count("GET", "photos/a/0.png") == 0


def test_rows_that_could_not_be_put_wait(store, expected, monkeypatch):
    monkeypatch.setattr(remote_output, "_PUT_S", 0.0)
    fails = iter(range(5))  # as often as is asked
    segment = "/.dask-quant/manifest-"
    store.misbehave = lambda method, path, times: (
        "503" if method == "PUT" and segment in path and next(fails, None) is not None else ""
    )
    with pytest.raises(dq.DaskQuantError, match="Cannot write"):
        quantize()
    store.misbehave = lambda method, path, times: ""
    outputs, others = list_out(store)
    names = [name for name in others if segment.strip("/") in name]
    recorded = [row["output"] for name in names for row in read_manifest(store, name)]
    assert 0 < len(recorded) <= len(outputs)
    assert quantize(resume=True).n_skipped == len(recorded)
    assert list_out(store) == (expected["shared"], KEPT)


def test_of_two_runs_the_second_is_refused(store, expected):
    told = []

    def run_another(method, path, times):
        if (method, path) == ("PUT", "/scans/out/a/0.png") and not told:
            told.append("")
            with pytest.raises(JobError, match=r"another run, process .* writes there") as error:
                quantize(resume=True)
            told[:] = [str(error.value)]
        return ""

    store.misbehave = run_another
    quantize()
    [message] = told
    assert f"process {os.getpid()} on " in message
    assert "wait until it is done" in message
    assert list_out(store) == (expected["shared"], KEPT)


def test_what_is_in_the_way_is_told_as_on_disk(store, expected, photos, tmp_path):
    outs = (OUT, str(tmp_path / "out"))
    for out, sources in zip(outs, (SOURCES, photos), strict=True):
        dq.quantize(sources, out, n_colors=4)

    def fail(out, **options):
        with pytest.raises(dq.DaskQuantError) as told:
            dq.quantize(SOURCES if out == OUT else photos, out, **options)
        return type(told.value), str(told.value).replace(out, "OUT").replace(OUT, "OUT")

    for options in (
        {"n_colors": 4},
        {"n_colors": 5, "resume": True},
        {"per_image": True, "resume": True, "n_colors": 4},
    ):
        assert fail(outs[0], **options) == fail(outs[1], **options)
    assert fail(OUT, n_colors=5)[0] is OutputExistsError
    assert "n_colors 5 where the job" in fail(OUT, n_colors=5, resume=True)[1]
    quantize(overwrite=True)
    assert list_out(store) == (expected["shared"], KEPT)
    for name in KEPT:
        store.client.delete_object(Bucket="scans", Key=f"out/{name}")
    store.forget()
    assert "it holds no job to go on with" in fail(OUT, n_colors=5, resume=True)[1]
    assert store.count("PUT", "") == 0


def test_a_plan_puts_nothing(store, photos, tmp_path):
    busy = []
    store.misbehave = lambda method, path, times: busy.append(store.n_busy) or "slow"
    plan = json.loads(command(SOURCES, "-o", OUT, "-k", "5", "--dry-run", "--json").stdout)["plan"]
    assert max(busy) > 1  # headers are read side by side
    arguments = [str(photos), "-o", str(tmp_path / "out"), "-k", "5", "--dry-run", "--json"]
    on_disk = json.loads(command(*arguments).stdout)["plan"]
    assert plan.pop("outputs") == [f"{OUT}{name}" for name in PICTURES]
    on_disk.pop("outputs")
    assert plan == on_disk
    assert {method for method, _ in store.requests} <= {"GET", "HEAD"}
    store.put("out/other.txt")
    done = command(SOURCES, "-o", OUT, "-k", "5", "--dry-run")
    assert (done.exit_code, "exists and is not empty" in done.stderr) == (1, True)


def test_outputs_inside_of_the_sources_are_not_read(store, expected):
    outs = [f"{SOURCES}out", f"{SOURCES}out/"]
    reports = [dq.quantize(SOURCES, outs[0], n_colors=5)]
    reports.append(dq.quantize(SOURCES, outs[1], n_colors=5, resume=True))
    assert [report.n_images for report in reports] == [6, 6]
    assert reports[1].n_skipped == 6


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("https://host.invalid/out/", "where nothing can be written"),
        (f"{OUT}?versionId=canary-7d1f0b", "an address with a query"),
        (f"{OUT}a.png", "a file by its address"),
        ("s3://me:canary-7d1f0b@scans/out/", "Cannot"),
        ("s3://scans-that-are-not/out/", "no such bucket"),
    ],
)
def test_an_output_that_cannot_be_is_refused_in_a_line(out, reason, store):
    done = command(SOURCES, "-o", out, "-k", "5")
    assert done.exit_code in (1, 2)
    assert reason in done.stderr
    assert "canary" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert store.count("PUT", "/scans/out") == 0


def test_the_terminal_names_the_folder_and_a_page_tells_of_the_job(store, tmp_path, parse_page):
    page = tmp_path / "report.html"
    done = command(SOURCES, "-o", OUT, "-k", "5", "--report", str(page))
    assert done.exit_code == 0, done.stderr
    assert done.stderr.splitlines()[-1].endswith(" s: s3://scans/out")
    parsed = parse_page(page.read_text())
    assert len(parsed.find("img")) == 2 * len(PICTURES)
    assert "6 images" in parsed.text
    again = command(SOURCES, "-o", OUT, "-k", "5", "--resume", "--report", str(page))
    assert again.stderr.splitlines()[-1].endswith("s3://scans/out; 6 were done before")


def test_a_job_of_two_processes_is_the_same(store, expected):
    done = command(SOURCES, "-o", OUT, "-k", "5", "--workers", "2", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["n_images"] == len(PICTURES)
    assert list_out(store) == (expected["shared"], KEPT)


def test_keys_of_any_characters_are_images_of_their_own(bucket):
    names = ["a#1.png", "a#2.png", "b?1.png", "b?2.png", "c d%20e.png", "f+\xe9.png", "g[1]*.png"]
    for name, data in zip(names, PICTURES.values(), strict=False):
        bucket.put(f"photos/{name}", data=data)
    bucket.put(f"photos/{names[-1]}", data=draw(99))
    report = quantize(per_image=True)
    assert (report.n_images, report.quarantined) == (len(names), ())
    assert sorted(list_out(bucket)[0]) == sorted(names)
    sizes = {row["output"]: row["input_bytes"] for row in read_manifest(bucket)}
    assert sizes == {name: len(bucket.read(f"photos/{name}")) for name in names}
    assert quantize(per_image=True, resume=True).n_skipped == len(names)


def test_palettes_and_their_use_agree_with_those_of_a_job_on_disk(store, photos, tmp_path):
    made = [
        dq.make_palette(sources, tmp_path / f"{n}.gpl", n_colors=5)
        for n, sources in enumerate((SOURCES, photos))
    ]
    assert made[0].palette == made[1].palette
    assert made[0].input_bytes == made[1].input_bytes == sum(map(len, PICTURES.values()))
    cluster = dq.ClusterOptions(memory_limit_bytes=2_000_000_000)
    dq.apply_palette(SOURCES, OUT, made[0].palette, cluster=cluster)
    dq.apply_palette(photos, tmp_path / "out", made[0].palette)
    on_disk = {name: (tmp_path / "out" / name).read_bytes() for name in PICTURES}
    assert list_out(store)[0] == on_disk
