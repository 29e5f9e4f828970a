"""An image that takes its process down costs itself, and the rest of the task is done."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import psutil
import pytest
from PIL import Image
from poison import install_poison, make_pictures

from dask_quant.collection import children
from dask_quant.collection.children import (
    TaskProcess,
    close_processes,
    do_task,
    start_processes,
    stop_tasks,
)
from dask_quant.collection.task import COUNT, QUANTIZE
from dask_quant.errors import JobError, OutputError
from dask_quant.fit_options import FitOptions
from dask_quant.histogram import ColorHistogram
from dask_quant.image_rows import QUARANTINED, WRITTEN

GOOD = ("a.png", "b.png", "z.png")
FEW = FitOptions(n_colors=1, n_init=1)


@pytest.fixture(autouse=True)
def _end_processes():
    close_processes()
    yield
    close_processes()
    children._stopped.clear()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Have processes come up with decoders that do harm; the folder of what they run first."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.setenv("PYTHONPATH", install_poison(site, dict(os.environ))["PYTHONPATH"])
    return site


@pytest.fixture
def make_task(tmp_path, make_work, open_index):
    """Return a function that makes work and the items of small pictures of those names."""

    def make(*names, **fields):
        folder = make_pictures(tmp_path / "in", *names)
        items = [item for item, _ in open_index(folder).iterate_pending()]
        return make_work(**{"is_isolated": True, "options": FEW} | fields), items

    return make


def strip(row):
    """What a row says that is the same each time."""
    return {name: value for name, value in vars(row).items() if name not in ("seconds", "finished")}


def rows_by_name(done):
    return {os.path.basename(row.path): row for row in done.rows}


@pytest.mark.parametrize("action", [COUNT, QUANTIZE])
def test_a_task_does_what_it_does_in_this_process(tmp_path, make_task, make_work, action):
    make_pictures(tmp_path / "in", *GOOD)
    Image.new("RGB", (3, 2)).save(tmp_path / "in" / "damaged.png", icc_profile=bytes(300))
    (tmp_path / "in" / "torn.png").write_bytes(b"\x89PNG")
    work, items = make_task("caf\udce9.png", action=action)
    with pytest.warns(Warning, match=r"damaged\.png is left out"):
        here = do_task(make_work(action=action, options=FEW), items)
    there = do_task(work, items)
    assert list(map(strip, there.rows)) == list(map(strip, here.rows))
    assert there.counted == here.counted
    assert there.histogram == here.histogram
    assert here.warned == ()
    (warned,) = there.warned
    assert warned[0] == "ColorProfileWarning"
    assert there.n_images == here.n_images == 6
    assert len(children._idle) == 1
    assert children._busy == {}


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("crash.png", "its decoder crashed (SIGSEGV)"),
        ("abort.png", "its decoder crashed (SIGABRT)"),
        ("exit.png", "its decoder ended (exit code 7)"),
        ("greedy.png", "decoding it takes more than 2.1 GB of memory"),
        ("doomed.png", "its decoder crashed (SIGKILL)"),
    ],
)
def test_a_process_that_dies_costs_one_image(site, tmp_path, make_task, name, how):
    work, items = make_task(*GOOD, name, action=QUANTIZE)
    done = do_task(work, items)
    rows = rows_by_name(done)
    assert {row_name for row_name, row in rows.items() if row.status == WRITTEN} == set(GOOD)
    assert rows[name].error == (
        f"Cannot read {tmp_path / 'in' / name}: {how}; the file is damaged or made to do harm."
    )
    assert (len(done.rows), done.n_images) == (4, 4)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(GOOD)


def test_several_of_them_cost_no_more_and_are_counted_without(site, make_task):
    work, items = make_task(*GOOD, "crash1.png", "crash2.png", "exit.png", action=COUNT)
    done = do_task(work, items)
    assert len(done.rows) == 3
    assert {row.status for row in done.rows} == {QUARANTINED}
    expected = [
        ColorHistogram.from_pixels(np.asarray(Image.open(item.source)))
        for item in items
        if os.path.basename(item.source) in GOOD
    ]
    assert done.histogram == ColorHistogram.merge_all(expected)
    assert len(done.counted) == 3


def test_an_image_that_hangs_is_given_up(site, make_task):
    limits = "\nimport dask_quant.sources.decode_limits as limits\nlimits._SPARE_S = 0.5\n"
    with open(site / "sitecustomize.py", "a") as file:
        file.write(limits)
    work, items = make_task("spin.png", "z.png", action=QUANTIZE)
    rows = rows_by_name(do_task(work, items))
    assert "spin.png: decoding it took more than 0.5 s;" in rows["spin.png"].error
    assert rows["z.png"].status == WRITTEN


def test_a_process_killed_once_from_outside_costs_nothing(site, tmp_path, make_task):
    work, items = make_task("killed.png", "z.png", action=QUANTIZE)
    done = do_task(work, items)
    assert [row.status for row in done.rows] == [WRITTEN, WRITTEN]
    assert (tmp_path / "in" / "killed.png.once").exists()


def test_a_process_that_stands_still_is_noticed(site, make_task, monkeypatch):
    monkeypatch.setattr(children, "_LOOK_S", 0.05)
    work, items = make_task("stopped.png", "z.png", action=QUANTIZE)
    rows = rows_by_name(do_task(work, items))
    assert rows["stopped.png"].status == QUARANTINED
    assert rows["z.png"].status == WRITTEN


def test_a_process_that_waits_and_is_killed_is_replaced(make_task):
    work, items = make_task(*GOOD, action=QUANTIZE)
    start_processes(2)
    start_processes(2)
    assert len(children._idle) == 2
    for process in children._idle:
        process.process.kill()
        process.process.wait()
    assert {row.status for row in do_task(work, items).rows} == {WRITTEN}
    assert len(children._idle) == 1


def test_processes_that_are_ended_again_and_again_end_the_job(make_task, monkeypatch):
    started = []

    class Doomed(TaskProcess):
        def __init__(self):
            super().__init__()
            started.append(self)
            self.process.kill()
            self.process.wait()

    monkeypatch.setattr(children, "TaskProcess", Doomed)
    work, items = make_task(*GOOD)
    with pytest.raises(JobError, match=r"was ended 6 times .*; is there too little memory"):
        do_task(work, items)
    assert len(started) == 6
    assert children._busy == {}


def test_errors_come_through_and_the_process_is_kept(tmp_path, make_task):
    work, items = make_task("a.png", action=QUANTIZE)
    (tmp_path / "out" / "a.png").mkdir()
    with pytest.raises(OutputError, match="it is a folder; remove it, or rename it"):
        do_task(work, items)
    (process,) = children._idle
    (tmp_path / "out" / "a.png").rmdir()
    assert [row.status for row in do_task(work, items).rows] == [WRITTEN]
    assert children._idle == [process]
    with pytest.raises(JobError, match="KeyError: 'no such'"):  # a fault of ours
        do_task(make_task("a.png", action="no such")[0], items)


def wait_for(path):
    while not path.exists():
        time.sleep(0.01)  # the test's own time limit ends it


def test_tasks_that_are_stopped_end_at_once_and_others_do_not(site, tmp_path, make_task):
    work, items = make_task("spin.png", action=QUANTIZE)
    caught = []

    def run():
        with pytest.raises(JobError, match="was stopped") as error:
            do_task(work, items)
        caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(tmp_path / "in" / "spin.png.begun")
    (process,) = children._busy
    stop_tasks("another")
    assert process.process.poll() is None
    stop_tasks(work.run_id)
    thread.join(30)
    assert len(caught) == 1
    assert process.process.poll() == -signal.SIGKILL
    with pytest.raises(JobError, match="was stopped"):
        do_task(work, items)
    assert children._busy == {}


def test_a_process_ends_with_the_one_that_asks_whatever_it_does(site, tmp_path, make_task):
    make_task("spin.png", "z.png")
    code = f"""
        import threading
        from pathlib import Path
        from dask_quant.collection import children
        from dask_quant.collection.items import Item
        from dask_quant.collection.task import COUNT, Work

        work = Work(action=COUNT, run_id="run", folder={str(tmp_path)!r}, is_isolated=True)
        items = [Item(0, "0", "in/spin.png", "spin.png")]
        threading.Thread(target=children.do_task, args=[work, items]).start()
        while not Path({str(tmp_path / "in" / "spin.png.begun")!r}).exists():
            pass
        (process,) = children._busy
        print(process.process.pid, flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.ppid() == parent.pid
        parent.kill()
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)  # the test's own time limit ends it
