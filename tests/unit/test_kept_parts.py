import dask.array as da
import numpy as np
import pytest

from dask_quant.events import ignore_event
from dask_quant.execute import Executor
from dask_quant.kept_parts import NOTHING_DONE, cut_units, find_missing, list_missing

WRITTEN = {(0, 0), (0, 8), (8, 0), (16, 0)}
"""Places of units of 8 by 8 that are there."""


def holds(at, shape):
    assert shape == (min(8, 20 - at[0]), min(8, 15 - at[1]))
    return at in WRITTEN


def test_units_that_are_missing_are_listed():
    assert list_missing(holds, (8, 8), (0, 0), (20, 15)) == ((8, 8), (16, 8))
    assert list_missing(holds, (8, 8), (16, 0), (4, 8)) == ()


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_blocks_are_looked_at_and_not_computed(scheduler):
    events = []
    image = da.zeros((20, 15), chunks=(8, 15)).map_blocks(lambda block: 1 // 0, dtype=float)
    missing = find_missing(image, (8, 8), holds, Executor(None, scheduler, events.append))
    assert missing.units == {(0, 0): (), (8, 0): ((8, 8),), (16, 0): ((16, 8),)}
    assert missing.is_done((0, 0))
    assert not missing.is_done((8, 0))
    assert missing.of((8, 0)) == ((8, 8),)
    assert {event.stage for event in events} == {"check"}
    assert (events[-1].done, events[-1].total) == (300, 300)


def test_of_what_was_not_looked_at_nothing_is_done():
    assert NOTHING_DONE.of((0, 0)) is None
    assert not NOTHING_DONE.is_done((0, 0))
    missing = find_missing(
        da.zeros((8, 8)), (8, 8), lambda at, shape: True, Executor(None, None, ignore_event)
    )
    assert missing.is_done((0, 0))


def test_units_are_cut_out_of_a_block():
    labels = np.arange(12 * 15).reshape(12, 15)
    ((whole, at),) = cut_units(labels, (8, 0), (8, 8), None)
    assert whole is labels
    assert at == (8, 0)
    cut = {place: part for part, place in cut_units(labels, (8, 0), (8, 8), ((8, 8), (16, 0)))}
    assert set(cut) == {(8, 8), (16, 0)}
    assert np.array_equal(cut[8, 8], labels[:8, 8:])
    assert np.array_equal(cut[16, 0], labels[8:, :8])
    assert list(cut_units(labels, (8, 0), (8, 8), ())) == []
