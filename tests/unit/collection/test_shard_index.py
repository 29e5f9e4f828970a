"""Images of tar shards, and which members of which shards they become."""

import io
import os
import tarfile

import pytest

from dask_quant.collection.shard_index import ShardIndex
from dask_quant.errors import OptionError, OutputError
from dask_quant.image_rows import QUARANTINED, WRITTEN, ImageRow
from dask_quant.sources.discover import find_images


def write_shard(path, *names):
    """Write a tar file of members that hold their own names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as file:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(name)
            file.addfile(entry, io.BytesIO(name.encode()))


@pytest.fixture
def open_shards(tmp_path, monkeypatch):
    """Return a function that indexes the shards that sources below the test's folder name."""
    monkeypatch.chdir(tmp_path)
    opened = []

    def make(*sources):
        index = ShardIndex(".png")
        opened.append(index)
        index.add(find_images(sources))
        return index

    yield make
    for index in opened:
        index.close()


def names_of(index):
    return [item.out for item, _ in index.iterate_pending()]


def note(index, status, *positions):
    ids = [item.id for item, _ in index.iterate_pending()]
    index.note_rows([ImageRow(path="", id=ids[each], status=status) for each in positions])


def test_members_keep_their_names_but_for_the_last_suffix(tmp_path, open_shards):
    names = ("a.jpg", "./b/c.seg.jpeg", "../../d.PNG", "a.b/e.webp")
    write_shard(tmp_path / "s.tar", *names, "a.cls")
    assert names_of(open_shards("s.tar")) == [
        "s.tar::a.png",
        "s.tar::./b/c.seg.png",
        "s.tar::../../d.png",
        "s.tar::a.b/e.png",
    ]


def test_names_that_members_would_share_stay_whole(tmp_path, open_shards):
    write_shard(tmp_path / "s.tar", "a.jpg", "a.png", "a.jpg.gif", "b.jpg", "B.jpg", "b.jpg")
    write_shard(tmp_path / "t.tar", "a.jpg")
    index = open_shards("*.tar")
    outs = ["a.jpg.png", "a.png.png", "a.jpg.gif.png", "b.png", "B.png", "b.png"]
    assert names_of(index) == [*(f"s.tar::{out}" for out in outs), "t.tar::a.png"]
    waiting = [item.waiting for item, _ in index.iterate_pending()]
    assert len(set(waiting)) == 7
    assert [each.partition("/")[0] for each in waiting] == [
        *[index.shards[0].key] * 6,
        index.shards[1].key,
    ]


def test_shards_mirror_the_tree_and_have_their_own_names(tmp_path, open_shards):
    for place in ("x/s.tar", "x/deep/s.tar", "y/s.TAR", "y/S.tar"):
        write_shard(tmp_path / place, "a.jpg")
    index = open_shards("x/**/*.tar", "y/*.*")
    places = [shard.place for shard in index.shards]
    assert places[:2] == ["x/deep/s.tar", "x/s.tar"]
    assert [place.partition("~")[0] for place in places[2:]] == ["y/S.tar", "y/s.tar"]
    assert len(set(map(str.lower, places))) == 4
    assert index.list_outputs(4, planned=True) == places
    assert index.list_outputs(3, planned=True) == []
    assert [shard.place for shard in open_shards("x/s.tar").shards] == ["s.tar"]
    again = open_shards("y/*.*", "x/**/*.tar")
    assert {shard.key for shard in again.shards} == {shard.key for shard in index.shards}


def test_what_is_no_whole_tar_shard_is_refused(tmp_path, open_shards):
    write_shard(tmp_path / "s.tar", "a.jpg")
    (tmp_path / "p.png").write_bytes(b"")
    for sources in (["p.png"], ["s.tar", "p.png"], ["s.tar::a.jpg"]):
        with pytest.raises(OptionError, match="tar output, which is made of whole tar shards"):
            open_shards(*sources)


def test_a_shard_is_not_its_own_output(tmp_path, open_shards):
    write_shard(tmp_path / "d" / "s.tar", "a.jpg")
    index = open_shards("d/*.tar")
    index.check_apart(tmp_path / "out")
    os.symlink(tmp_path / "d", tmp_path / "link")
    for out in ("d", "link"):
        with pytest.raises(OutputError, match="both as a source and as an output"):
            index.check_apart(tmp_path / out)


def test_a_shard_is_done_with_its_last_image(tmp_path, open_shards):
    for name in ("s", "t", "u"):
        write_shard(tmp_path / f"{name}.tar", "a.jpg", "b.jpg")
    index = open_shards("*.tar")
    ids = [item.id for item, _ in index.iterate_pending()]
    assert index.list_done() == []
    index.note_rows([ImageRow(path="", id=id, status=WRITTEN) for id in ids[:3]])
    index.note_rows([ImageRow(path="", id=id, status=QUARANTINED) for id in ids[4:]])
    assert index.list_done() == [0]  # of the last there is nothing to pack
    assert index.list_done(ids[2:]) == []
    assert index.list_done([ids[1]]) == [0]
    assert index.list_outputs(9) == ["s.tar"]
    assert index.list_open([0, 1, 2]) == [1]
    assert [each.is_written for each in index.list_images(0)] == [True, True]
    assert index.open_shard(1) == [ids[2]]
    assert not index.is_pending(ids[0])
    assert index.count_pending() == 2
    assert index.find(ids[0]).out == "s.tar::a.png"
    assert index.find("gone") is None


def test_companions_are_those_of_one_sample_in_one_shard(tmp_path, open_shards):
    names = ("1.jpg", "1.seg.png", "2.jpg", "3.jpg", "a/1.jpg")
    for name in ("s", "t"):
        write_shard(tmp_path / f"{name}.tar", *names)
    index = open_shards("*.tar")
    ids = [item.id for item, _ in index.iterate_pending()]
    bad = {ids[1], ids[3]}
    index.note_rows(
        [ImageRow(path="", id=id, status=QUARANTINED if id in bad else WRITTEN) for id in ids]
    )
    assert list(index.list_companions()) == [
        (ids[0], "Left out of s.tar with s.tar::1.seg.png, of the same sample.")
    ]


def test_damage_is_an_image_without_a_name(tmp_path, open_shards):
    write_shard(tmp_path / "s.tar", "cut off.png", "b.jpg")
    data = (tmp_path / "s.tar").read_bytes()
    (tmp_path / "s.tar").write_bytes(data[:1536])
    index = open_shards("s.tar")
    assert names_of(index) == ["s.tar::cut off.png", "s.tar::"]
    note(index, WRITTEN, 0, 1)
    assert [each.name for each in index.list_images(0)] == ["cut off.png"]
