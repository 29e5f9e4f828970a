import dataclasses

import pytest

from dask_quant.events import Event, Notice, Stopwatch, ignore_event


def test_events_are_values():
    event = Event("count", 3, 10, "px")
    assert event == Event("count", 3, 10, "px")
    assert Event("count", 3, None).unit == "tasks"
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.done = 4
    assert ignore_event(event) is None
    assert ignore_event(Notice("hello")) is None


def test_a_stopwatch_adds_up_stages_also_those_that_fail(monkeypatch):
    clock = iter([0.0, 1.0, 3.0, 5.0, 5.5, 10.0])
    monkeypatch.setattr("dask_quant.events.time.perf_counter", lambda: next(clock))
    watch = Stopwatch(started=next(clock))
    with watch.measure("count"):
        pass
    with pytest.raises(KeyError), watch.measure("count"):
        raise KeyError
    assert watch.summary() == {"total": 10.0, "count": 2.5}
