"""Jobs whose outputs are tar shards, from the shell."""

import io
import json
import os
import shutil
import subprocess
import tarfile

import numpy as np
import pytest
from outputs import list_outputs, list_own, read_manifest
from PIL import Image

from dask_quant.collection.packing import PackTask

N_SHARDS, N_SAMPLES = 3, 4

COMMAND = ("quantize", "in/*.tar", "-o", "out", "-k", 5, "--format", "tar")


def encode(seed, side=16):
    """Bytes of a picture of some hundred colours."""
    rng = np.random.default_rng(seed)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 8, (side, side, 3), dtype=np.uint8) * 36).save(buffer, "png")
    return buffer.getvalue()


def write_shard(path, members):
    """Write a tar file of names and bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as file:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.uid = len(data), 1_700_000_000, 1000
            file.addfile(entry, io.BytesIO(data))


def read_shard(path):
    """Return the members of a tar file by their names, in order, as the tar program has them."""
    names = subprocess.run(["tar", "-tf", path], capture_output=True, text=True, check=True)
    with tarfile.open(path) as file:
        found = {entry.name: file.extractfile(entry).read() for entry in file}
    assert list(found) == names.stdout.splitlines()
    return found


def make_shards(folder, bad=()):
    """Write shards of WebDataset, in which the images ``bad`` are torn."""
    for shard in range(N_SHARDS):
        members = {}
        for number in range(N_SAMPLES):
            key, data = f"{shard}/{number:03}", encode((shard, number))
            members |= {
                f"{key}.cls": str(number).encode(),
                f"{key}.webp.png": data[:90] if (shard, number) in bad else data,
                f"{key}.json": b'{"caption": "noise"}',
            }
        write_shard(folder / "in" / f"s-{shard}.tar", members)


def read_all(folder):
    """Return the bytes of all outputs below a folder."""
    return {name: (folder / name).read_bytes() for name in list_outputs(folder)}


def stamp(folder):
    """Return what changes with every file of a folder that is written anew."""
    stats = {name: (folder / name).stat() for name in list_outputs(folder)}
    return {name: (each.st_ino, each.st_mtime_ns) for name, each in stats.items()}


@pytest.mark.parametrize("options", [(), ("--per-image",), ("--group-by", "folder")], ids=str)
def test_shards_become_shards(run, tmp_path, options):
    make_shards(tmp_path)
    command = ("quantize", "in/*.tar", "-k", 5, "--json", *options)
    done = run(*command, "-o", "out", "--format", "tar").json
    files = run(*command, "-o", "files").json
    assert done["outputs"] == [f"out/s-{shard}.tar" for shard in range(N_SHARDS)]
    assert list_outputs(tmp_path / "out") == [f"s-{shard}.tar" for shard in range(N_SHARDS)]
    for name in ("n_images", "n_ignored", "mse", "palette", "input_bytes", "output_bytes"):
        assert done[name] == files[name], name
    assert done["seconds"]["pack"] >= 0
    for shard in range(N_SHARDS):
        before = read_shard(tmp_path / "in" / f"s-{shard}.tar")
        after = read_shard(tmp_path / "out" / f"s-{shard}.tar")
        assert list(after) == list(before)
        for name, data in after.items():
            if name.endswith(".png"):
                data_of_file = (tmp_path / "files" / f"s-{shard}" / name).read_bytes()
                assert data == data_of_file
                with Image.open(io.BytesIO(data)) as image:
                    assert image.mode == "P"
            else:
                assert data == before[name]
    rows, others = read_manifest(tmp_path / "out"), read_manifest(tmp_path / "files")
    assert [row.pop("output").replace(".tar::", "/") for row in rows] == [
        row.pop("output") for row in others
    ]
    assert rows == others
    assert [name for name in list_own(tmp_path / "out") if "scratch" in name] == []
    assert not (tmp_path / "out" / ".dask-quant" / "waiting").exists()


def test_workers_write_the_same_shards(run, tmp_path):
    make_shards(tmp_path, bad={(1, 1)})
    command = ("quantize", "in/*.tar", "-k", 5, "--format", "tar", "--quiet")
    assert run(*command, "-o", "here").code == 3
    assert run(*command, "-o", "there", "--workers", 2).code == 3
    assert read_all(tmp_path / "here") == read_all(tmp_path / "there")
    assert read_manifest(tmp_path / "here") == read_manifest(tmp_path / "there")


def test_a_sample_of_a_bad_image_is_left_out_whole(run, tmp_path):
    members = {}
    for key in "abc":
        data = encode(ord(key))
        members |= {f"{key}.jpg": data, f"{key}.cls": b"1", f"{key}.seg.png": data}
    members["b.seg.png"] = members["b.seg.png"][:90]
    write_shard(tmp_path / "in" / "s.tar", members)
    write_shard(tmp_path / "in" / "t.tar", {"x.jpg": b"no image", "x.cls": b"1"})
    done = run("quantize", "in/*.tar", "-o", "out", "-k", 4, "--format", "tar", "--json")
    assert done.code == 3
    after = read_shard(tmp_path / "out" / "s.tar")
    assert list(after) == ["a.png", "a.cls", "a.seg.png", "c.png", "c.cls", "c.seg.png"]
    assert done.json["n_images"] == 4
    assert done.json["outputs"] == ["out/s.tar"]  # the other would hold nothing
    reasons = {each["path"]: each["reason"] for each in done.json["quarantined"]}
    assert set(reasons) == {"in/s.tar::b.jpg", "in/s.tar::b.seg.png", "in/t.tar::x.jpg"}
    assert reasons["in/s.tar::b.jpg"] == (
        "Left out of s.tar with in/s.tar::b.seg.png, of the same sample."
    )
    rows = read_manifest(tmp_path / "out")
    assert [(row["status"], row["output"]) for row in rows] == [
        ("written", "s.tar::a.png"),
        ("written", "s.tar::a.seg.png"),
        ("quarantined", None),
        ("quarantined", None),
        ("written", "s.tar::c.png"),
        ("written", "s.tar::c.seg.png"),
        ("quarantined", None),
    ]
    stamps = stamp(tmp_path / "out")
    command = ("quantize", "in/*.tar", "-o", "out", "-k", 4, "--format", "tar", "--resume")
    again = run(*command, "--json")
    assert (again.code, again.json["n_skipped"], again.json["n_images"]) == (3, 4, 4)
    assert stamp(tmp_path / "out") == stamps
    again = run(*command, "--json", "--retry-quarantined")
    assert (again.code, again.json["n_images"]) == (3, 4)
    assert stamp(tmp_path / "out") == stamps
    assert read_manifest(tmp_path / "out") == rows


def test_a_mended_shard_is_packed_again(run, tmp_path):
    make_shards(tmp_path, bad={(1, 1)})
    command = (*COMMAND, "--per-image")
    assert run(*command).code == 3
    stamps = stamp(tmp_path / "out")
    sound = tmp_path / "sound"
    make_shards(sound)
    shutil.copy(sound / "in" / "s-1.tar", tmp_path / "in" / "s-1.tar")
    done = run(*command, "--resume", "--json")
    assert (done.code, done.json["n_images"]) == (0, N_SHARDS * N_SAMPLES)
    now = stamp(tmp_path / "out")
    assert {name for name in now if now[name] != stamps[name]} == {"s-1.tar"}
    run(*command[:3], "whole", *command[4:])
    assert read_all(tmp_path / "out") == read_all(tmp_path / "whole")


def test_what_was_removed_or_changed_is_packed_again(run, tmp_path):
    make_shards(tmp_path)
    command = (*COMMAND, "--per-image", "--resume")
    run(*command)
    before, stamps = read_all(tmp_path / "out"), stamp(tmp_path / "out")
    assert run(*command, "--json").json["n_skipped"] == N_SHARDS * N_SAMPLES
    assert stamp(tmp_path / "out") == stamps
    (tmp_path / "out" / "s-0.tar").unlink()
    with open(tmp_path / "out" / "s-2.tar", "ab") as file:
        file.write(b"more")
    done = run(*command, "--json")
    assert done.json["n_skipped"] == N_SAMPLES
    assert "8 outputs are gone or of another size" in done.err
    assert read_all(tmp_path / "out") == before
    assert stamp(tmp_path / "out")["s-1.tar"] == stamps["s-1.tar"]
    with tarfile.open(tmp_path / "in" / "s-1.tar", "a") as file:
        file.addfile(tarfile.TarInfo("late.cls"))
    assert run(*command).code == 0
    assert list(read_shard(tmp_path / "out" / "s-1.tar"))[-1] == "late.cls"


def test_a_job_begun_afresh_replaces_its_shards(run, tmp_path):
    make_shards(tmp_path)
    command = ("quantize", "in/*.tar", "-o", "out", "--format", "tar")
    run(*command, "-k", 5)
    before = read_all(tmp_path / "out")
    refused = run(*command, "-k", 5)
    assert refused.code == 1
    assert "--overwrite" in refused.err
    assert run(*command, "-k", 3, "--overwrite").code == 0
    after = read_all(tmp_path / "out")
    assert all(after[name] != before[name] for name in before)
    assert run(*command, "-k", 5, "--overwrite").code == 0
    assert read_all(tmp_path / "out") == before
    other = run(*command[:-1], "tar:gif", "-k", 5, "--resume")
    assert other.code == 1
    assert "Got format tar:.gif and alpha cut where the job in 'out'" in other.err


@pytest.mark.parametrize(("form", "kind"), [("tar:gif", "GIF"), ("tar:tif", "TIFF")])
def test_images_in_shards_may_be_of_other_formats(run, tmp_path, form, kind):
    make_shards(tmp_path)
    run("quantize", "in/s-0.tar", "-o", "out", "-k", 5, "--format", form)
    after = read_shard(tmp_path / "out" / "s-0.tar")
    name = f"0/000.webp.{form.removeprefix('tar:')}"
    assert name in after
    with Image.open(io.BytesIO(after[name])) as image:
        assert (image.format, image.mode) == (kind, "P")


def test_a_palette_is_applied_to_shards(run, tmp_path):
    make_shards(tmp_path)
    done = run("apply", "in/*.tar", "--palette", "ega", "-o", "out", "--format", "tar", "--json")
    assert done.json["outputs"] == [f"out/s-{shard}.tar" for shard in range(N_SHARDS)]


def test_a_plan_and_a_page_name_shards(run, tmp_path):
    make_shards(tmp_path)
    plan = run(*COMMAND, "--dry-run", "--json").json["plan"]
    assert plan["outputs"] == [f"out/s-{shard}.tar" for shard in range(N_SHARDS)]
    assert plan["n_images"] == N_SHARDS * N_SAMPLES
    files = run(*COMMAND[:-2], "--dry-run", "--json").json["plan"]
    assert plan["n_tasks"] == files["n_tasks"] + N_SHARDS
    assert not (tmp_path / "out").exists()
    assert run(*COMMAND, "--report", "page.html").code == 0
    page = (tmp_path / "page.html").read_text()
    assert "No longer there" not in page
    assert "Not shown" not in page
    assert page.count("<img") >= 2 * N_SAMPLES


REFUSED = {
    "a folder of images": (["plain"], ["out"], "tar output, which is made of whole tar shards"),
    "one image of a shard": (["in/s-0.tar::0/000.webp.png"], ["out"], "whole tar shards"),
    "a file": (["in/s-0.tar"], ["out.png"], "name a folder"),
    "a tar file": (["in/s-0.tar"], ["out.tar"], "name a folder"),
    "an object store": (["in/s-0.tar"], ["s3://bucket/out"], "a folder of this machine alone"),
    "frames": (["in/s-0.tar"], ["out", "--frames", "all"], "Got --frames all with tar output"),
    "the same folder": (["in/*.tar"], ["in", "--overwrite"], "both as a source and as an output"),
    "arrays": (["in/s-0.tar"], ["out", "--format", "tar:npz"], "are written as tar:png, tar:gif"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_packed_is_refused_in_one_line(run, tmp_path, case):
    make_shards(tmp_path)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "a.png").write_bytes(encode(1))
    before = read_all(tmp_path)
    sources, out, expected = REFUSED[case]
    done = run("quantize", *sources, "--format", "tar", "-k", 3, "-o", *out, "--quiet")
    assert done.code in (1, 2)
    (line,) = done.lines
    assert expected in line
    assert read_all(tmp_path) == before


def test_a_shard_that_changes_while_it_is_worked_on_ends_the_job(run, tmp_path, monkeypatch):
    make_shards(tmp_path)
    command = (*COMMAND, "--per-image")
    real = PackTask.pack

    def touch_and_pack(task):
        if task.shard.place == "s-2.tar":
            os.utime(tmp_path / "in" / "s-2.tar", ns=(1, 1))
        return real(task)

    monkeypatch.setattr(PackTask, "pack", touch_and_pack)
    done = run(*command, "--quiet")
    assert done.code == 1
    assert "in/s-2.tar: the file was changed after its images were listed" in done.lines[-1]
    monkeypatch.setattr(PackTask, "pack", real)
    assert run(*command, "--resume").code == 0
    run(*command[:3], "whole", *command[4:])
    assert read_all(tmp_path / "out") == read_all(tmp_path / "whole")


def test_a_damaged_shard_is_packed_up_to_the_damage(run, tmp_path):
    make_shards(tmp_path)
    path = tmp_path / "in" / "s-1.tar"
    before = read_shard(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    done = run(*COMMAND, "--json")
    assert done.code == 3
    assert "Cannot read in/s-1.tar from byte " in done.json["quarantined"][0]["reason"]
    after = list(read_shard(tmp_path / "out" / "s-1.tar"))
    assert 1 < len(after) < len(before)
    assert after == list(before)[: len(after)]
    assert json.loads((tmp_path / "out" / "manifest.jsonl").read_text().splitlines()[0])


def test_groups_of_several_shards_keep_one_palette(run, tmp_path):
    make_shards(tmp_path, bad={(1, 1)})
    command = (*COMMAND, "--group-by", r"(\d)\.webp")
    assert run(*command).code == 3
    make_shards(tmp_path)
    done = run(*command, "--resume", "--json")
    assert (done.code, done.json["n_images"]) == (0, N_SHARDS * N_SAMPLES)
    run(*command[:3], "whole", *command[4:])
    assert read_all(tmp_path / "out") == read_all(tmp_path / "whole")
    assert [row | {"modified": 0} for row in read_manifest(tmp_path / "out")] == [
        row | {"modified": 0} for row in read_manifest(tmp_path / "whole")
    ]
