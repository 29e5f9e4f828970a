"""Labels read back from what was written: any bit depth, strip by strip; damage is told."""

import numpy as np
import pytest
import zarr

import dask_quant as dq
from dask_quant.errors import SourceError
from dask_quant.palette import Palette
from dask_quant.sinks.png import encode_labels, write_png
from dask_quant.sources.written_labels import (
    open_label_png,
    open_label_raster,
    open_label_store,
)

STRIP_ROWS = 4


def write_strips(path, labels, n_colors, rows=STRIP_ROWS):
    palette = Palette(np.stack([np.arange(n_colors)] * 3, axis=1))
    height, width = labels.shape
    strips = encode_labels(labels, palette, rows=rows)
    write_png(path, strips, width=width, height=height, palette=palette, overwrite=False)


def make_labels(height, width, n_colors):
    rng = np.random.default_rng(height * width)
    return rng.integers(0, n_colors, (height, width), dtype=np.uint8)


@pytest.mark.parametrize("n_colors", [1, 2, 3, 4, 5, 16, 17, 256])
@pytest.mark.parametrize("shape", [(1, 1), (4, 8), (9, 13), (11, 3)])
def test_a_png_is_read_strip_by_strip(tmp_path, n_colors, shape):
    labels = make_labels(*shape, n_colors)
    write_strips(tmp_path / "a.png", labels, n_colors)
    lazy = open_label_png(tmp_path / "a.png", shape, STRIP_ROWS)
    assert lazy.chunksize == (min(STRIP_ROWS, shape[0]), shape[1])
    np.testing.assert_array_equal(lazy.compute(), labels)


@pytest.mark.parametrize("rows", [slice(5, 7), slice(4, 8), slice(8, 9), slice(2, 9)])
def test_parts_of_a_png_are_read(tmp_path, rows):
    labels = make_labels(9, 13, 5)
    write_strips(tmp_path / "a.png", labels, 5)
    lazy = open_label_png(tmp_path / "a.png", labels.shape, STRIP_ROWS)
    np.testing.assert_array_equal(lazy[rows, 3:11].compute(), labels[rows, 3:11])


def test_a_strip_is_read_without_those_above(tmp_path):
    labels = make_labels(12, 40, 200)
    write_strips(tmp_path / "a.png", labels, 200)
    data = bytearray((tmp_path / "a.png").read_bytes())
    first = data.index(b"IDAT")
    data[first + 10 : first + 60] = bytes(50)
    (tmp_path / "a.png").write_bytes(data)
    lazy = open_label_png(tmp_path / "a.png", labels.shape, STRIP_ROWS)
    np.testing.assert_array_equal(lazy[STRIP_ROWS:].compute(), labels[STRIP_ROWS:])
    with pytest.raises(SourceError, match=r"a\.png.*damaged") as caught:
        lazy[:STRIP_ROWS].compute(scheduler="synchronous")
    assert "\n" not in str(caught.value)


def test_a_png_that_was_cut_off_is_refused(tmp_path):
    labels = make_labels(12, 40, 200)
    write_strips(tmp_path / "a.png", labels, 200)
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: data.rindex(b"IDAT") - 4])
    with pytest.raises(SourceError, match="2 strips of 8 bits instead of 3"):
        open_label_png(tmp_path / "a.png", labels.shape, STRIP_ROWS)


def test_a_png_of_other_strips_is_refused(tmp_path):
    labels = make_labels(12, 40, 200)
    write_strips(tmp_path / "a.png", labels, 200, rows=5)
    with pytest.raises(SourceError, match="a strip of it is damaged"):
        open_label_png(tmp_path / "a.png", labels.shape, STRIP_ROWS).compute()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_stores_are_read_in_any_chunks(tmp_path, dtype):
    labels = make_labels(21, 33, 90).astype(dtype)
    zarr.create_group(tmp_path / "a.zarr").create_array("0", data=labels, chunks=(8, 8))
    lazy = open_label_store(tmp_path / "a.zarr", (5, 33))
    assert (lazy.chunksize, lazy.dtype) == ((5, 33), dtype)
    np.testing.assert_array_equal(lazy.compute(), labels)


def test_what_is_no_store_is_refused(tmp_path):
    with pytest.raises(SourceError, match="Cannot read"):
        open_label_store(tmp_path, (5, 5))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_rasters_are_read_in_any_chunks(tmp_path, dtype):
    rasterio = pytest.importorskip("rasterio")
    labels = make_labels(21, 33, 90).astype(dtype)
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", height=21, width=33, count=1, dtype=dtype,
        crs="EPSG:32633", transform=rasterio.Affine(30, 0, 5e5, 0, -30, 5e6), nodata=0,
    ) as dataset:  # fmt: skip
        dataset.write(labels, 1)
    lazy = open_label_raster(tmp_path / "a.tif", labels.shape, dtype, (16, 33))
    assert (lazy.chunksize, lazy.dtype) == ((16, 33), dtype)
    np.testing.assert_array_equal(lazy.compute(), labels)


def test_a_store_of_anything_but_labels_is_refused(tmp_path):
    zarr.save_array(tmp_path / "a.zarr" / "0", np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(SourceError, match=r"labels have the shape \(2, 3, 3\)"):
        open_label_store(tmp_path / "a.zarr", (2, 2))


@pytest.mark.parametrize("n_bytes", [0, 20, 24, 40])
def test_a_png_that_breaks_off_in_its_head_is_refused(tmp_path, n_bytes):
    path = tmp_path / "a.png"
    dq.quantize(np.zeros((2, 3, 3), np.uint8), path, n_colors=1)
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(SourceError, match="0 strips of"):
        open_label_png(path, (2, 3), 2)
