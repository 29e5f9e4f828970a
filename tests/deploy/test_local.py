import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import dask.array as da
import numpy as np
import psutil
import pytest
from distributed import get_task_stream
from PIL import Image

from dask_quant.cluster import open_client
from dask_quant.graphs.scalable import pixel_rows
from dask_quant.options import ClusterOptions
from dask_quant.sources.samples import find_sample_images

START = Path(__file__).parents[2] / "deploy" / "local" / "start.py"
README = START.with_name("README.md")
TIMEOUT_S = 90


class Deployment:
    """`start.py` in a process group of its own, and all that it started."""

    def __init__(self, folder, *options):
        self.log = folder / "start.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(START), "--dashboard-port=0", *options],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
                cwd=folder,
            )
        self.said = {}
        for line in self.process.stdout:
            word, _, rest = line.strip().partition(" ")
            self.said[word] = rest.strip()
            if word == "ready;":
                break
        started = psutil.Process(self.process.pid)
        self.children = started.children(recursive=True) if self.process.poll() is None else []

    def wait(self):
        return self.process.wait(TIMEOUT_S)

    def left(self):
        """What still runs of it."""
        return [child for child in self.children if is_alive(child)]

    def close(self):
        self.process.stdout.close()
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(TIMEOUT_S)


def is_alive(process):
    """Whether a process runs; one that ended and was not yet reaped by its parent does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def deploy(tmp_path):
    deployments = []

    def start(*options):
        deployments.append(Deployment(tmp_path, *options))
        return deployments[-1]

    yield start
    for deployment in deployments:
        deployment.close()


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_job_runs_on_the_workers_and_stopping_leaves_nothing(signal_number, deploy, tmp_path):
    path = tmp_path / "scheduler.json"
    deployment = deploy("--port=0", f"--scheduler-file={path}")
    assert deployment.said["workers"] == "2", deployment.log.read_text()
    hosts = {
        connection.laddr.ip
        for child in deployment.children
        for connection in child.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert hosts == {"127.0.0.1"}
    assert deployment.said["dashboard"].startswith("http://127.0.0.1:")

    pixels = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    image = da.from_array(pixels, chunks=(8, 48, 3))
    options = ClusterOptions(scheduler=deployment.said["scheduler"])
    with open_client(options) as client:
        pids = set(client.run(os.getpid).values())
        makers = set(client.gather(client.map(lambda _: os.getpid(), range(20), pure=False)))
        total = pixel_rows(image).sum(axis=0, dtype=np.float64).compute()
    np.testing.assert_array_equal(total, pixels.reshape(-1, 3).sum(axis=0))
    started = {child.pid for child in deployment.children}
    assert len(pids) == 2
    assert makers <= pids <= started
    with open_client(ClusterOptions(scheduler_file=path)) as client:
        assert len(client.nthreads()) == 2
    if signal_number == signal.SIGTERM:  # once is enough
        run_what_the_readme_says(deployment.said["scheduler"], tmp_path)

    os.killpg(deployment.process.pid, signal_number)
    assert deployment.wait() == 128 + signal_number
    assert deployment.left() == []
    assert sorted(item.name for item in tmp_path.iterdir()) == ["start.log"]


def run_what_the_readme_says(address, folder):
    """Submit the command and the Python example of the README to the workers at ``address``."""
    blocks = [
        textwrap.dedent(block).strip()
        for block in re.findall(r"(?:^    .*\n|^\n)+", README.read_text(), re.MULTILINE)
    ]
    (command,) = (block for block in blocks if block.startswith("dask-quant quantize"))
    (program,) = (block for block in blocks if "import dask_quant" in block)
    for text in (command, program):
        assert "tcp://127.0.0.1:8786" in text
    arguments = command.replace("tcp://127.0.0.1:8786", address).split()
    work = folder / "work"
    work.mkdir()
    shutil.copy(find_sample_images()[0], work / "photo.jpg")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    written = []
    for call in (
        [*arguments, "--json"],
        [sys.executable, "-c", program.replace("tcp://127.0.0.1:8786", address)],
    ):
        with (
            open_client(ClusterOptions(scheduler=address)) as client,
            get_task_stream(client) as stream,
        ):
            done = subprocess.run(
                call, cwd=work, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
            )
        assert (done.returncode, done.stderr.count("error")) == (0, 0), done.stderr
        assert any("count_block_colors" in str(task["key"]) for task in stream.data)
        with Image.open(work / "photo.png") as image:
            assert len(image.getcolors()) == 16
        written.append((work / "photo.png").read_bytes())
        (work / "photo.png").unlink()
    assert written[0] == written[1]
    shutil.rmtree(work)


def test_a_dead_scheduler_stops_everything(deploy):
    deployment = deploy("--port=0", "--workers=1")
    (scheduler,) = (
        child for child in deployment.children if child.cmdline()[2:4] == ["dask", "scheduler"]
    )
    scheduler.kill()
    assert deployment.wait() == 1
    assert deployment.log.read_text().splitlines()[-1].startswith("Error: A process ended with")
    assert deployment.left() == []


def test_a_port_that_is_taken_is_said_so(deploy):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        deployment = deploy(f"--port={taken.getsockname()[1]}")
        assert deployment.wait() == 1
    log = deployment.log.read_text()
    assert "Address already in use" in log
    assert log.splitlines()[-1].startswith("Error: A process ended with status 1")


def test_a_worker_that_is_killed_is_started_again(deploy):
    deployment = deploy("--port=0", "--workers=1")
    with open_client(ClusterOptions(scheduler=deployment.said["scheduler"])) as client:
        (first,) = client.run(os.getpid).values()
        os.kill(first, signal.SIGKILL)
        psutil.wait_procs([psutil.Process(first)] if psutil.pid_exists(first) else [], TIMEOUT_S)
        deadline = time.monotonic() + TIMEOUT_S
        while set(client.run(os.getpid, on_error="ignore").values()) in (set(), {first}):
            assert time.monotonic() < deadline, deployment.log.read_text()
            time.sleep(0.2)


def test_a_worker_that_does_not_stop_is_killed_with_all_it_started(deploy):
    deployment = deploy("--port=0", "--workers=1")
    frozen = [child for child in deployment.children if "worker" in child.cmdline()[2:4]]
    assert len(frozen) == 1
    frozen[0].suspend()
    deployment.process.terminate()
    assert deployment.wait() == 128 + signal.SIGTERM
    assert deployment.left() == []


def test_another_address_is_listened_on_where_only_this_machine_reaches_it(deploy):
    deployment = deploy("--port=0", "--workers=1", "--host=127.0.0.2")
    assert deployment.said["scheduler"].startswith("tcp://127.0.0.2:")
    hosts = {
        connection.laddr.ip
        for child in deployment.children
        for connection in child.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert hosts == {"127.0.0.1", "127.0.0.2"}  # dashboards are on the first
    assert deployment.said["dashboard"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize("host", ["0.0.0.0", "", "example.org"])
def test_to_listen_where_others_reach_it_takes_tls_or_a_word(host, deploy):
    deployment = deploy("--port=0", f"--host={host}")
    assert deployment.wait() == 2
    assert "where others could reach the scheduler and run code" in deployment.log.read_text()
