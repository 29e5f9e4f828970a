"""A job that is resumed ends as one that nothing ended, and tells what is not as it was."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from outputs import KEPT, KEPT_SHARED, MANIFEST, STATE, list_outputs, list_own, read_manifest
from PIL import Image

import dask_quant as dq
from dask_quant.collection import counts as counts_module
from dask_quant.collection import index as index_module
from dask_quant.collection import local_output
from dask_quant.collection import run as run_module
from dask_quant.collection.local_output import LocalFolder
from dask_quant.errors import JobError, OutputExistsError
from dask_quant.options import ClusterOptions
from dask_quant.routes import collections

SYNCHRONOUS = ClusterOptions(scheduler="synchronous")

KINDS = {
    "shared": {},
    "each": {"per_image": True},
    "dithered": {"dither": "floyd-steinberg"},
    "painted": {"n_colors": 2, "recolor": ["#000", "#fff"]},
    "groups": {"group_by": "folder"},
    "large groups": {"group_by": "folder"},
}


def make_image(path, seed, side=9, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (side, side + seed, len(mode)), dtype=np.uint8)
    if mode == "RGBA":
        pixels[..., 3] = rng.choice([0, 255, 255], pixels.shape[:2])
    Image.fromarray(pixels).save(path)


def make_folder(folder, mode="RGB"):
    for number, name in enumerate(("a/0", "a/1", "a/2", "b/3", "b/4", "5", "6")):
        make_image(folder / f"{name}.png", number, mode=mode)
    (folder / "a" / "torn.png").write_bytes(b"\x89PNG\r\n")
    return folder


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "in")


@pytest.fixture
def quantize(tmp_path, monkeypatch):
    """Return a function that runs a job into ``out``; large groups are of three images."""

    def run(folder, out, kind="shared", **options):
        monkeypatch.setattr(run_module, "MAX_BATCH", 1)
        if kind == "large groups":
            monkeypatch.setattr(collections, "MAX_GROUP", 2)
        given = {"n_colors": 3, "n_init": 1, "cluster": SYNCHRONOUS}
        return dq.quantize(folder, out, **given | KINDS[kind] | options)

    return run


def interrupt_after(monkeypatch, n_tasks):
    """Have a job end as Ctrl-C has it end, once so many tasks are done; return their images."""
    real, begun, seen = run_module.do_task, [], []

    def do_task(work, items):
        begun.append(items)
        if len(begun) > n_tasks:
            raise KeyboardInterrupt
        seen.extend(items)
        return real(work, items)

    monkeypatch.setattr(run_module, "do_task", do_task)
    return seen


def read_all(out):
    return {name: (out / name).read_bytes() for name in list_outputs(out)}


def describe(report):
    """What a report says, but for what is never the same twice."""
    values = json.loads(json.dumps(report.to_json()))
    for name in ("seconds", "peak_rss_bytes", "outputs", "n_skipped", "manifest"):
        values.pop(name, None)
    return values


def stamps(out):
    return {path: os.stat(path).st_mtime_ns for path in out.rglob("*.png")}


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *((kind, "RGB") for kind in KINDS),
        *((kind, "RGBA") for kind in ("shared", "each", "groups", "large groups")),
    ],
)
def test_a_job_interrupted_anywhere_ends_as_one_that_was_not(
    folder, tmp_path, quantize, monkeypatch, kind, mode
):
    shutil.rmtree(folder)
    make_folder(folder, mode)
    whole = quantize(folder, tmp_path / "whole", kind)
    out = tmp_path / "out"
    for n_tasks in (0, 1, 4, 7, 9, 12, 14):
        n_done = len(list_outputs(out)) if out.exists() else 0
        with monkeypatch.context() as patch:
            interrupt_after(patch, n_tasks)
            try:
                quantize(folder, out, kind, resume=True)
            except KeyboardInterrupt:
                assert len(list_outputs(out)) >= n_done
                assert not list(out.rglob("*.partial"))
                continue
        break
    report = quantize(folder, out, kind, resume=True)
    assert read_all(out) == read_all(tmp_path / "whole")
    assert len(read_all(out)) == 7
    assert read_manifest(out) == read_manifest(tmp_path / "whole")
    assert describe(report) == describe(whole)


@pytest.mark.parametrize("kind", KINDS)
def test_to_resume_what_is_done_changes_nothing(folder, tmp_path, quantize, kind):
    out = tmp_path / "out"
    first = quantize(folder, out, kind)
    before, manifest = stamps(out), (out / MANIFEST).read_bytes()
    again = quantize(folder, out, kind, resume=True)
    assert stamps(out) == before
    assert (out / MANIFEST).read_bytes() == manifest
    assert describe(again) == describe(first)
    assert (first.n_skipped, again.n_skipped) == (0, 7)
    kept = KEPT_SHARED if kind in ("shared", "dithered", "painted") else KEPT
    if kind != "large groups":
        assert list_own(out) == list(kept)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"n_colors": 4}, "n_colors 4 where .* was started with 3"),
        ({"per_image": True}, "per_image true where .* was started with false"),
        ({"dither": "bayer"}, "dither bayer where .* was started with none"),
        ({"group_by": "folder"}, "group_by folder where .* was started with null"),
        ({"seed": 5, "format": "npz"}, "seed 5 and format .npz where .* with 0 and .png"),
    ],
)
def test_another_option_is_refused_by_its_name(folder, tmp_path, quantize, options, name):
    out = tmp_path / "out"
    quantize(folder, out)
    before = read_all(out), (out / MANIFEST).read_bytes()
    with pytest.raises(JobError, match=name):
        quantize(folder, out, resume=True, **options)
    assert (read_all(out), (out / MANIFEST).read_bytes()) == before
    quantize(folder, out, resume=True, cluster=ClusterOptions(scheduler="threads"))


def test_only_a_folder_of_ours_is_gone_on_with(folder, tmp_path, quantize):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.png").write_bytes(b"mine")
    with pytest.raises(OutputExistsError, match="it holds no job to go on with; use --overwrite"):
        quantize(folder, out, resume=True)
    assert list_outputs(out) == ["mine.png"]
    (out / "mine.png").unlink()
    (out / STATE).mkdir()  # all that a kill at the very beginning leaves
    quantize(folder, out, resume=True)  # nothing is there: it starts
    with pytest.raises(OutputExistsError, match="or --resume to go on with the job that it holds"):
        quantize(folder, out)
    before = read_all(out)
    quantize(folder, out, n_colors=4, overwrite=True)
    assert len(read_all(out)) == 7
    assert read_all(out) != before
    assert len(read_manifest(out)) == 8


@pytest.mark.parametrize("kind", ["shared", "each", "groups", "large groups"])
def test_outputs_that_are_lost_are_written_again(folder, tmp_path, quantize, kind):
    out, heard = tmp_path / "out", []
    quantize(folder, out, kind)
    before, known = read_all(out), stamps(out)
    (out / "a" / "1.png").unlink()
    (out / "5.png").write_bytes(b"torn")
    report = quantize(folder, out, kind, resume=True, listener=heard.append)
    assert read_all(out) == before
    assert {path for path, stamp in stamps(out).items() if known[path] != stamp} == {
        out / "a" / "1.png",
        out / "5.png",
    }
    assert any("2 outputs are gone or of another size" in getattr(e, "message", "") for e in heard)
    assert (report.n_images, len(read_manifest(out))) == (7, 8)


@pytest.mark.parametrize("kind", KINDS)
def test_images_that_changed_are_done_again_or_refused(folder, tmp_path, quantize, kind):
    out, heard = tmp_path / "out", []
    quantize(folder, out, kind)
    before = read_all(out), (out / MANIFEST).read_bytes()
    make_image(folder / "a" / "1.png", 77)
    if kind in ("each", "groups"):
        quantize(folder, out, kind, resume=True, listener=heard.append)
        assert any("1 images changed since" in getattr(e, "message", "") for e in heard)
        quantize(folder, tmp_path / "whole", kind)
        assert read_all(out) == read_all(tmp_path / "whole")
        assert read_manifest(out) == read_manifest(tmp_path / "whole")
    else:
        with pytest.raises(JobError, match=r"1 images changed since the palette .*a/1\.png; give"):
            quantize(folder, out, kind, resume=True)
        assert (read_all(out), (out / MANIFEST).read_bytes()) == before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_lost", [False, True], ids=["all there", "one lost"])
def test_images_that_are_new_are_done_or_refused(folder, tmp_path, quantize, kind, is_lost):
    out = tmp_path / "out"
    quantize(folder, out, kind)
    if is_lost:  # what is to be done again does not hide what is new
        (out / "a" / "0.png").unlink()
    make_image(folder / "a" / "new.png", 77)
    if kind in ("each", "groups"):
        quantize(folder, out, kind, resume=True)
        quantize(folder, tmp_path / "whole", kind)
        assert read_all(out) == read_all(tmp_path / "whole")
        assert read_manifest(out) == read_manifest(tmp_path / "whole")
    else:
        with pytest.raises(JobError, match=r"1 images are new since .*a/new\.png; give"):
            quantize(folder, out, kind, resume=True)


@pytest.mark.parametrize("kind", ["shared", "each"])
def test_what_was_made_of_images_that_are_gone_is_kept(folder, tmp_path, quantize, kind):
    out, heard = tmp_path / "out", []
    quantize(folder, out, kind)
    before = read_all(out)
    (folder / "5.png").unlink()
    quantize(folder, out, kind, resume=True, listener=heard.append)
    assert read_all(out) == before
    assert any("1 images are not in the sources" in getattr(e, "message", "") for e in heard)
    assert len(read_manifest(out)) == 8


@pytest.mark.parametrize("kind", ["shared", "each", "groups", "large groups"])
@pytest.mark.parametrize("tells", [False, True], ids=["as old", "newer"])
def test_what_was_set_aside_is_tried_again_where_asked(folder, tmp_path, quantize, kind, tells):
    out, torn = tmp_path / "out", folder / "a" / "torn.png"
    first = quantize(folder, out, kind)
    assert [each.path for each in first.quarantined] == [str(torn)]
    status = os.stat(torn)
    make_image(torn, 77)
    if not tells:
        os.utime(torn, ns=(status.st_atime_ns, status.st_mtime_ns))
        left = quantize(folder, out, kind, resume=True)
        assert (left.n_images, len(left.quarantined)) == (7, 1)
    report = quantize(folder, out, kind, resume=True, retry_quarantined=True)
    assert (report.n_images, report.quarantined) == (8, ())
    assert "a/torn.png" in read_all(out)
    assert {row["status"] for row in read_manifest(out)} == {"written"}
    written = [np.asarray(Image.open(out / name).convert("RGB")) for name in list_outputs(out)]
    assert report.n_pixels == sum(pixels[..., 0].size for pixels in written)


def test_a_strict_job_goes_on_without(folder, tmp_path, quantize):
    out = tmp_path / "out"
    with pytest.raises(JobError, match=r"torn\.png.* The job is strict, and ends here; go on wit"):
        quantize(folder, out, strict=True)
    report = quantize(folder, out, resume=True)
    quantize(folder, tmp_path / "whole")
    assert read_all(out) == read_all(tmp_path / "whole")
    assert len(report.quarantined) == 1


def test_a_group_has_the_palette_of_its_images_alone_however_large(folder, tmp_path, quantize):
    quantize(folder, tmp_path / "small", "groups")
    quantize(folder, tmp_path / "large", "large groups")
    assert read_all(tmp_path / "small") == read_all(tmp_path / "large")
    assert len(list((tmp_path / "large" / STATE).glob("outcome-*.json"))) == 1
    for group in "ab":
        quantize(folder / group, tmp_path / group)
        alone = {f"{group}/{name}": data for name, data in read_all(tmp_path / group).items()}
        together = read_all(tmp_path / "small")
        assert {name: data for name, data in together.items() if name[:2] == f"{group}/"} == alone
    rows = {row["output"]: row["group"] for row in read_manifest(tmp_path / "small")}
    assert [rows[name] for name in ("a/0.png", "b/3.png", "5.png")] == ["a", "b", "."]


@pytest.mark.parametrize("kind", ["groups", "large groups"])
def test_a_group_that_no_palette_can_be_fitted_to_is_set_aside(tmp_path, quantize, kind):
    for name in ("blank/a", "blank/b", "blank/c"):
        make_image(tmp_path / "in" / f"{name}.png", 0, 1, "RGB")
        Image.new("RGB", (3, 2), "white").save(tmp_path / "in" / f"{name}.png")
    make_image(tmp_path / "in" / "ok" / "d.png", 3)
    paint = {"n_colors": 2, "recolor": ["#000", "#fff"]}
    report = quantize(tmp_path / "in", tmp_path / "out", kind, **paint)
    assert list_outputs(tmp_path / "out") == ["ok/d.png"]
    assert [each.path[-11:-4] for each in report.quarantined] == ["blank/a", "blank/b", "blank/c"]
    assert all("Got 1 distinct colours" in each.reason for each in report.quarantined)


@pytest.mark.parametrize("kind", ["each", "groups", "shared"])
def test_more_images_than_are_looked_up_at_a_time_are_all_done(
    tmp_path, quantize, monkeypatch, kind
):
    monkeypatch.setattr(index_module, "_PAGE_ROWS", 2)
    folder = make_folder(tmp_path / "in")
    report = quantize(folder, tmp_path / "out", kind)
    assert (report.n_images, len(report.quarantined)) == (7, 1)
    assert len(read_manifest(tmp_path / "out")) == 8


@pytest.mark.parametrize("kind", ["shared", "each"])
def test_what_is_done_again_and_ended_again_can_be_gone_on_with(
    folder, tmp_path, quantize, monkeypatch, kind
):
    out = tmp_path / "out"
    quantize(folder, out, kind)
    expected = read_all(out)
    for name in ("a/0", "a/1", "a/2"):
        (out / f"{name}.png").unlink()
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            quantize(folder, out, kind, resume=True)
    quantize(folder, out, kind, resume=True)
    assert read_all(out) == expected
    assert not (out / STATE / "again.json").exists()


def test_a_group_that_grows_beyond_a_task_gets_one_palette(folder, tmp_path, quantize, monkeypatch):
    out = tmp_path / "out"
    quantize(folder, out, "groups")
    for number in range(3):
        make_image(folder / "b" / f"new{number}.png", 20 + number)
    monkeypatch.setattr(collections, "MAX_GROUP", 4)
    quantize(folder, out, "groups", resume=True)
    assert read_all(out) == read_afresh(folder, tmp_path / "afresh", quantize)


def read_afresh(folder, out, quantize):
    """Return the bytes of all images of a job that begins with what is there now."""
    quantize(folder, out, "groups")
    return read_all(out)


def test_a_group_that_shrinks_keeps_its_palette(folder, tmp_path, quantize, monkeypatch):
    out = tmp_path / "out"
    quantize(folder, out, "large groups")
    expected = read_all(out)
    (folder / "a" / "0.png").unlink()
    (out / "a" / "1.png").unlink()
    monkeypatch.setattr(collections, "MAX_GROUP", 64)
    quantize(folder, out, "groups", resume=True)
    assert read_all(out) == expected


def test_a_job_that_is_begun_afresh_and_killed_at_once_is_not_the_one_before(
    folder, tmp_path, quantize, monkeypatch
):
    out = tmp_path / "out"
    quantize(folder, out, "each", n_colors=6)
    with monkeypatch.context() as patch:
        patch.setattr(local_output, "Manifest", interrupt)
        with pytest.raises(KeyboardInterrupt):
            quantize(folder, out, "each", overwrite=True)
    report = quantize(folder, out, "each", resume=True)
    assert (report.n_images, report.n_skipped) == (7, 0)


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_a_job_of_another_version_is_refused(folder, tmp_path, quantize):
    out = tmp_path / "out"
    quantize(folder, out)
    path = out / STATE / "job.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 99}))
    with pytest.raises(JobError, match="of another version of dask_quant; go on with that one"):
        quantize(folder, out, resume=True)


def test_a_run_that_is_overtaken_while_it_lists_leaves_the_other_alone(
    folder, tmp_path, quantize, monkeypatch
):
    out = tmp_path / "out"
    real = LocalFolder.open

    def overtake(*given, **options):
        monkeypatch.setattr(LocalFolder, "open", real)
        quantize(folder, out, n_colors=6)
        return real(*given, **options)

    monkeypatch.setattr(LocalFolder, "open", overtake)
    with pytest.raises(OutputExistsError, match="is not empty"):
        quantize(folder, out)
    assert len(read_manifest(out)) == 8
    assert quantize(folder, out, n_colors=6, resume=True).n_skipped == 7


@pytest.mark.parametrize("change", ["gone", "changed"])
def test_images_that_change_before_a_palette_is_fitted_are_not_in_it(
    folder, tmp_path, quantize, monkeypatch, change
):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(counts_module, "CHECKPOINT_S", -1.0)
        patch.setattr(counts_module, "CHECKPOINT_SHARE", float("inf"))  # keep all after each task
        seen = interrupt_after(patch, 4)
        with pytest.raises(KeyboardInterrupt):
            quantize(folder, out)
    assert list((out / STATE).glob("counts-*.npz"))
    counted = next(Path(item.source) for item in seen if not item.source.endswith("torn.png"))
    if change == "gone":
        counted.unlink()
    else:
        make_image(counted, 40)
    told = []
    quantize(folder, out, resume=True, listener=told.append)
    assert any("counted again" in getattr(each, "message", "") for each in told)
    quantize(folder, tmp_path / "afresh")
    assert read_all(out) == read_all(tmp_path / "afresh")
