"""What was counted before a kill is taken over exactly, and the rest is counted again."""

import numpy as np
import pytest

from dask_quant.collection import counts
from dask_quant.collection.counts import GrowingCounts, KeptCounts
from dask_quant.collection.index import Index
from dask_quant.collection.work import Done
from dask_quant.histogram import ColorHistogram
from dask_quant.sources.found import Found


@pytest.fixture
def index():
    index = Index(".png")
    names = [f"{i}.png" for i in range(6)]
    index.add(Found(name, f"/{name}", name, "/", False) for name in names)
    yield index
    index.close()


@pytest.fixture
def tasks(index):
    """What each of six tasks counted, of one image each."""
    rng = np.random.default_rng(0)
    items = [item for item, _ in index.iterate_pending()]
    return [
        Done(
            checksums=((item.id, 7 * item.position),),
            histogram=ColorHistogram.from_pixels(rng.integers(0, 9, (5, 6, 3), dtype=np.uint8)),
        )
        for item in items
    ]


def merge(tasks):
    return ColorHistogram.merge_all(done.histogram for done in tasks)


def test_what_was_kept_is_taken_over_and_what_was_not_is_counted_again(tmp_path, index, tasks):
    first = KeptCounts(tmp_path, "counts")
    for done in tasks[:2]:
        first.add(done)
    assert first.keep() == merge(tasks[:2])
    first.add(tasks[2])
    first.keep()
    first.add(tasks[3])  # and then a kill
    again = KeptCounts(tmp_path, "counts")
    again.load(index)
    assert index.count_counted() == 3
    assert [item.checksum for item, _ in index.iterate_pending()] == [7, 14, 21, None, None, None]
    for done in tasks[3:]:
        again.add(done)
    assert again.keep() == merge(tasks)
    assert len(list(tmp_path.iterdir())) == 2
    again.remove()
    assert list(tmp_path.iterdir()) == []


def test_lines_beyond_the_counts_are_cut_wherever_they_are_torn(tmp_path, index, tasks):
    kept = KeptCounts(tmp_path, "counts")
    kept.add(tasks[0])
    kept.keep()
    path = tmp_path / "counts.jsonl"
    whole = path.read_bytes()
    for tail in (b"[", b'["' + b"x" * 99, whole.replace(b"7", b"8"), b"\0" * 4096):
        path.write_bytes(whole + tail)
        again = KeptCounts(tmp_path, "counts")
        again.load(index)
        assert path.read_bytes() == whole
        assert [item.checksum for item, _ in index.iterate_pending()][:2] == [7, None]
        assert again.keep() == tasks[0].histogram


@pytest.mark.parametrize("n_bytes", [0, 1, 100, -1])
def test_torn_counts_fall_back_to_those_before(tmp_path, index, tasks, n_bytes):
    kept = KeptCounts(tmp_path, "counts")
    kept.add(tasks[0])
    kept.keep()
    (earlier,) = tmp_path.glob("*.npz")
    saved = earlier.read_bytes()
    kept.add(tasks[1])
    kept.keep()
    (later,) = tmp_path.glob("*.npz")
    later.write_bytes(later.read_bytes()[:n_bytes])
    earlier.write_bytes(saved)  # a kill came before its removal
    again = KeptCounts(tmp_path, "counts")
    again.load(index)
    assert index.count_counted() == 1
    again.add(tasks[1])
    assert again.keep() == merge(tasks[:2])


def test_counts_without_their_lines_are_not_believed(tmp_path, index, tasks):
    kept = KeptCounts(tmp_path, "counts")
    kept.add(tasks[0])
    kept.keep()
    (tmp_path / "counts.jsonl").write_bytes(b"[")
    again = KeptCounts(tmp_path, "counts")
    again.load(index)
    assert index.count_counted() == 0
    assert again.keep() == ColorHistogram.empty()
    assert not (tmp_path / "counts.jsonl").read_bytes()


def test_other_files_and_other_groups_are_left_alone(tmp_path, index, tasks):
    (tmp_path / "counts-x.npz").write_bytes(b"mine")
    (tmp_path / "counts-b-5.npz").write_bytes(b"of a group")
    kept = KeptCounts(tmp_path, "counts")
    kept.load(index)
    kept.add(tasks[0])
    kept.keep()
    kept.remove()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counts-b-5.npz", "counts-x.npz"]


def test_counts_are_kept_once_in_a_while(tmp_path, index, tasks, monkeypatch):
    monkeypatch.setattr(counts, "CHECKPOINT_S", 0.0)
    kept = KeptCounts(tmp_path, "counts")
    kept._kept_at -= 1
    kept.add(tasks[0])
    assert len(list(tmp_path.glob("*.npz"))) == 1
    kept._cost = 1e9  # to keep took so long that it is not worth it
    kept._kept_at -= 1
    kept.add(tasks[1])
    again = KeptCounts(tmp_path, "counts")
    again.load(index)
    assert index.count_counted() == 1


@pytest.mark.parametrize("most", [0, 10, 1 << 30])
def test_growing_counts_are_those_of_all_however_often_they_are_merged(tasks, monkeypatch, most):
    monkeypatch.setattr(counts, "_MERGE_COLORS", most)
    growing = GrowingCounts()
    for done in tasks:
        growing.add(done.histogram)
    assert growing.merge() == merge(tasks) == growing.merge()
