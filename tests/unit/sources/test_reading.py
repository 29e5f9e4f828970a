import numpy as np
import pytest
import zarr
from PIL import Image

from dask_quant.errors import SourceError
from dask_quant.sources.reading import read_any_header, read_pixels


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


def test_headers_of_both_kinds_are_read(photo, store):
    assert read_any_header(photo).format == "PNG"
    assert read_any_header(store).format == "ZARR"


def test_files_and_stores_are_read_whole(photo, store, rgb):
    for source in (photo, str(store), store):
        assert np.array_equal(read_pixels(source), rgb)


def test_a_grey_store_is_read_as_rgb(tmp_path, rgb):
    zarr.create_array(tmp_path / "grey.zarr", data=rgb[..., 0], chunks=(8, 8))
    assert np.array_equal(read_pixels(tmp_path / "grey.zarr"), np.dstack([rgb[..., 0]] * 3))


def test_a_store_too_large_to_be_read_whole_names_the_way_out(store, monkeypatch):
    monkeypatch.setattr("dask_quant.sources.zarr_store.MAX_PIXELS", 599)
    with pytest.raises(SourceError, match=r"600 pixels, .* have 599; give it a \.zarr or \.png"):
        read_pixels(store)


def test_a_damaged_store_is_a_source_error(store):
    for chunk in (store / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"torn")
    with pytest.raises(SourceError, match="a part of it is damaged") as caught:
        read_pixels(store)
    assert "\n" not in str(caught.value)
