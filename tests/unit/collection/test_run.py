"""Every image once, batch by batch, and an account of what became of it."""

import warnings
from itertools import groupby

import numpy as np
import pytest
from outputs import list_outputs
from PIL import Image

from dask_quant.collection import run as run_module
from dask_quant.collection import work as work_module
from dask_quant.collection.counts import FleetingCounts
from dask_quant.collection.items import Item
from dask_quant.collection.manifest import read_rows
from dask_quant.collection.run import MAX_BATCH, _make_batches, _Pace, count_tasks
from dask_quant.collection.task import Done
from dask_quant.errors import FewerColorsWarning, JobError, OutputError
from dask_quant.events import Notice
from dask_quant.execute import Executor
from dask_quant.fit_options import FitOptions
from dask_quant.histogram import ColorHistogram
from dask_quant.image_rows import QUARANTINED, WRITTEN
from dask_quant.palette import Palette

GOOD = (0, 2, 3, 5)
BLACK = Palette.from_hex(["#000000"])
FEW = FitOptions(n_colors=4, n_init=1)


@pytest.fixture(params=["threads", "synchronous"])
def executor(request):
    return Executor(scheduler=request.param)


def make_items(groups):
    return [Item(i, str(i), f"{i}.png", f"{i}.png", group=group) for i, group in enumerate(groups)]


@pytest.mark.parametrize("n_items", [0, 1, 7, 100, 1000])
@pytest.mark.parametrize("n_threads", [1, 4])
def test_batches_hold_every_image_once_in_order(n_items, n_threads):
    items = make_items([None] * n_items)
    pace = _Pace(run_module._most_images(n_items, n_threads))
    batches = []
    for batch in _make_batches(((item, 10) for item in items), pace):
        batches.append(batch)
        pace.note(Done(n_images=len(batch), n_seconds=1e-3 * len(batch)))
    assert [item for batch in batches for item in batch] == items
    assert all(1 <= len(batch) <= MAX_BATCH for batch in batches)
    assert len(batches) >= count_tasks(n_items, n_threads) >= min(n_items, 4 * n_threads)


@pytest.mark.parametrize(("each_s", "n_images"), [(100.0, 1), (0.5, 4), (0.1, 20), (1e-6, 64)])
def test_a_task_has_as_many_images_as_it_can_do_in_a_while(each_s, n_images):
    pace = _Pace(64)
    assert pace.n_images == 4
    pace.note(Done(n_images=10, n_seconds=10 * each_s))
    assert pace.n_images == n_images


def test_large_files_are_few_in_a_task():
    items = make_items([None] * 10)
    pace = _Pace(64)
    pace.note(Done(n_images=1, n_seconds=1e-6))
    batches = list(_make_batches(((item, 40_000_000) for item in items), pace))
    assert [len(batch) for batch in batches] == [2] * 5


def test_no_group_is_parted():
    groups = ["a"] * 9 + ["b"] * 3 + ["c"] + ["d"] * 30 + [None] * 9
    batches = list(_make_batches(((item, 10) for item in make_items(groups)), _Pace(64)))
    assert [item.position for batch in batches for item in batch] == list(range(len(groups)))
    homes = [(item.group, i) for i, batch in enumerate(batches) for item in batch if item.group]
    assert len(set(homes)) == 4
    assert [len(batch) for batch in batches if batch[0].group is None] == [4, 4, 1]


def test_tasks_are_asked_for_only_as_there_is_room(tmp_path, open_index, make_run, monkeypatch):
    (tmp_path / "in").mkdir()
    for i in range(30):
        (tmp_path / "in" / f"{i}.png").write_bytes(b"x")
    monkeypatch.setattr(run_module, "MAX_BATCH", 1)
    run = make_run(open_index(tmp_path / "in"), Executor(scheduler="synchronous"))
    n_asked, ahead = [0], []
    real = run_module._make_batches

    def watch(entries, pace):
        for batch in real(entries, pace):
            n_asked[0] += len(batch)
            yield batch

    monkeypatch.setattr(run_module, "_make_batches", watch)
    taken = 0

    def take_over(done):
        nonlocal taken
        taken += done.n_images
        ahead.append(n_asked[0] - taken)

    monkeypatch.setattr(run, "_take_over", take_over)
    run.quantize()
    assert taken == n_asked[0] == 30
    assert max(ahead) <= 2


def test_all_readable_images_are_counted_together(executor, images, make_run):
    index, pixels = images
    run = make_run(index, executor)
    expected = ColorHistogram.merge_all(ColorHistogram.from_pixels(pixels[i]) for i in GOOD)
    assert run.count(FleetingCounts(run.executor)) == expected
    assert [path[-5:] for path, _ in index.list_counted()] == [f"{i}.png" for i in GOOD]
    rows = index.sort_rows(read_rows(run.manifest.path))
    assert [row.path[-5:] for row in rows] == ["1.png", "4.png"]
    assert all(row.status == QUARANTINED and row.error for row in rows)
    assert all("\n" not in row.error and row.path in row.error for row in rows)
    assert (
        run.count(FleetingCounts(run.executor)) == ColorHistogram.empty()
    )  # nothing is left to count


def test_each_image_gets_its_own_palette(executor, images, make_run, tmp_path, read_indexed):
    index, pixels = images
    run = make_run(index, executor, options=FEW)
    run.quantize()
    rows = index.sort_rows(read_rows(run.manifest.path))
    assert [row.status for row in rows] == [WRITTEN if i in GOOD else QUARANTINED for i in range(6)]
    palettes = set()
    for position in GOOD:
        row, path = rows[position], tmp_path / "out" / f"{position}.png"
        labels, palette, painted = read_indexed(path)
        palettes.add(palette.tobytes())
        error = int(((pixels[position].astype(int) - painted) ** 2).sum())
        assert (row.output, row.output_bytes) == (path.name, path.stat().st_size)
        assert (row.height, row.width) == labels.shape
        assert (row.squared_error, row.mse) == (error, error / labels.size)
        assert row.n_colors == len(np.unique(labels)) == 4
        assert row.n_unique_colors == len(np.unique(pixels[position].reshape(-1, 3), axis=0))
        assert row.label_counts is None
        assert row.seconds > 0
    assert len(palettes) == len(GOOD)
    assert list_outputs(tmp_path / "out") == [f"{i}.png" for i in GOOD]
    assert index.count_pending() == 0


def test_one_palette_is_used_for_all(
    executor, images, make_run, tmp_path, label_oracle, read_indexed
):
    index, pixels = images
    palette = Palette.from_hex(["#202020", "#e0e0e0", "#c02020"])
    run = make_run(index, executor)
    run.count(FleetingCounts(run.executor))
    run.relabel(palette, None)
    assert list_outputs(tmp_path / "out") == [f"{i}.png" for i in GOOD]
    for i in GOOD:
        labels, entries, _ = read_indexed(tmp_path / "out" / f"{i}.png")
        np.testing.assert_array_equal(labels, label_oracle(pixels[i], palette.colors)[0])
        np.testing.assert_array_equal(entries[:3], palette.colors)


def test_tasks_that_run_again_replace_what_they_wrote(images, make_work, tmp_path):
    index, _ = images
    items = [item for item, _ in index.iterate_pending()]
    work = make_work(action=work_module.QUANTIZE, options=FEW)
    first = work_module.do_work(work, items)
    written = (tmp_path / "out" / "0.png").read_bytes()
    again = work_module.do_work(work, items)
    assert (tmp_path / "out" / "0.png").read_bytes() == written
    assert [row.mse for row in first.rows] == [row.mse for row in again.rows]
    assert list((tmp_path / "scratch").iterdir()) == []


def test_an_output_that_cannot_be_written_ends_the_job(executor, images, make_run, tmp_path):
    index, _ = images
    run = make_run(index, executor, options=FEW)
    (tmp_path / "out" / "0.png").mkdir()
    with pytest.raises(OutputError, match="it is a folder"):
        run.quantize()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_progress_counts_images(images, make_run):
    events = []
    run = make_run(images[0], Executor(scheduler="synchronous", listener=events.append))
    run.count(FleetingCounts(run.executor))
    run.relabel(BLACK, None)
    for stage, n_images in (("count", 6), ("relabel", 4)):
        done = [(e.done, e.total, e.unit) for e in events if e.stage == stage]
        assert done[0] == (0, n_images, "images")
        assert done[-1] == (n_images, n_images, "images")
        assert done == sorted(done)


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
def test_an_image_that_changes_after_it_was_counted_ends_the_job(
    executor, images, make_run, tmp_path, change, how
):
    run = make_run(images[0], executor)
    run.count(FleetingCounts(run.executor))
    change(tmp_path / "in" / "2.png")
    with pytest.raises(JobError, match=r"2\.png changed after its colours were counted") as caught:
        run.relabel(BLACK, None)
    assert how in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "2.png").exists()


def test_an_image_of_a_constant_color_is_known_by_its_shape(
    executor, tmp_path, open_index, make_run
):
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png")
    run = make_run(open_index(tmp_path / "a.png"), executor)
    run.count(FleetingCounts(run.executor))
    turn(tmp_path / "a.png")
    with pytest.raises(JobError, match="its pixels are others"):
        run.relabel(BLACK, None)


def test_a_group_shares_the_palette_of_its_images(tmp_path, open_index, make_run, read_indexed):
    rng = np.random.default_rng(0)
    for folder in "ab":
        (tmp_path / "in" / folder).mkdir(parents=True)
        for i in range(3):
            pixels = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "in" / folder / f"{i}.png")
    written = []
    for kept in (1 << 24, 100, 0):  # all stay in memory, some, none
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(work_module, "_KEPT_PIXELS", kept)
            index = open_index(tmp_path / "in")
            index.set_groups("folder")
            run = make_run(index, options=FEW)
            run.quantize()
        names = list_outputs(tmp_path / "out")
        written.append([(tmp_path / "out" / name).read_bytes() for name in names])
        assert names == [f"{folder}/{i}.png" for folder in "ab" for i in range(3)]
    assert written[0] == written[1] == written[2]
    palettes = [read_indexed(tmp_path / "out" / name)[1].tobytes() for name in names]
    assert [len(list(same)) for _, same in groupby(palettes)] == [3, 3]


def test_an_image_of_a_group_that_is_read_twice_must_stay_the_same(
    tmp_path, open_index, make_work, monkeypatch
):
    (tmp_path / "in").mkdir()
    for name in "ab":
        Image.new("RGB", (6, 4)).save(tmp_path / "in" / f"{name}.png")
    monkeypatch.setattr(work_module, "_KEPT_PIXELS", 0)
    real = work_module.fit_histogram
    monkeypatch.setattr(
        work_module, "fit_histogram", lambda *a: turn(tmp_path / "in" / "b.png") or real(*a)
    )
    index = open_index(tmp_path / "in")
    index.set_groups("folder")
    items = [item for item, _ in index.iterate_pending(grouped=True)]
    with pytest.raises(JobError, match=r"b\.png changed after its colours were counted"):
        work_module.do_work(make_work(action=work_module.QUANTIZE, options=FEW), items)
    assert list_outputs(tmp_path / "out") == []


def test_a_strict_job_ends_at_the_first_image_that_cannot_be_read(executor, images, make_run):
    run = make_run(images[0], executor, strict=True)
    with pytest.raises(JobError, match=r"\.png: .* The job is strict, and ends here; .*--resume"):
        run.count(FleetingCounts(run.executor))
    (row, *_) = read_rows(run.manifest.path)
    assert row.status == QUARANTINED


def test_a_memory_limit_sets_aside_what_is_larger(images, make_run):
    index, _ = images
    run = make_run(index, max_pixels=22 * 30, memory_limit_bytes=10**9)
    run.count(FleetingCounts(run.executor))
    rows = index.sort_rows(run.manifest.read_rows())
    assert [row.path[-5:] for row in rows] == ["1.png", "3.png", "4.png", "5.png"]
    assert "it has 690 pixels, of which a memory limit of 1.0 GB allows 660" in rows[1].error


def test_warnings_of_processes_are_passed_on_but_not_all_of_them(images, make_run):
    heard = []
    run = make_run(images[0], Executor(listener=heard.append))
    done = Done(warned=(("FewerColorsWarning", "few"), ("UserWarning", "odd")))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(15):
            run._take_over(done)
    assert {(each.category, str(each.message)) for each in caught} == {
        (FewerColorsWarning, "few"),
        (UserWarning, "odd"),
    }
    assert len(caught) == 20
    run.tell_warnings()
    assert heard == [Notice("10 more warnings about images like these.")]
