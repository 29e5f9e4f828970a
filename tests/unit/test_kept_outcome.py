"""A palette that was kept is the one that was fitted, to the last bit; a torn one is none."""

import numpy as np
import pytest

from dask_quant.dithering import Tally
from dask_quant.events import ignore_event
from dask_quant.fit.fitting import fit_histogram
from dask_quant.fit_options import FitOptions
from dask_quant.flow import describe_fit
from dask_quant.histogram import ColorHistogram
from dask_quant.kept_outcome import find_outcome, find_tally, keep_outcome, keep_tally
from dask_quant.sinks.state_folder import StateFolder


@pytest.fixture
def state(tmp_path):
    return StateFolder(tmp_path, is_resumed=True)


def fit(n_bands=3, **options):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, n_bands), dtype=np.uint8)
    histogram = ColorHistogram.from_pixels(pixels)
    return describe_fit(histogram, fit_histogram(histogram, FitOptions(**options), ignore_event))


@pytest.mark.parametrize(
    "options",
    [
        {"n_colors": 5},
        {"n_colors": 5, "n_bands": 4},
        {"n_colors": 5, "space": "oklab", "weight_power": 0.5},
        {"n_colors": 2, "recolor": ["#000", "#fff"]},
    ],
    ids=str,
)
def test_an_outcome_comes_back_as_it_was(state, options):
    outcome = fit(**options)
    keep_outcome(state, outcome)
    found = find_outcome(state)
    assert found.palette == outcome.palette
    assert found.palette.counts.tolist() == outcome.palette.counts.tolist()
    assert found.palette.colors.dtype == outcome.palette.colors.dtype
    assert found.classes == outcome.classes
    assert (found.classes is not None) == ("recolor" in options)
    numbers = set(vars(outcome)) - {"palette", "classes"}
    assert {n: getattr(found, n) for n in numbers} == {n: getattr(outcome, n) for n in numbers}
    assert find_outcome(state, "outcome-of-another.json") is None


def test_a_tally_comes_back_as_it_was(state):
    tally = Tally(np.array([3, 0, 7], dtype=np.int64), 2**40 + 1, 2**55 + 1)
    keep_tally(state, tally)
    found = find_tally(state)
    assert found.counts.tolist() == [3, 0, 7]
    assert found.counts.dtype == np.int64
    assert (found.squared_error, found.squared_distance) == (2**40 + 1, 2**55 + 1)
    keep_tally(None, tally)  # where there is no state, nothing is kept


@pytest.mark.parametrize("find", [find_outcome, find_tally])
def test_what_is_torn_or_something_else_is_none(state, tmp_path, find):
    keep_outcome(state, fit(n_colors=2))
    keep_tally(state, Tally(np.array([1], dtype=np.int64), 1, 1))
    (path,) = tmp_path.glob("outcome.json" if find is find_outcome else "tally.json")
    data = path.read_bytes()
    assert find(state) is not None
    for size in range(0, len(data) - 2, 7):
        path.write_bytes(data[:size])
        assert find(state) is None, size
    for other in (b"3", b"[]", b"{}", b'{"palette": 3, "counts": "x"}', b"null", b"\xff"):
        path.write_bytes(other)
        assert find(state) is None, other
    path.unlink()
    assert find(state) is None
