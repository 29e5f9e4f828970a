import os
from dataclasses import replace

import numpy as np
import pytest
import zarr
from dask_quant.job import (
    MAX_BATCH,
    Item,
    _make_batches,
    count_batch,
    count_batches,
    count_collection,
    merge_counted,
    quantize_each,
    relabel_collection,
)
from PIL import Image

import dask_quant as dq
from dask_quant import job
from dask_quant.errors import JobError, OutputError
from dask_quant.execute import Executor
from dask_quant.fit_options import FitOptions
from dask_quant.histogram import ColorHistogram
from dask_quant.palette import Palette


@pytest.fixture(params=["threads", "synchronous"])
def executor(request):
    return Executor(scheduler=request.param)


@pytest.fixture
def images(tmp_path):
    """Six images, of which the second is torn and the fifth missing, with their pixels."""
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    pixels, items = [], []
    for i in range(6):
        pixels.append(rng.integers(0, 256, (20 + i, 30, 3), dtype=np.uint8))
        path = tmp_path / "in" / f"{i}.png"
        Image.fromarray(pixels[i]).save(path)
        items.append(Item(str(path), tmp_path / "out" / f"{i}.png"))
    torn = tmp_path / "in" / "1.png"
    torn.write_bytes(torn.read_bytes()[:200])
    (tmp_path / "in" / "4.png").unlink()
    return items, pixels


GOOD = (0, 2, 3, 5)


@pytest.mark.parametrize("n_items", [0, 1, 7, 100, 1000])
@pytest.mark.parametrize("n_threads", [1, 4])
def test_batches_hold_every_item_once_in_order(n_items, n_threads):
    items = [Item(str(i), None) for i in range(n_items)]
    batches = _make_batches(items, n_threads)
    assert [entry for batch in batches for entry in batch] == list(enumerate(items))
    assert all(1 <= len(batch) <= MAX_BATCH for batch in batches)
    assert len(batches) >= min(n_items, 8 * n_threads)
    assert count_batches(n_items, n_threads) == len(batches)


def test_all_readable_images_are_counted_together(executor, images):
    items, pixels = images
    counted = count_collection(items, executor)
    expected = ColorHistogram.merge_all(ColorHistogram.from_pixels(pixels[i]) for i in GOOD)
    assert counted.histogram == expected
    assert counted.readable == GOOD
    assert [position for position, _ in counted.quarantined] == [1, 4]
    assert [q.path for _, q in counted.quarantined] == [items[1].source, items[4].source]
    assert all(q.reason and "\n" not in q.reason for _, q in counted.quarantined)


def test_merging_counted_batches_keeps_their_order(images):
    items, _ = images
    numbered = list(enumerate(items))
    parts = [count_batch(numbered[:2]), count_batch(numbered[2:5]), count_batch(numbered[5:])]
    whole = count_batch(numbered)
    merged = merge_counted(parts)
    assert merged.histogram == whole.histogram
    assert merged.readable == whole.readable
    assert merged.checksums == whole.checksums
    assert len(set(whole.checksums)) == len(GOOD)
    assert merged.quarantined == whole.quarantined


def test_each_image_gets_its_own_palette(executor, images, read_indexed):
    items, pixels = images
    written = quantize_each(items, FitOptions(n_colors=4, n_init=1), executor)
    assert tuple(position for position, _ in written.written) == GOOD
    assert [position for position, _ in written.quarantined] == [1, 4]
    for position, outcome in written.outcomes:
        labels, palette, painted = read_indexed(items[position].out)
        np.testing.assert_array_equal(palette[:4], outcome.palette.colors)
        assert np.bincount(labels.ravel()).tolist() == outcome.palette.counts.tolist()
        error = ((pixels[position].astype(int) - painted) ** 2).sum()
        assert outcome.squared_error == error
    sizes = [(i, items[i].out.stat().st_size) for i in GOOD]
    assert list(written.written) == sizes
    assert len({outcome.palette for _, outcome in written.outcomes}) == len(GOOD)


def test_one_palette_is_used_for_the_positions_that_were_chosen(
    executor, images, label_oracle, read_indexed
):
    items, pixels = images
    palette = Palette.from_hex(["#202020", "#e0e0e0", "#c02020"])
    numbered = list(enumerate(items))
    counted = count_batch([numbered[0], numbered[4], numbered[5]])
    written = relabel_collection(items, counted, palette, "srgb", executor)
    assert [position for position, _ in written.written] == [0, 5]
    assert written.quarantined == ()
    assert sorted(path.name for path in items[0].out.parent.iterdir()) == ["0.png", "5.png"]
    labels, entries, _ = read_indexed(items[5].out)
    np.testing.assert_array_equal(labels, label_oracle(pixels[5], palette.colors)[0])
    np.testing.assert_array_equal(entries[:3], palette.colors)


def test_tasks_that_run_again_replace_what_they_wrote(executor, images):
    items, _ = images
    options = FitOptions(n_colors=4, n_init=1)
    first = quantize_each(items[:1], options, executor)
    assert quantize_each(items[:1], options, executor).written == first.written


def test_a_job_of_which_nothing_can_be_read_says_so(executor, images):
    items, _ = images
    broken = [items[1], items[4]]
    for run in (
        lambda: count_collection(broken, executor),
        lambda: quantize_each(broken, FitOptions(), executor),
    ):
        with pytest.raises(JobError, match="None of 2 images can be read; the first: "):
            run()


def test_an_output_that_cannot_be_written_ends_the_job(executor, images):
    items, _ = images
    items[0].out.parent.write_bytes(b"a file where the folder should be")
    with pytest.raises(OutputError):
        quantize_each(items, FitOptions(n_colors=2, n_init=1), executor)


def test_progress_counts_images(images):
    events = []
    listening = Executor(scheduler="synchronous", listener=events.append)
    items, _ = images
    count_collection(items, listening)
    quantize_each(items, FitOptions(n_colors=2, n_init=1), listening)
    for stage in ("count", "relabel"):
        done = [(e.done, e.total, e.unit) for e in events if e.stage == stage]
        assert done[0] == (0, 6, "images")
        assert done[-1] == (6, 6, "images")
        assert done == sorted(done)


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
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["a.png", "b.png"]


def test_a_folder_is_not_its_own_output(tmp_path, mixed):
    folder, _ = mixed
    os.symlink(folder, tmp_path / "link")
    before = (folder / "a.png").read_bytes()
    for out in (folder, tmp_path / "link", folder / "x" / ".."):
        for run in (dq.quantize, dq.plan_job):
            with pytest.raises(OutputError, match="both as a source and as the output"):
                run(folder, out, overwrite=True)
    assert (folder / "a.png").read_bytes() == before


def turn(path):
    """Change an image and keep its colours, their counts and its suffix."""
    with Image.open(path) as image:
        turned = image.transpose(Image.Transpose.ROTATE_90)
    turned.save(path)


@pytest.mark.parametrize(
    ("change", "how"),
    [
        (lambda path: path.unlink(), "there is no such file"),
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "truncated"),
        (lambda path: Image.new("RGB", (30, 20)).save(path), "its pixels are others"),
        (turn, "its pixels are others"),
    ],
)
def test_an_image_that_changes_after_it_was_counted_ends_the_job(executor, images, change, how):
    items, _ = images
    counted = count_collection(items, executor)
    change(items[2].out.parent.parent / "in" / "2.png")
    with pytest.raises(JobError, match=r"2\.png changed after its colours were counted") as caught:
        relabel_collection(items, counted, Palette.from_hex(["#000000"]), "srgb", executor)
    assert how in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not items[2].out.exists()


def test_an_image_of_a_constant_color_is_known_by_its_shape(executor, tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (6, 4)).save(path)
    items = [Item(str(path), tmp_path / "out.png")]
    counted = count_collection(items, executor)
    turn(path)
    with pytest.raises(JobError, match="its pixels are others"):
        relabel_collection(items, counted, Palette.from_hex(["#000000"]), "srgb", executor)


def watch_tasks(monkeypatch):
    """Return a list that gets the name of every task of a collection that runs."""
    calls = []

    def watch(real):
        return lambda *args: calls.append(real.__name__) or real(*args)

    for name in ("count_batch", "quantize_batch", "relabel_batch"):
        monkeypatch.setattr(job, name, watch(getattr(job, name)))
    return calls


@pytest.mark.parametrize("per_image", [False, True])
def test_a_plan_has_the_tasks_of_the_job(tmp_path, monkeypatch, per_image):
    (tmp_path / "in").mkdir()
    for i in range(50):
        Image.new("RGB", (3, 2), (i, 0, 0)).save(tmp_path / "in" / f"{i}.png")
    calls = watch_tasks(monkeypatch)
    cluster = dq.ClusterOptions(scheduler="synchronous")
    options = {"n_colors": 1, "per_image": per_image, "cluster": cluster}
    plan = dq.plan_job(tmp_path / "in", tmp_path / "out", **options)
    dq.quantize(tmp_path / "in", tmp_path / "out", **options)
    assert plan.n_tasks == len(calls)
    assert set(calls) == ({"quantize_batch"} if per_image else {"count_batch", "relabel_batch"})
    assert len(calls) < 50


@pytest.mark.parametrize(("n_colors", "width"), [(256, 1), (257, 2)])
def test_a_plan_has_the_bytes_of_the_labels(tmp_path, mixed, n_colors, width):
    folder, pixels = mixed
    many = dq.plan_job(folder, tmp_path / "out", n_colors=n_colors)
    assert many.label_bytes == 2 * width * pixels[..., 0].size
    one = dq.plan_job(folder / "a.png", tmp_path / "a.png", n_colors=n_colors)
    assert one.label_bytes == width * pixels[..., 0].size


@pytest.mark.parametrize("width", [1, 2, 4, 6, 7])
def test_waves_count_what_one_graph_does(executor, images, monkeypatch, width):
    items, _ = images
    whole = count_collection(items, executor)
    graphs, events = [], []
    real = Executor.compute

    def watch(self, root, **options):
        graphs.append(len(options["leaves"]))
        return real(self, root, **options)

    monkeypatch.setattr(job, "MAX_TASKS_PER_GRAPH", width)
    monkeypatch.setattr(Executor, "compute", watch)
    counted = count_collection(items, replace(executor, listener=events.append))
    assert counted == whole
    n_batches = count_batches(len(items), executor.n_threads)
    assert sum(graphs) == n_batches
    assert max(graphs) == min(width, n_batches)
    done = [event.done for event in events]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, len(items))
    assert {event.total for event in events} == {len(items)}


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
    written = list((tmp_path / "out").iterdir())
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
