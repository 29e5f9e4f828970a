"""A shard is known to be packed once it is whole, for as long as it stays as it is."""

import json

import pytest

from dask_quant.errors import OutputError
from dask_quant.sinks.batch_files import LocalPlace
from dask_quant.sinks.shard_store import ShardStore
from dask_quant.sinks.state_folder import open_state


@pytest.fixture
def store(tmp_path):
    """That of a job in ``out``."""
    with open_state(tmp_path / "out" / ".state", {}, shown="out", resume=False) as state:
        (tmp_path / "out" / ".state" / "scratch").mkdir()
        place = LocalPlace(str(tmp_path / "out"), str(tmp_path / "out" / ".state" / "scratch"))
        yield ShardStore.open(place, state)


def put(store, name, data=b"image"):
    """Have an image wait, as a task does."""
    files = store.place.open_batch()
    files.write(name, [data])
    files.commit()


def test_images_wait_until_their_shard_is_packed(store, tmp_path):
    put(store, "k/1.png")
    put(store, "other/2.png")
    assert store.measure("k/1.png") == 5
    assert store.measure("k/2.png") is None
    assert not store.is_packed("k", "a/s.tar", "v")
    store.pack("k", "a/s.tar", "v", [b"whole", b" shard"])
    assert (tmp_path / "out" / "a" / "s.tar").read_bytes() == b"whole shard"
    assert store.measure("k/1.png") is None
    assert store.measure("other/2.png") == 5
    assert store.is_packed("k", "a/s.tar", "v")
    assert list((tmp_path / "out" / ".state" / "scratch").iterdir()) == []
    store.finish()
    assert not store.waiting.exists()


@pytest.mark.parametrize("name", ["out", "version", "size", "gone", "torn", "other", "forgotten"])
def test_a_shard_that_is_not_as_it_was_is_not_packed(store, tmp_path, name):
    store.pack("k", "s.tar", "v", [b"shard"])
    assert store.is_packed("k", "s.tar", "v")
    path, record = tmp_path / "out" / "s.tar", store.packed / "k.json"
    asked = {"out": ("t.tar", "v"), "version": ("s.tar", "w")}.get(name, ("s.tar", "v"))
    if name == "size":
        path.write_bytes(b"larger shard")
    if name == "gone":
        path.unlink()
    if name == "torn":
        record.write_bytes(record.read_bytes()[:9])
    if name == "other":
        record.write_text(json.dumps([1]))
    if name == "forgotten":
        store.forget(["k", "never"])
    assert not store.is_packed("k", *asked)


def test_images_of_a_shard_that_cannot_be_packed_wait_on(store, tmp_path):
    put(store, "k/1.png")

    def fail():
        yield b"half"
        raise OutputError("no space")

    with pytest.raises(OutputError, match="no space"):
        store.pack("k", "s.tar", "v", fail())
    assert not (tmp_path / "out" / "s.tar").exists()
    assert store.measure("k/1.png") == 5
    assert not store.is_packed("k", "s.tar", "v")
    assert list((tmp_path / "out" / ".state" / "scratch").iterdir()) == []
