"""Workers that are killed and tasks that fail: the job ends with the same bytes."""

import hashlib
import importlib
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import dask
import distributed
import psutil
import pytest

import dask_quant as dq
from dask_quant.cluster_tasks import RETRIES
from dask_quant.options import ClusterOptions
from dask_quant.sinks.zarr_store import store_block

TIMEOUT_S = 90

COUNT = "dask_quant.graphs.counting:count_block_colors"
TO_ZARR = "dask_quant.sinks.zarr_store:store_block"
TO_PNG = "dask_quant.array_flow:write_part_files"
JOIN_PNG = "dask_quant.array_flow:join_part_files"
COUNT_BATCH = "dask_quant.collection.children:do_task:count"
RELABEL_BATCH = "dask_quant.collection.children:do_task:relabel"
QUANTIZE_BATCH = "dask_quant.collection.children:do_task:quantize"
SURVEY = "dask_quant.graphs.rows:survey_block"
ADD_UP = "dask_quant.graphs.rows:add_up_block"
LABEL = "dask_quant.graphs.pixels:label_pixels"
JOIN_TIF = "dask_quant.class_output:join_labels"
DIFFUSE = "dask_quant.graphs.dither:diffuse_band"
PUT = "dask_quant.dither_flow:put_in_store"

# Where it strikes (of tasks that do several things, for which), and what is asked for there: the
# output's name, one image or many, options.
TARGETS = [
    (COUNT, "out.zarr", {}),
    (TO_ZARR, "out.zarr", {}),
    (TO_PNG, "out.png", {}),
    (JOIN_PNG, "out.png", {}),
    (COUNT_BATCH, "out", {}),
    (RELABEL_BATCH, "out", {}),
    (QUANTIZE_BATCH, "out", {"per_image": True}),
    (SURVEY, "out.tif", {}),
    (ADD_UP, "out.tif", {}),
    (LABEL, "out.tif", {}),
    (JOIN_TIF, "out.tif", {}),
    (DIFFUSE, "out.zarr", {"dither": "floyd-steinberg"}),
    (PUT, "out.zarr", {"dither": "floyd-steinberg"}),
]
NAMES = [target.partition(":")[2] for target, _, _ in TARGETS]


@pytest.fixture
def sabotage(client):
    """Return a function that wraps a function of the package on every worker, for one test.

    A worker that is started again comes back without.
    """
    client.wait_for_workers(2, timeout=TIMEOUT_S)
    spoiled = []

    def install(target, make):
        # Nested functions alone travel by value: workers cannot import this module.
        module, name, *actions = target.split(":")
        home = importlib.import_module(module)
        original = getattr(home, name)
        spoiled = make(original)

        def wrapper(*args, **kwargs):
            strikes = not actions or args[0].action in actions
            return (spoiled if strikes else original)(*args, **kwargs)

        wrapper.original = original
        setattr(home, name, wrapper)

    def restore(target):
        module, name, *_ = target.split(":")
        home = importlib.import_module(module)
        setattr(home, name, getattr(getattr(home, name), "original", getattr(home, name)))

    def spoil(target, make):
        client.run(install, target, make)
        spoiled.append(target)

    yield spoil
    client.wait_for_workers(2, timeout=TIMEOUT_S)
    for target in spoiled:
        client.run(restore, target)


@pytest.fixture(scope="module")
def run_job(store, folder, raster):
    """Return a function that relabels the store, or the pictures where OUT is a folder.

    Where OUT is a GeoTIFF, it finds the classes of the raster.
    """

    def run(out, options):
        if out.suffix == ".tif":
            return dq.segment(raster, out, n_clusters=6, nodata=-1, chunks=(300, 350), **options)
        source = store if out.suffix else folder
        chunks = {"chunks": (1000, 600)} if out.suffix else {}
        return dq.quantize(source, out, n_colors=6, **chunks, **options)

    return run


@pytest.fixture(scope="module")
def reference(run_job, tmp_path_factory, read_tree, figures):
    """Return a function that says what a job that nothing happens to writes and reports."""
    root, known = tmp_path_factory.mktemp("reference"), {}

    def find(name, options):
        out = root / f"{len(known)}" / name
        case = (name, *options)
        if case not in known:
            with dask.config.set(scheduler="threads"):
                report = run_job(out, options)
            known[case] = (read_tree(out), figures(report))
        return known[case]

    return find


def wait_to_be_killed(folder, *, after):
    """The first call of all writes its process down, before or ``after`` its work, and waits."""

    def make(original):
        def wrapper(*args, **kwargs):
            result = original(*args, **kwargs) if after else None
            written = folder / f"{os.getpid()}"
            written.write_text(written.name)
            try:
                os.link(written, folder / "pid")  # whole or not at all, and once
            except FileExistsError:
                return result if after else original(*args, **kwargs)
            threading.Event().wait()
            raise AssertionError

        return wrapper

    return make


def kill_who_waits(client, folder):
    """Kill the worker that waits in the middle of a job; return its id, proved dead."""
    wait_until((folder / "pid").exists)
    victim = psutil.Process(int((folder / "pid").read_text()))
    assert victim.pid in client.run(os.getpid).values()
    assert any(client.processing().values())  # tasks are left: at least the one that waits
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait(TIMEOUT_S)
    assert not psutil.pid_exists(victim.pid)
    return victim.pid


@pytest.mark.parametrize(("target", "name", "options"), TARGETS, ids=NAMES)
def test_a_killed_worker_does_not_show(
    target, name, options, client, sabotage, run_job, reference, tmp_path, read_tree, figures
):
    folder = tmp_path / "signs"
    folder.mkdir()
    # What was written and not reported is the harder case; counts would only be lost.
    after = target not in (COUNT, COUNT_BATCH, SURVEY, ADD_UP)
    sabotage(target, wait_to_be_killed(folder, after=after))
    workers = set(client.run(os.getpid).values())
    out = tmp_path / "killed" / name
    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(kill_who_waits, client, folder)
        report = run_job(out, options)
        assert killed.result(TIMEOUT_S) in workers
    assert (read_tree(out), figures(report)) == reference(name, options)
    assert list(out.parent.iterdir()) == [out]


def fail_often(folder, n_failures):
    """Every task counts how often it is called, and fails as often as it is told.

    By its key: arguments may look different where they came from another worker.
    """

    def make(original):
        def wrapper(*args, **kwargs):
            key = str(distributed.get_worker().get_current_task())
            call = hashlib.sha256(key.encode()).hexdigest()[:32]
            n_calls = 1 + len(list(folder.glob(f"{call}-*")))
            (folder / f"{call}-{n_calls}").touch(exist_ok=False)
            if n_calls <= n_failures:
                raise RuntimeError(f"failure {n_calls} of {call}")
            return original(*args, **kwargs)

        return wrapper

    return make


def count_calls(folder):
    """How often each different call came."""
    calls = [path.name.rpartition("-")[0] for path in folder.iterdir()]
    return [calls.count(call) for call in set(calls)]


@pytest.mark.parametrize(("target", "name", "options"), TARGETS, ids=NAMES)
def test_tasks_that_fail_twice_do_not_show(
    target, name, options, client, sabotage, run_job, reference, tmp_path, read_tree, figures
):
    folder = tmp_path / "calls"
    folder.mkdir()
    sabotage(target, fail_often(folder, 2))
    out = tmp_path / "failed" / name
    report = run_job(out, options)
    calls = count_calls(folder)
    assert set(calls) == {3}  # two failures, then the work
    assert (len(calls) == 1) == (target in (JOIN_PNG, JOIN_TIF))
    assert (read_tree(out), figures(report)) == reference(name, options)
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize(("target", "name"), [(TO_ZARR, "out.zarr"), (TO_PNG, "out.png")])
def test_a_task_that_always_fails_ends_the_job_and_leaves_nothing(
    target, name, client, sabotage, run_job, tmp_path
):
    folder = tmp_path / "calls"
    folder.mkdir()
    sabotage(target, fail_often(folder, RETRIES + 1))
    with pytest.raises(RuntimeError, match="failure 4 of"):
        run_job(tmp_path / "failed" / name, {})
    assert max(count_calls(folder)) == RETRIES + 1
    assert list((tmp_path / "failed").iterdir()) == []


def fail_beside_a_writer(folder):
    """The first task of all fails, as often as it is tried; the next then goes on writing."""

    def make(original):
        def wrapper(store, *args, **kwargs):
            offset = str(kwargs["offset"])
            try:
                (folder / "first").symlink_to(offset)
            except FileExistsError:
                if os.readlink(folder / "first") != offset:
                    return go_on_writing(store)
            while not (folder / "writes").exists():
                time.sleep(0.01)
            raise RuntimeError("the first fails")

        def go_on_writing(store):
            (folder / "writes").touch()
            for number in range(100):
                store.mkdir(parents=True, exist_ok=True)  # as zarr does
                (store / f"late-{number}").touch()
                time.sleep(0.01)
            (folder / "wrote").touch()

        return wrapper

    return make


@pytest.mark.parametrize("scheduler", ["threads", "cluster"])
def test_a_failed_job_leaves_no_task_that_still_writes(
    scheduler, client, sabotage, run_job, tmp_path, monkeypatch
):
    folder = tmp_path / "signs"
    folder.mkdir()
    make = fail_beside_a_writer(folder)
    if scheduler == "cluster":
        sabotage(TO_ZARR, make)
        options = {}
    else:
        monkeypatch.setattr("dask_quant.array_flow.store_block", make(store_block))
        options = {"cluster": ClusterOptions(scheduler="threads")}
    with pytest.raises(RuntimeError, match="the first fails"), dask.config.set(num_workers=2):
        run_job(tmp_path / "failed" / "out.zarr", options)
    assert (folder / "wrote").exists()
    assert list((tmp_path / "failed").iterdir()) == []


def wait_until(condition):
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
