import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path, PurePosixPath

import pytest

from dask_quant.errors import SourceNotFoundError
from dask_quant.sources.discover import discover, is_zarr_store

JPEG_START = b"\xff\xd8\xff\xe0"


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make(*paths, content=b"x"):
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content)


def places(found):
    return [str(item.relative) for item in found.inputs]


def paths(found):
    return [item.path for item in found.inputs]


def test_name_given_explicitly_is_always_an_input():
    make("notes.txt", "sub/.hidden.jpg")
    found = discover(["notes.txt", "sub/.hidden.jpg"])
    assert paths(found) == ["notes.txt", "sub/.hidden.jpg"]
    assert places(found) == ["notes.txt", ".hidden.jpg"]
    assert found.n_ignored == 0


def test_folder_is_recursive_sorted_and_counts_what_it_ignores():
    make("d/b.jpg", "d/a/z.PNG", "d/a.png", "d/notes.txt", "d/.hidden.jpg", "d/.git/x.jpg")
    make("d/no_suffix", content=JPEG_START)
    os.symlink("a", "d/link")
    os.symlink("nowhere", "d/broken.jpg")
    os.mkfifo("d/pipe.jpg")
    found = discover(["d"])
    assert places(found) == ["a/z.PNG", "a.png", "b.jpg", "no_suffix"]
    assert paths(found)[0] == os.path.join("d", "a", "z.PNG")
    assert found.n_ignored == 6


def test_zarr_store_is_one_input_and_never_descended_into():
    make("d/s.zarr/zarr.json", "d/s.zarr/c/0.png", "d/t/.zgroup", "d/a.png")
    assert places(discover(["d"])) == ["a.png", "s.zarr", "t"]
    assert places(discover(["d/s.zarr/"])) == ["s.zarr"]
    assert places(discover(["d/**/*"])) == ["a.png", "s.zarr", "t"]
    assert is_zarr_store("d/t")
    assert not is_zarr_store("d")


def test_glob_keeps_the_place_below_its_fixed_part():
    make("d/x/1.png", "d/y/2.png", "d/y/notes.txt")
    found = discover(["d/*/*"])
    assert places(found) == ["x/1.png", "y/2.png"]
    assert found.n_ignored == 1
    assert places(discover([os.path.abspath("d/**/*.png")])) == ["x/1.png", "y/2.png"]


def test_literal_name_with_wildcards_is_the_file():
    make("a[1].png", "a1.png")
    assert places(discover(["a[1].png"])) == ["a[1].png"]


def test_several_folders_keep_their_own_names():
    make("p/x/1.png", "q/1.png", "r/x/1.png")
    assert places(discover(["p/x", "q"])) == ["x/1.png", "q/1.png"]
    assert places(discover(["p/x", "r/x"])) == ["p/x/1.png", "r/x/1.png"]
    assert places(discover(["p/x", "p/x"])) == ["1.png"]


def test_two_globs_of_one_folder_are_one_folder():
    make("d/1.png", "d/2.jpg")
    assert places(discover(["d/*.png", "d/*.jpg"])) == ["1.png", "2.jpg"]


def test_files_of_one_name_are_told_apart_by_their_folders():
    make("a/1.png", "b/1.png", "b/2.png")
    assert places(discover(["a/1.png", "b/1.png", "b/2.png"])) == ["a/1.png", "b/1.png", "2.png"]


def test_named_file_yields_to_one_of_a_folder():
    make("d/1.png", "e/1.png")
    assert places(discover(["d", "e/1.png"])) == ["1.png", "e/1.png"]


def test_same_file_reached_twice_is_one_input():
    make("d/1.png", "d/notes.txt")
    os.symlink("d", "link")
    found = discover(["d", "d/1.png", "d/../d/1.png", os.path.abspath("d/1.png"), "link", "d/*"])
    assert paths(found) == [os.path.join("d", "1.png")]
    assert found.n_ignored == 1


def test_file_that_is_ignored_and_named_is_an_input():
    make("d/1.png", "d/notes.txt")
    found = discover(["d", "d/notes.txt"])
    assert len(found.inputs) == 2
    assert found.n_ignored == 0


def test_standard_input_has_a_name():
    (item,) = discover(["-"]).inputs
    assert (item.path, item.relative) == ("-", PurePosixPath("stdin"))


def test_list_names_one_path_a_line():
    make("a b.png", "notes.txt", "d/1.png")
    Path("list.txt").write_bytes(b"\xef\xbb\xbfa b.png\r\n\n   \nnotes.txt\nd\n")
    assert paths(discover(["@list.txt"])) == ["a b.png", "notes.txt", os.path.join("d", "1.png")]


def test_list_says_which_line_is_missing():
    Path("list.txt").write_text("\nnone.png\n")
    with pytest.raises(SourceNotFoundError, match=r"none\.png, line 2 of the list list\.txt"):
        discover(["@list.txt"])
    with pytest.raises(SourceNotFoundError, match="list none"):
        discover(["@none"])


@pytest.mark.parametrize("source", ["none.png", "no/folder", "bad\0name"])
def test_missing_path_is_an_error(source):
    with pytest.raises(SourceNotFoundError, match="no such file"):
        discover([source])


@pytest.mark.parametrize("source", ["d", "d/*", "d/*.png"])
def test_source_without_an_image_is_an_error_with_a_count(source):
    make("d/notes.txt")
    expected = 0 if source == "d/*.png" else 1
    with pytest.raises(SourceNotFoundError, match=f"{expected} other files were ignored"):
        discover([source])


def test_no_source_at_all_is_an_error():
    with pytest.raises(SourceNotFoundError):
        discover([])


def test_addresses_are_inputs_by_the_names_of_their_files(tmp_path):
    urls = ["s3://bucket/one/a.png", "https://me@host/two/a.png?key=1", "https://host/b%20c.tif"]
    found = discover(urls)
    assert [item.path for item in found.inputs] == urls
    assert places(found) == ["one/a.png", "two/a.png", "b c.tif"]
    (tmp_path / "list.txt").write_text("\n".join([*urls, urls[0]]))
    assert discover([f"@{tmp_path / 'list.txt'}"]) == found


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS refuses such names")
def test_names_that_are_not_utf8_work():
    name = os.fsdecode(b"\xff.png")
    make(os.path.join("d", name))
    assert places(discover(["d"])) == [name]
    Path("list.txt").write_bytes(b"d/\xff.png\n")
    assert places(discover(["@list.txt"])) == [name]


def test_nothing_heavy_is_imported():
    code = (
        "import sys, dask_quant.sources.discover as d\n"
        "heavy = {'dask', 'zarr', 'distributed', 'numba'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_place_leaves_the_output_folder():
    make("d/x/1.png", "elsewhere/2.png")
    os.symlink(os.path.abspath("elsewhere"), "d/link")
    assert places(discover(["d/*/*.png"])) == ["link/2.png", "x/1.png"]
    for pattern in ("d/x*/../../elsewhere/*.png", "../*/elsewhere/*.png"):
        for item in discover([pattern]).inputs:
            assert ".." not in item.relative.parts
            assert not item.relative.is_absolute()


@pytest.mark.parametrize("source", ["d", "d/**/*", "d/*/*", "link", os.curdir])
@pytest.mark.parametrize("out", ["d/out", "link/out", "to_out"])
def test_outputs_below_a_source_are_left_out_and_counted_once(source, out):
    make("d/a.png", "d/x/b.png", "d/out/a.png", "d/out/x/b.png", "d/outer/c.png")
    os.symlink("d", "link")
    os.symlink("d/out", "to_out")
    before, found = discover([source]), discover([source], exclude=Path(out))
    expected = [place for place in places(before) if "out" not in Path(place).parts]
    assert places(found) == expected
    assert 0 < len(expected) < len(before.inputs)
    assert found.n_ignored == before.n_ignored + 1


def test_outputs_that_hold_the_source_exclude_nothing():
    make("d/x/a.png", "d/x/b.png")
    for source in ("d/x", "d/x/*"):
        for out in ("d", "d/x", os.curdir, "none"):
            assert discover([source], exclude=Path(out)) == discover([source])


def test_outputs_given_by_name_are_inputs():
    make("d/out/a.png", "d/out.png")
    found = discover(["d/out/a.png", "d/out.png"], exclude=Path("d/out"))
    assert len(found.inputs) == 2
    found = discover(["d", "d/out.png"], exclude=Path("d/out.png"))
    assert places(found) == ["out/a.png", "out.png"]
    assert found.n_ignored == 0


def test_folders_a_thousand_deep_are_searched(tmp_path):
    depth, folder = 1100, tmp_path
    for _ in range(depth):
        folder = folder / "a"
        folder.mkdir()
    (folder / "b.png").touch()
    assert [Path(entry.path).name for entry in discover([tmp_path]).inputs] == ["b.png"]
    (folder / "b.png").unlink()
    for _ in range(depth):  # whoever clears up may not get so deep
        folder.rmdir()
        folder = folder.parent


def test_a_link_to_what_may_not_be_looked_at_is_ignored(tmp_path, monkeypatch):
    (tmp_path / "b.png").touch()
    (tmp_path / "link").symlink_to(tmp_path / "b.png")

    class Locked:
        name, path = "link", str(tmp_path / "link")

        def is_symlink(self):
            return True

        def is_dir(self):
            raise PermissionError(13, "Permission denied", self.path)

    with os.scandir(tmp_path) as entries:
        listed = [Locked(), *(entry for entry in entries if entry.name != "link")]
    monkeypatch.setattr(os, "scandir", lambda path: nullcontext(listed))
    found = discover([tmp_path])
    assert (len(found.inputs), found.n_ignored) == (1, 1)
