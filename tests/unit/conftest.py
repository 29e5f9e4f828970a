"""Stores of objects on this machine."""

import fsspec
import pytest
import s3_server

from dask_quant.sources import file_systems, http_ranges, object_ranges


@pytest.fixture
def no_waiting(monkeypatch):
    """Who fails is asked again at once."""
    for module in (http_ranges, object_ranges):
        monkeypatch.setattr(module, "FIRST_WAIT_S", 0.001)


@pytest.fixture(scope="session")
def s3_store():
    """A store that speaks S3, in which tests clear up, and the environment that leads to it."""
    pytest.importorskip("s3fs")
    pytest.importorskip("moto.server")
    with s3_server.serve() as served:
        yield served


@pytest.fixture
def bucket(s3_store, monkeypatch):
    """An empty bucket ``scans`` in it."""
    for name, value in s3_store.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("s3fs.core.S3FileSystem.retries", 1)  # as AWS_MAX_ATTEMPTS
    forget_connections()
    yield s3_store
    forget_connections()
    s3_store.clear()


def forget_connections():
    """Open new connections from here on: others lead to stores that are gone."""
    file_systems._open.cache_clear()
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture
def s3_url(bucket):
    return "s3://scans"


@pytest.fixture
def memory_url():
    """A folder of a store in memory."""
    files = fsspec.filesystem("memory")
    yield "memory://scans"
    files.store.clear()
    files.pseudo_dirs[:] = [""]


@pytest.fixture
def file_url(tmp_path):
    """A folder of this machine, by its address."""
    return f"file://{tmp_path}/scans"
