"""What a driver knows of its job: rates, histories, ends; nothing secret, nothing unprintable."""

import json
from itertools import pairwise

import pytest

from dask_quant.board import CANCELLED, DONE, FAILED, MAX_POINTS, RUNNING
from dask_quant.events import Event, Tally
from dask_quant.job_record import RATE_WINDOW_S, History, JobRecord, show_line


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def record(clock):
    return JobRecord("quantize", "quantize('a', 'b')", clock)


def find_stage(record, name):
    return next(stage for stage in record.to_json()["stages"] if stage["name"] == name)


def test_a_stage_that_runs_tells_its_rate_and_what_is_left(record, clock):
    record.take_event(Event("count", 0, 100, "images"))
    assert find_stage(record, "count")["rate"] is None
    clock.now += 4
    record.take_event(Event("count", 20, 100, "images"))
    stage = find_stage(record, "count")
    assert (stage["done"], stage["total"], stage["unit"]) == (20, 100, "images")
    assert (stage["rate"], stage["remaining_s"], stage["ended"]) == (5.0, 16.0, None)


def test_the_rate_of_a_stage_that_runs_is_that_of_late(record, clock):
    record.take_event(Event("count", 0, 10_000, "images"))
    for number in range(1, 11):
        clock.now += RATE_WINDOW_S / 4
        record.take_event(Event("count", 100 * number, 10_000, "images"))
    for number in range(1, 9):
        clock.now += RATE_WINDOW_S / 4
        record.take_event(Event("count", 1000 + 10 * number, 10_000, "images"))
    assert find_stage(record, "count")["rate"] == pytest.approx(10 / (RATE_WINDOW_S / 4))


def test_a_rate_falls_while_nothing_comes(record, clock):
    record.take_event(Event("count", 0, 100, "images"))
    clock.now += 1
    record.take_event(Event("count", 10, 100, "images"))
    before = find_stage(record, "count")["rate"]
    clock.now += 9
    assert find_stage(record, "count")["rate"] == before / 10


def test_a_stage_that_is_done_tells_its_rate_over_all_of_it(record, clock):
    record.take_event(Event("count", 0, 100, "images"))
    clock.now += 100
    record.take_event(Event("count", 10, 100, "images"))
    clock.now += 100
    record.take_event(Event("count", 100, 100, "images"))
    clock.now += 500
    stage = find_stage(record, "count")
    assert (stage["rate"], stage["remaining_s"], stage["ended"]) == (0.5, None, 1200.0)


def test_a_stage_ends_where_the_next_begins(record, clock):
    record.take_event(Event("list", 0, None, "images"))
    clock.now += 1
    record.take_event(Event("list", 70, None, "images"))
    assert find_stage(record, "list")["ended"] is None
    clock.now += 1
    record.take_event(Event("count", 0, 70, "images"))
    assert find_stage(record, "list")["ended"] == 1001.0
    assert [stage["name"] for stage in record.to_json()["stages"]] == ["list", "count"]


def test_a_stage_that_is_entered_again_starts_from_there(record, clock):
    record.take_event(Event("fit", 0, 5, "rounds"))
    clock.now += 1
    record.take_event(Event("fit", 5, 5, "rounds"))
    clock.now += 100
    record.take_event(Event("fit", 0, 8, "rounds"))
    clock.now += 2
    record.take_event(Event("fit", 4, 8, "rounds"))
    stage = find_stage(record, "fit")
    assert (stage["done"], stage["total"], stage["rate"]) == (4, 8, 2.0)
    assert (stage["remaining_s"], stage["ended"]) == (2.0, None)


def test_errors_and_palettes_are_told_as_they_come(record, clock):
    for number, error in enumerate((9.0, 5.0, 4.0)):
        clock.now += 1
        palette = ("#000000", f"#{number:06x}")
        record.take_event(Event("fit", number + 1, 3, "rounds", error=error, palette=palette))
    told = record.to_json()
    assert told["errors"] == [[1.0, 9.0], [2.0, 5.0], [3.0, 4.0]]
    assert told["palette"] == ["#000000", "#000002"]
    assert told["n_colors"] == 2


def test_a_tally_and_then_the_report_say_what_was_written(record):
    tally = Tally(n_images=2, n_pixels=20, input_bytes=9, output_bytes=3, n_quarantined=1)
    record.take_event(Event("relabel", 3, 5, "images", tally=tally))
    told = record.to_json()
    assert (told["n_images"], told["n_pixels"], told["n_quarantined"]) == (2, 20, 1)
    record.take_report({"n_images": 4, "n_pixels": 40, "mse": 2.5, "quarantined": [{}], "x": 1})
    told = record.to_json()
    assert (told["n_images"], told["n_pixels"], told["mse"]) == (4, 40, 2.5)
    assert "x" not in told


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("error", "status", "outcome"),
    [
        (None, DONE, "Done."),
        (ValueError("got 3,\nuse 4"), FAILED, "ValueError: got 3,\\nuse 4"),
        (KeyboardInterrupt(), CANCELLED, "Cancelled by whoever ran it."),
    ],
)
def test_a_job_ends_well_by_an_error_or_cancelled(record, clock, error, status, outcome):
    record.start("client-1")
    assert (record.to_json()["status"], record.to_json()["ended"]) == (RUNNING, None)
    clock.now += 7
    record.end(error)
    told = record.to_json()
    assert (told["status"], told["outcome"], told["ended"]) == (status, outcome, 1007.0)
    assert told["driver"]["client"] == "client-1"


def test_what_was_set_aside_is_part_of_the_outcome(record):
    record.take_report({"quarantined": [{}, {}]})
    record.end(None)
    assert record.to_json()["outcome"] == "Done; 2 inputs were set aside."


def test_names_differ_though_commands_are_the_same(clock):
    names = {JobRecord("quantize", "", clock).name for _ in range(20)}
    assert len(names) == 20
    assert all(name.startswith("quantize-") for name in names)


@pytest.mark.parametrize("call", ["caf\udce9.png", "a\nb\0c\u202ed", "\ud800"])
def test_whatever_files_are_called_a_job_is_json_in_one_line(call, clock):
    told = JobRecord("quantize", call, clock).to_json()
    assert told["call"].isprintable()
    json.dumps(told).encode()


def test_secrets_of_addresses_are_in_no_outcome(record):
    address = "s3://user:canary-login@bucket/a.png?X-Signature=canary-query"
    record.end(OSError(f"cannot read {address}: gone"))
    assert "canary" not in json.dumps(record.to_json())
    assert "s3://***@bucket/a.png" in record.to_json()["outcome"]
    assert "canary" not in show_line(address)


def test_a_history_is_thinned_out_evenly_and_keeps_its_ends():
    history, n_points = History(), 40 * MAX_POINTS
    for number in range(n_points):
        history.add(float(number), float(n_points - number))
    points = history.points
    assert MAX_POINTS / 3 < len(points) <= MAX_POINTS
    assert points[0] == [0.0, float(n_points)]
    assert points[-1] == [n_points - 1.0, 1.0]
    gaps = [after - before for (before, _), (after, _) in pairwise(points)]
    assert max(gaps[:-1]) <= 2 * min(gaps[:-1])


def test_points_that_come_at_once_are_told_by_the_last():
    history = History()
    for number in range(50):
        history.add(number / 1000, float(number))
    assert history.points == [[0.0, 0.0], [0.049, 49.0]]
