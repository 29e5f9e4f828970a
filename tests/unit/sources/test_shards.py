"""Images in tar files: found where they are named, placed below the name of their file."""

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import range_server
from PIL import Image

from dask_quant.errors import SourceError, SourceNotFoundError
from dask_quant.sources import remote_file
from dask_quant.sources.discover import discover, find_images
from dask_quant.sources.held import parse_held
from dask_quant.sources.held_bytes import read_held
from dask_quant.sources.image_file import count_frames, read_header, read_image
from dask_quant.sources.places import take_parts

pytestmark = pytest.mark.usefixtures("no_waiting")


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make_tar(path, *names, content=None):
    """Write a tar file of which every member holds its own name; return its bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name in names:
            data = os.fsencode(name) if content is None else content
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            file.addfile(entry, io.BytesIO(data))
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(buffer.getvalue())
    return buffer.getvalue()


def find(*sources, **options):
    return list(find_images(sources, **options))


def places(*sources):
    return [take_parts(item, item.n_above) for item in find(*sources)]


def read(item):
    return read_held(parse_held(item.path))


def test_images_of_a_shard_are_found_and_the_rest_is_ignored():
    make_tar("d/s.tar", "a/1.jpg", "a/1.cls", "a/1.json", "./2.seg.PNG", "._2.png", ".h/3.png")
    ignored = []
    found = find("d/s.tar", on_ignored=ignored.append)
    assert [take_parts(item, item.n_above) for item in found] == ["s/a/1.jpg", "s/2.seg.PNG"]
    assert [read(item) for item in found] == [b"a/1.jpg", b"./2.seg.PNG"]
    assert len(ignored) == len(set(ignored)) == 4
    status = os.stat("d/s.tar")
    for item in found:
        assert item.size == len(read(item))
        assert item.modified == str(status.st_mtime_ns)
        assert item.folder == os.path.abspath("d/s")


def test_shards_are_taken_where_they_are_named_and_not_in_folders():
    make_tar("d/s.tar", "1.png")
    make_tar("d/x/s.TAR", "1.png")
    Path("d/photo.png").write_bytes(b"x")
    Path("list.txt").write_text("d/s.tar\n")
    assert places("d") == ["photo.png"]
    assert places("d/*.tar") == ["s/1.png"]
    assert places("d/**/*") == ["photo.png", "s/1.png", "x/s/1.png"]
    assert places("@list.txt") == places(Path("d/s.tar")) == ["s/1.png"]
    assert places("d/s.tar", "d/x/s.TAR") == ["d/s/1.png", "x/s/1.png"]
    assert places("d", "d/s.tar") == ["photo.png", "s/1.png"]


def test_a_folder_of_shards_alone_tells_what_to_do():
    make_tar("d/s.tar", "1.png")
    with pytest.raises(SourceNotFoundError, match=r"ignored; 1 hold images, maybe: name them"):
        find("d")


def test_places_never_lead_out_and_never_coincide():
    names = ["/etc/a.jpg", "../../a.jpg", "x/../a.jpg", "a.jpg", "a.jpg", "..", "n" * 300 + ".jpg"]
    make_tar("s.tar", *names)
    found = discover(["s.tar"])
    shown = [str(item.relative) for item in found.inputs]
    assert all(place.endswith((".jpg", "n" * 200)) for place in shown)
    assert not any(".." in item.relative.parts or item.relative.is_absolute()
                   for item in found.inputs)  # fmt: skip
    assert max(len(part) for item in found.inputs for part in item.relative.parts) <= 200
    assert len(found.inputs) == 6
    assert len({item.identity for item in find("s.tar")}) == 6


def test_an_image_is_known_by_its_name_wherever_it_lies_in_the_file():
    make_tar("s.tar", "1.png", "2.png")
    before = {item.below: item.identity for item in find("s.tar")}
    make_tar("s.tar", "0.png", "2.png", "1.png")
    after = {item.below: item.identity for item in find("s.tar")}
    assert {name: after[name] for name in before} == before


def test_one_image_of_a_shard_is_named_with_colons():
    make_tar("d/s.tar", "a/1.png", "2.png", "x::3.png")
    for name, place in (("a/1.png", "1.png"), ("x::3.png", "x::3.png")):
        (item,) = find(f"d/s.tar::{name}")
        assert (item.below, item.n_above, item.named) == (place, 0, True)
        assert read(item) == name.encode()
    with pytest.raises(SourceNotFoundError, match=r"d/s\.tar::none\.png: there is no such image"):
        find("d/s.tar::none.png")
    with pytest.raises(SourceNotFoundError, match="there is no such file"):
        find("none.tar::1.png")


def test_a_file_that_is_really_called_so_comes_first():
    make_tar("s.tar", "1.png")
    Path("s.tar::1.png").write_bytes(b"x")
    (item,) = find("s.tar::1.png")
    assert parse_held(item.path) is None
    assert item.identity != find("s.tar")[0].identity


def test_what_is_in_front_of_damage_is_found_and_the_rest_says_why():
    data = make_tar("s.tar", "1.png", "2.png", "3.png")
    Path("s.tar").write_bytes(data[: 2 * 1024 + 600 - 100])
    *whole, damage = find("s.tar")
    assert [read(item) for item in whole] == [b"1.png", b"2.png"]
    with pytest.raises(SourceError) as caught:
        read(damage)
    assert str(caught.value) == (
        "Cannot read s.tar from byte 2,048 on: the file is cut off there; images in front of that "
        "are read."
    )


@pytest.mark.parametrize("source", ["s.tgz", "*.tgz"])
def test_a_compressed_shard_is_refused_with_the_way_out(source):
    with tarfile.open("s.tgz", "w:gz"):
        pass
    (item,) = find(source)
    with pytest.raises(SourceError, match="unpack it with gunzip"):
        read(item)
    Path("a.png").write_bytes(b"x")
    assert places("*") == ["a.png"]


def test_a_shard_that_changed_after_it_was_listed_is_not_read():
    make_tar("s.tar", "1.png")
    (item,) = find("s.tar")
    os.utime("s.tar", ns=(0, 1))
    with pytest.raises(SourceError, match=r"s\.tar::1\.png: the file was changed after"):
        read(item)
    os.remove("s.tar")
    with pytest.raises(SourceNotFoundError, match="there is no such file"):
        read(item)


def test_an_image_of_too_many_bytes_is_not_read():
    make_tar("s.tar", "1.png")
    held = parse_held(find("s.tar")[0].path)
    with pytest.raises(SourceError, match=r"s\.tar::1\.png: it has 1\.0 TB.* take it out"):
        read_held(held._replace(size=10**12))


def test_an_image_in_a_shard_is_read_as_a_file_is():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    for form in ("png", "tiff", "gif"):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, form)
        make_tar("s.tar", f"1.{form}", content=buffer.getvalue())
        (item,) = find("s.tar")
        header = read_header(item.path)
        assert (header.width, header.height, header.path) == (7, 9, item.path)
        assert count_frames(item.path) == 1
        if form != "gif":
            np.testing.assert_array_equal(read_image(item.path), pixels)


def test_a_broken_image_is_named_as_users_would():
    make_tar("s.tar", "a/1.png")
    (item,) = find("s.tar")
    with pytest.raises(SourceError, match=r"^Cannot read s\.tar::a/1\.png: it is not an image"):
        read_image(item.path)


def test_shards_of_a_store_are_listed_and_read_by_ranges(bucket):
    names = [f"{number:03}.jpg" for number in range(50)]
    data = make_tar(None, *names, content=bytes(3000))
    bucket.put("d/s-0.tar", "d/s-1.tar", data=data)
    bucket.put("d/a.png")
    remote_file.forget_files()
    assert places("s3://scans/d/") == ["a.png"]
    assert len(places("s3://scans/d/s-*.tar")) == 100
    remote_file.forget_files()
    bucket.forget()
    found = find("s3://scans/d/s-0.tar")
    assert [take_parts(item, item.n_above) for item in found] == [f"s-0/{name}" for name in names]
    assert len(bucket.requests) < 12  # 50 headers, 200 kB apart
    bucket.forget()
    assert read(found[7]) == bytes(3000)
    gets = [method for method, _ in bucket.requests if method == "GET"]
    assert len(gets) <= 1
    bucket.put("d/s-0.tar", data=make_tar(None, *names, content=bytes(2000)))
    remote_file.forget_files()
    with pytest.raises(SourceError, match="the file was changed after its images were listed"):
        read(found[7])


def test_shards_of_a_server_are_read(tmp_path):
    pytest.importorskip("aiohttp")
    data = make_tar(None, "a/1.jpg", "2.jpg")
    remote_file.forget_files()
    with range_server.serve() as server:
        server.files["/s.tar"] = data
        found = find(f"{server.url}/s.tar")
        assert [item.below for item in found] == ["a/1.jpg", "2.jpg"]
        assert [read(item) for item in found] == [b"a/1.jpg", b"2.jpg"]
        (named,) = find(f"{server.url}/s.tar::2.jpg")
        assert read(named) == b"2.jpg"
