"""Clusters that scale: workers that come when there is work, and go when there is none."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import dask
import pytest
from distributed import Client, LocalCluster

import dask_quant as dq
from dask_quant import first_worker
from dask_quant.cluster import find_active_client, open_client
from dask_quant.errors import ClusterError
from dask_quant.events import Notice
from dask_quant.execute import Executor
from dask_quant.local_cluster import plan_worker_bytes
from dask_quant.options import ClusterOptions

QUICK = {
    "distributed.adaptive.interval": "200ms",
    "distributed.adaptive.target-duration": "500ms",
}
"""Settings of Dask with which it scales within moments instead of seconds."""


@pytest.fixture(autouse=True)
def scaling_quickly():
    with dask.config.set(QUICK):
        yield


@contextmanager
def empty_cluster(**options):
    """A client of a cluster of this process that has no workers."""
    with (
        LocalCluster(
            n_workers=0,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            **options,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def meet(folder, n_wanted):
    """Return a task that waits until as many processes have begun one."""

    def work(number):
        (folder / str(os.getpid())).touch()
        while len(list(folder.iterdir())) < n_wanted:
            time.sleep(0.01)
        return number

    return work


def leaves_interrupts():
    """Return whether a process would hear nothing of Ctrl-C, nor would have while it started."""
    is_blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    return is_blocked and signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def wait_until(condition, timeout_s=60):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def test_a_cluster_of_a_job_grows_shrinks_and_keeps_what_it_holds(tmp_path, capfd):
    options = ClusterOptions(adapt=(0, 2), memory_limit_bytes=1_600_000_000)
    with open_client(options) as client:
        executor = Executor(client, most_workers=options.most_workers)
        (each,) = client.scheduler_info()["workers"].values()
        assert each["memory_limit"] == plan_worker_bytes(1_600_000_000, 2)
        assert (executor.n_processes, executor.n_threads) == (2, 2)
        # Each of these waits for the other, so that they end only where there are two workers.
        assert sorted(executor.stream(meet(tmp_path, 2), range(8))) == list(range(8))
        assert all(client.run(leaves_interrupts).values())
        held = [client.submit(bytes, 10_000 + number) for number in range(8)]
        assert [len(each.result()) for each in held] == list(range(10_000, 10_008))
        wait_until(lambda: len(client.nthreads()) == 1)
        assert {each.status for each in held} == {"finished"}
        assert [len(each.result()) for each in held] == list(range(10_000, 10_008))
    assert capfd.readouterr().err == ""


def test_an_image_is_the_same_on_a_cluster_that_starts_empty(store, tmp_path, read_tree):
    names = ("out.zarr", "out.png")
    (tmp_path / "there").mkdir()
    with empty_cluster() as client:
        options = ClusterOptions(client=client, adapt=(0, 2))
        for name in names:
            dq.quantize(store, tmp_path / "there" / name, n_colors=7, chunks=500, cluster=options)
        assert client.status == "running"
    for name in names:
        dq.quantize(store, tmp_path / name, n_colors=7, chunks=500)
        assert read_tree(tmp_path / name) == read_tree(tmp_path / "there" / name)


def test_a_collection_is_the_same_on_a_cluster_that_scales(folder, tmp_path, read_tree, capfd):
    dq.quantize(folder, tmp_path / "here", n_colors=7)
    dq.quantize(folder, tmp_path / "there", n_colors=7, cluster=ClusterOptions(adapt=(0, 2)))
    assert read_tree(tmp_path / "here") == read_tree(tmp_path / "there")
    assert capfd.readouterr().err == ""


def test_a_given_cluster_scales_from_nothing_and_is_left_so(tmp_path):
    with empty_cluster() as client:
        options = ClusterOptions(client=client, adapt=(0, 2))
        with open_client(options) as opened:
            assert opened is client
            executor = Executor(client, most_workers=options.most_workers)
            assert sorted(executor.stream(meet(tmp_path, 2), range(6))) == list(range(6))
        wait_until(lambda: not client.nthreads())


@pytest.fixture
def starting_worker():
    """Return a listener that starts a worker when it hears that there is none."""
    with empty_cluster(processes=False, protocol="tcp") as client:
        processes = []

        def listen(event):
            listen.heard.append(event)
            command = "from distributed.cli.dask_worker import main; main()"
            address = client.scheduler.address
            options = ["--nthreads=1", "--no-nanny", "--no-dashboard", "--host=127.0.0.1"]
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-c", command, address, *options],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )

        listen.heard, listen.client = [], client
        yield listen
        for process in processes:
            process.terminate()
            process.wait()


def run_elsewhere(client):
    """Assert that a worker that is another process does what it is asked."""
    assert client.submit(os.getpid).result() != os.getpid()


@pytest.mark.parametrize("way", ["address", "client", "active client"])
def test_a_job_waits_for_the_first_worker_and_says_so(way, starting_worker, monkeypatch):
    monkeypatch.setattr(first_worker, "NOTICE_AFTER_S", 0.1)
    mine = starting_worker.client
    address = mine.scheduler.address
    given = {"address": {"scheduler": address}, "client": {"client": mine}, "active client": {}}
    with mine.as_current(), open_client(ClusterOptions(**given[way]), starting_worker) as client:
        run_elsewhere(client)
        held = mine.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))
        assert any(key.startswith("dask-quant-demand-") for key in held)
    (notice,) = starting_worker.heard
    assert notice == Notice(
        f"The scheduler at {address} has no workers yet; waiting for the first, up to 5 minutes "
        f"(dask worker {address} starts one)."
    )


def test_functions_on_arrays_wait_for_the_first_worker(starting_worker, monkeypatch):
    monkeypatch.setattr(first_worker, "NOTICE_AFTER_S", 0.1)
    assert find_active_client(starting_worker.client, starting_worker) is starting_worker.client
    assert len(starting_worker.heard) == 1
    run_elsewhere(starting_worker.client)


def test_a_client_without_a_cluster_of_its_own_cannot_scale():
    with (
        empty_cluster(processes=False, protocol="tcp") as client,
        Client(client.scheduler.address, set_as_default=False) as distant,
        pytest.raises(ClusterError, match=r"adapt=\(0, 4\) .*Client\(cluster\)") as caught,
    ):
        open_client(ClusterOptions(client=distant, adapt=(0, 4))).__enter__()
    assert "\n" not in str(caught.value)
