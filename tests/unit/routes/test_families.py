"""Jobs that gather images into palette families: few palettes, each image within the target."""

import json
import os
import random
import shutil
import tarfile

import numpy as np
import pytest
from outputs import MANIFEST, STATE, list_outputs, list_own, read_manifest
from PIL import Image

import dask_quant as dq
from dask_quant.collection import kept_lines
from dask_quant.collection import run as run_module
from dask_quant.collection import work as work_module
from dask_quant.color_difference import ciede2000
from dask_quant.color_spaces import lab_from_srgb
from dask_quant.errors import JobError, OptionError
from dask_quant.fit.families import FamilyFinder
from dask_quant.options import ClusterOptions
from dask_quant.routes import collections
from dask_quant.routes import families as families_module

SYNCHRONOUS = ClusterOptions(scheduler="synchronous")

N_THEMES, K = 5, 6


def draw(seed, n_colors=K, theme=None, side=24):
    """A picture of flat patches, in some of the colours of one of five themes, and some noise."""
    themes = np.random.default_rng(1).integers(0, 256, (N_THEMES, n_colors, 3))
    rng = np.random.default_rng(seed)
    colors = themes[seed % N_THEMES if theme is None else theme]
    colors = colors[rng.permutation(n_colors)[: rng.integers(3, n_colors + 1)]]
    patches = rng.integers(0, len(colors), (side // 4, side // 4)).repeat(4, 0).repeat(4, 1)
    noisy = colors[patches] + rng.normal(0, 3, (side, side, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def draw_wild(seed, side=20):
    """A picture of more colours than a few can stand for."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def save(folder, pictures):
    for name, pixels in pictures.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


@pytest.fixture(scope="module")
def pictures():
    return {f"{'ab'[n % 2]}/{n:02}.png": draw(n) for n in range(30)}


@pytest.fixture
def folder(tmp_path, pictures):
    return save(tmp_path / "in", pictures)


def quantize(folder, out, **options):
    given = {"n_colors": K, "group_by": "colors", "target_psnr": 34, "n_init": 1}
    return dq.quantize(folder, out, **given | {"cluster": SYNCHRONOUS} | options)


def measure(kind, pixels, path):
    """How good a written file is, by Pillow and NumPy alone: dB, mse or CIEDE2000."""
    with Image.open(path) as image:
        painted = np.asarray(image.convert("RGB"))
    if kind == "delta_e":
        return float(ciede2000(lab_from_srgb(pixels), lab_from_srgb(painted)).mean())
    mse = float(np.square(pixels.astype(int) - painted).sum(axis=2).mean())
    return mse if kind == "mse" else 10 * np.log10(255**2 / (mse / 3)) if mse else np.inf


def is_met(target, pixels, path):
    kind, value = target
    found = measure(kind, pixels, path)
    return bool(found >= value - 1e-9 if kind == "psnr" else found <= value + 1e-9)


def read_groups(out):
    return {row["output"]: row["group"] for row in read_manifest(out) if row["output"]}


def read_all(out):
    return {name: (out / name).read_bytes() for name in list_outputs(out)}


def describe(report):
    values = json.loads(json.dumps(report.to_json()))
    for name in ("seconds", "peak_rss_bytes", "outputs", "n_skipped", "manifest"):
        values.pop(name)
    return values


def test_five_themes_are_five_families(folder, tmp_path, pictures):
    report = quantize(folder, tmp_path / "out")
    groups = read_groups(tmp_path / "out")
    assert set(groups.values()) == {f"family-{n}" for n in range(1, 6)}
    assert len({(groups[name], int(name[2:4]) % N_THEMES) for name in pictures}) == N_THEMES
    assert (report.n_palettes, report.n_beyond, report.n_images) == (5, 0, 30)
    assert report.palette is None
    for name, pixels in pictures.items():
        assert is_met(("psnr", 34), pixels, tmp_path / "out" / name)
    assert list_own(tmp_path / "out") == [
        f"{STATE}/families.jsonl", f"{STATE}/job.json", f"{STATE}/lock", MANIFEST,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("target", "options"),
    [
        (("psnr", 26), {}),
        (("psnr", 26), {"method": "median-cut", "n_init": None}),
        (("mse", 500), {"space": "oklab"}),
        (("delta_e", 5), {"space": "lab"}),
        (("psnr", 28), {"keep": ["#000", "#fff"]}),
        (("mse", 700), {"format": "gif"}),
    ],
    ids=str,
)
def test_the_target_is_met_wherever_a_palette_of_its_own_meets_it(tmp_path, photo, target, options):
    rng = np.random.default_rng(2)
    pictures = {f"wild{n}.png": draw_wild(n) for n in range(2)}
    for n in range(16):
        y, x = rng.integers(0, photo.shape[0] - 32), rng.integers(0, photo.shape[1] - 32)
        pictures[f"{n:02}.png"] = np.ascontiguousarray(photo[y : y + 32, x : x + 32])
    folder = save(tmp_path / "in", pictures)
    given = {"target_psnr": None, f"target_{target[0]}": target[1], "n_colors": 8} | options
    report = quantize(folder, tmp_path / "out", **given)
    own = given | {"group_by": None, "per_image": True, f"target_{target[0]}": None}
    quantize(folder, tmp_path / "own", **own)
    suffix = f".{options.get('format', 'png')}"
    beyond = []
    for row in read_manifest(tmp_path / "out"):
        pixels = pictures[row["output"].replace(suffix, ".png")]
        found = is_met(target, pixels, tmp_path / "out" / row["output"])
        assert row["meets_target"] is found
        if not found:
            beyond.append(row)
            assert not is_met(target, pixels, tmp_path / "own" / row["output"])
            assert list(read_groups(tmp_path / "out").values()).count(row["group"]) == 1
    assert report.n_beyond == len(beyond) >= 2
    assert report.n_palettes == len(set(read_groups(tmp_path / "out").values())) < 18


def test_families_depend_on_what_images_show_and_not_on_their_names(tmp_path, pictures):
    names = list(pictures)
    shuffled = random.Random(3).sample(names, len(names))
    renamed = {f"{'xyz'[n % 3]}/{n}.png": pictures[name] for n, name in enumerate(shuffled)}
    quantize(save(tmp_path / "in", pictures), tmp_path / "out")
    quantize(save(tmp_path / "other", renamed), tmp_path / "out2")
    groups, others = read_groups(tmp_path / "out"), read_groups(tmp_path / "out2")
    for number, name in enumerate(shuffled):
        other = f"{'xyz'[number % 3]}/{number}.png"
        assert groups[name] == others[other]
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "out2" / other).read_bytes()


def test_batches_workers_and_sizes_of_families_change_nothing(folder, tmp_path, monkeypatch):
    expected = describe(quantize(folder, tmp_path / "out"))
    files, rows = read_all(tmp_path / "out"), read_manifest(tmp_path / "out")
    cases = [("MAX_BATCH", 1, SYNCHRONOUS), ("MAX_BATCH", 64, ClusterOptions(scheduler="threads"))]
    for number, (name, value, cluster) in enumerate(cases):
        monkeypatch.setattr(run_module, name, value)
        report = quantize(folder, tmp_path / f"out{number}", cluster=cluster)
        assert describe(report) == expected
        assert read_all(tmp_path / f"out{number}") == files
        assert read_manifest(tmp_path / f"out{number}") == rows
    monkeypatch.setattr(families_module, "MAX_GROUP", 3)  # now all take the way of large ones
    monkeypatch.setattr(work_module, "_KEPT_PIXELS", 0)
    quantize(folder, tmp_path / "large")
    assert read_all(tmp_path / "large") == files
    assert read_groups(tmp_path / "large") == read_groups(tmp_path / "out")
    kept = [name for name in os.listdir(tmp_path / "large" / STATE) if "outcome" in name]
    assert len(kept) == 5


def test_processes_of_their_own_change_nothing(folder, tmp_path, monkeypatch):
    expected = describe(quantize(folder, tmp_path / "out"))
    monkeypatch.setattr(collections, "MIN_ISOLATED", 1)
    for max_group in (64, 2):
        monkeypatch.setattr(families_module, "MAX_GROUP", max_group)
        out = tmp_path / f"out{max_group}"
        threads = ClusterOptions(scheduler="threads")
        report = quantize(folder, out, cluster=threads)
        assert read_all(out) == read_all(tmp_path / "out")
        assert read_groups(out) == read_groups(tmp_path / "out")
        assert (report.n_palettes, report.mse) == (expected["n_palettes"], expected["mse"])


def test_images_of_shards_are_families_all_the_same(folder, tmp_path, pictures):
    quantize(folder, tmp_path / "out")
    with tarfile.open(tmp_path / "in.tar", "w") as file:
        for name in sorted(pictures):
            file.add(folder / name, name)
    report = quantize(tmp_path / "in.tar", tmp_path / "packed", format="tar")
    assert report.n_palettes == N_THEMES
    (packed,) = (tmp_path / "packed").glob("*.tar")
    with tarfile.open(packed) as file:
        found = {member.name: file.extractfile(member).read() for member in file}
    assert found == read_all(tmp_path / "out")


@pytest.fixture
def bold(monkeypatch):
    """Families as they would be found by somebody who expects too much of palettes: all in one."""
    real, n_calls = FamilyFinder.find, [0]

    def find(self, items):
        n_calls[0] += 1
        return [np.sort(items)] if n_calls[0] == 1 else real(self, items)

    monkeypatch.setattr(FamilyFinder, "find", find)

    def reset():
        n_calls[0] = 0

    return reset


@pytest.mark.parametrize("max_group", [64, 2], ids=["small", "large"])
@pytest.mark.parametrize("max_rounds", [4, 1])
def test_families_that_exact_palettes_do_not_serve_are_parted(
    folder, tmp_path, pictures, bold, monkeypatch, max_group, max_rounds
):
    monkeypatch.setattr(families_module, "MAX_GROUP", max_group)
    monkeypatch.setattr(families_module, "_MAX_ROUNDS", max_rounds)
    report = quantize(folder, tmp_path / "out")
    assert all(is_met(("psnr", 34), pictures[n], tmp_path / "out" / n) for n in pictures)
    assert report.n_beyond == 0
    assert report.n_palettes < 30
    groups = set(read_groups(tmp_path / "out").values())
    assert "family-1" not in groups  # it was tried, and never written
    if max_rounds == 4:
        assert len(groups) <= 9
    if max_group == 2:  # palettes of families that were parted are gone
        known = len([n for n in os.listdir(tmp_path / "out" / STATE) if "outcome" in n])
        sizes = list(read_groups(tmp_path / "out").values())
        assert known == sum(sizes.count(group) > 2 for group in groups)


def interrupt_after(monkeypatch, n_tasks):
    """Have a job end as Ctrl-C has it end, once so many tasks are done."""
    real, n_done = run_module.do_task, [0]

    def do_task(work, items):
        n_done[0] += 1
        if n_done[0] > n_tasks:
            raise KeyboardInterrupt
        return real(work, items)

    monkeypatch.setattr(run_module, "do_task", do_task)


@pytest.mark.parametrize("max_group", [64, 2], ids=["small", "large"])
@pytest.mark.parametrize("is_bold", [False, True], ids=["first time", "parted"])
def test_a_job_interrupted_anywhere_ends_as_one_that_was_not(
    tmp_path, monkeypatch, request, max_group, is_bold
):
    pictures = {f"{n}.png": draw(n, side=16) for n in range(11)} | {"w.png": draw_wild(3)}
    folder = save(tmp_path / "in", pictures)
    (folder / "torn.png").write_bytes(b"\x89PNG")
    monkeypatch.setattr(families_module, "MAX_GROUP", max_group)
    monkeypatch.setattr(run_module, "MAX_BATCH", 2)
    monkeypatch.setattr(kept_lines, "CHECKPOINT_S", -1.0)
    reset = request.getfixturevalue("bold") if is_bold else lambda: None
    whole = quantize(folder, tmp_path / "whole")
    n_ended = 0
    out = tmp_path / "out"
    for n_tasks in (0, 2, 4, 6, 1, 3, 3, 2, 5, 8, 12, 40, 100):
        if not (out / STATE / "families.jsonl").exists():
            reset()
        with monkeypatch.context() as patch:
            interrupt_after(patch, n_tasks)
            try:
                quantize(folder, out, resume=True)
            except KeyboardInterrupt:
                n_ended += 1
                continue
        break
    assert n_ended >= 4
    report = quantize(folder, out, resume=True)
    assert read_all(out) == read_all(tmp_path / "whole")
    assert read_manifest(out) == read_manifest(tmp_path / "whole")
    assert describe(report) == describe(whole)
    assert list_own(out) == list_own(tmp_path / "whole")
    assert report.n_skipped == 12


@pytest.mark.parametrize("max_group", [64, 2], ids=["small", "large"])
def test_outputs_that_are_lost_are_written_again(folder, tmp_path, monkeypatch, max_group):
    monkeypatch.setattr(families_module, "MAX_GROUP", max_group)
    out = tmp_path / "out"
    quantize(folder, out)
    before = read_all(out)
    (out / "a" / "00.png").unlink()
    (out / "b" / "07.png").write_bytes(b"torn")
    quantize(folder, out, resume=True)
    assert read_all(out) == before
    assert len(read_manifest(out)) == 30


def test_images_that_are_new_or_changed_are_refused(folder, tmp_path):
    out = tmp_path / "out"
    quantize(folder, out)
    before = read_all(out)
    save(folder, {"new.png": draw(3)})
    with pytest.raises(JobError, match=r"1 images are new, or changed, since families .*new\.png"):
        quantize(folder, out, resume=True)
    (folder / "new.png").unlink()
    save(folder, {"a/00.png": draw(77)})
    with pytest.raises(JobError, match=r"1 images changed since the palette .*a/00\.png; give"):
        quantize(folder, out, resume=True)
    assert read_all(out) == before


def test_what_was_set_aside_and_is_tried_again_has_a_palette_to_itself(folder, tmp_path):
    out, torn = tmp_path / "out", folder / "torn.png"
    torn.write_bytes(b"\x89PNG")
    first = quantize(folder, out)
    assert [each.path for each in first.quarantined] == [str(torn)]
    assert first.n_palettes == 5
    before = read_all(out)
    save(folder, {"torn.png": draw(0)})
    assert quantize(folder, out, resume=True).n_images == 30
    report = quantize(folder, out, resume=True, retry_quarantined=True)
    assert (report.n_images, report.n_palettes, report.quarantined) == (31, 6, ())
    assert read_groups(out)["torn.png"] == "family-6"
    assert {name: data for name, data in read_all(out).items() if name in before} == before
    again = quantize(folder, out, resume=True)
    assert (again.n_skipped, again.n_palettes) == (31, 6)


def test_a_job_of_which_nothing_can_be_read_says_so(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "torn.png").write_bytes(b"\x89PNG")
    with pytest.raises(JobError, match="None of 1 images can be read"):
        quantize(tmp_path / "in", tmp_path / "out")


def test_images_that_change_on_the_way_end_the_job(folder, tmp_path, monkeypatch):
    real = FamilyFinder.find

    def find(self, items):
        save(folder, {"a/00.png": draw(78)})
        return real(self, items)

    monkeypatch.setattr(FamilyFinder, "find", find)
    with pytest.raises(JobError, match=r"a/00\.png changed after its colours were counted"):
        quantize(folder, tmp_path / "out")


@pytest.mark.parametrize("max_group", [64, 2], ids=["small", "large"])
def test_images_of_the_very_same_colors_are_one(tmp_path, monkeypatch, max_group):
    monkeypatch.setattr(families_module, "MAX_GROUP", max_group)
    wild = draw_wild(1)
    pictures = {f"{n}.png": wild[:, :: (-1) ** n] for n in range(4)} | {"x.png": draw(1)}
    report = quantize(save(tmp_path / "in", pictures), tmp_path / "out")
    assert (report.n_palettes, report.n_beyond) == (2, 4)
    assert read_groups(tmp_path / "out")["0.png"] == read_groups(tmp_path / "out")["3.png"]


def test_transparent_images_share_palettes(tmp_path):
    pictures = {}
    for n in range(8):
        pixels = np.dstack([draw(n, theme=n % 2), np.full((24, 24), 255, dtype=np.uint8)])
        pixels[:6, :, 3] = (0, 128)[n // 4]
        pictures[f"{n}.png"] = pixels
    pictures["opaque.png"] = draw(0, theme=0)
    folder = save(tmp_path / "in", pictures)
    report = quantize(folder, tmp_path / "out", n_colors=16)
    assert report.n_palettes < 9
    assert report.n_beyond == 0
    for row in read_manifest(tmp_path / "out"):
        assert 10 * np.log10(255**2 / (row["mse"] / 3)) >= 34
    refused = quantize(folder, tmp_path / "lab", space="lab")
    assert (refused.n_images, len(refused.quarantined)) == (1, 8)
    assert all("not opaque with space lab" in each.reason for each in refused.quarantined)


def test_dithered_images_are_judged_by_their_palettes(folder, tmp_path):
    report = quantize(folder, tmp_path / "out", dither="floyd-steinberg")
    plain = quantize(folder, tmp_path / "plain")
    assert (report.n_palettes, report.n_beyond) == (plain.n_palettes, 0)
    assert report.mse > plain.mse
    assert read_groups(tmp_path / "out") == read_groups(tmp_path / "plain")


def test_options_that_do_not_go_with_it_are_refused(folder, tmp_path):
    for options, match in (
        ({"target_psnr": None}, "Got group_by 'colors' without a target; say how good each"),
        ({"per_image": True}, "Got both per_image and group_by 'colors'"),
        ({"recolor": ["#000", "#fff"], "n_colors": 2}, "Got target_psnr 34 with recolor"),
        ({"target_mse": 3}, "Got target_psnr 34 and target_mse 3"),
        ({"engine": "scalable"}, "Got target_psnr 34 with the scalable engine"),
    ):
        with pytest.raises(OptionError, match=match):
            quantize(folder, tmp_path / "out", **options)
    with pytest.raises(OptionError, match=r"Got group_by 'colors' for the file .*one\.png"):
        quantize(folder / "a" / "00.png", tmp_path / "one.png")
    quantize(folder, tmp_path / "out")
    with pytest.raises(JobError, match=r"seed 3 and budget .* where the job .* started with"):
        quantize(folder, tmp_path / "out", resume=True, target_psnr=30, seed=3)


def test_a_pattern_that_says_colors_is_told_from_it(tmp_path):
    folder = save(tmp_path / "in", {"colors/a.png": draw(0), "b.png": draw(1)})
    quantize(folder, tmp_path / "out", group_by="(colors)", target_psnr=None)
    assert read_groups(tmp_path / "out") == {"colors/a.png": "colors", "b.png": ""}


def test_a_palette_has_sixteen_colors_unless_told_and_a_plan_counts_both_readings(
    folder, tmp_path, pictures
):
    plan = dq.plan_job(folder, tmp_path / "out", group_by="colors", target_psnr=30)
    each = dq.plan_job(folder, tmp_path / "out", per_image=True)
    assert (plan.n_images, plan.n_tasks) == (30, 2 * each.n_tasks)
    quantize(folder, tmp_path / "out", n_colors=None, target_psnr=30)
    palettes = [Image.open(tmp_path / "out" / name).getpalette() for name in pictures]
    assert {len(palette) for palette in palettes} == {3 * 16}
    shutil.rmtree(tmp_path / "out")


def test_other_jobs_tell_how_many_palettes_they_have(folder, tmp_path):
    for options, n_palettes in (
        ({}, 1),
        ({"per_image": True}, 30),
        ({"group_by": "folder"}, 2),
    ):
        given = {"group_by": None, "target_psnr": None} | options
        report = quantize(folder, tmp_path / f"out{n_palettes}", **given)
        assert (report.n_palettes, report.n_beyond) == (n_palettes, None)
        assert all(
            "meets_target" not in row for row in read_manifest(tmp_path / f"out{n_palettes}")
        )
