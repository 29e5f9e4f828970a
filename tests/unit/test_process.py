import os
import subprocess
import sys

import numpy as np
import pytest

from dask_quant import process
from dask_quant.process import count_cpus, peak_rss_bytes

REPORT_PEAK = "from dask_quant.process import peak_rss_bytes; print(peak_rss_bytes())"


def test_peak_memory_covers_what_was_touched():
    code = f"x = b'x' * 150_000_000; del x; {REPORT_PEAK}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert 150e6 < int(done.stdout) < 400e6


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="told by Linux alone")
def test_peak_memory_is_that_of_this_process_not_of_its_parent():
    ballast = np.ones(40_000_000)  # 320 MB in this process, the parent
    done = subprocess.run([sys.executable, "-c", REPORT_PEAK], capture_output=True, check=True)
    assert int(done.stdout) < 100e6 < ballast.nbytes < peak_rss_bytes()


def test_there_is_a_cpu():
    assert 1 <= count_cpus() <= (os.cpu_count() or 1)


def test_without_a_proc_file_system_the_peak_is_what_getrusage_says(monkeypatch, tmp_path):
    told = peak_rss_bytes()
    monkeypatch.setattr(process, "_LINUX_STATUS", tmp_path / "none")
    assert peak_rss_bytes() >= 0.9 * told


def test_without_affinity_all_processors_count(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert count_cpus() == os.cpu_count()


def test_a_process_is_ours_when_it_was_claimed(monkeypatch):
    monkeypatch.setattr(process, "_is_ours", False)
    assert not process.is_process_ours()
    process.claim_process()
    assert process.is_process_ours()
