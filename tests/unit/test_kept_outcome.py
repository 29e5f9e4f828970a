import json
from dataclasses import replace

import numpy as np
import pytest

from dask_quant.dithering import Tally
from dask_quant.flow import ImageOutcome
from dask_quant.kept_outcome import find_outcome, find_tally, keep_outcome, keep_tally
from dask_quant.palette import Palette
from dask_quant.sinks.state_folder import open_state

OUTCOME = ImageOutcome(
    n_pixels=10**13, n_unique_colors=3, squared_error=2**60 + 1, inertia=np.float64(0.1) + 0.2,
    mean_color_error=1e300, palette=Palette([[9, 8, 7], [1, 2, 3]], [2**40, 0]),
    engine="histogram", n_iter=4, output_bytes=0,
)  # fmt: skip


@pytest.fixture
def state(tmp_path):
    with open_state(tmp_path / "state", {}, shown="out", resume=True) as state:
        yield state


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"palette": Palette([[9, 8, 7, 0], [1, 2, 3, 128], [1, 2, 3, 255]])},
        {"classes": Palette([[1, 1, 1], [2, 2, 2]])},
        {"squared_error": np.int64(7), "n_iter": np.int32(3)},
    ],
    ids=str,
)
def test_an_outcome_comes_back_as_it_was(state, change):
    outcome = replace(OUTCOME, **change)
    keep_outcome(state, outcome)
    found = find_outcome(state)
    assert found == outcome
    counts = found.palette.counts
    assert (counts is None) == (outcome.palette.counts is None)
    assert counts is None or counts.tolist() == [2**40, 0]
    assert isinstance(found.squared_error, int)


def test_a_tally_comes_back_as_it_was(state):
    keep_tally(state, Tally(np.array([2**40, 3]), 2**70, 5))
    found = find_tally(state)
    assert (found.counts.tolist(), found.squared_error, found.squared_distance) == (
        [2**40, 3],
        2**70,
        5,
    )
    keep_tally(None, found)


@pytest.mark.parametrize("damage", ["cut", "field", "color", "list", "gone"])
def test_what_is_torn_or_strange_is_none(state, damage):
    keep_outcome(state, OUTCOME)
    keep_tally(state, Tally(np.array([1]), 2, 3))
    for name in ("outcome.json", "tally.json"):
        file = state.path / name
        values = json.loads(file.read_text())
        if damage == "cut":
            file.write_text(file.read_text()[:-5])
        elif damage == "field":
            state.write_json(name, values | {"more": 1})
        elif damage == "color":
            strange = {"palette": {"colors": ["#12"], "counts": None}, "counts": ["a"]}
            state.write_json(name, values | strange)
        elif damage == "list":
            state.write_json(name, [1])
        else:
            file.unlink()
    assert find_outcome(state) is None
    assert find_tally(state) is None
