import numpy as np
import pytest
import zarr
from PIL import Image

from dask_quant import persist
from dask_quant.errors import OptionError, OutputError, OutputExistsError, SourceError
from dask_quant.events import Notice
from dask_quant.execute import Executor
from dask_quant.persist import persist_image
from dask_quant.sinks import store_layout

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


@pytest.fixture
def picture(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.fixture
def heard():
    return []


@pytest.fixture(params=["threads", "synchronous"])
def executor(request, heard):
    return Executor(scheduler=request.param, listener=heard.append)


def test_the_store_holds_the_decoded_pixels(picture, tmp_path, executor, heard):
    store = persist_image(picture, tmp_path / "s.zarr", executor, overwrite=False)
    assert store == tmp_path / "s.zarr"
    np.testing.assert_array_equal(zarr.open_group(store, mode="r")["0"][...], PIXELS)
    assert {event.stage for event in heard} == {"persist"}
    assert heard[-1].done == heard[-1].total == 4800
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "s.zarr"]


def test_several_shards_are_joined_without_seams(picture, tmp_path, executor, monkeypatch):
    monkeypatch.setattr(store_layout, "CHUNK_SIDE", 8)
    monkeypatch.setattr(store_layout, "_IMAGE_SHARD_SIDE", 16)
    store = persist_image(picture, tmp_path / "s.zarr", executor, overwrite=False)
    array = zarr.open_group(store, mode="r")["0"]
    assert array.shards == (16, 16, 3)
    np.testing.assert_array_equal(array[...], PIXELS)


def test_a_store_is_used_again_for_the_same_bytes(picture, tmp_path, executor, heard, monkeypatch):
    store = persist_image(picture, tmp_path / "s.zarr", executor, overwrite=False)
    copy = tmp_path / "elsewhere.png"
    copy.write_bytes(picture.read_bytes())
    monkeypatch.setattr(persist, "_write_store", None)
    for again, overwrite in ((picture, False), (copy, False), (str(picture), True)):
        del heard[:]
        assert persist_image(again, store, executor, overwrite=overwrite) == store
        assert [type(event) for event in heard] == [Notice]
        assert "Reusing" in heard[0].message


def test_a_store_of_another_image_is_refused_and_replaced_when_asked(picture, tmp_path, executor):
    store = persist_image(picture, tmp_path / "s.zarr", executor, overwrite=False)
    Image.fromarray(PIXELS[::-1]).save(picture)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        persist_image(picture, store, executor, overwrite=False)
    np.testing.assert_array_equal(zarr.open_group(store, mode="r")["0"][...], PIXELS)
    persist_image(picture, store, executor, overwrite=True)
    np.testing.assert_array_equal(zarr.open_group(store, mode="r")["0"][...], PIXELS[::-1])


def test_a_folder_of_the_user_is_never_replaced(picture, tmp_path, executor):
    (tmp_path / "s.zarr").mkdir()
    (tmp_path / "s.zarr" / "mine.txt").write_text("precious")
    for overwrite in (False, True):
        with pytest.raises(OutputError):
            persist_image(picture, tmp_path / "s.zarr", executor, overwrite=overwrite)
    assert (tmp_path / "s.zarr" / "mine.txt").read_text() == "precious"


def test_what_needs_no_store_is_refused(picture, tmp_path, executor):
    store = persist_image(picture, tmp_path / "s.zarr", executor, overwrite=False)
    for image in (PIXELS, store, str(store)):
        with pytest.raises(OptionError, match="--persist"):
            persist_image(image, tmp_path / "t.zarr", executor, overwrite=False)


def test_a_broken_image_leaves_no_store(picture, tmp_path, executor):
    picture.write_bytes(picture.read_bytes()[:-3000])
    with pytest.raises(SourceError):
        persist_image(picture, tmp_path / "s.zarr", executor, overwrite=False)
    with pytest.raises(SourceError):
        persist_image(tmp_path / "none.png", tmp_path / "s.zarr", executor, overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
