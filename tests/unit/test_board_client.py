"""Telling the board of a job: whatever becomes of the scheduler, the job goes its way."""

import threading
import time
from types import SimpleNamespace

import pytest

from dask_quant import board_client
from dask_quant.board import CANCELLED, DONE, FAILED, PUT_OPERATION, RUNNING
from dask_quant.board_client import telling_board
from dask_quant.errors import ClusterError
from dask_quant.events import Event, Notice, ignore_event
from dask_quant.options import ClusterOptions
from dask_quant.watching import Watcher

NOTHING = ClusterOptions()


class FakeClient:
    """A client whose scheduler does with what it is told as a test says."""

    id, cluster = "client-1", None

    def __init__(self, take):
        self.status, self.take, self.told = "running", take, []
        self.scheduler = SimpleNamespace(**{PUT_OPERATION: "put"})

    def register_plugin(self, plugin, name):
        self.plugin = plugin

    def sync(self, operation, *, job, callback_timeout):
        assert operation == "put"
        assert callback_timeout == board_client.ANSWER_TIMEOUT_S
        self.told.append(job)
        self.take(self)


def accept(client):
    """Take what is told."""


def lose(client):
    raise OSError("gone")


def hang(client):
    time.sleep(board_client.ANSWER_TIMEOUT_S)
    raise TimeoutError


def run_job(client, *, n_events=3, error=None):
    watcher = Watcher(ignore_event, "quantize", "quantize()")
    with telling_board(client, NOTHING, watcher):
        for number in range(n_events):
            watcher(Event("count", number, n_events))
        if error is not None:
            raise error
    return watcher


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(board_client, "TELL_GAP_S", 0.001)
    monkeypatch.setattr(board_client, "ANSWER_TIMEOUT_S", 0.05)


def test_the_last_that_is_told_is_how_the_job_ended():
    client = FakeClient(accept)
    run_job(client)
    last = client.told[-1]
    assert (last["status"], last["driver"]["client"]) == (DONE, "client-1")
    assert last["stages"][0]["done"] == 2


@pytest.mark.parametrize(("error", "status"), [(OSError("x"), FAILED), (SystemExit(), CANCELLED)])
def test_errors_go_on_and_are_told(error, status):
    client = FakeClient(accept)
    with pytest.raises(type(error)):
        run_job(client, error=error)
    assert client.told[-1]["status"] == status


@pytest.mark.parametrize("take", [lose, hang])
def test_a_scheduler_that_does_not_answer_costs_a_job_nothing(take, quick):
    client = FakeClient(take)
    run_job(client)
    assert client.told[-1]["status"] == DONE


def test_many_events_are_told_at_once():
    client = FakeClient(accept)
    run_job(client, n_events=50_000)
    assert client.told[-1]["stages"][0]["done"] == 49_999
    assert len(client.told) < 100


def test_a_client_that_is_closed_is_told_nothing_more(quick):
    def close(client):
        client.status = "closed"

    client = FakeClient(close)
    watcher = Watcher(ignore_event, "quantize", "quantize()")
    with telling_board(client, NOTHING, watcher):
        wait_until(lambda: client.told)
        watcher(Event("count", 1, 2))
    assert [job["status"] for job in client.told] == [RUNNING]
    assert not [each for each in threading.enumerate() if each.name == "dask-quant-board"]


def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def test_a_job_is_told_of_though_nothing_is_new(quick, monkeypatch):
    monkeypatch.setattr(board_client, "BEAT_S", 0.01)
    client = FakeClient(accept)
    with telling_board(client, NOTHING, Watcher(ignore_event, "quantize", "quantize()")):
        wait_until(lambda: len(client.told) > 5)


def test_where_there_can_be_no_board_the_job_hears_so_once(monkeypatch):
    def refuse(client):
        raise ModuleNotFoundError("No module named 'dask_quant'")

    monkeypatch.setattr(board_client, "_register_plugin", refuse)
    monkeypatch.setattr(board_client, "_ask", lambda client: None)
    heard = []
    with telling_board(FakeClient(lose), NOTHING, Watcher(heard.append, "quantize", "")):
        pass
    (notice,) = heard
    assert isinstance(notice, Notice)
    assert "ModuleNotFoundError: No module named 'dask_quant'" in notice.message


def test_listeners_that_are_no_watchers_are_not_told_of():
    client = FakeClient(accept)
    with telling_board(client, NOTHING, ignore_event):
        pass
    assert client.told == []


def test_to_read_a_board_takes_a_board(monkeypatch):
    monkeypatch.setattr(board_client, "_ask", lambda client: None)
    with pytest.raises(ClusterError, match=r"--preload dask_quant\.dashboard"):
        board_client.read_jobs(FakeClient(accept))
