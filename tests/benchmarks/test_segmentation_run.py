"""The segmentation of a raster of many bands beside other k-means, in a short form."""

import dataclasses
import json
import sys
import time

import numpy as np
import process_tree
import psutil
import pytest
import raster_mosaic
import raster_rows
import segmentation
import segmentation_methods
import segmentation_results
import zarr
from machine import find_versions

from dask_quant.errors import OptionError, PixelFormatError, SourceError, SourceNotFoundError

MPX = 0.01
"""Million pixels of the raster: one tile, of 100 x 100."""

NODATA = -9999


@pytest.fixture(scope="module")
def scene():
    """A scene of 40 x 30 pixels and 5 bands, the last of them constant."""
    draw = np.random.default_rng(5)
    means = draw.integers(200, 4000, (4, 5))
    pixels = means[draw.integers(0, 4, (40, 30))] + draw.normal(0, 50, (40, 30, 5))
    pixels[..., 4] = 0
    return raster_mosaic.Scene(np.rint(pixels).astype(np.int16), NODATA, "scene.tif")


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles of 32 x 32 pixels, so that a small mosaic has several."""
    monkeypatch.setattr(raster_mosaic, "TILE", 32)


@pytest.fixture
def store(tmp_path, scene, small_tiles):
    """The store of a mosaic of 100 x 100 pixels, where the command looks for it."""
    store = raster_mosaic.find_store(tmp_path, MPX)
    shape = raster_mosaic.square_of(MPX)
    raster_mosaic.write_store(store, raster_mosaic.Mosaic(scene, shape))
    return store


@pytest.fixture
def run(store, tmp_path):
    """Run the benchmark on that store; return its exit code, records and Markdown."""

    def run(*more, k=3):
        results, markdown = tmp_path / "r.jsonl", tmp_path / "r.md"
        given = ["--work", store.parent, "--mpx", MPX, "-k", k, *more]
        given += ["--results", results, "--markdown", markdown]
        code = segmentation.main([str(argument) for argument in given])
        lines = results.read_text("utf-8").splitlines() if results.exists() else []
        text = markdown.read_text("utf-8") if markdown.exists() else ""
        return code, [json.loads(line) for line in lines], text

    return run


@pytest.mark.slow
def test_segmentation_benchmark_measures_every_method_that_is_installed(run, store):
    code, records, text = run()
    versions = find_versions()
    missing = [m.name for m in segmentation_methods.METHODS if m.find_missing(versions)]
    assert code == 0
    # What dask_quant depends on is there in any case; faiss may not be, and its line says so.
    assert set(missing) <= {"faiss"}
    assert text.count("faiss is not installed") == len(missing)
    names = [m.name for m in segmentation_methods.METHODS if m.name not in missing]
    assert [record["method"] for record in records] == names
    assert [record["error"] for record in records] == [None] * len(names)
    raster = raster_rows.open_raster(store)
    for record in records:
        assert 0 < record["seconds"] < record["process_s"]
        assert record["passes"] > 0
        assert record["peak_bytes"] > 1e7
        assert np.shape(record["centers"]) == (3, 5)
        assert record["inertia"] == raster_rows.measure_inertia(raster, record["centers"])
    best = min(record["inertia"] for record in records)
    assert best == pytest.approx(records[0]["inertia"], rel=0.05)
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(segmentation_methods.METHODS)
    assert {line.replace(r"\|", "").count("|") for line in rows} == {9}


@pytest.mark.slow
def test_segmentation_benchmark_goes_on_where_it_stopped(run, monkeypatch, tmp_path):
    _, first, _ = run("--methods", "sklearn")
    with (tmp_path / "r.jsonl").open("a") as file:
        file.write('{"method": "torn')
    _, both, _ = run("--methods", "sklearn,sklearn-minibatch")
    assert both[:1] == first
    assert [record["method"] for record in both] == ["sklearn", "sklearn-minibatch"]
    monkeypatch.setattr(segmentation, "run_watched", lambda *a, **b: pytest.fail("measured again"))
    assert run("--methods", "sklearn")[1] == both


def test_a_method_that_takes_too_long_is_given_up_and_tried_again_with_more_time(run):
    code, (record,), text = run("--methods", "dask-ml", "--timeout", "0.2")
    assert code == 0
    assert record["is_given_up"]
    assert record["seconds"] is None
    assert "given up after 0.2 s" in text
    given_up = segmentation_results.Record(**record)
    assert given_up.holds_for(given_up)
    assert given_up.holds_for(dataclasses.replace(given_up, timeout_s=0.1))
    assert not given_up.holds_for(dataclasses.replace(given_up, timeout_s=0.3))


def test_a_command_that_takes_too_long_is_ended_with_its_children(tmp_path):
    pids = tmp_path / "pids"
    parent = (
        "import os, pathlib, subprocess;"
        "child = subprocess.Popen(['sleep', '600']);"
        f"pathlib.Path({str(pids)!r}).write_text(f'{{os.getpid()}} {{child.pid}}');"
        "child.wait()"
    )
    with pytest.raises(TimeoutError, match="more than 3 seconds"):
        process_tree.run_watched([sys.executable, "-c", parent], timeout_s=3)
    started = [int(pid) for pid in pids.read_text().split()]
    assert len(started) == 2
    deadline = time.monotonic() + 20
    while any(map(is_running, started)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, started))


def is_running(pid):
    """Return whether a process runs; one that has ended and was not waited for does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_method_that_fails_has_a_line_of_its_own_and_is_run_again(run, monkeypatch):
    def fail(command, timeout_s):
        message = "it ended with 1: Traceback\nMemoryError: too large"
        raise RuntimeError(message)

    monkeypatch.setattr(segmentation, "run_watched", fail)
    code, records, text = run("--methods", "sklearn,sklearn-minibatch")
    assert code == 0
    assert [record["error"] for record in records] == ["MemoryError: too large"] * 2
    assert text.count("MemoryError: too large") == 2
    assert len(run("--methods", "sklearn")[1]) == 3


def test_a_result_holds_for_the_same_setting_and_versions_only(store):
    setting = segmentation_results.Setting(segmentation.describe_raster(store), 3)
    ours, sklearn = (
        next(m for m in segmentation_methods.METHODS if m.name == name)
        for name in ("ours", "sklearn")
    )
    plan = segmentation_results.plan_record(sklearn, setting, 9)
    assert plan.holds_for(segmentation_results.plan_record(sklearn, setting, 9))
    others = (
        segmentation_results.plan_record(ours, setting, 9),
        segmentation_results.plan_record(sklearn, dataclasses.replace(setting, n_clusters=4), 9),
        dataclasses.replace(plan, versions=plan.versions | {"numpy": "1.0"}),
        dataclasses.replace(plan, machine="another"),
    )
    assert not any(plan.holds_for(other) for other in others)


def test_segmentation_benchmark_says_what_it_cannot_do(run, tmp_path, capsys):
    assert run("--methods", "ours,theirs")[0] == 2
    assert "Got the method 'theirs'; known are ours," in capsys.readouterr().err
    assert run("--mpx", "0.5")[0] == 2
    assert "Found no raster-0.5mpx.zarr" in capsys.readouterr().err
    (tmp_path / "r.jsonl").write_text("{}\n")
    assert run()[0] == 2
    assert "r.jsonl, which is no file of results" in capsys.readouterr().err


def test_the_mosaic_is_the_same_for_any_order_of_tiles(tmp_path, scene, small_tiles, digest_output):
    mosaic = raster_mosaic.Mosaic(scene, (70, 100))
    starts = raster_mosaic.list_tiles(mosaic.shape)
    assert len(starts) == 12
    raster_mosaic.write_store(tmp_path / "a.zarr", mosaic)
    shuffled = np.random.default_rng(0).permutation(starts).tolist()
    again = raster_mosaic.Mosaic(scene, (70, 100))
    raster_mosaic.write_store(tmp_path / "b.zarr", again)
    array = zarr.open_array(tmp_path / "b.zarr", mode="r+")
    array[:] = 0
    assert digest_output(tmp_path / "a.zarr") != digest_output(tmp_path / "b.zarr")
    raster_mosaic.write_tiles(array, again, shuffled)
    assert digest_output(tmp_path / "a.zarr") == digest_output(tmp_path / "b.zarr")


def test_the_mosaic_has_the_layout_that_it_says(store):
    array = zarr.open_array(store, mode="r")
    assert array.metadata.zarr_format == 3
    assert array.metadata.dimension_names == ("y", "x", "band")
    assert (array.shape, array.chunks, array.dtype) == ((100, 100, 5), (32, 32, 5), np.int16)
    assert "zstd" in str(array.compressors).lower()


def test_one_to_three_percent_of_the_mosaic_hold_no_data(scene):
    pixels = assemble(raster_mosaic.Mosaic(scene, (600, 600)))
    lost = (pixels == NODATA).all(axis=-1)
    assert ((pixels == NODATA).any(axis=-1) == lost).all()
    assert 0.01 < lost.mean() < 0.03
    assert lost[0, 0]
    assert not lost[-1, -1]


def test_the_mosaic_drifts_slowly_and_its_copies_are_mirrored(scene, monkeypatch):
    monkeypatch.setattr(raster_mosaic, "NOISE", 0)
    monkeypatch.setattr(raster_mosaic, "MIN_NOISE", 0)
    pixels = assemble(raster_mosaic.Mosaic(scene, (480, 480))).astype(np.int64)[240:, 240:]
    spreads = scene.pixels.std(axis=0).std(axis=0)
    assert spreads[:4].all()
    # Across the border between a copy and its mirror image, only the drift tells two pixels apart.
    beside = np.abs(pixels[39::40][:-1] - pixels[40::40])
    assert beside.max() <= 60
    copies = pixels[:, :30], pixels[:, 180:210]  # six columns of copies further: not mirrored
    assert np.abs(copies[0] - copies[1]).mean(axis=(0, 1))[:4].min() > 20


def test_two_tiles_have_noise_of_their_own(scene, small_tiles):
    mosaic = raster_mosaic.Mosaic(scene, (100, 100))
    noise = [mosaic._draw_noise(row, column) for row, column in ((0, 0), (0, 32), (32, 0))]
    assert all(abs(np.corrcoef(noise[0].ravel(), n.ravel())[0, 1]) < 0.1 for n in noise[1:])
    other = raster_mosaic.Mosaic(scene, (100, 100), seed=1)
    assert not np.array_equal(other.tile(64, 64), mosaic.tile(64, 64))


def assemble(mosaic):
    """Return all pixels of a mosaic."""
    pixels = np.zeros((*mosaic.shape, mosaic.scene.pixels.shape[2]), dtype=np.int16)
    for row, column in raster_mosaic.list_tiles(mosaic.shape):
        tile = mosaic.tile(row, column)
        pixels[row : row + tile.shape[0], column : column + tile.shape[1]] = tile
    return pixels


def test_inertia_is_that_of_brute_force(store):
    raster = raster_rows.open_raster(store)
    assert len(raster.list_windows()) == 16
    pixels = np.asarray(raster.pixels).reshape(-1, 5)
    valid = pixels[(pixels != NODATA).all(axis=1)].astype(np.float64)
    assert 0 < len(valid) < len(pixels)
    centers = valid[::1000] + 0.25
    distances = ((valid[:, None] - centers[None]) ** 2).sum(axis=2)
    expected = distances.min(axis=1).sum()
    assert raster_rows.measure_inertia(raster, centers.tolist()) == pytest.approx(expected, 1e-12)


def test_rows_in_memory_are_those_with_data(store):
    raster = raster_rows.open_raster(store)
    rows = raster_rows.load_rows(raster)
    pixels = np.asarray(raster.pixels).reshape(-1, 5)
    valid = pixels[(pixels != NODATA).all(axis=1)]
    assert rows.dtype == np.float32
    assert rows.flags.c_contiguous
    assert sorted(rows.tolist()) == sorted(valid.tolist())
    assert len(rows) == raster_rows.count_valid(raster)


def test_passes_over_lazy_rows_are_counted(store):
    raster = raster_rows.open_raster(store)
    rows = segmentation_methods.CountedRows.of(raster)
    lazy = rows.to_dask()
    assert rows.passes == 0
    assert sorted(lazy.compute().tolist()) == sorted(raster_rows.load_rows(raster).tolist())
    assert rows.passes == 1
    lazy.blocks[0].compute()
    assert 1 < rows.passes < 1.2


def test_a_raster_of_one_chunk_without_data_is_read_all_the_same():
    pixels = np.full((4, 8, 2), NODATA, dtype=np.int16)
    pixels[:, 4:] = 7
    rows = segmentation_methods.CountedRows.of(raster_rows.Raster(pixels, NODATA, 4))
    assert rows.sizes == (0, 16)
    assert rows.to_dask().compute().tolist() == [[7.0, 7.0]] * 16


def test_a_geotiff_is_read_as_it_was_written(tmp_path, scene):
    write_geotiff(tmp_path / "two.tif", scene.pixels[..., :2])
    write_geotiff(tmp_path / "five.tif", scene.pixels)
    write_geotiff(tmp_path / "six.tif", np.zeros((4, 4, 6), dtype=np.uint8))
    for path in (tmp_path, tmp_path / "five.tif"):
        found = raster_mosaic.read_scene(path)
        np.testing.assert_array_equal(found.pixels, scene.pixels)
        assert (found.nodata, found.name) == (NODATA, "five.tif")
    with pytest.raises(PixelFormatError, match=r"Got six.tif: uint8; a GeoTIFF of int16"):
        raster_mosaic.read_scene(tmp_path / "six.tif")
    with pytest.raises(SourceNotFoundError, match="Found no GeoTIFF"):
        raster_mosaic.read_scene(tmp_path / "none.tif")


def write_geotiff(path, pixels):
    """Write pixels ``(y, x, band)``, int16 with a nodata value, other types without."""
    rasterio = pytest.importorskip("rasterio")
    nodata = NODATA if pixels.dtype == np.int16 else None
    kind = {"height": pixels.shape[0], "width": pixels.shape[1], "count": pixels.shape[2]}
    place = rasterio.Affine(30, 0, 462405, 0, -30, 1741815)
    with rasterio.open(
        path, "w", driver="GTiff", dtype=pixels.dtype, nodata=nodata, transform=place, **kind
    ) as target:
        target.write(np.moveaxis(pixels, -1, 0))


def test_without_rasterio_the_message_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(SourceError, match="needs rasterio, which is not installed"):
        raster_mosaic.read_scene(tmp_path)


def test_a_store_that_is_there_is_not_made_again(store, monkeypatch):
    monkeypatch.setattr(raster_mosaic, "write_store", lambda *given: pytest.fail("made again"))
    assert raster_mosaic.make_store(store.parent, MPX, None) == store


def test_a_store_is_made_of_the_data_that_are_given(tmp_path, scene, monkeypatch):
    monkeypatch.setattr(raster_mosaic, "read_scene", lambda path: scene)
    store = raster_mosaic.make_store(tmp_path / "work", MPX, tmp_path)
    assert raster_rows.open_raster(store).n_pixels == MPX * 1e6
    assert [path.name for path in store.parent.iterdir()] == [store.name]


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "r.jsonl").write_text("[1]\n")
    with pytest.raises(OptionError, match="no file of results"):
        segmentation_results.read_records(tmp_path / "r.jsonl")
