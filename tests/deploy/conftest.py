"""Inputs of the job that every deployment runs, and what threads make of it."""

import pytest
from deployments import KINDS, threads
from same_job import run_job, write_inputs

QUICK = ("strips.png",)
"""What tests run of the job; `check.py` runs all of it."""


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    """A folder with the inputs."""
    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder)
    return folder


@pytest.fixture(scope="session")
def expected(inputs, tmp_path_factory):
    """Digests of what threads write."""
    out = tmp_path_factory.mktemp("threads")
    with threads(out) as deployment:
        return run_job(deployment.quantize, inputs, out, QUICK)


@pytest.fixture(scope="session")
def needs():
    """Skip a test that needs what this machine lacks, and say what it is."""

    def skip(name):
        reason = KINDS[name].find_reason()
        if reason is not None:
            pytest.skip(reason)

    return skip


@pytest.fixture
def assert_same(inputs, expected, tmp_path):
    """Assert that a deployment writes what threads write."""

    def check(deployment):
        out = tmp_path / "out"
        out.mkdir()
        assert run_job(deployment.quantize, inputs, out, QUICK) == expected

    return check
