"""Lines that tasks tell, kept as they come: what is whole counts, what a kill tore does not."""

import numpy as np
import pytest

from dask_quant.collection import kept_lines
from dask_quant.collection.family_index import FamilyIndex
from dask_quant.collection.kept_lines import KeptLines
from dask_quant.collection.summaries import KeptSummaries, SummaryFile
from dask_quant.collection.task import BRIEF_COLOR, Done, SummarizedImage, Verdict
from dask_quant.sinks.state_folder import open_state


@pytest.fixture
def state(tmp_path):
    with open_state(tmp_path / "state", {}, shown="out", resume=False) as opened:
        yield opened


def test_lines_come_back_in_the_order_in_which_they_were_kept(state, monkeypatch):
    monkeypatch.setattr(kept_lines, "CHECKPOINT_S", -1.0)
    kept = KeptLines(state, "lines")
    for number in range(12):
        kept.add([["a", number]], bytes([number]))
    kept.add([])
    found = list(KeptLines(state, "lines").read())
    assert found == [([["a", number]], bytes([number])) for number in range(12)]
    assert list(KeptLines(state, "line").read()) == []


def test_a_run_that_goes_on_adds_to_what_there_is(state):
    for text in ("first", "second"):
        kept = KeptLines(state, "lines")
        kept.add([text])
        assert len(list(kept.read())) == (text == "second")  # not kept yet
        kept.keep()
        kept.keep()
    assert [lines for lines, _ in KeptLines(state, "lines").read()] == [["first"], ["second"]]
    assert sorted(name for name in state.list_names() if name.startswith("lines")) == [
        "lines-1.jsonl", "lines-2.jsonl",
    ]  # fmt: skip


def summarize(id, codes, content, modified=None):
    colors = np.empty(len(codes), dtype=BRIEF_COLOR)
    colors["code"], colors["count"] = codes, 7
    image = SummarizedImage(id, len(codes), modified, content, len(codes), 0.5, False)
    return image, colors.tobytes()


@pytest.mark.parametrize("damage", ["lines-torn", "colors-short", "colors-gone"])
def test_summaries_that_are_damaged_are_passed_over(state, damage):
    kept = KeptSummaries(state)
    for content in ("a" * 32, "b" * 32):
        image, data = summarize(content[0], [1, 2, 3], content)
        kept.add(Done(summarized=(image,), colors=data))
        kept.keep()
    name = "summaries-1.jsonl" if damage == "lines-torn" else "summaries-1.bin"
    whole = state.read(name)
    state.discard(name)
    if damage != "colors-gone":
        state.write(name, [whole[: len(whole) // 2]])
    found = [image.id for images, _ in KeptSummaries(state).read() for image in images]
    assert found == ["b"]


def test_images_of_the_same_colors_are_one_row_in_the_order_of_their_contents(images):
    index, _ = images
    ids = [item.id for item, _ in index.iterate_pending()]
    modified = [item.modified for item, _ in index.iterate_pending()]
    contents = ["d" * 32, "b" * 32, "d" * 32, "c" * 32]
    families = FamilyIndex(index)
    with SummaryFile(families) as file:
        for number, content in enumerate(contents):
            codes = [ord(content[0])] * (1 + number % 2)
            image, data = summarize(ids[number], codes, content, modified[number])
            file.add([image], data)
        changed, data = summarize(ids[4], [9], "a" * 32, "another time")
        file.add([changed], data)
        gathered = file.gather()
        table = gathered.table
        assert table.n_images.tolist() == [1, 1, 2]
        assert table.codes[table.begins].tolist() == [ord("b"), ord("c"), ord("d")]
        places = [gathered.list_positions([row]).tolist() for row in range(3)]
        assert places == [[2], [4], [1, 3]]
        assert gathered.find_rows(np.array([1, 2, 3])).tolist() == [2, 0, 2]
        again, data = summarize(ids[1], [5], "e" * 32, modified[1])  # the last one counts
        file.add([again], data)
        assert file.gather().table.n_images.tolist() == [1, 2, 1]
    assert index.count_counted() == 4


def test_families_are_kept_in_the_index(images):
    index, _ = images
    families = FamilyIndex(index)
    families.set_family("family-1", np.array([1, 3]))
    families.set_family("family-2", np.array([2]))
    members = list(families.list_members())
    assert [name for name, _ in members] == ["family-1", "family-1", "family-2"]
    other = FamilyIndex(index)  # of the same images
    other.set_families([("family-9", id) for _, id in members])
    assert {name for name, _ in families.list_members()} == {"family-9"}
    families.note_verdicts([Verdict(members[0][1], False), Verdict(members[1][1], True)])
    assert families.is_missed("family-9")
    ((positions, is_beyond),) = families.list_missed()
    assert dict(zip(positions.tolist(), is_beyond.tolist(), strict=True)) == {
        1: True, 2: False, 3: False,
    }  # fmt: skip
    assert index.count_pending(unjudged=True) == len(index) - 2
    families.set_family("family-10", positions)
    assert families.list_missed() == []
