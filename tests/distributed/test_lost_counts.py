"""Counts that a distant cluster holds, when the worker that has them is killed."""

import os
from functools import partial

import dask.array as da
import numpy as np
import psutil
import pytest
from PIL import Image
from small_cluster import start_cluster

from dask_quant import kept_counts
from dask_quant.collection.counts import KeptCounts
from dask_quant.collection.index import Index
from dask_quant.collection.task import CountedImage, Done, tell_briefly
from dask_quant.execute import Executor
from dask_quant.histogram import ColorHistogram
from dask_quant.kept_counts import count_kept
from dask_quant.sinks.state_folder import StateFolder, open_state
from dask_quant.sources.found import Found
from dask_quant.sources.image_file import read_header
from dask_quant.sources.strips import open_stream
from dask_quant.stream_flow import decode_stream

PIXELS = np.random.default_rng(3).integers(0, 6, (60, 50, 3)).astype(np.uint8)


@pytest.fixture
def executor(tmp_path):
    """One on a cluster of two workers that this process did not start."""
    with (
        start_cluster(tmp_path / "cluster", 2, is_pinned=False) as cluster,
        cluster.connect() as client,
    ):
        executor = Executor(client)
        assert executor.is_distant
        yield executor


def kill_holders(executor, held):
    """Kill all workers that hold a result."""
    pids = executor.client.run(os.getpid)
    (holders,) = executor.client.who_has([held]).values()
    assert 0 < len(holders) < len(pids)
    for each in holders:
        psutil.Process(pids[each]).kill()


def test_a_count_with_checkpoints_comes_out_the_same(executor, tmp_path, monkeypatch):
    monkeypatch.setattr(kept_counts, "MIN_CHECKPOINT_S", 0.0)
    monkeypatch.setattr(kept_counts, "CHECKPOINT_SHARE", 0)
    monkeypatch.setattr(kept_counts, "BLOCKS_PER_THREAD", 1)
    image = da.from_array(PIXELS, chunks=(7, 50, 3))
    with open_state(tmp_path / "state", {}, shown="out", resume=True) as state:
        total = count_kept(image, executor, state)
        kill_holders(executor, total)
        assert executor.fetch(total) == ColorHistogram.from_pixels(PIXELS)


def test_a_collection_that_goes_on_comes_out_the_same(executor, tmp_path):
    index, state = Index(".png"), StateFolder(tmp_path, is_resumed=True)
    index.add(Found(name, f"/{name}", name, "/", False) for name in ("0.png", "1.png", "2.png"))
    parts = [PIXELS[:20], PIXELS[20:40], PIXELS[40:]]
    items = [item for item, _ in index.iterate_pending()]

    def add(counts, number):
        counted = (CountedImage(items[number].id, 7, items[number].modified),)
        histogram = ColorHistogram.from_pixels(parts[number])
        held = executor.hold(partial(Done, counted=counted, histogram=histogram))
        counts.add(tell_briefly(Done(counted=counted, histogram=histogram)), held)

    first = KeptCounts(state, "counts", executor)
    add(first, 0)
    first.keep()
    again = KeptCounts(state, "counts", executor)
    assert again.load(index)
    for number in (1, 2):
        add(again, number)
        total = again.keep()
    assert len(list(tmp_path.glob("*.npz"))) == 1
    kill_holders(executor, total)
    assert executor.fetch(total) == ColorHistogram.from_pixels(PIXELS)
    index.close()


def test_pixels_that_are_read_stay_while_they_are_decoded_again(executor, tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    stream = open_stream(read_header(tmp_path / "a.png"))
    with decode_stream(stream, tmp_path / "out.png", executor) as (scratch, counts):
        with open(scratch.path, "rb") as file:
            kill_holders(executor, counts)
            assert executor.fetch(counts) == ColorHistogram.from_pixels(PIXELS)
            assert file.read() == PIXELS.tobytes()
            assert os.stat(scratch.path).st_ino != os.fstat(file.fileno()).st_ino  # a new one
        with open(scratch.path, "rb") as file:
            assert file.read() == PIXELS.tobytes()
