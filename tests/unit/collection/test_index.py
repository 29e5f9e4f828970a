"""The index plans the names that planning all at once does, and knows what is left to do."""

import os
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dask_quant.collection import index as index_module
from dask_quant.collection.index import BY_FOLDER, Index
from dask_quant.collection.items import make_id
from dask_quant.collection.task import CountedImage
from dask_quant.image_rows import QUARANTINED, WRITTEN, ImageRow
from dask_quant.sources.discover import discover, find_images, plan_output_names
from dask_quant.sources.found import Found
from dask_quant.sources.places import place_all

FOLDERS = st.sampled_from(["", "a", "A", "a.png", "b", "a/c.png", "\ufb01", "fi"])
NAMES = st.sampled_from(
    ["a.jpg", "A.gif", "a.png", "a", "c.jpg", "c.png.gif", "a.jpg.png", "fi.png", "\ufb01.png",
     "stra\u00dfe.png", "STRASSE.gif", ".hidden", "caf\udce9.png"]
)  # fmt: skip
FOUND = st.builds(
    lambda root, folder, name, named: Found(
        f"{root}/{folder}/{name}",
        os.path.normpath(f"/{root}/{folder}/{name}"),
        name if named else os.path.join(folder, name),
        os.path.normpath(f"/{root}/{folder}" if named else f"/{root}"),
        named,
    ),
    st.sampled_from(["x", "y/x", "z"]),
    FOLDERS,
    NAMES,
    st.booleans(),
)


def index_of(found, suffix=".png"):
    index = Index(suffix)
    index.add(found)
    return index


def names_of(index):
    return [item.out for item, _ in index.iterate_pending()]


@settings(max_examples=150)
@given(st.lists(FOUND, min_size=1, max_size=12), st.sampled_from([".png", ".gif"]))
def test_names_are_those_of_planning_all_at_once(found, suffix):
    index = index_of(found, suffix)
    unique = {}
    for each in found:
        unique.setdefault(each.identity, each)
    expected = plan_output_names(place_all(list(unique.values())), suffix)
    assert names_of(index) == list(map(str, expected)) == index.list_outputs(99, planned=True)
    assert len(index) == len(unique)
    index.close()


def test_a_tree_on_disk_is_indexed_as_it_is_discovered(tmp_path, open_index):
    names = ["a.jpg", "a.gif", "B.png", "b.png", "c/a.jpg", "a.png/x.png", "caf\udce9.png"]
    for name in names:
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "other" / "in").mkdir(parents=True)
    (tmp_path / "other" / "in" / "a.jpg").write_bytes(b"xyz")
    sources = [str(tmp_path / "in"), str(tmp_path / "other" / "in"), str(tmp_path / "in" / "b.png")]
    found = discover(sources)
    items = list(open_index(*sources).iterate_pending())
    planned = plan_output_names([entry.relative for entry in found.inputs], ".png")
    assert [item.out for item, _ in items] == list(map(str, planned))
    assert [item.source for item, _ in items] == [entry.path for entry in found.inputs]
    assert [n_bytes for _, n_bytes in items] == [1] * len(names) + [3]
    assert [item.position for item, _ in items] == sorted(item.position for item, _ in items)
    assert {item.modified for item, _ in items} == {
        str(os.stat(entry.path).st_mtime_ns) for entry in found.inputs
    }


def test_what_an_image_is_known_by_depends_on_nothing_but_its_place(tmp_path, open_index):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"x")
    before = {item.source: item.id for item, _ in open_index(tmp_path / "b.png").iterate_pending()}
    after = {item.source: item.id for item, _ in open_index(tmp_path).iterate_pending()}
    assert after[str(tmp_path / "b.png")] == before[str(tmp_path / "b.png")]
    assert len(set(after.values())) == 2


def test_frames_are_images_of_their_own(tmp_path, open_index):
    frames = [Image.new("RGB", (4, 3), (i, 0, 0)) for i in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "a-001.png").write_bytes(b"x")
    index = open_index(tmp_path, all_frames=True)
    found = [(item.frame, item.out) for item, _ in index.iterate_pending()]
    assert found == [(0, "a-001.png.png"), (0, "a-000.png"), (1, "a-001.gif.png"), (2, "a-002.png")]
    assert names_of(open_index(tmp_path)) == ["a-001.png", "a.png"]


def row_of(item, status=WRITTEN, **values):
    return ImageRow(path=item.source, id=item.id, status=status, **values)


def make_index(names):
    places = map(PurePosixPath, names)
    return index_of(
        Found(str(place), f"/in/{place}", str(place), "/in", False, 0, 7, "1") for place in places
    )


@pytest.mark.parametrize("page", [1, 2, 3, 5, 1000])
def test_pages_hold_every_image_once_also_while_they_are_done(monkeypatch, page):
    monkeypatch.setattr(index_module, "_PAGE_ROWS", page)
    index = make_index([f"{'ab'[i % 2]}/{i:02}.png" for i in range(10)])
    index.set_groups(BY_FOLDER)
    seen = []
    for item, n_bytes in index.iterate_pending():
        seen.append(item)
        assert n_bytes == 7
        index.note_rows([row_of(item)])
    assert [item.position for item in seen] == list(range(1, 11))
    assert index.count_pending() == 0
    index.reopen([item.id for item in seen])
    grouped = [item for item, _ in index.iterate_pending(grouped=True)]
    assert [item.group for item in grouped] == ["a"] * 5 + ["b"] * 5
    assert sorted(item.position for item in grouped) == list(range(1, 11))
    assert [item.group for item, _ in index.iterate_pending(group="b")] == ["b"] * 5
    index.close()


def test_what_is_done_set_aside_and_counted_is_not_asked_for_again():
    index = make_index(["a.png", "b.png", "c.png", "d.png"])
    a, b, c, d = [item for item, _ in index.iterate_pending()]
    index.note_rows([row_of(a), row_of(b, QUARANTINED)])
    index.note_counted([CountedImage(c.id, 17, None)])
    assert [item.id for item, _ in index.iterate_pending()] == [c.id, d.id]
    assert [item.checksum for item, _ in index.iterate_pending()] == [17, None]
    assert [item.id for item, _ in index.iterate_pending(uncounted=True)] == [d.id]
    assert (index.count_pending(), index.count_pending(uncounted=True)) == (2, 1)
    assert (index.count_written(), index.count_counted()) == (1, 1)
    assert index.list_outputs(9) == ["a.png"]
    assert index.list_quarantined() == [b.id]
    assert list(index.list_counted()) == [("c.png", 7)]
    assert [index.is_pending(each.id) for each in (a, b, c, d)] == [False, False, True, True]
    assert not index.is_pending(make_id("/in/gone.png", 0))
    found = index.find(a.id)
    assert (found.out, found.modified) == ("a.png", "1")
    assert index.find(make_id("/in/gone.png", 0)) is None
    index.reopen([a.id])
    assert index.is_pending(a.id)
    index.close()


def test_rows_are_sorted_as_the_sources_are_and_named_as_they_are():
    index = make_index(["a.png", "b\udcff.png", "c.png"])
    rows = [row_of(item) for item, _ in index.iterate_pending()]
    gone = ImageRow(path="gone.png", id="0")
    shown = ImageRow(path="b\\udcff.png", id=rows[1].id)
    assert index.sort_rows([gone, rows[2], shown, rows[0]]) == [*rows, gone]
    index.close()


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [
        (BY_FOLDER, {".": 1, "x": 2, "x/y": 1}),
        (r"(\d+)-", {"1": 2, "2": 1, "": 1}),
        (r"[a-z]\.png$", {"a.png": 2, "b.png": 1, "": 1}),
    ],
)
def test_groups_are_folders_or_what_an_expression_finds(pattern, groups):
    index = make_index(["1-a.png", "x/1-b.png", "x/2-a.png", "x/y/no.png"])
    if pattern != BY_FOLDER:
        pattern = pattern.replace("[a-z]", "[ab]")
    index.set_groups(pattern)
    assert dict(index.list_groups()) == groups
    for name, n_images in groups.items():
        assert index.count_pending(group=name) == n_images
    index.close()


def test_groups_of_which_something_is_left_can_be_done_as_a_whole():
    index = make_index([f"{folder}/{i}.png" for folder in "abc" for i in range(3)])
    index.set_groups(BY_FOLDER)
    items = {item.out: item for item, _ in index.iterate_pending()}
    done = ["a/0.png", "a/1.png", "a/2.png", "b/0.png", "b/1.png", "c/0.png"]
    index.note_rows([row_of(items[name]) for name in done])
    assert index.list_open_groups() == ["b", "c"]
    for group in ("b", "c"):
        index.open_group(group)
    assert index.list_open_groups() == []
    assert names_of(index) == [name for name in items if name[0] in "bc"]
    index.close()


def test_the_largest_files_and_those_of_unknown_size_are_looked_at():
    sizes = {"a": 3, "b": None, "c": 9, "d": 1}
    index = index_of(
        Found(name, f"/{name}", name, "/", False, 0, size) for name, size in sizes.items()
    )
    assert index.list_largest(3) == ["b", "c", "a"]
    assert index.list_largest(9) == ["b", "c", "a", "d"]
    index.close()


def test_an_image_that_is_found_twice_is_there_once(tmp_path, open_index):
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path)
    sources = [tmp_path / "a.png", tmp_path, f"{tmp_path}/link/*"]
    assert len(list(find_images(list(map(str, sources))))) == 3
    (entry,) = open_index(*sources).iterate_pending()
    assert entry[0].source == str(tmp_path / "a.png")


def ids_of(*urls):
    index = index_of(find_images(list(urls), on_ignored=print))
    found = {item.source: item.id for item, _ in index.iterate_pending()}
    index.close()
    return found


def test_a_query_tells_images_apart_but_for_a_new_signature():
    first, second = "https://h.invalid/a?id=1", "https://h.invalid/a?id=2"
    signed, anew = "https://me:p@h.invalid/b.png?sig=1", "https://me:q@h.invalid/b.png?sig=2"
    found = ids_of(first, second, signed)
    assert len(set(found.values())) == 3
    assert ids_of(signed, second, first) == found
    assert ids_of(first, second, anew)[anew] == found[signed]
    both = ids_of("https://me:q@h.invalid/b.png", anew)
    assert len(set(both.values())) == 2
