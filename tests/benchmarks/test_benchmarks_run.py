"""Benchmarks are commands; here they run in a short form, so that they cannot rot."""

import importlib.util
import json
from pathlib import Path

HERE = Path(__file__).parent


def load_command(name):
    """Return a benchmark as a module."""
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_kernel_benchmark_reports_every_row(capsys):
    kernels = load_command("kernels")
    kernels.main(["--short", "--pixels", "100000", "--repeats", "1", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert [row["unit"] for row in report["rows"]] == ["Mpx/s", "Mpx/s", "ms", "ms"]
    assert all(row["value"] > 0 for row in report["rows"])
    assert "Numba" in report["machine"]


def test_kernel_benchmark_tells_a_missed_aim():
    row = load_command("kernels").Row
    assert row("count", 399, "Mpx/s", 400).met is False
    assert row("count", 400, "Mpx/s", 400).met is True
    assert row("step", 5.1, "ms", 5).met is False
