"""Results of tasks as they end, from a cluster: each once, some at a time, and none left behind."""

import os
import time

import pytest

from dask_quant.cluster_tasks import _TASKS_PER_THREAD, RETRIES
from dask_quant.errors import SourceError
from dask_quant.execute import Executor


def square(folder):
    """Return a function that travels by value, and notes on disk that it was called."""

    def work(number):
        (folder / f"{number}").touch(exist_ok=False)
        return number * number

    return work


def wait_to_be_stopped(folder):
    """Return a function that fails for one task, while another runs until it is told to stop."""

    def work(number):
        if number == 0:
            while not (folder / "runs").exists():
                time.sleep(0.01)
            raise SourceError("torn")
        if number == 1:
            (folder / "runs").touch()
            while not (folder / "stopped").exists():
                time.sleep(0.01)
            (folder / "ended").touch()
        return number

    return work


def stop(folder):
    """Return a function that says that it was called, and where."""

    def tell():
        (folder / f"stop-{os.getpid()}").touch(exist_ok=False)
        (folder / "stopped").touch()

    return tell


def test_every_task_is_done_once_and_few_are_ahead(client, tmp_path):
    asked, ahead = [], []

    def tasks():
        for number in range(60):
            asked.append(number)
            yield number

    found = []
    for result in Executor(client).stream(square(tmp_path), tasks()):
        found.append(result)
        ahead.append(len(asked) - len(found))
    assert sorted(found) == [number * number for number in range(60)]
    assert max(ahead) < 2 * _TASKS_PER_THREAD
    assert len(list(tmp_path.iterdir())) == 60


@pytest.mark.parametrize("ending", ["a task fails", "it is closed"])
def test_a_stream_that_is_given_up_stops_its_tasks_on_every_worker(client, tmp_path, ending):
    numbers = range(100) if ending == "a task fails" else range(1, 100)
    stream = Executor(client).stream(wait_to_be_stopped(tmp_path), numbers, stop=stop(tmp_path))
    if ending == "it is closed":
        assert next(stream) > 1
        while not (tmp_path / "runs").exists():
            time.sleep(0.01)
        stream.close()
    else:
        with pytest.raises(SourceError, match="torn"):
            list(stream)
    stops = {path.name for path in tmp_path.glob("stop-*")}
    assert stops == {f"stop-{pid}" for pid in client.run(os.getpid).values()}
    assert (tmp_path / "ended").exists()
    assert not any(client.processing().values())


def test_a_task_that_fails_is_tried_again(client, tmp_path):
    def work(number):
        calls = len(list(tmp_path.glob(f"{number}-*")))
        (tmp_path / f"{number}-{calls}").touch(exist_ok=False)
        if calls < RETRIES:
            raise SourceError("torn")
        return number

    assert sorted(Executor(client).stream(work, range(4))) == [0, 1, 2, 3]
    assert len(list(tmp_path.iterdir())) == 4 * (RETRIES + 1)
