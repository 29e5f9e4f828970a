"""Waves of tasks on a cluster: two at a time, in order, and none left behind."""

import logging
import os
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count

import psutil
import pytest
from dask.delayed import delayed
from distributed import Event as Flag
from small_cluster import start_cluster

from dask_quant import execute
from dask_quant.errors import SourceError
from dask_quant.events import Event
from dask_quant.execute import Executor
from dask_quant.graphs.layers import gather_tasks, reduce_tree
from dask_quant.waves import MAX_WAVES, WAVES_AHEAD, Wave, _send_ahead, _SentWave

SCHEDULING = ("distributed.core", "distributed.scheduler")
"""Logs in which a scheduler says what it failed to do."""

TIMEOUT_S = 20
"""After which a test has failed that waits for what never comes."""


def make_wave(functions, n_before=0):
    tasks = [delayed(function, pure=False)() for function in functions]
    return Wave(gather_tasks(list, tasks), tasks, [1] * len(tasks), n_before)


def hoist(name, value):
    """Return a value, having set a flag."""
    Flag(name).set()
    return value


def wait_for(name, value):
    """Return a value, once a flag is set."""
    assert Flag(name).wait(timeout=TIMEOUT_S), f"nobody set {name}"
    return value


def touch(path, value):
    """Return a value, having made a file."""
    path.touch()
    return value


def answer_late_again(path):
    """Return 2, the second time once a flag is set."""
    if path.exists():
        wait_for("the first is taken", 2)
    path.touch()
    return 2


def note(folder):
    """Run until tasks are cancelled, and keep a record of that."""
    (folder / "begun").touch()
    wait_until((folder / "cancelled").exists)
    (folder / "ended").touch()


def fail_beside(folder):
    """Fail as soon as the other task runs."""
    wait_until((folder / "begun").exists)
    raise SourceError("torn")


def wait_until(holds):
    deadline = time.monotonic() + TIMEOUT_S
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def compute(executor, waves, total=0, **options):
    taken = []
    executor.compute_waves(iter(waves), taken.append, stage="s", total=total, **options)
    return taken


def test_a_wave_runs_while_the_slowest_task_of_the_one_before_does(client):
    slow = make_wave([partial(wait_for, "second runs", 1), partial(int, 2)])
    quick = make_wave([partial(hoist, "second runs", 3)])
    assert compute(Executor(client), [slow, quick]) == [[1, 2], [3]]


def test_a_third_is_asked_for_when_the_first_is_done(client, tmp_path):
    def make_waves():
        for number in range(5):
            if number >= WAVES_AHEAD:
                assert (tmp_path / str(number - WAVES_AHEAD)).exists()
            yield make_wave([partial(touch, tmp_path / str(number), number), int])

    assert compute(Executor(client), make_waves()) == [[n, 0] for n in range(5)]


class Taker:
    """A client that takes tasks, and does none."""

    def get(self, graph, keys, **options):
        return [object() for _ in keys]


@pytest.mark.parametrize(("n_done", "n_sent"), [(0, 1), (MAX_WAVES - 2, 1), (MAX_WAVES - 1, 0)])
def test_few_are_on_the_way_behind_one_that_is_slow(n_done, n_sent):
    slow, done = (_SentWave(None, frozenset(), n_open) for n_open in (1, 0))
    sent = deque([slow, *[done] * n_done])
    endless = (make_wave([int]) for _ in count())
    assert _send_ahead(Taker(), endless, sent, {}, set())
    assert len(sent) - 1 - n_done == n_sent


def test_a_root_that_is_lost_once_it_was_done_is_made_again(tmp_path):
    slow = make_wave([partial(wait_for, "the other is lost", 1)])
    quick = make_wave([partial(answer_late_again, tmp_path / "answered")])
    key = quick.root.key
    taken = []
    with (
        start_cluster(tmp_path / "cluster", 2, n_threads=2, is_pinned=False) as cluster,
        cluster.connect() as client,
        ThreadPoolExecutor(1) as pool,
    ):

        def lose():
            wait_until(lambda: key in client.futures and client.futures[key].status == "finished")
            pids = client.run(os.getpid)
            (holder,) = client.who_has()[key]
            psutil.Process(pids[holder]).kill()
            wait_until(lambda: client.futures[key].status == "lost")
            Flag("the other is lost", client=client).set()

        def take(value):
            taken.append(value)
            Flag("the first is taken", client=client).set()

        losing = pool.submit(lose)
        Executor(client).compute_waves(iter([slow, quick]), take, stage="s", total=0)
        losing.result()
    assert taken == [[1], [2]]


def test_progress_is_that_of_all_waves_and_of_what_was_done_before(client):
    events = []
    executor = Executor(client, listener=events.append)
    waves = [make_wave([int] * 3, n_before=4), make_wave([int] * 2, n_before=1)]
    compute(executor, waves, total=12, unit="px")
    assert events[0] == Event("s", 4, 12, "px")
    assert events[-1] == Event("s", 12, 12, "px")  # of which 2 came after the last wave
    done = [event.done for event in events]
    assert done == sorted(done)
    assert len(done) == 1 + 3 + 2 + 1


def test_nothing_is_told_of_waves_that_are_none(client):
    events = []
    assert compute(Executor(client, listener=events.append), [], total=5) == events == []


@pytest.fixture
def releasing(client, monkeypatch, tmp_path):
    """Have tasks that `note` end as soon as tasks are cancelled."""
    cancel = client.cancel

    def cancel_and_release(futures):
        cancel(futures)
        (tmp_path / "cancelled").touch()

    monkeypatch.setattr(client, "cancel", cancel_and_release)


@pytest.mark.parametrize("failing", [0, 1])
@pytest.mark.usefixtures("releasing")
def test_a_failure_in_one_stops_the_other(client, tmp_path, failing):
    # Two workers: one for the task that goes on, one for that which fails, and is tried again.
    waves = [make_wave([partial(note, tmp_path)])] * WAVES_AHEAD
    waves[failing] = make_wave([partial(fail_beside, tmp_path)])
    with pytest.raises(SourceError, match="torn"):
        compute(Executor(client), waves)
    assert (tmp_path / "ended").exists()


@pytest.mark.usefixtures("releasing")
def test_a_failure_below_a_tree_costs_no_connection(client, caplog, tmp_path):
    functions = [partial(note, tmp_path), int, int, partial(fail_beside, tmp_path)]
    leaves = [delayed(function, pure=False)() for function in functions]
    waves = [Wave(reduce_tree(list, leaves, 2), leaves, [1] * 4)]
    with caplog.at_level(logging.ERROR), pytest.raises(SourceError, match="torn"):
        compute(Executor(client), waves)
    assert (tmp_path / "ended").exists()
    assert compute(Executor(client), [make_wave([int])]) == [[0]]
    assert [record.getMessage() for record in caplog.records if record.name in SCHEDULING] == []


def test_roots_that_are_their_only_leaf_or_have_none(client):
    alone = delayed(int, pure=False)(7)
    assert compute(Executor(client), [Wave(alone, [alone], [1]), Wave(alone, [], [])]) == [7, 7]


def test_few_tasks_are_on_the_way(client, monkeypatch):
    monkeypatch.setattr(execute, "MAX_TASKS_PER_GRAPH", 10)
    executor = Executor(client)
    assert executor.wave_tasks() == 10 // WAVES_AHEAD
    assert executor.wave_tasks(4) == 4 // WAVES_AHEAD
    assert executor.wave_tasks(1) == executor.wave_tasks(2) == 1
    assert Executor().wave_tasks() == 10
    tasks = [delayed(int, pure=False)(number) for number in range(23)]
    assert executor.compute_all(tasks, stage="s", sizes=[1] * 23, unit="px") == list(range(23))
