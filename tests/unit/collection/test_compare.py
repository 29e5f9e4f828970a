"""What changed, is gone or is new since an earlier run is noticed, with the first of each."""

import os
from dataclasses import replace

import pytest
from PIL import Image

from dask_quant.collection import compare
from dask_quant.collection.compare import compare_rows
from dask_quant.collection.reading import digest_source
from dask_quant.image_rows import QUARANTINED, ImageRow


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    for name in "abcde":
        Image.new("RGB", (3, 2), (ord(name), 0, 0)).save(tmp_path / "in" / f"{name}.png")
    return tmp_path


@pytest.fixture
def rows(folder, open_index):
    """Rows of all images, the last of which was set aside."""
    found = []
    for item, _ in open_index(folder / "in").iterate_pending():
        (folder / "out" / item.out).write_bytes(b"12345")
        found.append(
            ImageRow(
                path=item.source, output=item.out, modified=item.modified, id=item.id,
                output_bytes=5,
            )
        )  # fmt: skip
    (folder / "out" / "e.png").unlink()
    found[-1] = replace(found[-1], status=QUARANTINED, output=None, output_bytes=None)
    return found


def measure(out):
    """Return what tells the bytes of an output, None where it is gone."""
    return lambda name: (out / name).stat().st_size if (out / name).exists() else None


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_what_is_as_it_was_is_taken_over(folder, rows, open_index, monkeypatch, page):
    monkeypatch.setattr(compare, "_ROWS", page)
    index = open_index(folder / "in")
    found = compare_rows(index, iter(rows), measure(folder / "out"))
    assert (found.again, list(found.notices)) == ([], [])
    assert index.count_pending() == 0
    assert index.list_outputs(9) == ["a.png", "b.png", "c.png", "d.png"]
    assert index.list_quarantined() == [rows[4].id]


def test_what_is_not_is_told_and_done_again(folder, rows, open_index):
    for name in ("a", "e"):
        os.utime(folder / "in" / f"{name}.png", ns=(0, 5))
    (folder / "out" / "b.png").unlink()
    (folder / "out" / "c.png").write_bytes(b"1234")
    (folder / "in" / "d.png").unlink()
    Image.new("RGB", (3, 2)).save(folder / "in" / "new.png")
    index = open_index(folder / "in")
    found = compare_rows(index, rows, measure(folder / "out"))
    assert found.again == [rows[i].id for i in (0, 1, 2)]
    assert found.mended == [(rows[4].id, None)]
    assert found.changed == {None: rows[0].path}
    assert (found.n_changed, found.n_lost, found.n_gone) == (1, 2, 1)
    changed, lost, gone = found.notices
    assert changed == f"1 images changed since they were done, and are done again: {rows[0].path}."
    assert "2 outputs are gone or of another size, and are written again: b.png and 1 more" in lost
    assert f"what was made of them is kept: {rows[3].path}." in gone
    assert index.list_outputs(9) == ["a.png", "b.png", "c.png"]
    assert [item.out for item, _ in index.iterate_pending()] == ["new.png"]
    index.reopen(found.again)
    assert index.count_pending() == 4


def test_a_file_that_was_touched_and_holds_the_same_is_as_it_was(folder, rows, open_index):
    path = folder / "in" / "a.png"
    rows[0] = replace(rows[0], digest=digest_source(str(path)))
    rows[1] = replace(rows[1], digest="sha256:0")
    for name in ("a", "b"):
        os.utime(folder / "in" / f"{name}.png", ns=(0, 5))
    found = compare_rows(open_index(folder / "in"), rows, measure(folder / "out"))
    assert found.again == [rows[1].id]
