import numpy as np
import pytest
import zarr

import dask_quant as dq
from dask_quant.errors import PixelFormatError, SourceError
from dask_quant.sources.small_labels import read_npz_labels, read_store_labels


@pytest.fixture
def store(tmp_path):
    """A store of two levels, the smaller one of other labels, so that they are told apart."""
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    for level, (side, label) in enumerate([(64, 1), (32, 2), (16, 3)]):
        array = group.create_array(str(level), shape=(side // 2, side), dtype=np.uint8)
        array[:] = label
    return tmp_path / "a.zarr"


@pytest.mark.parametrize(("side", "label"), [(1, 3), (16, 3), (17, 2), (32, 2), (33, 1), (999, 1)])
def test_the_level_is_the_smallest_that_suits(store, side, label):
    labels = read_store_labels(store, side=side, max_pixels=10**6)
    assert np.unique(labels).tolist() == [label]


def test_a_level_that_is_too_large_is_not_read(store):
    with pytest.raises(PixelFormatError, match="2,048 pixels; at most 2,047"):
        read_store_labels(store, side=64, max_pixels=2047)


def test_a_folder_that_is_no_store_is_refused(tmp_path):
    with pytest.raises(SourceError, match="Cannot read"):
        read_store_labels(tmp_path, side=9, max_pixels=99)


def test_labels_and_palette_of_an_npz_are_read(tmp_path, photo):
    report = dq.quantize(photo, tmp_path / "a.npz", n_colors=5)
    labels, colors = read_npz_labels(tmp_path / "a.npz", max_pixels=photo.size)
    np.testing.assert_array_equal(colors, report.palette.colors)
    assert np.bincount(labels.ravel()).tolist() == report.palette.counts.tolist()
    with pytest.raises(PixelFormatError, match="at most 1,000"):
        read_npz_labels(tmp_path / "a.npz", max_pixels=1000)


@pytest.mark.parametrize("data", [b"", b"PK torn", None])
def test_what_is_no_npz_is_refused(tmp_path, data):
    if data is not None:
        (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(SourceError, match="Cannot read"):
        read_npz_labels(tmp_path / "a.npz", max_pixels=1000)


def test_objects_are_not_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", labels=np.array([{}]), palette=np.zeros((1, 3)))
    with pytest.raises(SourceError, match="Cannot read"):
        read_npz_labels(tmp_path / "a.npz", max_pixels=1000)
