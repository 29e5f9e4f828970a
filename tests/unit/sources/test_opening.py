import os

import dask
import numpy as np
import pytest
import zarr
from PIL import Image

from dask_quant.errors import PixelFormatError, SourceError, SourceNotFoundError
from dask_quant.sources.opening import open_image


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(1, 256, (20, 30, 3), dtype=np.uint8)


@pytest.fixture
def photo(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.fixture
def store(tmp_path, rgb):
    array = zarr.create_array(tmp_path / "a.zarr", shape=rgb.shape, dtype="uint8", chunks=(8, 9, 3))
    array[...] = rgb
    return tmp_path / "a.zarr"


@pytest.mark.parametrize("chunks", [None, (7, 30), (8, 9)])
def test_every_kind_of_source_gives_the_same_image(photo, store, rgb, chunks):
    for source in (photo, str(photo), store, str(store), rgb):
        image = open_image(source, chunks=chunks)
        assert image.shape == rgb.shape
        assert image.chunks[2] == (3,)
        assert chunks is None or image.chunksize[:2] == chunks
        assert np.array_equal(image.compute(scheduler="synchronous"), rgb)


def test_default_chunks_follow_the_storage(photo, store):
    assert open_image(photo).numblocks == (1, 1, 1)
    assert open_image(store).chunksize == (8, 9, 3)


def test_a_file_is_decoded_once_and_its_blocks_are_views(photo, monkeypatch):
    calls = []
    from dask_quant.sources import opening

    real = opening.read_image
    monkeypatch.setattr(
        opening, "read_image", lambda *args, **kwargs: calls.append(1) or real(*args, **kwargs)
    )
    image = open_image(photo, chunks=(5, 30))
    assert not calls
    blocks = dask.compute(*image.to_delayed().ravel(), scheduler="synchronous")
    assert len(calls) == 1
    assert len(blocks) == 4
    assert len({id(block.base) for block in blocks}) == 1


def test_name_follows_path_size_and_time(photo):
    before = open_image(photo).name
    assert open_image(photo).name == before
    os.utime(photo, ns=(0, 0))
    assert open_image(photo).name != before


def test_what_the_header_shows_is_refused_at_once(tmp_path):
    Image.new("I", (4, 4)).save(tmp_path / "a.tif")
    with pytest.raises(PixelFormatError, match="int32"):
        open_image(tmp_path / "a.tif")
    with pytest.raises(SourceNotFoundError):
        open_image(tmp_path / "none.png")
    with pytest.raises(SourceError, match="the scheme 'nothing', which is not known"):
        open_image("nothing://example.com/a.png")


def test_file_that_changes_shape_after_opening_is_an_error(photo):
    image = open_image(photo)
    Image.new("RGB", (20, 30)).save(photo)
    with pytest.raises(SourceError, match="leave it unchanged"):
        image.compute(scheduler="synchronous")


def test_names_that_are_not_utf8_work(tmp_path, rgb):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")
    with open(path, "wb") as file:
        Image.fromarray(rgb).save(file, "PNG")
    image = open_image(path, chunks=(10, 10))
    for layer in image.dask.layers:
        layer.encode("utf-8")
    assert np.array_equal(image.compute(scheduler="synchronous"), rgb)
