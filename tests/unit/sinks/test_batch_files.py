"""Files of a task appear together, whole or not at all, below their folder and nowhere else."""

import os

import pytest

from dask_quant.errors import OutputError
from dask_quant.sinks import batch_files
from dask_quant.sinks.batch_files import LocalPlace


@pytest.fixture
def make_place(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "scratch").mkdir()

    def make(**fields):
        return LocalPlace(str(tmp_path / "out"), str(tmp_path / "scratch"), **fields)

    return make


def list_files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_files_wait_and_get_their_names_together(make_place, tmp_path):
    files = make_place().open_batch()
    assert files.write("a.png", [b"12", b"345"]) == 5
    assert files.write("x/y/b.png", iter([b""])) == 0
    assert list_files(tmp_path / "out") == []
    assert len(list_files(tmp_path / "scratch")) == 2
    files.commit()
    assert list_files(tmp_path / "out") == ["a.png", "x/y/b.png"]
    assert (tmp_path / "out" / "a.png").read_bytes() == b"12345"
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_task_that_fails_leaves_nothing(make_place, tmp_path):
    files = make_place().open_batch()
    files.write("a.png", [b"1"])

    def fail():
        yield b"2"
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        files.write("b.png", fail())
    files.close()
    files.close()
    assert list_files(tmp_path) == []


def test_files_that_are_there_are_replaced_and_links_with_them(make_place, tmp_path):
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "out" / "a.png").write_bytes(b"old")
    (tmp_path / "out" / "b.png").symlink_to(tmp_path / "mine")
    files = make_place().open_batch()
    for name in ("a.png", "b.png"):
        files.write(name, [b"new"])
    files.commit()
    assert (tmp_path / "mine").read_bytes() == b"mine"
    for name in ("a.png", "b.png"):
        assert not (tmp_path / "out" / name).is_symlink()
        assert (tmp_path / "out" / name).read_bytes() == b"new"


def test_a_link_out_of_the_folder_is_refused(make_place, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "out" / "x").symlink_to(tmp_path / "outside")
    files = make_place().open_batch()
    for name in ("x/a.png", "x/y/a.png"):
        with pytest.raises(OutputError, match="symlink"):
            files.write(name, [b"1"])
    files.commit()
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("keeps", [False, True])
def test_the_same_bytes_are_left_as_they_are_where_asked(make_place, tmp_path, keeps):
    names = ("same.png", "other.png", "longer.png", "link.png")
    for name, data in zip(names, (b"123", b"124", b"1234"), strict=False):
        (tmp_path / "out" / name).write_bytes(data)
    (tmp_path / "mine").write_bytes(b"123")
    (tmp_path / "out" / "link.png").symlink_to(tmp_path / "mine")
    before = {name: os.lstat(tmp_path / "out" / name).st_ino for name in names}
    files = make_place(keeps_same=keeps).open_batch()
    for name in names:
        files.write(name, [b"123"])
    files.commit()
    after = {name: os.lstat(tmp_path / "out" / name).st_ino for name in names}
    untouched = [name for name in names if before[name] == after[name]]
    assert untouched == (["same.png"] if keeps else [])
    assert {(tmp_path / "out" / name).read_bytes() for name in names} == {b"123"}
    assert not (tmp_path / "out" / "link.png").is_symlink()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_folder_in_the_place_of_a_file_is_named(make_place, tmp_path):
    (tmp_path / "out" / "a.png").mkdir()
    files = make_place().open_batch()
    files.write("a.png", [b"1"])
    with pytest.raises(OutputError, match=r"a\.png': it is a folder; remove it, or rename it"):
        files.commit()
    files.close()
    (tmp_path / "out" / "b").write_bytes(b"a file")
    files = make_place().open_batch()
    with pytest.raises(OutputError, match=r"b"):
        files.write("b/c.png", [b"1"])
    files.close()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_all_are_on_disk_before_one_has_its_name(make_place, tmp_path, monkeypatch):
    steps = []
    real = {"sync": batch_files.sync_file, "name": os.replace}
    monkeypatch.setattr(
        batch_files, "sync_file", lambda path: steps.append("sync") or real["sync"](path)
    )
    monkeypatch.setattr(
        batch_files.os, "replace", lambda *paths: steps.append("name") or real["name"](*paths)
    )
    files = make_place().open_batch()
    for name in "abc":
        files.write(f"{name}.png", [b"1"])
    files.commit()
    assert steps == ["sync"] * 3 + ["name"] * 3
