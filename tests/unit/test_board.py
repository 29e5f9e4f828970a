"""The board of a scheduler: what it keeps of jobs, and how little."""

import json

import pytest

from dask_quant.board import (
    CANCELLED,
    DONE,
    FAILED,
    LOST_DRIVER,
    MAX_COLORS,
    MAX_JOBS,
    MAX_POINTS,
    MAX_STAGES,
    MAX_TEXT,
    RUNNING,
    Board,
    clip_job,
)


def make_job(name, *, started=1.0, **others):
    return {"name": name, "started": started, **others}


def list_names(board):
    return [job["name"] for job in board.list_jobs(9.0)]


def test_a_job_that_is_told_again_takes_the_place_of_what_was_told():
    board = Board()
    board.put(make_job("a", n_images=1), 1.0)
    board.put(make_job("a", n_images=2, status=DONE), 1.0)
    (job,) = board.list_jobs(9.0)
    assert (job["n_images"], job["status"]) == (2, DONE)


def test_the_job_that_began_last_comes_first():
    board = Board()
    for name, started in (("a", 5.0), ("b", 7.0), ("c", 6.0)):
        board.put(make_job(name, started=started), 1.0)
    assert list_names(board) == ["b", "c", "a"]


def test_jobs_that_ended_make_room_before_those_that_run():
    board = Board()
    for number in range(MAX_JOBS):
        ended = None if number % 2 else 1000.0 - number
        status = RUNNING if number % 2 else DONE
        job = make_job(f"{number}", started=float(number), status=status, ended=ended)
        board.put(job, 1.0)
    board.put(make_job("new", started=9000.0), 1.0)
    last_even = MAX_JOBS - 2 + MAX_JOBS % 2  # it ended first
    assert set(list_names(board)) == {"new", *map(str, range(MAX_JOBS))} - {str(last_even)}
    for number in range(MAX_JOBS):
        board.put(make_job(f"more {number}", started=9001.0 + number), 1.0)
    assert len(board.list_jobs(9.0)) == MAX_JOBS
    assert list_names(board)[-1] == "more 0"


def test_nothing_of_a_job_is_larger_than_a_board_holds():
    points = [[float(number), 1.0] for number in range(5 * MAX_POINTS)]
    stage = {"name": "s" * 9 * MAX_TEXT, "history": points, "anything": "x" * 10**6}
    job = clip_job(
        make_job(
            "n" * 9 * MAX_TEXT,
            call="c" * 9 * MAX_TEXT,
            outcome="o" * 9 * MAX_TEXT,
            driver={str(number): "d" * 9 * MAX_TEXT for number in range(100)},
            stages=[stage] * 5 * MAX_STAGES,
            palette=["#000000"] * 9 * MAX_COLORS,
            errors=points,
            anything="x" * 10**6,
        )
    )
    assert len(json.dumps(job)) < 200_000
    assert job["errors"] == points[-MAX_POINTS:]
    assert len(job["stages"]) == MAX_STAGES
    assert len(job["palette"]) == MAX_COLORS
    assert job["call"].endswith("…")
    assert "anything" not in job
    assert "anything" not in job["stages"][0]


def test_a_client_that_leaves_takes_down_its_jobs_that_run_and_no_others():
    board = Board()
    board.put(make_job("runs", driver={"client": "c1"}), 1.0)
    board.put(make_job("of another", driver={"client": "c2"}), 1.0)
    board.put(
        make_job("is done", driver={"client": "c1"}, status=DONE, outcome="Done.", ended=2.0), 1.0
    )
    board.put(make_job("cancelled", driver={"client": "c1"}, status=CANCELLED, ended=2.0), 1.0)
    board.lose_client("c1", 9.0)
    found = {job["name"]: (job["status"], job["ended"]) for job in board.list_jobs(9.0)}
    assert found == {
        "runs": (FAILED, 9.0),
        "of another": (RUNNING, None),
        "is done": (DONE, 2.0),
        "cancelled": (CANCELLED, 2.0),
    }
    outcomes = {job["name"]: job["outcome"] for job in board.list_jobs(9.0)}
    assert (outcomes["runs"], outcomes["is done"]) == (LOST_DRIVER, "Done.")


def test_a_stage_that_a_driver_left_stands_still():
    board = Board()
    stages = [{"name": "count", "ended": 2.0}, {"name": "fit", "done": 3, "remaining_s": 4.0}]
    board.put(make_job("runs", driver={"client": "c1"}, stages=stages), 1.0)
    board.lose_client("c1", 9.0)
    (job,) = board.list_jobs(9.0)
    assert [(each["ended"], each["remaining_s"]) for each in job["stages"]] == [
        (2.0, None),
        (9.0, None),
    ]
    assert job["stages"][1]["done"] == 3


def test_it_is_told_how_long_a_job_was_not_heard_of():
    board = Board()
    board.put(make_job("a"), 100.0)
    board.put(make_job("b"), 103.0)
    silent = {job["name"]: job["silent_s"] for job in board.list_jobs(104.5)}
    assert silent == {"a": 4.5, "b": 1.5}


def test_what_readers_do_with_a_job_does_not_change_the_next_one():
    first = clip_job({"name": "a"})
    first["stages"].append("x")
    first["driver"]["x"] = 1
    assert clip_job({"name": "b"})["stages"] == []
    assert clip_job({"name": "b"})["driver"] == {}


@pytest.mark.parametrize("field", ["stages", "palette", "errors", "driver"])
def test_a_job_that_lacks_something_is_shown_all_the_same(field):
    assert clip_job({"name": "a"})[field] in ([], {})
