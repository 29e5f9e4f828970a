import dask.array as da
import numpy as np
import pytest

from dask_quant import kept_counts
from dask_quant.events import ignore_event
from dask_quant.execute import Executor
from dask_quant.histogram import ColorHistogram
from dask_quant.kept_counts import count_kept, drop_counts, find_held_counts, keep_held_counts
from dask_quant.sinks.state_folder import open_state

PIXELS = np.random.default_rng(3).integers(0, 6, (60, 50, 3)).astype(np.uint8)
COUNTS = ColorHistogram.from_pixels(PIXELS)
NOTHING = (ColorHistogram.empty(), 0)


@pytest.fixture
def state(tmp_path):
    with open_state(tmp_path / "state", {}, shown="out", resume=True) as state:
        yield state


@pytest.fixture
def often(monkeypatch):
    """Have every wave be of few blocks, and kept."""
    monkeypatch.setattr(kept_counts, "MIN_CHECKPOINT_S", 0.0)
    monkeypatch.setattr(kept_counts, "CHECKPOINT_SHARE", 0)
    monkeypatch.setattr(kept_counts, "BLOCKS_PER_THREAD", 1)


def make_executor(listener=ignore_event, scheduler="synchronous"):
    return Executor(None, scheduler, listener)


def find_kept(state, width=50):
    return find_held_counts(state, width, make_executor())


def stop_at(n_events):
    """Return a listener that ends the job at its n-th event, and the list of its events."""
    heard = []

    def listen(event):
        heard.append(event)
        if len(heard) == n_events:
            raise KeyboardInterrupt

    return listen, heard


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
@pytest.mark.parametrize("chunks", [(60, 50), (17, 13), (60, 1), (20, 50)])
@pytest.mark.parametrize("least", [1, 10**9])
def test_counts_are_those_of_all_pixels(state, often, monkeypatch, chunks, scheduler, least):
    monkeypatch.setattr("dask_quant.array_flow.DENSE_MIN_PIXELS", least)
    image = da.from_array(PIXELS, chunks=(*chunks, 3))
    assert count_kept(image, make_executor(scheduler=scheduler), state) == COUNTS
    assert find_kept(state) == (COUNTS, 60)


@pytest.mark.parametrize("least", [1, 10**9])
@pytest.mark.parametrize("n_events", [3, 7, 12])
def test_a_count_goes_on_with_other_chunks(state, often, monkeypatch, n_events, least):
    monkeypatch.setattr("dask_quant.array_flow.DENSE_MIN_PIXELS", least)
    listen, _ = stop_at(n_events)
    with pytest.raises(KeyboardInterrupt):
        count_kept(da.from_array(PIXELS, chunks=(7, 50, 3)), make_executor(listen), state)
    counts, n_rows = find_kept(state)
    assert 0 < n_rows < 60
    assert counts == ColorHistogram.from_pixels(PIXELS[:n_rows])
    read = []

    def note(block, block_info=None):
        read.append(block_info[0]["array-location"][0])
        return block

    image = da.from_array(PIXELS, chunks=(10, 25, 3)).map_blocks(note, dtype=np.uint8)
    _, heard = stop_at(10**6)
    assert count_kept(image, make_executor(heard.append), state) == COUNTS
    assert min(stop for _, stop in read) > n_rows
    assert (heard[0].done, heard[-1].done, heard[0].total) == (n_rows * 50, 3000, 3000)


def test_pixels_with_alpha_go_on_as_well(state, often):
    pixels = np.concatenate([PIXELS, PIXELS[..., :1] * 51], axis=2)
    image = da.from_array(pixels, chunks=(7, 50, 4))
    with pytest.raises(KeyboardInterrupt):
        count_kept(image, make_executor(stop_at(9)[0]), state)
    assert find_kept(state) != NOTHING
    assert count_kept(image, make_executor(), state) == ColorHistogram.from_pixels(pixels)


def test_what_is_counted_is_not_read_again(state):
    keep_held_counts(state, COUNTS, 60, 50, make_executor())
    image = da.from_array(PIXELS).map_blocks(lambda block: 1 // 0, dtype=np.uint8)
    assert count_kept(image, make_executor(), state) == COUNTS


def test_a_quick_count_is_kept_once_at_its_end(state, monkeypatch):
    kept = []
    monkeypatch.setattr(kept_counts, "keep_held_counts", lambda *given: kept.append(given[2]))
    monkeypatch.setattr(kept_counts, "MIN_CHECKPOINT_S", 1e9)
    count_kept(da.from_array(PIXELS, chunks=(7, 50, 3)), make_executor(), state)
    assert kept == [60]


def test_a_checkpoint_takes_the_place_of_the_one_before(state):
    keep_held_counts(state, ColorHistogram.from_pixels(PIXELS[:20]), 20, 50, make_executor())
    keep_held_counts(state, COUNTS, 60, 50, make_executor())
    (file,) = state.path.glob("*.npz")
    assert file.name.startswith("counts-60-")
    drop_counts(state)
    assert state.is_bare()
    assert find_kept(state) == NOTHING


@pytest.mark.parametrize("damage", ["torn", "gone", "other", "strange", "wider"])
def test_damaged_counts_are_none(state, damage):
    keep_held_counts(state, COUNTS, 60, 50, make_executor())
    (file,) = state.path.glob("counts-60-*.npz")
    if damage == "torn":
        file.write_bytes(file.read_bytes()[:100])
    elif damage == "gone":
        file.unlink()
    elif damage == "other":
        keep_held_counts(state, ColorHistogram.from_pixels(PIXELS[:20]), 60, 50, make_executor())
    elif damage == "strange":
        state.write_json("counted.json", ["rows", 60])
    assert find_kept(state, 51 if damage == "wider" else 50) == NOTHING
    assert count_kept(da.from_array(PIXELS), make_executor(), state) == COUNTS
