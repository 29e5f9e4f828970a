"""Jobs on one image that are killed and gone on with: what one run would have written."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import range_server
from PIL import Image

import dask_quant as dq
from dask_quant.errors import JobError, OptionError, OutputExistsError
from dask_quant.routes.resuming import state_path
from dask_quant.sources.remote_file import forget_files

SHAPE = (300, 200)
SCRIPT = Path(__file__).with_name("killed_runs.py")

COUNTED = [("count", 2), ("count", 4), ("fit", 1)]
"""Where a run of a large image is killed before it writes."""

WRITTEN = [
    *(("relabel", 2), ("relabel", 3), ("write", 1)),
    *(("dask_quant.workplace:note_output",), ("dask_quant.workplace:put_in_place",)),
]
"""Where a run that writes a file in parts is killed."""

STORED = [
    *(("relabel", 2), ("relabel", 3)),
    *(("dask_quant.workplace:note_output",), ("dask_quant.array_flow:finish_store",)),
]
"""Where a run that writes a store is killed."""

AT_ONCE = [
    *(("dask_quant.routes.memory:quantize_file",), ("dask_quant.routes.memory:keep_outcome",)),
    *(("dask_quant.workplace:note_output",), ("dask_quant.workplace:put_in_place",)),
]
"""Where a run of a small image is killed."""

STREAMED = {"set": {"dask_quant.routes.streams:SMALL_PIXELS": 1000}}
"""Has an image be read in strips."""

NAMED = WRITTEN[-1]
"""Where a file has just got its name."""

CASES = {
    "png": ("o.png", {}, [*COUNTED, *WRITTEN]),
    "tif": ("o.tif", {}, [*WRITTEN[:3], NAMED]),
    "zarr": ("o.zarr", {}, [*COUNTED, *STORED]),
    "ome": ("o.ome.zarr", {}, [("relabel", 3), ("pyramid", 3)]),
    "npz": ("o.npz", {}, [("relabel", 3)]),
    "bayer": ("bayer.png", {"dither": "bayer"}, [("relabel", 3), ("relabel", 2), NAMED]),
    "bayer-zarr": ("bayer.zarr", {"dither": "bayer"}, [("relabel", 3), STORED[-1]]),
    "diffused": ("diffused.tif", {"dither": "floyd-steinberg"}, [("relabel", 3)]),
    "palette": ("given.png", {"palette": [[0, 0, 0], [200, 60, 60]]}, [COUNTED[1], ("relabel", 3)]),
    "recolor": ("painted.zarr", {"recolor": [[n, 0, 0] for n in range(7)]}, [("relabel", 3)]),
    "outline": ("lined.zarr", {"outline": "lines.zarr"}, [("relabel", 3), ("outline", 2)]),
    "outline-png": ("lined.png", {"outline": "lines.png"}, [NAMED, ("relabel", 4)]),
    "small": ("small.png", {"chunks": None}, AT_ONCE),
    "small-outline": ("two.png", {"chunks": None, "outline": "lines2.png"}, [NAMED]),
    "full": ("full.png", {}, [("relabel", 3), ("limit", 15_000)]),
    "streamed": ("s.png", STREAMED, [("decode", 2), ("fit", 1), ("relabel", 3)]),
}
"""Outputs, options, and where runs are killed, one after the other."""

DEEP = ("png", "zarr")
"""Cases that are killed wherever there is a difference."""


def make_run(out, given, kill=(), **more):
    given = dict(given)
    run = {"function": "apply_palette" if "palette" in given else "quantize", "kill": list(kill)}
    run["set"] = given.pop("set", {})
    options = {"chunks": 64, "resume": True} | given | more
    if "palette" not in given:
        options = {"n_colors": 7, "effort": "fast"} | options
    return run | {"args": ["a.png", out], "options": options}


def run_all(folder, runs):
    """Return what becomes of runs, each in a process of its own, one after the other."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        input=json.dumps(runs),
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    results = [json.loads(line) for line in done.stdout.splitlines()]
    wanted = [-9 if run["kill"] and run["kill"][0] != "limit" else 0 for run in runs]
    got = [result["status"] for result in results]
    assert got == wanted, [
        run["kill"] for run, a, b in zip(runs, got, wanted, strict=True) if a != b
    ]
    return results


def draw_picture(path):
    levels = np.random.default_rng(5).integers(0, 16, (*SHAPE, 3)) * 16
    levels[..., 0] += np.arange(SHAPE[0])[:, np.newaxis] // 2 % 16
    Image.fromarray(levels.astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    draw_picture(folder / "a.png")
    return folder


@pytest.fixture(scope="module")
def results(place):
    """What becomes of all runs of each case: those killed, one that ends, and one more."""
    runs = {
        name: [make_run(out, given, kill) for kill in (*kills, (), ())]
        for name, (out, given, kills) in CASES.items()
    }
    for name, (out, given, _) in CASES.items():
        outline = {"outline": f"ref-{given['outline']}"} if "outline" in given else {}
        runs[name].append(make_run(f"ref-{out}", given | outline, resume=False))
    found = iter(run_all(place, [run for case in runs.values() for run in case]))
    return {name: [next(found) for _ in case] for name, case in runs.items()}


def digest(path):
    """Return a digest of the names and bytes of a file, or of all below a folder."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    told = [(str(file.relative_to(path)), file.read_bytes()) for file in files]
    return hashlib.sha256(repr(told).encode()).hexdigest()


@pytest.mark.parametrize("name", CASES)
def test_what_was_killed_again_and_again_ends_as_if_it_was_not(results, place, name):
    *_, last, again, reference = results[name]
    out, given, _ = CASES[name]
    for each in filter(None, (out, given.get("outline"))):
        assert digest(place / each) == digest(place / f"ref-{each}")
    figures = ("palette", "counts", "mse", "inertia", "explained_variance", "n_iter", "n_pixels")
    for run in (last, again):
        for figure in (*figures, "output_bytes", "input_bytes", "n_unique_colors", "engine"):
            assert run["report"][figure] == reference["report"][figure], figure


@pytest.mark.parametrize("name", CASES)
def test_what_is_done_is_not_touched_and_told(results, name):
    *_, last, again, reference = results[name]
    assert again["told"] == []
    assert (again["report"]["n_skipped"], reference["report"]["n_skipped"]) == (1, 0)
    changed = {file for file in again["files"] if again["files"][file] != last["files"][file]}
    assert changed <= {"told.txt", "report.json", f".{CASES[name][0]}.dask-quant/lock"}


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_left_but_what_tells_that_a_job_is_done(results, name):
    *_, reference = results[name]
    _, last, _, _ = results[name][-4:]
    hidden = {file for file in last["files"] if f".{CASES[name][0]}." in file}
    assert {Path(file).name for file in hidden} <= {
        *("done.json", "job.json", "lock", "outcome.json", "placed.json", "tally.json")
    }
    assert not [file for file in reference["files"] if ".ref-" in file or ".partial" in file]


@pytest.mark.parametrize("name", DEEP)
def test_nothing_is_counted_or_fitted_twice(results, name):
    by_kill = dict(zip(CASES[name][2], results[name], strict=False))
    fitted = [run for kill, run in by_kill.items() if kill not in COUNTED]
    assert "count" in by_kill["fit", 1]["told"]
    assert len(fitted) >= 4
    # The run that was killed as it began to fit had counted; the next one fits and counts nothing.
    assert all("count" not in run["told"] for run in (*fitted, *results[name][-3:-1]))
    assert all("fit" not in run["told"] for run in (*fitted[1:], *results[name][-3:-1]))


@pytest.mark.parametrize("name", DEEP)
def test_a_count_goes_on_where_it_was(results, name):
    n_events = [run["told"].count("count") for run in results[name][:3]]
    assert n_events[:2] == [2, 4]
    assert any(file.endswith("counted.json") for file in results[name][1]["files"])
    # The third run counts what two had left, as the second was killed with a part done.
    whole = next(run for run in results["bayer"] if "relabel" in run["told"])["told"]
    assert 0 < n_events[2] < whole.count("count")


@pytest.mark.parametrize("name", [*DEEP, "tif"])
def test_parts_that_are_whole_are_kept(results, name):
    part = ".dask-quant/store/0/c/" if name == "zarr" else ".dask-quant/parts/"
    out, _, kills = CASES[name]
    first = kills.index(("relabel", 2))
    before, after = (
        {file: time for file, time in run["files"].items() if f"{out}{part}" in file}
        for run in results[name][first : first + 2]
    )
    whole = {file for file in before if "partial" not in file}
    assert 1 <= len(whole) < len([file for file in after if "partial" not in file])
    assert all(after[file] == before[file] for file in whole)


def test_dithered_parts_that_were_summed_up_are_kept(results):
    before, after = (run["files"] for run in results["bayer"][:2])
    home = ".bayer.png.dask-quant/"
    tallies = [file for file in before if f"{home}tallies/" in file and "partial" not in file]
    parts = [f"{home}parts/{Path(file).name.partition('-')[0]}.part" for file in tallies]
    assert len(parts) >= 1
    assert all(after[file] == before[file] for file in (*parts, *tallies))
    assert results["bayer"][2]["told"].count("relabel") < 6  # of five strips


def test_a_full_disk_ends_a_job_that_goes_on_later(results):
    _, full, last, *_ = results["full"]
    assert full["report"]["error"] == "OutputError"
    assert full["report"]["message"].startswith("Cannot write ")
    assert {"check", "relabel", "write"} <= set(full["told"])
    assert "relabel" not in last["told"]


def test_strips_are_decoded_once(results):
    first, second, *others = results["streamed"]
    assert {"decode"} == set(first["told"]) == set(second["told"]) - {"fit"}
    assert all("decode" not in run["told"] for run in others[:-1])


# What does not need to be killed.


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "a.png"
    draw_picture(path)
    return path


def quantize(picture, out, **options):
    return dq.quantize(picture, out, **({"n_colors": 5, "effort": "fast"} | options))


def kill_midway(picture, out, **options):
    """Leave the state of a job that was ended when its labels were written."""

    def stop(event):
        if getattr(event, "stage", "") == "relabel":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize(picture, out, resume=True, chunks=64, listener=stop, **options)
    assert (state_path(out) / "outcome.json").is_file()


@pytest.mark.parametrize("options", [{}, {"chunks": 64}], ids=str)
def test_another_option_is_refused_and_named(picture, tmp_path, options):
    out = tmp_path / "o.png"
    quantize(picture, out, resume=True, **options)
    before = digest(out)
    with pytest.raises(JobError, match=r"Got n_colors 6 and seed 2 where .* with 5 and 0; "):
        quantize(picture, out, resume=True, n_colors=6, seed=2, **options)
    assert digest(out) == before


@pytest.mark.parametrize("change", ["bytes", "time"])
def test_a_source_that_changed_is_refused(picture, tmp_path, change):
    out = tmp_path / "o.png"
    kill_midway(picture, out)
    if change == "bytes":
        picture.write_bytes(picture.read_bytes() + b"\0")
    else:
        os.utime(picture, ns=(0, 1_500_000_000_123_456_789))
    with pytest.raises(JobError, match="source time") as caught:
        quantize(picture, out, resume=True, chunks=64)
    assert ("source bytes" in str(caught.value)) == (change == "bytes")
    if change == "time":
        assert "Got source time 2017-07-14 02:40:00.123456789 UTC" in str(caught.value)


def test_a_store_that_changed_is_refused(picture, tmp_path):
    store, out = tmp_path / "in.zarr", tmp_path / "o.png"
    quantize(picture, tmp_path / "x.png", persist=store)
    kill_midway(store, out)
    os.utime(store / "zarr.json")
    with pytest.raises(JobError, match="source metadata"):
        quantize(store, out, resume=True, chunks=64)


def test_the_way_that_work_is_done_may_change(picture, tmp_path):
    out, ref = tmp_path / "o.zarr", tmp_path / "ref.zarr"
    kill_midway(picture, out)
    cluster = dq.ClusterOptions(scheduler="synchronous")
    quantize(picture, out, resume=True, chunks=(17, 100), cluster=cluster)
    quantize(picture, ref)
    assert digest(out) == digest(ref)


@pytest.mark.parametrize("name", ["o.png", "o.zarr"])
def test_an_output_of_another_job_is_left_alone(picture, tmp_path, name):
    out = tmp_path / name
    quantize(picture, out)
    before = digest(out)
    with pytest.raises(OutputExistsError, match="exists"):
        quantize(picture, out, resume=True)
    assert digest(out) == before
    assert not state_path(out).exists()


def test_an_output_that_was_changed_since_is_left_alone(picture, tmp_path):
    out = tmp_path / "o.png"
    quantize(picture, out, resume=True)
    out.write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        quantize(picture, out, resume=True)
    assert out.read_bytes() == b"mine"


@pytest.mark.parametrize("n_colors", [5, 6])
def test_an_output_that_was_removed_since_is_made_anew(picture, tmp_path, n_colors):
    out = tmp_path / "o.png"
    quantize(picture, out, resume=True)
    out.unlink()
    report = quantize(picture, out, resume=True, n_colors=n_colors)
    assert (report.n_skipped, report.n_colors) == (0, n_colors)
    assert out.exists()


@pytest.mark.parametrize("name", ["o.png", "o.zarr"])
def test_a_run_without_resume_starts_afresh_and_leaves_no_state(picture, tmp_path, name):
    out = tmp_path / name
    kill_midway(picture, out)
    quantize(picture, out, n_colors=6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", name]
    with pytest.raises(OutputExistsError):
        quantize(picture, out, resume=True)


def test_overwriting_a_finished_job_removes_its_state(picture, tmp_path):
    out = tmp_path / "o.png"
    quantize(picture, out, resume=True)
    quantize(picture, out, overwrite=True)
    assert not state_path(out).exists()


def test_a_run_that_is_refused_removes_nothing(picture, tmp_path):
    out = tmp_path / "o.png"
    quantize(picture, out, resume=True)
    with pytest.raises(OutputExistsError):
        quantize(picture, out)
    assert quantize(picture, out, resume=True).n_skipped == 1


def test_a_job_that_fails_before_it_has_anything_leaves_nothing(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    with pytest.raises(OSError, match=r"torn|read"):
        quantize(tmp_path / "a.png", tmp_path / "o.png", resume=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png"]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "remove"])
@pytest.mark.parametrize("suffix", [".zarr", ".png"])
def test_a_part_that_is_torn_is_written_again(picture, tmp_path, suffix, damage):
    out, ref = tmp_path / f"o{suffix}", tmp_path / f"ref{suffix}"

    def stop(event):
        if getattr(event, "stage", "") == "relabel" and event.done == event.total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize(picture, out, resume=True, chunks=64, listener=stop)
    pattern = "store/0/c/*/*" if suffix == ".zarr" else "parts/*.part"
    part = next(state_path(out).glob(pattern))
    data = part.read_bytes()
    damaged = {
        "cut": data[: len(data) // 2],
        "flip": data[:50] + bytes([data[50] ^ 1]) + data[51:],
        "empty": b"",
    }
    part.unlink() if damage == "remove" else part.write_bytes(damaged[damage])
    quantize(picture, out, resume=True, chunks=64)
    quantize(picture, ref)
    assert digest(out) == digest(ref)


@pytest.mark.parametrize("name", ["outcome.json", "started.json", "counts-300.npz", "job.json"])
def test_state_that_is_torn_costs_time_alone(picture, tmp_path, name):
    out, ref = tmp_path / "o.zarr", tmp_path / "ref.zarr"
    kill_midway(picture, out)
    (state_path(out) / name).write_bytes(b'{"palette": {"colors": ["#12')
    quantize(picture, out, resume=True, chunks=64)
    quantize(picture, ref)
    assert digest(out) == digest(ref)


def test_state_without_parts_costs_time_alone(picture, tmp_path):
    out, ref = tmp_path / "o.zarr", tmp_path / "ref.zarr"
    kill_midway(picture, out)
    shutil.rmtree(state_path(out) / "store")
    quantize(picture, out, resume=True, chunks=64)
    quantize(picture, ref)
    assert digest(out) == digest(ref)


def test_arrays_and_saved_counts_are_refused(picture, tmp_path):
    with pytest.raises(OptionError, match="resume with an array"):
        quantize(np.zeros((4, 4, 3), np.uint8), tmp_path / "o.png", resume=True)
    with pytest.raises(OptionError, match="resume with save_histogram"):
        quantize(picture, tmp_path / "o.png", resume=True, save_histogram=tmp_path / "c.npz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png"]


def test_a_name_of_any_length_has_a_state(picture, tmp_path):
    names = [f"{'ä' * 120}{end}.png" for end in "ab"]
    assert len({state_path(tmp_path / name) for name in names}) == 2
    out = tmp_path / names[0]
    assert quantize(picture, out, resume=True).n_skipped == 0
    assert quantize(picture, out, resume=True).n_skipped == 1


def test_a_source_far_away_is_known_and_its_secrets_are_not_kept(picture, tmp_path):
    pytest.importorskip("aiohttp")
    out = tmp_path / "o.png"
    with range_server.serve() as server:
        server.files["/a.png"] = picture.read_bytes()
        url = f"{server.url}/a.png?token=hush"
        assert [quantize(url, out, resume=True).n_skipped for _ in range(2)] == [0, 1]
        server.files["/a.png"] += b"more"
        forget_files()
        with pytest.raises(JobError, match="source bytes"):
            quantize(url, out, resume=True)
    forget_files()
    kept = b"".join(path.read_bytes() for path in state_path(out).iterdir())
    assert b"a.png" in kept
    assert b"hush" not in kept


def test_memory_for_checkpoints_is_planned(picture, tmp_path):
    plans = [
        dq.plan_job(picture, tmp_path / "o.zarr", resume=resume, chunks=64)
        for resume in (False, True)
    ]
    assert plans[1].projected_bytes > plans[0].projected_bytes
