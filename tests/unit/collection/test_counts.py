"""What was counted before a kill is taken over exactly, and the rest is counted again."""

import re

import numpy as np
import pytest

from dask_quant.collection import counts
from dask_quant.collection.counts import FleetingCounts, HeldCounts, KeptCounts, MergedCounts
from dask_quant.collection.index import Index
from dask_quant.collection.task import CountedImage, Done, tell_briefly
from dask_quant.errors import JobError
from dask_quant.execute import Executor
from dask_quant.histogram import ColorHistogram
from dask_quant.sinks.state_folder import StateFolder
from dask_quant.sources.found import Found


@pytest.fixture
def index():
    index = Index(".png")
    names = [f"{i}.png" for i in range(6)]
    index.add(Found(name, f"/{name}", name, "/", False) for name in names)
    yield index
    index.close()


@pytest.fixture
def state(tmp_path):
    return StateFolder(tmp_path, is_resumed=True)


@pytest.fixture
def tasks(index):
    """What each of six tasks counted, of one image each."""
    rng = np.random.default_rng(0)
    items = [item for item, _ in index.iterate_pending()]
    return [
        Done(
            counted=(CountedImage(item.id, 7 * item.position, item.modified),),
            histogram=ColorHistogram.from_pixels(rng.integers(0, 9, (5, 6, 3), dtype=np.uint8)),
        )
        for item in items
    ]


def add(counts, done):
    counts.add(tell_briefly(done), done)


def merge(tasks):
    return ColorHistogram.merge_all(done.histogram for done in tasks)


def test_what_was_kept_is_taken_over_and_the_rest_counted_again(tmp_path, state, index, tasks):
    first = KeptCounts(state, "counts", Executor())
    for done in tasks[:2]:
        add(first, done)
    assert first.keep() == merge(tasks[:2])
    add(first, tasks[2])
    first.keep()
    add(first, tasks[3])  # and then a kill
    again = KeptCounts(state, "counts", Executor())
    again.load(index)
    assert index.count_counted() == 3
    assert [item.checksum for item, _ in index.iterate_pending()] == [7, 14, 21, None, None, None]
    for done in tasks[3:]:
        add(again, done)
    assert again.keep() == merge(tasks)
    found = sorted(path.name for path in tmp_path.iterdir())
    parts = [re.fullmatch(r"counts-(\d)-[0-9a-f]{8}\.(jsonl|npz)", name).groups() for name in found]
    assert parts == [("1", "jsonl"), ("2", "jsonl"), ("3", "jsonl"), ("3", "npz")]


@pytest.mark.parametrize("number", [1, 2])
def test_counts_that_came_late_are_not_believed(tmp_path, state, index, tasks, number):
    kept = KeptCounts(state, "counts", Executor())
    add(kept, tasks[0])
    kept.keep()
    (of_first,) = tmp_path.glob("*.npz")
    late = tmp_path / f"counts-{number}-00000000.npz"  # a worker wrote it for a run that is gone
    late.write_bytes(of_first.read_bytes())
    again = KeptCounts(state, "counts", Executor())
    again.load(index)
    assert not late.exists()
    assert [item.checksum for item, _ in index.iterate_pending()][:2] == [7, None]
    add(again, tasks[1])
    assert again.keep() == merge(tasks[:2])
    last = KeptCounts(state, "counts", Executor())
    last.load(index)
    assert index.count_counted() == 2


@pytest.mark.parametrize("n_bytes", [0, 1, 100, -1])
def test_torn_counts_fall_back_to_those_before(tmp_path, state, index, tasks, n_bytes):
    kept = KeptCounts(state, "counts", Executor())
    add(kept, tasks[0])
    kept.keep()
    (earlier,) = tmp_path.glob("*.npz")
    saved = earlier.read_bytes()
    add(kept, tasks[1])
    kept.keep()
    (later,) = tmp_path.glob("*.npz")
    later.write_bytes(later.read_bytes()[:n_bytes])
    earlier.write_bytes(saved)  # a kill came before its removal
    again = KeptCounts(state, "counts", Executor())
    again.load(index)
    assert index.count_counted() == 1
    add(again, tasks[1])
    assert again.keep() == merge(tasks[:2])


@pytest.mark.parametrize("left", [None, b"", b"[", b'["a", 7]', b"[]\n"])
def test_counts_without_their_lines_are_not_believed(tmp_path, state, index, tasks, left):
    kept = KeptCounts(state, "counts", Executor())
    add(kept, tasks[0])
    kept.keep()
    (path,) = tmp_path.glob("*.jsonl")
    path.unlink()
    if left is not None:
        path.write_bytes(left)
    again = KeptCounts(state, "counts", Executor())
    again.load(index)
    assert index.count_counted() == 0
    assert again.keep() == ColorHistogram.empty()


def test_counts_of_other_groups_are_left_alone(tmp_path, state, index, tasks):
    (tmp_path / "counts-x.npz").write_bytes(b"mine")
    (tmp_path / "counts-b-5-01234567.npz").write_bytes(b"of a group")
    kept = KeptCounts(state, "counts", Executor())
    kept.load(index)
    add(kept, tasks[0])
    kept.keep()
    assert (tmp_path / "counts-x.npz").read_bytes() == b"mine"
    assert (tmp_path / "counts-b-5-01234567.npz").read_bytes() == b"of a group"
    assert len(list(tmp_path.glob("counts-1-*"))) == 2


def test_counts_are_kept_once_in_a_while(tmp_path, state, index, tasks, monkeypatch):
    monkeypatch.setattr(counts, "CHECKPOINT_S", 0.0)
    kept = KeptCounts(state, "counts", Executor())
    kept._kept_at -= 1
    add(kept, tasks[0])
    assert len(list(tmp_path.glob("*.npz"))) == 1
    kept._cost = 1e9  # to keep took so long that it is not worth it
    kept._kept_at -= 1
    add(kept, tasks[1])
    again = KeptCounts(state, "counts", Executor())
    again.load(index)
    assert index.count_counted() == 1


@pytest.mark.parametrize("most", [0, 10, 1 << 30])
@pytest.mark.parametrize("kind", [MergedCounts, lambda: HeldCounts(Executor())])
@pytest.mark.parametrize("n_earlier", [0, 2])
def test_counts_are_those_of_all_however_they_are_merged(tasks, monkeypatch, most, kind, n_earlier):
    monkeypatch.setattr(counts, "_MERGE_COLORS", most)
    monkeypatch.setattr(counts, "_HELD_COLORS", most)
    growing = kind()
    growing.start(merge(tasks[:n_earlier]))
    for number, done in enumerate(tasks[n_earlier:], n_earlier + 1):
        growing.add(done, len(done.histogram))
        if number % 3 == 0:
            assert growing.merge() == merge(tasks[:number])
    assert growing.merge() == merge(tasks) == growing.merge()


@pytest.mark.parametrize("is_kept", [False, True])
def test_counts_that_are_not_those_of_the_tasks_end_the_job(state, tasks, is_kept):
    found = FleetingCounts(Executor())
    if is_kept:
        found = KeptCounts(state, "counts", Executor())
    add(found, tasks[0])
    found.add(tell_briefly(tasks[1]), Done(histogram=ColorHistogram.empty()))  # made up for
    with pytest.raises(JobError, match=r"Got 30 pixels where 60 were counted.*--resume"):
        found.keep()
    assert state.list_names() == []
