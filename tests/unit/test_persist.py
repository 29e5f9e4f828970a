import os

import dask
import numpy as np
import pytest
import zarr
from PIL import Image

from dask_quant import persist
from dask_quant.errors import OptionError, OutputError, OutputExistsError, SourceError
from dask_quant.events import Notice
from dask_quant.execute import Executor
from dask_quant.persist import persist_image, persist_rasters, persisted_unit
from dask_quant.segment_options import BandOptions
from dask_quant.sinks import store_layout
from dask_quant.sources.rasters import open_raster, split_raster

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


SAMPLES = np.random.default_rng(1).integers(-1, 40, (90, 70, 3), dtype=np.int16)


def write_raster(path, samples=SAMPLES, **options):
    rasterio = pytest.importorskip("rasterio")
    height, width, count = samples.shape
    profile = {"nodata": -1, "crs": "EPSG:32633"} | options
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=count, dtype=samples.dtype,
        transform=rasterio.Affine(9, 0, 5e5, 0, -9, 5e6), **profile,
    ) as dataset:  # fmt: skip
        dataset.write(samples.transpose(2, 0, 1))
    return path


def open_as_it_is(path):
    return open_raster(path, BandOptions())


def read(raster, chunks=(25, 33)):
    """All samples that mean something, and where they are."""
    parts = split_raster(raster, chunks)
    samples = np.zeros((*raster.shape, len(raster.band_names)))
    everywhere = np.zeros(raster.shape, dtype=bool)
    for part, (pixels, valid) in zip(
        parts, dask.compute(*[part.pixels for part in parts]), strict=True
    ):
        rows = slice(part.row, part.row + part.shape[0])
        columns = slice(part.column, part.column + part.shape[1])
        samples[rows, columns][valid], everywhere[rows, columns] = pixels[valid], valid
    return samples, everywhere


def assert_same_pixels(found, expected):
    for one, other in zip(read(found), read(expected), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_store_holds_what_of_a_raster_means_something(tmp_path, executor, heard):
    mask = np.ones((90, 70, 1), dtype=np.uint8)
    mask[40:60] = 0
    mask_path = write_raster(tmp_path / "m.tif", mask, nodata=None)
    options = BandOptions(bands=(3, 1), indices=("ndvi=1/2",), mask=mask_path)
    raster = open_raster(write_raster(tmp_path / "a.tif"), options)
    (stored,) = persist_rasters([raster], tmp_path / "s.zarr", executor)
    assert heard[-1].stage == "persist"
    assert heard[-1].done == heard[-1].total == 90 * 70
    assert (stored.geo, stored.band_names) == (raster.geo, raster.band_names)
    assert stored.input_bytes == raster.input_bytes
    assert_same_pixels(stored, raster)
    (path,) = (tmp_path / "s.zarr").glob("[0-9a-f]*")
    array = zarr.open_group(path, mode="r")["0"]
    assert (array.shape, array.dtype) == ((90, 70, 3), np.int16)
    valid = (SAMPLES[..., [2, 0]] != -1).all(axis=2) & (mask[..., 0] != 0)
    np.testing.assert_array_equal(array[..., 2], valid)
    np.testing.assert_array_equal(array[..., :2][valid], SAMPLES[valid][:, [2, 0]])


def test_floats_that_are_not_finite_mean_nothing(tmp_path, executor):
    samples = SAMPLES.astype(np.float32)
    samples[5:9, :, 1], samples[:, 3, 2] = np.nan, np.inf
    raster = open_as_it_is(write_raster(tmp_path / "a.tif", samples))
    (stored,) = persist_rasters([raster], tmp_path / "s.zarr", executor)
    assert_same_pixels(stored, raster)
    valid = np.isfinite(samples).all(axis=2) & (samples != -1).all(axis=2)
    np.testing.assert_array_equal(read(stored)[1], valid)


def test_a_store_of_several_files_is_cut_as_the_raster_is(tmp_path, executor, monkeypatch):
    monkeypatch.setattr("dask_quant.raster_plan.RASTER_TASK_BYTES", 16 * 32 * 3 * 2)
    raster = open_as_it_is(
        write_raster(tmp_path / "a.tif", tiled=True, blockxsize=32, blockysize=16)
    )
    assert persisted_unit(raster) == (16, 32)
    (stored,) = persist_rasters([raster], tmp_path / "s.zarr", executor)
    assert stored.unit == (16, 32)
    assert len(list((tmp_path / "s.zarr").glob("*/0/c/*/*/0"))) == 6 * 3
    assert_same_pixels(stored, raster)


def test_rasters_are_found_again(tmp_path, executor, heard, monkeypatch):
    store = tmp_path / "s.zarr"
    first, second = (
        open_as_it_is(write_raster(tmp_path / name, samples))
        for name, samples in (("a.tif", SAMPLES), ("b.tif", SAMPLES[::-1]))
    )
    persist_rasters([first], store, executor)
    del heard[:]
    persist_rasters([first, second], store, executor)
    (notice,) = (event for event in heard if isinstance(event, Notice))
    assert notice.message == f"Reusing {store}, which holds 1 of 2 rasters."
    monkeypatch.setattr(persist, "_write_raster_store", None)
    for stored, raster in zip(
        persist_rasters([second, first], store, executor), (second, first), strict=True
    ):
        assert_same_pixels(stored, raster)


def test_what_is_read_differently_gets_a_store_of_its_own(tmp_path, executor):
    path, store = write_raster(tmp_path / "a.tif"), tmp_path / "s.zarr"
    mask = write_raster(tmp_path / "m.tif", np.eye(90, 70, dtype=np.uint8)[..., None], nodata=None)
    rasters = [
        open_raster(path, BandOptions(**options))
        for options in ({}, {"bands": (2,)}, {"bands": (3,)}, {"nodata": 7}, {"mask": mask})
    ]
    for stored, raster in zip(persist_rasters(rasters, store, executor), rasters, strict=True):
        assert_same_pixels(stored, raster)
    assert len(list(store.glob("[0-9a-f]*"))) == 5
    write_raster(path, SAMPLES + np.int16(1))
    (stored,) = persist_rasters([open_as_it_is(path)], store, executor)
    assert_same_pixels(stored, open_as_it_is(path))


def test_what_lies_beside_a_raster_is_a_part_of_it(tmp_path, executor):
    rasterio = pytest.importorskip("rasterio")
    path = write_raster(tmp_path / "a.tif", nodata=None)
    upper = np.ones((90, 70), dtype=bool)
    upper[:9] = False
    for valid in (None, upper, ~upper):
        if valid is not None:
            with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as dataset:
                dataset.write_mask(valid)
            assert (tmp_path / "a.tif.msk").exists()
        (stored,) = persist_rasters([open_as_it_is(path)], tmp_path / "s.zarr", executor)
        assert (read(stored)[1] == (valid is None or valid)).all()


def test_jobs_that_write_the_same_raster_agree(tmp_path, executor):
    raster = open_as_it_is(write_raster(tmp_path / "a.tif"))
    for stored in persist_rasters([raster, raster], tmp_path / "s.zarr", executor):
        assert_same_pixels(stored, raster)
    assert len(os.listdir(tmp_path / "s.zarr")) == 2  # zarr.json, and one store


def test_a_store_of_rasters_takes_the_place_of_nothing_else(picture, tmp_path, executor):
    raster = open_as_it_is(write_raster(tmp_path / "a.tif"))
    persist_image(picture, tmp_path / "image.zarr", executor, overwrite=False)
    (tmp_path / "file.zarr").write_text("mine")
    (tmp_path / "folder.zarr").mkdir()
    for name in ("image", "file", "folder"):
        with pytest.raises(OutputExistsError, match="something else than samples of rasters"):
            persist_rasters([raster], tmp_path / f"{name}.zarr", executor)
    with pytest.raises(OutputError, match=r"file\.zarr"):
        persist_rasters([raster], tmp_path / "file.zarr" / "s.zarr", executor)
    persist_rasters([raster], tmp_path / "below" / "s.zarr", executor)
    with pytest.raises(OutputExistsError, match="something else"):
        persist_image(picture, tmp_path / "below" / "s.zarr", executor, overwrite=False)


def test_a_raster_that_is_damaged_leaves_no_store(tmp_path, executor):
    path = write_raster(tmp_path / "a.tif", compress="deflate", tiled=True, blockxsize=16,
                        blockysize=16)  # fmt: skip
    raster, data = open_as_it_is(path), path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    with pytest.raises(SourceError):
        persist_rasters([raster], tmp_path / "s.zarr", executor)
    assert os.listdir(tmp_path / "s.zarr") == ["zarr.json"]


@pytest.mark.parametrize("kind", ["array", "store"])
def test_what_is_no_raster_file_needs_no_store(kind, tmp_path, executor):
    if kind == "store":
        zarr.create_array(tmp_path / "a.zarr", data=SAMPLES, chunks=(30, 30, 3))
    raster = open_as_it_is(SAMPLES if kind == "array" else tmp_path / "a.zarr")
    with pytest.raises(OptionError, match="needs none"):
        persist_rasters([raster], tmp_path / "s.zarr", executor)
    assert not (tmp_path / "s.zarr").exists()
