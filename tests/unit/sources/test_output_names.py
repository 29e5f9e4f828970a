import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_quant.sources.discover import plan_output_names


def plan(*texts, suffix=".png"):
    return [str(name) for name in plan_output_names([PurePosixPath(t) for t in texts], suffix)]


def fold(path):
    folded = unicodedata.normalize("NFKC", str(path)).casefold()
    return unicodedata.normalize("NFKC", folded)


def test_suffix_is_replaced():
    assert plan("a/b.jpg", "c.zarr", "stdin", "d/e.tar.gif") == [
        "a/b.png",
        "c.png",
        "stdin.png",
        "d/e.tar.png",
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a/b.jpg", "a/b.gif"),
        ("a/b.jpg", "a/B.gif"),
        ("caf\u00e9.jpg", "cafe\u0301.gif"),
        ("\ufb01.jpg", "fi.gif"),
        ("stra\u00dfe.jpg", "STRASSE.gif"),
    ],
)
def test_inputs_that_would_share_a_name_keep_their_full_names(first, second):
    assert plan(first, second, "x.jpg") == [first + ".png", second + ".png", "x.png"]


def test_full_name_does_not_take_the_plain_name_of_another():
    assert plan("a.jpg", "a.gif", "a.jpg.tif") == ["a.jpg.png", "a.gif.png", "a.jpg.tif.png"]


def test_full_names_that_coincide_get_a_digest():
    names = plan("b.jpg", "B.JPG")
    assert names[0].startswith("b.jpg~")
    assert names[1].startswith("B.JPG~")
    assert names[0] != names[1]


def test_file_does_not_take_the_name_of_a_folder():
    assert plan("a.jpg", "a.png/x.jpg") == ["a.jpg.png", "a.png/x.png"]


NAMES = st.sampled_from(
    ["a", "A", "b", "a.png", "A.png", "a.jpg", "a.JPG", "a.jpg.png", "a.png.png", "\ufb01", "fi"]
)
PLACES = st.lists(NAMES, min_size=1, max_size=3).map(lambda parts: PurePosixPath(*parts))


@given(st.lists(PLACES, unique=True, max_size=30), st.randoms())
def test_no_two_outputs_clash_in_any_order(relatives, random):
    names = plan_output_names(relatives, ".png")
    folded = [fold(name) for name in names]
    assert len(set(folded)) == len(names)
    folders = {fold(parent) for name in names for parent in name.parents}
    assert not folders & set(folded)
    assert all(name.parent == place.parent for name, place in zip(names, relatives, strict=True))
    shuffled = relatives.copy()
    random.shuffle(shuffled)
    again = dict(zip(shuffled, plan_output_names(shuffled, ".png"), strict=True))
    assert [again[place] for place in relatives] == names


def test_repeated_places_still_get_names_of_their_own():
    assert len(set(plan("a.jpg", "a.jpg", "a.jpg"))) == 3
