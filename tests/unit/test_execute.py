import threading

import dask
import numpy as np
import pytest
from dask.callbacks import Callback
from dask.delayed import delayed

from dask_quant import execute
from dask_quant.errors import SourceError
from dask_quant.events import Event, Notice
from dask_quant.execute import Executor


class GraphCounter(Callback):
    """Counts the graphs that are handed to a local scheduler, and the tasks of each."""

    def __init__(self):
        self.sizes = []
        super().__init__(start=lambda graph: self.sizes.append(len(graph)))


def make_tasks(n):
    square = delayed(lambda i: i * i, pure=False)
    return [square(i) for i in range(n)]


@pytest.fixture(params=["threads", "synchronous"])
def scheduler(request):
    return request.param


def test_progress_rises_and_ends_complete(scheduler):
    events, tasks = [], make_tasks(9)
    sizes = list(range(1, 10))
    executor = Executor(scheduler=scheduler, listener=events.append)
    root = delayed(sum)(tasks)
    assert executor.compute(root, stage="count", leaves=tasks, sizes=sizes, unit="px") == 204
    assert events[0] == Event("count", 0, 45, "px")
    assert events[-1] == Event("count", 45, 45, "px")
    done = [event.done for event in events]
    assert done == sorted(done)
    assert len(done) == 10
    assert sorted(np.diff(done).tolist()) == sizes


def test_leaves_without_sizes_count_one_each():
    events, tasks = [], make_tasks(3)
    Executor(scheduler="synchronous", listener=events.append).compute(
        delayed(list)(tasks), stage="x", leaves=tasks
    )
    assert [(e.done, e.total, e.unit) for e in events] == [(i, 3, "tasks") for i in range(4)]


@pytest.mark.parametrize("width", [1, 2, 3, 7, 100])
def test_waves_are_bounded_and_give_the_same(monkeypatch, scheduler, width):
    monkeypatch.setattr(execute, "MAX_TASKS_PER_GRAPH", width)
    events, tasks = [], make_tasks(7)
    executor = Executor(scheduler=scheduler, listener=events.append)
    with GraphCounter() as counter:
        results = executor.compute_all(tasks, stage="s", sizes=[2] * 7, unit="images")
    assert results == [i * i for i in range(7)]
    assert len(counter.sizes) == -(-7 // width)
    assert max(counter.sizes) <= width + 1
    done = [event.done for event in events]
    assert done == sorted(done)
    assert done[-1] == 14
    assert {event.total for event in events} == {14}


def test_nothing_to_do_is_done(scheduler):
    assert Executor(scheduler=scheduler).compute_all([], stage="s", sizes=[], unit="px") == []


def test_errors_of_tasks_surface_as_they_are(scheduler):
    def fail():
        raise SourceError("torn")

    task = delayed(fail)()
    with pytest.raises(SourceError, match="torn"):
        Executor(scheduler=scheduler).compute(task, stage="s", leaves=[task])


def test_the_scheduler_that_was_chosen_runs_the_tasks():
    name = delayed(lambda: threading.current_thread() is threading.main_thread(), pure=False)
    assert Executor(scheduler="synchronous").compute(name(), stage="s") is True
    assert Executor(scheduler="threads").compute(name(), stage="s") is False
    assert Executor().compute(name(), stage="s") is False
    with dask.config.set(scheduler="synchronous"):
        assert Executor().compute(name(), stage="s") is True


def test_third_parties_compute_where_the_executor_does():
    calls = []

    def spy(graph, keys, **options):
        calls.append(1)
        return dask.get(graph, keys, **options)

    with dask.config.set(scheduler=spy):
        with Executor().activate():
            assert delayed(int)(3).compute() == 3
        assert calls == [1]
        with Executor(scheduler="synchronous").activate():
            assert delayed(int)(3).compute() == 3
    assert calls == [1]


def test_no_task_runs_on_after_a_failure():
    started, release = threading.Event(), threading.Event()
    ended = []

    def slow():
        started.set()
        release.wait(30)
        ended.append(1)

    def fail():
        assert started.wait(30)
        release.set()
        raise SourceError("torn")

    tasks = [delayed(slow, pure=False)(), delayed(fail, pure=False)()]
    with dask.config.set(num_workers=2), pytest.raises(SourceError):
        Executor(scheduler="threads").compute(delayed(list)(tasks), stage="s", leaves=tasks)
    assert ended == [1]


def test_width_is_what_can_run_side_by_side():
    assert Executor(scheduler="synchronous").n_threads == 1
    assert Executor(scheduler="threads").n_threads >= 1
    assert Executor().n_processes == 0


def test_a_part_reports_within_the_whole_and_passes_notices_on():
    heard = []
    part = Executor(listener=heard.append).part_of(100, 40)
    part.listener(Event("count", 5, 10, "px"))
    part.listener(Notice("hello"))
    assert heard == [Event("count", 45, 100, "px"), Notice("hello")]


def test_peak_memory_without_a_cluster_is_that_of_this_process():
    assert Executor().peak_rss_bytes() == pytest.approx(execute.peak_rss_bytes(), rel=0.2)


@pytest.mark.parametrize(
    ("setting", "shares"),
    [(None, True), ("threads", True), ("sync", True), ("processes", False), (dask.get, True)],
)
def test_memory_is_shared_where_tasks_run_here(setting, shares):
    with dask.config.set(scheduler=setting):
        assert Executor().shares_memory is shares
        assert Executor(scheduler="synchronous").shares_memory is True


@pytest.mark.parametrize("n_tasks", [0, 1, 3, 50])
def test_a_stream_gives_the_result_of_every_task_once(scheduler, n_tasks):
    stopped = []
    stream = Executor(scheduler=scheduler).stream(
        lambda i: i * i, iter(range(n_tasks)), stop=lambda: stopped.append(1)
    )
    assert sorted(stream) == [i * i for i in range(n_tasks)]
    assert stopped == []


def test_a_stream_asks_for_tasks_as_there_is_room_and_as_what_came_of_others_says(scheduler):
    executor = Executor(scheduler=scheduler)
    here, asked, running, most = threading.get_ident(), [], set(), []
    lock = threading.Lock()
    total = 0

    def tasks():
        while total < 20:
            assert threading.get_ident() == here
            asked.append(1)
            yield len(asked)

    def work(number):
        with lock:
            running.add(number)
            most.append(len(running))
        with lock:
            running.remove(number)
        return number

    ahead, n_done = [], 0
    for _ in executor.stream(work, tasks()):
        n_done += 1
        total += 1
        ahead.append(len(asked) - n_done)
    assert n_done == len(asked)
    assert max(ahead) <= executor.n_threads
    assert max(most) <= executor.n_threads
    assert 20 <= n_done <= 21 + executor.n_threads


def test_what_ends_first_comes_first(monkeypatch):
    monkeypatch.setattr(execute, "count_cpus", lambda: 2)
    release = threading.Event()

    def work(number):
        if number == 0:
            assert release.wait(30)
        return number

    stream = Executor(scheduler="threads").stream(work, range(5))
    found = [next(stream) for _ in range(4)]
    assert sorted(found) == [1, 2, 3, 4]
    release.set()
    assert list(stream) == [0]


@pytest.mark.parametrize("ending", ["a task fails", "it is closed", "tasks fail"])
def test_a_stream_that_is_given_up_stops_its_tasks_and_leaves_none(monkeypatch, ending):
    monkeypatch.setattr(execute, "count_cpus", lambda: 2)
    started, release = threading.Event(), threading.Event()
    stopped, ended, asked = [], [], []
    before = set(threading.enumerate())

    def work(number):
        if number == 0:
            started.set()
            assert release.wait(30)
            ended.append(number)
        elif ending == "a task fails":
            assert started.wait(30)
            raise SourceError("torn")
        return number

    def tasks():
        for number in range(100):
            asked.append(number)
            if number == 4 and ending == "tasks fail":
                raise SourceError("torn")
            yield number

    def stop():
        stopped.append(1)
        release.set()

    stream = Executor(scheduler="threads").stream(work, tasks(), stop=stop)
    if ending == "it is closed":
        assert next(stream) == 1
        stream.close()
    else:
        with pytest.raises(SourceError, match="torn"):
            list(stream)
    assert stopped == [1]
    assert ended == [0]
    assert len(asked) <= 5
    assert set(threading.enumerate()) <= before
