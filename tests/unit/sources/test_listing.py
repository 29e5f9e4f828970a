"""Images come one after another, in a bounded memory, and their places are known in advance."""

import os
import subprocess
import sys
import threading
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from dask_quant.errors import SourceError, SourceNotFoundError
from dask_quant.sources.discover import discover, find_images
from dask_quant.sources.places import take_parts


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make(*paths, content=b"x"):
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content)


def places(sources, **options):
    return [take_parts(item, item.n_above) for item in find_images(sources, **options)]


def test_what_the_system_knows_of_a_file_comes_with_it():
    make("d/a.png", content=b"12345")
    os.utime("d/a.png", ns=(0, 1_234_567_890_123_456_789))
    os.symlink("d", "link")
    for source, below in (("d", "a.png"), ("link/*", "a.png"), ("d/a.png", "a.png")):
        (item,) = find_images([source])
        assert (item.size, item.modified) == (5, "1234567890123456789")
        assert (item.below, item.n_above) == (below, 0)
        assert item.identity == os.path.abspath("d/a.png")
        assert item.folder == os.path.abspath("d")
        assert item.named is (source == "d/a.png")


def test_a_store_standard_input_and_an_address_tell_nothing():
    make("d/s.zarr/zarr.json")
    for source in ("d", "d/s.zarr", "d/*", "-", "https://host/a.png"):
        (item,) = find_images([source])
        assert (item.size, item.modified) == (None, None)


def test_an_image_that_is_reached_twice_comes_twice_with_one_identity():
    make("d/a.png", "d/x/b.png", "d/notes.txt")
    os.symlink("d", "link")
    ignored = Counter()
    found = list(find_images(["d", "link", "d/*"], on_ignored=lambda path: ignored.update([path])))
    assert [item.path for item in found] == [
        *("d/a.png", "d/x/b.png", "link/a.png", "link/x/b.png", "d/a.png")
    ]
    assert len({item.identity for item in found}) == 2
    assert ignored == {os.path.abspath("d/notes.txt"): 3}


def test_places_depend_on_the_folders_named_and_not_on_what_is_in_them():
    make("p/x/1.png", "q/1.png", "r/x/1.png")
    assert places(["p/x", "q/*.png", "r/x"]) == ["p/x/1.png", "q/1.png", "r/x/1.png"]
    Path("list.txt").write_text("p/x\nr/x\n")
    assert places(["q", "@list.txt"]) == ["q/1.png", "p/x/1.png", "r/x/1.png"]
    # The first is known to be one of three before the others are listed.
    first = next(find_images(["p/x", "q", "r/x"]))
    assert take_parts(first, first.n_above) == "p/x/1.png"


def test_a_folder_in_one_named_before_changes_no_place():
    make("d/1.png", "d/x/2.png", "d/.h/3.png")
    assert set(places(["d", "d/x", "d/x/*"])) == {"1.png", "x/2.png", "2.png"}
    assert [str(item.relative) for item in discover(["d", "d/x"]).inputs] == ["1.png", "x/2.png"]
    assert set(places(["d", "d/.h"])) == {"d/1.png", "d/x/2.png", ".h/3.png"}


def test_a_source_that_is_missing_is_told_before_anything_is_listed():
    make("d/1.png")
    Path("list.txt").write_text("d\nnone\n")
    for source in ("none", "@none", "@list.txt"):
        with pytest.raises(SourceNotFoundError):
            next(find_images(["d", source]))


def test_a_source_without_an_image_is_told_once_it_was_gone_through():
    make("d/1.png", "e/notes.txt", "e/.hidden", "e/x/more.txt")
    images = find_images(["d", "e"])
    assert next(images).path == "d/1.png"
    with pytest.raises(SourceNotFoundError, match="the folder e; 3 other files were ignored"):
        next(images)


def test_a_list_without_a_path_is_no_source():
    Path("list.txt").write_text("\n\n")
    with pytest.raises(SourceNotFoundError, match="Got no source"):
        next(find_images(["@list.txt"]))
    with pytest.raises(SourceError, match="Cannot read the list"):
        next(find_images([f"@{os.curdir}"]))


def test_lists_end_their_lines_as_any_system_does():
    make("a.png", "b.png", "c.png", "d.png")
    Path("list.txt").write_bytes(b"a.png\rb.png\r\nc.png\nd.png")
    assert places(["@list.txt"]) == ["a.png", "b.png", "c.png", "d.png"]


def test_a_list_may_come_through_a_pipe():
    make("a.png", "d/b.png")
    os.mkfifo("pipe")
    writer = threading.Thread(target=Path("pipe").write_text, args=("a.png\nd\n",))
    writer.start()
    assert places(["@pipe"]) == ["a.png", "b.png"]
    writer.join()


def test_matches_are_sorted_part_by_part():
    make("d/a/1.png", "d/a b/1.png", "d/a.b/1.png")
    assert places(["d/*/*.png"]) == ["a/1.png", "a b/1.png", "a.b/1.png"]


def test_a_pattern_that_matches_its_own_folder_takes_a_store_by_its_name():
    make("s/zarr.json")
    assert places(["s/**"]) == ["s"]


def test_what_is_excluded_is_ignored_once_a_source():
    make("d/a.png", "d/out/b.png", "d/out/x/c.png")
    for source in ("d", "d/**/*"):
        ignored = []
        assert places([source], exclude=Path("d/out"), on_ignored=ignored.append) == ["a.png"]
        assert ignored == [os.path.abspath("d/out")]


def test_images_in_many_folders_take_the_memory_of_one(tmp_path):
    def measure(n_folders):
        for folder in range(n_folders):
            make(*(f"{n_folders}/{folder:03}/{name:03}.png" for name in range(100)))
        tracemalloc.start()
        n_found = sum(1 for _ in find_images([str(n_folders)]))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert n_found == 100 * n_folders
        return peak

    few, many = measure(3), measure(30)
    assert many < few + 2700 * 16  # less than a pointer and a small integer for each


def test_abandoned_searches_leave_no_file_open():
    make("d/1.png", "d/2.png")
    Path("list.txt").write_text("d\n")
    code = (
        "import os, warnings\n"
        "warnings.simplefilter('error')\n"
        "from dask_quant.sources.listing import find_images\n"
        "images = find_images(['@list.txt'])\n"
        "before = len(os.listdir('/dev/fd'))\n"
        "next(images)\n"
        "assert len(os.listdir('/dev/fd')) == before + 1\n"
        "images.close()\n"
        "assert len(os.listdir('/dev/fd')) == before\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
