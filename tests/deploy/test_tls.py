"""Certificates of `deploy/tls`, and who gets in with them."""

import re
import stat
import subprocess
import sys
import textwrap

import pytest
from daemons import free_port, running_daemon
from deployments import DEPLOY, client_files, make_certificates, tls, tls_options
from distributed import get_task_stream

from dask_quant import cluster
from dask_quant.cluster import open_client
from dask_quant.errors import ClusterError
from dask_quant.options import ClusterOptions

SCRIPT = DEPLOY / "tls" / "make_certificates.py"

FILES = ("ca.pem", "ca-key.pem", "client.pem", "client-key.pem", "node.pem", "node-key.pem")

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def deployment(needs, tmp_path_factory):
    needs("tls")
    with tls(tmp_path_factory.mktemp("tls")) as deployment:
        yield deployment


@pytest.fixture(scope="module")
def certificates(deployment):
    """The folder of its certificates."""
    return deployment.cluster.tls_ca_file.parent


@pytest.fixture
def impatient(monkeypatch):
    """Do not wait long for who will not answer."""
    monkeypatch.setattr(cluster, "CONNECT_TIMEOUT_S", 3)


def test_a_job_writes_what_threads_write(deployment, assert_same):
    with open_client(deployment.cluster) as client, get_task_stream(client) as stream:
        assert_same(deployment)
    assert any("count_block_colors" in str(task["key"]) for task in stream.data)
    assert {task["worker"].split(":")[0] for task in stream.data} == {"tls"}


def test_a_client_without_tls_is_refused(deployment, impatient):
    address = deployment.cluster.scheduler.replace("tls://", "tcp://")
    with pytest.raises(ClusterError, match="No scheduler answered"):
        open_client(ClusterOptions(scheduler=address)).__enter__()


def test_a_client_of_another_authority_is_refused(deployment, impatient, certificates, tmp_path):
    address, others = deployment.cluster.scheduler, make_certificates(tmp_path / "others")
    with pytest.raises(ClusterError, match="No scheduler answered"):
        open_client(ClusterOptions(scheduler=address, **client_files(others))).__enter__()
    # Also where it takes the scheduler for true: the scheduler does not take the client for that.
    mixed = client_files(others) | {"tls_ca_file": certificates / "ca.pem"}
    with pytest.raises(ClusterError, match="No scheduler answered"):
        open_client(ClusterOptions(scheduler=address, **mixed)).__enter__()


def test_a_certificate_of_clients_makes_no_scheduler(deployment, certificates, impatient, tmp_path):
    port = free_port()
    command = [sys.executable, "-m", "dask", "scheduler", "--host=127.0.0.1", f"--port={port}"]
    command += ["--protocol=tls", "--dashboard-address=127.0.0.1:0"]
    command += tls_options(certificates, "client")
    with running_daemon(command, tmp_path / "scheduler.log") as daemon:
        daemon.wait_until(lambda: f"tls://127.0.0.1:{port}" in daemon.read_log())
        options = ClusterOptions(scheduler=f"tls://127.0.0.1:{port}", **client_files(certificates))
        with pytest.raises(ClusterError, match="No scheduler answered"):
            open_client(options).__enter__()


def test_keys_are_for_their_owner_alone_and_nothing_is_overwritten(certificates):
    assert sorted(path.name for path in certificates.iterdir()) == sorted(FILES)
    assert {stat.S_IMODE((certificates / name).stat().st_mode) for name in FILES} == {0o600}
    assert stat.S_IMODE(certificates.stat().st_mode) == 0o700
    before = {name: (certificates / name).read_bytes() for name in FILES}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(certificates)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip().endswith("exists; give a folder without certificates.")
    assert {name: (certificates / name).read_bytes() for name in FILES} == before


def read_commands(readme):
    """Return the lines of all blocks of a README that are commands, with continued lines joined."""
    blocks = re.findall(r"(?:^    .*\n|^\n)+", readme.read_text(), re.MULTILINE)
    text = "\n".join(textwrap.dedent(block) for block in blocks).replace("\\\n", " ")
    return [line.split() for line in text.splitlines() if line.strip()]


def test_the_commands_of_the_readme_work(needs, inputs, tmp_path):
    needs("tls")
    port = free_port()
    replace = {
        "python": sys.executable,
        "--host=0.0.0.0": "--host=127.0.0.1",
        "--port=8786": f"--port={port}",
        "--dashboard-address=127.0.0.1:8787": "--dashboard-address=127.0.0.1:0",
        "deploy/tls/make_certificates.py": str(SCRIPT),
        "photo.jpg": str(next((inputs / "pieces").iterdir())),
    }
    programs = {
        "dask": [sys.executable, "-m", "dask"],
        "dask-quant": [sys.executable, "-m", "dask_quant.faces.cli"],
    }
    commands = [
        [
            part.replace("tls://SCHEDULER:8786", f"tls://127.0.0.1:{port}")
            for word in line
            for part in programs.get(word, [replace.get(word, word)])
        ]
        for line in read_commands(DEPLOY / "tls" / "README.md")
        if line[0] in ("python", *programs) and "deploy/local/start.py" not in line
    ]
    make, scheduler, worker, job = commands
    subprocess.run(make, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    with (
        running_daemon(scheduler, tmp_path / "scheduler.log", cwd=tmp_path) as daemon,
        running_daemon(worker, tmp_path / "worker.log", cwd=tmp_path),
    ):
        daemon.wait_until(lambda: "Register worker" in daemon.read_log())
        subprocess.run(job, cwd=tmp_path, check=True, capture_output=True, timeout=240)
    assert (tmp_path / "photo.png").stat().st_size > 0
