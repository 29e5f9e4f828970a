"""Shards are packed as soon as their images are done, and what goes wrong is told of them."""

import io
import os
import tarfile

import fsspec
import numpy as np
import pytest
from PIL import Image

import dask_quant as dq
from dask_quant.collection import run as run_module
from dask_quant.collection.packing import PackTask
from dask_quant.collection.shard_index import Shard
from dask_quant.errors import SourceError
from dask_quant.sinks.batch_files import LocalPlace
from dask_quant.sinks.shard_store import ShardStore

HERE = dq.ClusterOptions(scheduler="synchronous")


def make_shard(seed, n_images=4):
    """Bytes of a tar file of images and their classes."""
    rng, buffer = np.random.default_rng(seed), io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for number in range(n_images):
            picture = io.BytesIO()
            pixels = rng.integers(0, 256, (6, 7, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(picture, "png")
            for name, data in ((f"{number}.png", picture.getvalue()), (f"{number}.cls", b"1")):
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                file.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def shards(tmp_path):
    """Five shards of four images each."""
    (tmp_path / "in").mkdir()
    for seed in range(5):
        (tmp_path / "in" / f"{seed}.tar").write_bytes(make_shard(seed))
    return tmp_path / "in"


@pytest.mark.parametrize("options", [{}, {"per_image": True}], ids=str)
def test_few_shards_wait_at_a_time(tmp_path, shards, monkeypatch, options):
    monkeypatch.setattr(run_module, "MAX_BATCH", 2)
    real, waiting = PackTask.pack, []

    def watch(task):
        waiting.append(len(os.listdir(task.store.waiting)))
        return real(task)

    monkeypatch.setattr(PackTask, "pack", watch)
    dq.quantize(f"{shards}/*.tar", tmp_path / "out", n_colors=3, n_init=1, format="tar",
                cluster=HERE, **options)  # fmt: skip
    assert len(waiting) == 5
    assert max(waiting) <= 2


def test_events_tell_of_shards(tmp_path, shards):
    told = []
    dq.quantize(f"{shards}/*.tar", tmp_path / "out", n_colors=3, n_init=1, format="tar",
                cluster=HERE, listener=told.append)  # fmt: skip
    packed = [(each.done, each.total) for each in told if getattr(each, "stage", "") == "pack"]
    assert packed
    assert packed[-1][0] == packed[-1][1]


def test_shards_far_away_become_shards_here(tmp_path, shards, memory_url):
    files = fsspec.filesystem("memory")
    for path in shards.iterdir():
        files.pipe_file(f"{memory_url}/in/{path.name}", path.read_bytes())
    options = {"n_colors": 3, "n_init": 1, "format": "tar", "cluster": HERE}
    dq.quantize(f"{memory_url}/in/*.tar", tmp_path / "far", **options)
    dq.quantize(f"{shards}/*.tar", tmp_path / "near", **options)
    for path in shards.iterdir():
        far, near = tmp_path / "far" / path.name, tmp_path / "near" / path.name
        assert far.read_bytes() == near.read_bytes()


@pytest.fixture
def make_task(tmp_path):
    """Return a function that makes a task for the shard at a path."""
    for name in ("out", "scratch", "waiting", "packed"):
        (tmp_path / name).mkdir()
    place = LocalPlace(str(tmp_path / "out"), str(tmp_path / "scratch"))
    store = ShardStore(place, tmp_path / "waiting", tmp_path / "packed")

    def make(path):
        version = str(path.stat().st_mtime_ns) if path.exists() else "0"
        return PackTask(Shard(str(path), version, "s.tar"), {}, frozenset(), ".png", store)

    return make


def test_a_shard_that_cannot_be_read_is_a_source_that_cannot(tmp_path, shards, make_task):
    task = make_task(shards / "0.tar")
    os.utime(shards / "0.tar", ns=(1, 1))
    with pytest.raises(SourceError, match=r"0\.tar: the file was changed"):
        task.pack()
    with pytest.raises(SourceError, match=r"gone\.tar: there is no such file"):
        make_task(shards / "gone.tar").pack()
    assert os.listdir(tmp_path / "out") == []


def test_a_shard_that_a_dead_worker_packed_is_left_as_it_is(tmp_path, shards, make_task):
    task = make_task(shards / "0.tar")
    task.pack()
    before = (tmp_path / "out" / "s.tar").stat()
    (tmp_path / "waiting" / task.shard.key).mkdir()
    task.pack()
    after = (tmp_path / "out" / "s.tar").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert os.listdir(tmp_path / "waiting") == []


def test_what_fails_while_a_shard_is_read_is_told_of_the_shard(shards, make_task, monkeypatch):
    def fail(*arguments):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(tarfile.ExFileObject, "read", fail)
    with pytest.raises(SourceError, match=r"Cannot read .*0\.tar: .*Input/output error\.$"):
        make_task(shards / "0.tar").pack()
