import json
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from dask_quant import cluster, local_cluster
from dask_quant.cluster import dashboard_link, open_client
from dask_quant.errors import ClusterError, MemoryBudgetError, OptionError
from dask_quant.local_cluster import DRIVER_SHARE, MIN_WORKER_BYTES, plan_worker_bytes
from dask_quant.options import ClusterOptions

# Nothing listens on port 9 (discard) of a machine that runs tests.
DEAD_ADDRESS = "tcp://127.0.0.1:9"


def open_and_close(**options):
    with open_client(ClusterOptions(**options)) as client:
        return client


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_schedulers_of_this_process_need_no_client(scheduler):
    assert open_and_close(scheduler=scheduler) is None


def test_threads_never_import_distributed():
    program = (
        "import sys\n"
        "from dask_quant.cluster import open_client\n"
        "from dask_quant.options import ClusterOptions\n"
        "for options in (ClusterOptions(), ClusterOptions(scheduler='threads')):\n"
        "    with open_client(options) as client:\n"
        "        assert client is None\n"
        "assert 'distributed' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_driver_keeps_its_share_of_the_memory():
    each = plan_worker_bytes(2_000_000_000, workers=3)
    assert each == 500_000_000
    assert 3 * each + 2_000_000_000 * DRIVER_SHARE <= 2_000_000_000


def test_a_memory_limit_too_small_for_its_workers_is_refused_with_the_way_out():
    with pytest.raises(MemoryBudgetError, match=r"allow at least 1067 MB or use fewer") as caught:
        open_and_close(workers=4, memory_limit_bytes=10**9)
    assert "\n" not in str(caught.value)
    assert plan_worker_bytes(1_066_666_668, workers=4) >= MIN_WORKER_BYTES


def test_a_cluster_that_starts_is_not_left_half_started():
    done = []

    def start():
        with local_cluster._deferring_signals():
            signal.raise_signal(signal.SIGINT)
            done.append("the rest of the block")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert done == ["the rest of the block"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("address", ["nonsense", "tcp://host", "http://host:1", "host:x", "a b:1"])
def test_an_address_that_makes_no_sense_is_a_usage_error(address):
    with pytest.raises(OptionError, match="write tcp://HOST:PORT"):
        open_and_close(scheduler=address)


@pytest.mark.parametrize("address", [DEAD_ADDRESS, "127.0.0.1:9"])
def test_an_unreachable_scheduler_is_one_line_with_its_address(address, monkeypatch, capfd):
    monkeypatch.setattr(cluster, "CONNECT_TIMEOUT_S", 0.5)
    with pytest.raises(ClusterError, match=DEAD_ADDRESS) as caught:
        open_and_close(scheduler=address)
    assert "check the address" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_a_scheduler_file_that_is_not_there_is_not_waited_for(tmp_path):
    path = tmp_path / "none.json"
    with pytest.raises(ClusterError, match=r"none\.json: No such file"):
        open_and_close(scheduler_file=path)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "{"])
def test_a_scheduler_file_without_an_address_is_said_so(text, tmp_path):
    path = tmp_path / "scheduler.json"
    path.write_text(text)
    with pytest.raises(ClusterError, match="holds no address"):
        open_and_close(scheduler_file=path)


def test_a_scheduler_file_names_the_address(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_TIMEOUT_S", 0.5)
    path = tmp_path / "scheduler.json"
    path.write_text(json.dumps({"address": DEAD_ADDRESS}))
    with pytest.raises(ClusterError, match=DEAD_ADDRESS):
        open_and_close(scheduler_file=path)


def test_tls_needs_files(monkeypatch):
    with pytest.raises(OptionError, match="give a CA file, a certificate and a key"):
        open_and_close(scheduler="tls://127.0.0.1:9")


def test_tls_files_for_a_plain_address_are_refused(tmp_path):
    path = tmp_path / "any.pem"
    with pytest.raises(OptionError, match="not encrypted"):
        open_and_close(scheduler=DEAD_ADDRESS, tls_ca_file=path, tls_cert=path, tls_key=path)


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_tls_files_that_cannot_be_used_are_named(content, tmp_path):
    path = tmp_path / "broken.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ClusterError, match=r"Cannot use the TLS files .*broken\.pem"):
        open_and_close(scheduler="127.0.0.1:9", tls_ca_file=path, tls_cert=path, tls_key=path)


class ClientOf:
    """A client of a scheduler that announces ``services``."""

    def __init__(self, services, spec=None):
        self.cluster = None if spec is None else SimpleNamespace(scheduler_spec=spec)
        self.services = services

    @property
    def dashboard_link(self):
        return f"http://127.0.0.1:{self.services['dashboard']}/status"


def test_a_dashboard_that_is_off_has_no_link():
    assert dashboard_link(ClientOf({"dashboard": 1}, {"options": {"dashboard": False}})) is None
    assert dashboard_link(ClientOf({})) is None
    assert dashboard_link(ClientOf({"dashboard": 1})) == "http://127.0.0.1:1/status"
