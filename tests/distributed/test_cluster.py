import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import dask
import psutil
import pytest
from distributed import Client, LocalCluster, Security

from dask_quant import cluster, first_worker, worker_check
from dask_quant.cluster import dashboard_link, open_client
from dask_quant.errors import ClusterError
from dask_quant.local_cluster import plan_worker_bytes
from dask_quant.options import ClusterOptions

LOOPBACK = {"127.0.0.1", "::1"}


def family():
    """This process and all below it."""
    me = psutil.Process()
    return [me, *me.children(recursive=True)]


def listening_hosts():
    return {
        connection.laddr.ip
        for process in family()
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }


@pytest.mark.parametrize("dashboard", [False, True])
def test_workers_are_one_thread_processes_on_loopback(dashboard, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    limit = 1_600_000_000
    options = ClusterOptions(workers=2, memory_limit_bytes=limit, dashboard=dashboard)
    with open_client(options) as client:
        workers = client.scheduler_info()["workers"].values()
        pids = set(client.run(os.getpid).values())
        assert len(pids - {os.getpid()}) == 2
        assert [worker["nthreads"] for worker in workers] == [1, 1]
        assert {worker["memory_limit"] for worker in workers} == {plan_worker_bytes(limit, 2)}
        assert listening_hosts() <= LOOPBACK
        link = dashboard_link(client)
        assert link.startswith("http://127.0.0.1:") if dashboard else link is None
        assert client.cluster.scheduler.no_workers_timeout == 120
        assert dask.config.get("distributed.deploy.lost-worker-timeout") == "10 minutes"
        assert Client.current() is client
        scratch = client.cluster.worker_spec[0]["options"]["local_directory"]
        assert Path(scratch).is_dir()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert not Path(scratch).exists()
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err == ""


def test_a_failing_block_closes_its_cluster_quietly(capfd):
    pids = set()

    def fail_while_a_task_runs():
        with open_client(ClusterOptions(workers=1)) as client:
            pids.update(client.run(os.getpid).values())
            running = client.submit(time.sleep, 60)
            wait_until(lambda: any(client.processing().values()))
            assert running.status == "pending"
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        fail_while_a_task_runs()
    assert len(pids - {os.getpid()}) == 1
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert capfd.readouterr().err == ""


INTERRUPTED = """
import os, sys, time
from dask_quant.cluster import open_client
from dask_quant.options import ClusterOptions

if __name__ == "__main__":
    try:
        with open_client(ClusterOptions(workers=2)) as client:
            print(*client.run(os.getpid).values(), flush=True)
            client.submit(time.sleep, 60).result()
    except KeyboardInterrupt:
        sys.exit(130)
"""


def test_ctrl_c_closes_the_cluster_without_a_word(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(INTERRUPTED)
    process = subprocess.Popen(
        [sys.executable, str(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a group of its own, as a shell gives a command
    )
    try:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        time.sleep(1)  # let the task start
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does, workers included
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert len(pids) == 2
    assert process.returncode == 130
    assert errors == ""
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_script_without_a_guard_gets_one_line_of_ours(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(INTERRUPTED.replace('if __name__ == "__main__"', "if True"))
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert 'if __name__ == "__main__":' in done.stderr.strip().splitlines()[-1]


@contextmanager
def running_cluster(**options):
    """A cluster of threads of this process that talks TCP, as one elsewhere would."""
    defaults = {"n_workers": 1, "threads_per_worker": 1, "host": "127.0.0.1"}
    with LocalCluster(
        processes=False,
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",
        **{"protocol": "tcp", **defaults, **options},
    ) as running:
        yield running


@pytest.fixture(scope="module")
def running():
    with running_cluster() as running:
        yield running


def test_a_running_scheduler_is_used_and_left_running(running):
    address = running.scheduler_address
    for given in (address, address.removeprefix("tcp://")):
        with open_client(ClusterOptions(scheduler=given)) as client:
            assert client.submit(sum, [1, 2]).result() == 3
            assert Client.current() is client
            assert dashboard_link(client).startswith("http://127.0.0.1:")
        assert client.status == "closed"
    assert running.status.name == "running"


def test_a_scheduler_file_is_used(running, tmp_path):
    path = tmp_path / "scheduler.json"
    path.write_text(json.dumps(running.scheduler.identity()))
    with open_client(ClusterOptions(scheduler_file=path)) as client:
        assert client.submit(sum, [1, 2]).result() == 3


def test_the_active_client_is_used_and_left_open(running):
    with Client(running) as mine:
        with open_client(ClusterOptions()) as client:
            assert client is mine
        assert mine.status == "running"
        with dask.config.set(scheduler="threads"), open_client(ClusterOptions()) as client:
            assert client is None
    with Client(running, set_as_default=False) as mine:
        with open_client(ClusterOptions()) as client:
            assert client is None
        with mine.as_current(), open_client(ClusterOptions()) as client:
            assert client is mine


def test_another_version_on_the_workers_is_said_in_one_line(running, monkeypatch):
    monkeypatch.setattr(worker_check, "__version__", "9.9")
    options = ClusterOptions(scheduler=running.scheduler_address)
    with pytest.raises(ClusterError, match=r"this process has 9\.9; install") as caught:
        open_client(options).__enter__()
    assert "\n" not in str(caught.value)


def test_a_scheduler_without_workers_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr(first_worker, "NOTICE_AFTER_S", 0.2)
    monkeypatch.setattr(first_worker, "FIRST_WORKER_TIMEOUT_S", 0.5)
    with running_cluster(n_workers=0) as empty:
        options = ClusterOptions(scheduler=empty.scheduler_address)
        with pytest.raises(ClusterError, match="has no workers after") as caught:
            open_client(options).__enter__()
    assert f"dask worker {empty.scheduler_address}" in str(caught.value)


def make_certificate(folder):
    """A self-signed certificate, which is its own authority."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1"
    subprocess.run(
        [*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True
    )
    return certificate, key


def test_tls_is_spoken_and_a_plain_client_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_TIMEOUT_S", 3)
    certificate, key = make_certificate(tmp_path)
    files = {"tls_ca_file": certificate, "tls_cert": certificate, "tls_key": key}
    server = Security(
        require_encryption=True,
        tls_ca_file=str(certificate),
        **{f"tls_{role}_cert": str(certificate) for role in ("scheduler", "worker", "client")},
        **{f"tls_{role}_key": str(key) for role in ("scheduler", "worker", "client")},
    )
    with running_cluster(protocol="tls", security=server) as encrypted:
        address = encrypted.scheduler_address
        for given in (address, address.removeprefix("tls://")):
            with open_client(ClusterOptions(scheduler=given, **files)) as client:
                assert client.submit(sum, [1, 2]).result() == 3
                assert client.security.require_encryption
        plain = ClusterOptions(scheduler=address.replace("tls://", "tcp://"))
        with pytest.raises(ClusterError, match="No scheduler answered"):
            open_client(plain).__enter__()


def wait_until(condition, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
