import os

import numpy as np
import pytest
import zarr
from outputs import list_outputs
from PIL import Image

import dask_quant as dq
from dask_quant.collection import run as run_module
from dask_quant.errors import OutputError
from dask_quant.palette import Palette


@pytest.fixture
def mixed(tmp_path):
    """A folder of a PNG and a Zarr store of the same pixels, which are its second value."""
    pixels = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    (tmp_path / "mixed").mkdir()
    Image.fromarray(pixels).save(tmp_path / "mixed" / "a.png")
    zarr.create_array(tmp_path / "mixed" / "b.zarr", data=pixels, chunks=(8, 8, 3))
    return tmp_path / "mixed", pixels


@pytest.mark.parametrize("per_image", [False, True])
def test_stores_are_images_of_a_collection(tmp_path, mixed, per_image):
    folder, pixels = mixed
    report = dq.quantize(folder, tmp_path / "out", n_colors=4, per_image=per_image, n_init=1)
    assert report.quarantined == ()
    assert report.n_pixels == 2 * pixels[..., 0].size
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert report.input_bytes == sum(file.stat().st_size for file in files)
    written = [(tmp_path / "out" / name).read_bytes() for name in ("a.png", "b.png")]
    assert written[0] == written[1]
    plan = dq.plan_job(folder, tmp_path / "planned")
    assert plan.n_pixels == report.n_pixels


@pytest.mark.parametrize("per_image", [False, True])
def test_outputs_below_the_source_are_not_eaten_by_the_next_run(tmp_path, mixed, per_image):
    folder, _ = mixed
    options = {"n_colors": 4, "n_init": 1, "per_image": per_image, "overwrite": True}
    first = dq.quantize(folder, folder / "out", **options)
    again = dq.quantize(folder, folder / "out", **options)
    assert (again.outputs, again.n_pixels, again.mse) == (
        first.outputs,
        first.n_pixels,
        first.mse,
    )
    assert (first.n_ignored, again.n_ignored) == (0, 1)
    assert dq.plan_job(folder, folder / "out", overwrite=True).n_images == 2
    assert list_outputs(folder / "out") == ["a.png", "b.png"]


def test_a_folder_is_not_its_own_output(tmp_path, mixed):
    folder, _ = mixed
    os.symlink(folder, tmp_path / "link")
    before = (folder / "a.png").read_bytes()
    for out in (folder, tmp_path / "link", folder / "x" / ".."):
        for run in (dq.quantize, dq.plan_job):
            with pytest.raises(OutputError, match="both as a source and as the output"):
                run(folder, out, overwrite=True)
    assert (folder / "a.png").read_bytes() == before


@pytest.mark.parametrize("per_image", [False, True])
def test_a_plan_has_the_tasks_of_the_job(tmp_path, monkeypatch, per_image):
    (tmp_path / "in").mkdir()
    for i in range(50):
        Image.new("RGB", (3, 2), (i, 0, 0)).save(tmp_path / "in" / f"{i}.png")
    calls, real = [], run_module.do_task
    monkeypatch.setattr(
        run_module, "do_task", lambda work, items: calls.append(work.action) or real(work, items)
    )
    cluster = dq.ClusterOptions(scheduler="synchronous")
    options = {"n_colors": 1, "per_image": per_image, "cluster": cluster}
    plan = dq.plan_job(tmp_path / "in", tmp_path / "out", **options)
    dq.quantize(tmp_path / "in", tmp_path / "out", **options)
    assert plan.n_tasks <= len(calls)  # slow images are fewer in a task
    assert set(calls) == ({"quantize"} if per_image else {"count", "relabel"})
    assert plan.n_tasks == 5 * (2 - per_image)


@pytest.mark.parametrize(("n_colors", "width"), [(256, 1), (257, 2)])
def test_a_plan_has_the_bytes_of_the_labels(tmp_path, mixed, n_colors, width):
    folder, pixels = mixed
    many = dq.plan_job(folder, tmp_path / "out", n_colors=n_colors)
    assert many.label_bytes == 2 * width * pixels[..., 0].size
    one = dq.plan_job(folder / "a.png", tmp_path / "a.png", n_colors=n_colors)
    assert one.label_bytes == width * pixels[..., 0].size


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("suffix", ["gif", "tif", "npz"])
def test_images_of_a_folder_become_files_of_the_format(tmp_path, per_image, suffix):
    rng = np.random.default_rng(5)
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        pixels = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{name}.png")
    options = {"n_colors": 4, "per_image": per_image}
    dq.quantize(tmp_path / "in", tmp_path / "png", **options)
    report = dq.quantize(tmp_path / "in", tmp_path / "out", format=suffix.upper(), **options)
    for name in ("a", "b"):
        path = tmp_path / "out" / f"{name}.{suffix}"
        with Image.open(tmp_path / "png" / f"{name}.png") as image:
            expected = np.asarray(image)
        if suffix == "npz":
            found = np.load(path)["labels"]
        else:
            with Image.open(path) as image:
                found = np.asarray(image)
        np.testing.assert_array_equal(found, expected)
    written = [tmp_path / "out" / name for name in list_outputs(tmp_path / "out")]
    assert report.output_bytes == sum(path.stat().st_size for path in written)
    assert sorted(report.outputs) == sorted(map(str, written))


def test_a_palette_too_large_for_the_format_is_refused_before_counting(tmp_path):
    Image.new("RGB", (3, 3)).save(tmp_path / "a.png")
    codes = np.arange(300)
    palette = Palette(np.stack([codes % 256, codes // 256, codes * 0], axis=1))
    heard = []
    with pytest.raises(OutputError, match="Got 300 colours"):
        dq.apply_palette(
            [tmp_path / "a.png"], tmp_path / "out", palette, format="gif", listener=heard.append
        )
    assert heard == []
    dq.apply_palette([tmp_path / "a.png"], tmp_path / "out", palette, format="tif")
    assert (tmp_path / "out" / "a.tif").is_file()
