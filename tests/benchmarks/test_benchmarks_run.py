"""Benchmarks are commands; here they run in a short form, so that they cannot rot."""

import json
from itertools import product

import chaos
import collection
import decode_memory
import dither
import folder
import gigapixel
import kernels
import label_check
import mosaic
import numpy as np
import photo as photo_command
import png_gigapixel
import pytest
import scaling
import tiff_gigapixel
import tiff_in
import tiff_out
import zarr
import zarr_axes
from PIL import Image
from scaling_model import StageCosts

import dask_quant as dq
from dask_quant.fit_options import DITHERS
from dask_quant.kernels.count_block import pack_colors


def test_kernel_benchmark_reports_every_row(capsys):
    kernels.main(["--short", "--pixels", "100000", "--repeats", "1", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert [row["unit"] for row in report["rows"]] == [*["Mpx/s"] * 4, "ms", "ms"]
    assert all(row["value"] > 0 for row in report["rows"])
    assert "Numba" in report["machine"]


def test_kernel_benchmark_tells_a_missed_aim():
    row = kernels.Row
    assert row("count", 399, "Mpx/s", 400).met is False
    assert row("count", 400, "Mpx/s", 400).met is True
    assert row("step", 5.1, "ms", 5).met is False


def run_gigapixel(capsys, *arguments):
    gigapixel.main([*map(str, arguments), "--gigapixels", "0.003", "--json"])
    return json.loads(capsys.readouterr().out)["rows"]


@pytest.mark.slow
def test_gigapixel_benchmark_measures_a_small_mosaic(capsys, tmp_path, photo):
    (tmp_path / "data").mkdir()
    Image.fromarray(photo).save(tmp_path / "data" / "photo.jpg")
    given = ("--data", tmp_path / "data", "--work", tmp_path / "work", "--layout", "plain")
    zarr_row, png_row = run_gigapixel(capsys, *given, "--png")
    assert (zarr_row["out"], png_row["out"]) == (".zarr", ".png")
    assert zarr_row["wrong"] == png_row["wrong"] == 0
    assert zarr_row["ratio"] > 0
    assert 0 < zarr_row["peak_mb"] < zarr_row["projected_mb"]


@pytest.mark.slow
def test_gigapixel_benchmark_makes_images_of_scattered_colors(capsys, tmp_path):
    (row,) = run_gigapixel(capsys, "--all-colors", "--work", tmp_path)
    assert row["colors"] == 1732**2
    assert row["wrong"] == 0


@pytest.mark.slow
def test_png_benchmark_measures_a_small_mosaic(capsys, tmp_path, photo):
    (tmp_path / "data").mkdir()
    Image.fromarray(photo).save(tmp_path / "data" / "photo.jpg")
    given = ["--data", tmp_path / "data", "--work", tmp_path / "work", "--gigapixels", "0.0001"]
    png_gigapixel.main([*map(str, given), "--json", "-k", "4"])
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["wrong"] == 0
    assert row["cpu_ratio"] > 0
    with Image.open(tmp_path / "work" / "photographs-0.0001.png") as image:
        assert len(image.convert("RGB").getcolors(1 << 24)) == row["colors"]


@pytest.mark.slow
def test_tiff_benchmark_measures_a_small_mosaic(capsys, tmp_path, photo):
    pytest.importorskip("rasterio")
    (tmp_path / "data").mkdir()
    Image.fromarray(photo).save(tmp_path / "data" / "photo.jpg")
    given = ["--data", tmp_path / "data", "--work", tmp_path / "work", "--gigapixels", "0.002"]
    tiff_gigapixel.main([*map(str, given), "--codec", "jpeg", "--json", "-k", "4"])
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["wrong"] == 0
    assert row["n_levels"] == 2
    assert row["cpu_ratio"] > 0
    assert 0 < row["peak_mb"] < row["projected_mb"]


def test_every_order_of_axes_is_counted_alike(capsys, tmp_path):
    assert (
        zarr_axes.main(["--side", "300", "--rounds", "1", "--work", str(tmp_path), "--json"]) == 0
    )
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert len(rows) == len(zarr_axes.LAYOUTS)
    assert all(row["same"] and row["ratio"] > 0 for row in rows)


def test_four_tiles_of_scattered_colors_hold_all_there_are():
    seen = np.zeros(1 << 24, dtype=bool)
    for number in range(3, 7):
        seen[pack_colors(mosaic.scatter_colors(number).reshape(-1, 3))] = True
    assert seen.all()


def test_wrong_labels_are_counted(tmp_path):
    pixels = np.array([[[0, 0, 0], [9, 9, 9], [5, 5, 5]]], dtype=np.uint8)
    palette = np.array([[9, 9, 9], [1, 1, 1]], dtype=np.uint8)
    assert label_check.find_nearest(pixels, palette).tolist() == [[1, 0, 0]]
    zarr.create_array(tmp_path / "image.zarr" / "0", data=pixels)
    zarr.create_array(tmp_path / "labels.zarr" / "0", data=np.array([[1, 0, 1]], dtype=np.uint8))
    given = (tmp_path / "image.zarr", tmp_path / "labels.zarr", palette)
    assert label_check.count_wrong_labels(*given, n_tiles=1) == 1


def test_folder_benchmark_reports_every_tool(capsys, tmp_path):
    for i in range(2):
        pixels = np.random.default_rng(i).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    sizes = ["--n-images", "3", "--size", "32", "-k", "4"]
    assert folder.main(["--data", str(tmp_path), *sizes, "--json"]) == 0
    rows = {row["what"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    for what, row in rows.items():
        if row["images_per_s"] is None:
            assert row["note"] == "not installed"
        else:
            assert row["images_per_s"] > 0
            assert (row["mse"] is None) == what.startswith("floor")
    ours = [what for what in rows if what.startswith("dask_quant")]
    assert all(rows[what]["images_per_s"] for what in [*ours, "Pillow, median cut, a loop"])


@pytest.fixture
def pictures(tmp_path, photo):
    """A folder of two pictures, and one that is too small to be cut up."""
    (tmp_path / "data").mkdir()
    for name, pixels in (("a", photo), ("b", photo[::-1]), ("c", photo[:20])):
        Image.fromarray(pixels).save(tmp_path / "data" / f"{name}.png")
    return tmp_path / "data"


def run_collection(capsys, *arguments):
    code = collection.main([*map(str, arguments), "--json"])
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert code == (0 if all(row["met"] for row in rows) else 1)
    return rows


@pytest.mark.slow
def test_collection_benchmark_times_the_tools(capsys, tmp_path, pictures):
    small = ["--n-images", "4", "--size", "40", "-k", "4", "--work", tmp_path]
    rows = run_collection(capsys, "speed", "--data", pictures, *small)
    assert all(row["images_per_s"] > 0 and row["peak_mb"] > 0 for row in rows)
    error = {row["tool"]: row["mse"] for row in rows}
    per_image = error["dask_quant --per-image --effort default"]
    assert 0 < per_image < error["dask_quant --effort default"]
    ours = [row for row in rows if row["tool"].startswith("dask_quant")]
    assert len(ours) == 4
    assert all((row["times"] > 0) == (len(rows) > 4) for row in ours)


@pytest.mark.slow
def test_collection_benchmark_measures_memory_by_the_number_of_images(capsys, tmp_path, pictures):
    small = ["--sizes", "6", "3", "--size", "40", "-k", "4", "--workers", "0", "--work", tmp_path]
    rows = run_collection(capsys, "memory", "--data", pictures, *small)
    told = [(row["palette"], row["n_images"]) for row in rows]
    assert told == [("shared", 3), ("shared", 6), ("per image", 3), ("per image", 6)]
    assert [row["growth"] for row in rows[::2]] == [1, 1]
    assert all(row["peak_mb"] > 50 for row in rows)


@pytest.mark.slow
def test_collection_benchmark_counts_tasks(capsys, tmp_path):
    given = ["--n-images", "40", "-k", "4", "--workers", "1", "--work", tmp_path]
    rows = {row["step"]: row for row in run_collection(capsys, "tasks", *given)}
    assert {"list", "plan", "job", "job: total"} <= set(rows)
    assert 0 < rows["job"]["most_tasks"] < 40
    assert 50 < rows["job"]["driver_mb"] < rows["job"]["peak_mb"]
    assert 0 < rows["list"]["seconds"] < rows["job"]["seconds"]


def test_crops_of_a_collection_are_the_same_every_time_and_of_all_pictures(tmp_path, pictures):
    contents = []
    for name in ("first", "second"):
        sizes = {"n_images": 7, "size": 32, "suffix": ".png"}
        crops = collection.write_crops([pictures], tmp_path / name, **sizes)
        contents.append([file.read_bytes() for file in crops.files])
    assert contents[0] == contents[1]
    assert len(set(contents[0])) == 7
    alone = {"n_images": 1, "size": 32, "suffix": ".png"}
    first = collection.write_crops([pictures / "a.png"], tmp_path / "third", **alone)
    assert first.files[0].read_bytes() == contents[0][0]


def test_memory_that_grows_is_an_aim_missed():
    assert collection.MemoryRow("shared", 2, 13, 1.3, 1).met
    assert not collection.MemoryRow("shared", 2, 14, 1.4, 1).met
    assert collection.TasksRow("job", 1, 900, 500, 10_000).met
    assert not collection.TasksRow("job", 1, 1, 1, 10_001).met
    assert not collection.TasksRow("job", 1, 900, 501, 1).met
    assert not collection.SpeedRow("dask_quant", 1, 1, 1, 0.9).met


def test_crops_are_the_same_every_time_and_spread(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (90, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    contents = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        crops = folder.cut_crops(
            tmp_path / "a.png", tmp_path / name, n_images=9, size=16, suffix=".png"
        )
        contents.append([file.read_bytes() for file in crops.files])
    assert contents[0] == contents[1]
    assert len(set(contents[0])) == 9


def test_photo_benchmark_reports_commands_and_steps(capsys, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    arguments = ["--image", str(tmp_path / "a.png"), "-k", "4", "--repeats", "1", "--json"]
    assert photo_command.main(arguments) in (0, 1)
    report = json.loads(capsys.readouterr().out)
    assert report["rows"][0]["best_s"] > 0
    assert report["rows"][-1]["best_s"] > 0
    assert {"import Numba", "fit", "write"} <= {step["what"] for step in report["steps"]}


def test_tiff_benchmark_measures_job_and_floor_and_compares(capsys, tmp_path):
    given = ["--work", str(tmp_path), "--megapixels", "18", "--json"]
    assert tiff_out.main(given) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["wrong"] == 0
    assert 0 < row["floor_mb"] < row["file_mb"] < 2 * row["floor_mb"]
    assert row["peak_mb"] > 50
    assert list(tmp_path.iterdir()) == []


def test_tiff_benchmark_counts_pixels_that_differ(tmp_path):
    shape, out = (600, 700), tmp_path / "a.tif"
    tiff_out.run_job(shape, out)
    assert tiff_out.count_wrong_pixels(out, shape) == 0
    pattern = tiff_out.make_pattern()
    pattern[0, 0] += 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiff_out, "make_pattern", lambda: pattern)
        assert tiff_out.count_wrong_pixels(out, shape) >= 1


def test_dither_benchmark_reports_every_way_and_tells_a_missed_aim(capsys, monkeypatch):
    given = ["--pixels", "20000", "--repeats", "1", "-k", "4"]
    monkeypatch.setattr(dither, "AIMS", {"bayer": 1e9})
    assert dither.main([*given, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert [row["what"] for row in report["rows"]] == [*DITHERS, dither.COUNTING]
    assert [row["met"] for row in report["rows"]] == [True, False, True, True, True]
    assert all(row["mpx_per_s"] > 0 for row in report["rows"])
    monkeypatch.setattr(dither, "AIMS", {"bayer": 0})
    assert dither.main(given) == 0
    assert "| bayer |" in capsys.readouterr().out


def test_dither_benchmark_tiles_pictures_whole(photo):
    tiled = dither.tile_image(photo, 10_000)
    assert tiled.shape == (50, 200, 3)
    large = dither.tile_image(photo[:30, :20], 10_000)
    np.testing.assert_array_equal(large[30:50, 20:40], photo[:20, :20])


@pytest.mark.parametrize("codec", ["zstd", "jpeg"])
def test_tiff_benchmark_counts_what_it_decodes(capsys, tmp_path, codec):
    given = ["--megapixels", "0.6", "--codec", codec, "--work", str(tmp_path), "--repeats", "1"]
    tiff_in.main([*given, "--json"])
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["megapixels"] == pytest.approx(0.262144)
    assert row["colors"] > 1000
    assert row["ratio"] > 0
    assert row["cpu_ratio"] > 0


def test_decoding_is_measured_against_its_plan(tmp_path, capsys):
    kinds = ["JPEG, progressive RGB", "WebP, RGB"]
    small = ["--work", str(tmp_path), "--megapixels", "0.5", "--json", "--kinds", *kinds]
    assert decode_memory.main(small) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["kind"] for row in rows] == kinds
    assert [int(row["planned"]) for row in rows] == [10, 17]
    assert all(row["measured"] > 0 for row in rows)


@pytest.mark.slow
def test_jobs_that_are_struck_down_end_with_the_same_bytes(capsys):
    words = "any moment,SIGTERM,then kill,all workers,too large"
    short = ["--images", "48", "--points", "2", "--modes", "shared", "--only", words, "--json"]
    assert chaos.main(short) == 0, capsys.readouterr().out
    verdicts = json.loads(capsys.readouterr().out)["verdicts"]
    assert [each["code"] for each in verdicts] == [-9, -9, 143, -9, 0, 1]
    assert all(each["problems"] == [] for each in verdicts)
    assert [each["seconds"] > 0 for each in verdicts] == [True, True, True, True, False, True]


def test_chaos_sees_what_does_not_hold(tmp_path):
    chaos.make_images(tmp_path / "in", 3, 0)
    out = tmp_path / "out"
    dq.quantize(tmp_path / "in", out, n_colors=3)
    job = chaos.Job("shared", tmp_path / "in", 3, chaos.digest_tree(out), 1, 1, 1.0)
    done = chaos.note_done(out)
    assert len(done) == 3
    assert chaos.compare(job, out, done) == []
    first = min(done)
    first.write_bytes(first.read_bytes() + b"x")
    (out / ".dask-quant" / "scratch").mkdir()
    (out / "manifest.jsonl").write_bytes((out / "manifest.jsonl").read_bytes()[:-1])
    problems = chaos.compare(job, out, done)
    assert problems == [
        "the tree differs",
        f"1 finished outputs were rewritten, such as {first.name}",
        "2 rows of 2 images in the manifest",
        "left: .dask-quant/scratch",
    ]


def test_the_model_is_bound_by_workers_or_by_the_scheduler_and_pays_for_begin_and_end_once():
    free = StageCosts(pixel_s=1e-8)
    assert free.predict(1e9, 1, block_pixels=10**7) == pytest.approx(10)
    assert free.predict(1e9, 10, block_pixels=10**7) == pytest.approx(1)
    assert free.predict(1e9, 99, block_pixels=10**7) == pytest.approx(0.2)  # two rounds
    busy = StageCosts(pixel_s=1e-8, driver_s=0.01, scheduler_s=0.02)
    assert busy.predict(1e9, 10**6, block_pixels=10**7) == pytest.approx(1 + 2 + 0.1)
    assert busy.predict(1e9, 10, block_pixels=10**7) == pytest.approx(1 + 2)
    slow = StageCosts(pixel_s=1e-8, driver_s=0.02, scheduler_s=0.01)
    assert slow.predict(1e9, 10, block_pixels=10**7) == pytest.approx(2 + 10 * 0.01 + 10 * 0.1)
    assert slow.predict(2048e7, 10**4, block_pixels=10**7) == pytest.approx(
        1024 * 0.02 + max(2048 * 0.01 + 0.1, 1024 * 0.02)
    )
    merged = StageCosts(pixel_s=1e-8, merge_s=1)
    assert merged.predict(1e9, 8, block_pixels=10**7) == pytest.approx(13 * 0.1 + 3)
    assert merged.predict(4096 * 10**7, 2048, block_pixels=10**7) == pytest.approx(2 * 0.1 + 11)


def test_scaling_reports_a_row_for_each_stage_and_shape(capsys):
    scaling.main(["check", "--blocks", "20", "--shapes", "2x4x0.05", "--json"])
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["stage"], row["blocks"]) for row in rows] == [("count", 8), ("relabel", 8)]
    assert all(row["measured_s"] >= 4 * 0.05 for row in rows)


def run_scaling(command, photo_path, work, *arguments):
    given = ["--data", str(photo_path), "--work", str(work), "--megapixels", "1", "--json"]
    return scaling.main([command, *given, *arguments])


def test_scaling_measures_one_worker_and_two(photo_path, tmp_path, capsys):
    run_scaling("efficiency", photo_path, tmp_path, "--repeats", "1")
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["stage"], row["round"]) for row in rows] == list(
        product(["count", "relabel"], ["1", "median"])
    )
    assert all(row["efficiency"] == row["one_s"] / 2 / row["two_s"] for row in rows)
    assert all(row["apart"] == row["one_s"] / row["apart_s"] for row in rows)


def test_scaling_compares_within_rounds_and_tells_the_median():
    given = [(10, 6, 11), (20, 10, 25), (9, 5, 9)]
    names = ["one", "two", "apart"]
    rounds = [{n: {"count": s} for n, s in zip(names, each, strict=True)} for each in given]
    rows = scaling.compare_rounds("count", rounds)
    assert [row.efficiency for row in rows] == pytest.approx([10 / 12, 1, 0.9, 0.9])
    assert [row.round for row in rows] == ["1", "2", "3", "median"]
    assert (rows[-1].one_s, rows[-1].two_s, rows[-1].apart) == pytest.approx((10, 6, 10 / 11))
    assert all(row.met for row in rows)
    assert [row.met for row in scaling.compare_rounds("count", rounds[:1])] == [True, False]


def test_scaling_tells_what_follows_for_more(photo_path, tmp_path, capsys):
    assert run_scaling("model", photo_path, tmp_path, "--blocks", "20") == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["workers"] for row in rows[::4]] == [1, 10, 100, 1000]
    for row in rows:
        assert 0 < row["efficiency"] <= 1.001
        assert row["predicted_s"] > 0
