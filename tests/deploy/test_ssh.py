"""A cluster of `deploy/ssh` on the sshd of a test."""

import subprocess
import sys

import psutil
import pytest
from deployments import (
    ANY_PORT,
    DEPLOY,
    client_files,
    make_certificates,
    ssh,
    started,
    tls_options,
)
from distributed import get_task_stream
from ssh_server import HOST, running_ssh_server

from dask_quant import cluster
from dask_quant.cluster import open_client
from dask_quant.errors import ClusterError
from dask_quant.options import ClusterOptions

START = DEPLOY / "ssh" / "start.py"

SPEC = "distributed.cli.dask_spec"
"""What `SSHCluster` runs at the other end."""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def server(needs, tmp_path):
    needs("ssh")
    with running_ssh_server(tmp_path) as server:
        yield server


def test_a_job_writes_what_threads_write(needs, assert_same, tmp_path):
    needs("ssh")
    with ssh(tmp_path) as deployment:
        with open_client(deployment.cluster) as client, get_task_stream(client) as stream:
            assert_same(deployment)
        assert any("count_block_colors" in str(task["key"]) for task in stream.data)
        assert len({task["worker"] for task in stream.data}) == 2


def test_with_tls_an_interface_is_listened_on_and_stopping_leaves_nothing(
    server, tmp_path, monkeypatch
):
    monkeypatch.setattr(cluster, "CONNECT_TIMEOUT_S", 3)
    certificates = make_certificates(tmp_path / "certificates")
    file = tmp_path / "scheduler.json"
    arguments = [HOST, HOST, "--interface=lo", f"--scheduler-file={file}", *ANY_PORT]
    arguments += [f"--ssh-config={server.config}", *tls_options(certificates, "node")]
    with started(START, arguments, tmp_path) as (address, _):
        assert address.startswith("tls://127.0.0.1:")
        options = ClusterOptions(scheduler_file=file, **client_files(certificates))
        with open_client(options) as client:
            assert client.submit(sum, [1, 2]).result() == 3
        with pytest.raises(ClusterError, match="No scheduler answered"):
            open_client(ClusterOptions(scheduler=address.replace("tls:", "tcp:"))).__enter__()
        listening = {
            connection.laddr.ip
            for process in server.process.children(recursive=True)
            for connection in process.net_connections()
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening == {"127.0.0.1"}
        assert sum(SPEC in each for each in server.list_commands()) == 2
    assert server.list_commands() == []
    assert not file.exists()


def test_a_scheduler_that_dies_stops_everything(server, tmp_path):
    arguments = [HOST, HOST, *ANY_PORT, f"--ssh-config={server.config}"]
    with started(START, arguments, tmp_path) as (_, start):
        (scheduler,) = (
            process
            for process in server.process.children(recursive=True)
            if process.cmdline()[2:3] == [SPEC] and "distributed.Scheduler" in process.cmdline()[-1]
        )
        scheduler.kill()
        assert start.wait(60) == 1
        assert server.list_commands() == []
    log = (tmp_path / "start.log").read_text()
    assert log.splitlines()[-1].startswith("Error: A process ended with status")


def run_start(*arguments):
    return subprocess.run(
        [sys.executable, str(START), *arguments],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("192.0.2.1", "192.0.2.2"), "others could reach the scheduler"),
        ((HOST, HOST, "--interface=lo"), "others could reach the scheduler"),
        ((HOST,), "name the scheduler's and at least one of workers"),
        ((HOST, HOST, "--tls-key=key.pem"), "TLS needs all three"),
    ],
)
def test_what_makes_no_sense_or_is_open_to_all_is_refused(arguments, said):
    done = run_start(*arguments)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]


def test_a_python_that_is_missing_there_is_said(server):
    arguments = (HOST, HOST, *ANY_PORT, f"--ssh-config={server.config}")
    done = run_start(*arguments, "--remote-python=/nowhere/python")
    assert done.returncode == 1
    assert "/nowhere/python" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: Could not start the cluster:")
    assert server.list_commands() == []
