"""Images in other files are told from files, and shown as users write them."""

import pytest

from dask_quant.sources.addresses import hide_secrets, is_store_url
from dask_quant.sources.header import show_path
from dask_quant.sources.held import TAR, Held, is_held, parse_held, show_held

HELD = [
    Held("a.tar", TAR, 512, 9, "7", "x/1.jpg"),
    Held("a b.tar", "damage", 0, -1, "", "cut off"),
    Held("s3://me:pass@b/a.tar?key=1", TAR, 512, 9, '"e:1"', "x/a b.jpg"),
    Held("caf\udce9.tar", TAR, 512, 9, "7", "two\nlines\0and::more.jpg"),
]


@pytest.mark.parametrize("held", HELD, ids=lambda held: held.file)
def test_a_path_says_all(held):
    assert parse_held(held.to_path()) == held
    assert is_held(held.to_path())


@pytest.mark.parametrize("path", ["a.tar", "a::b", "a\0b", "a\0tar:x:1:\0b", "\0\0", None, 3])
def test_nothing_else_is_such_a_path(path):
    assert parse_held(path) is None


def test_no_secret_of_an_address_is_shown():
    shown = hide_secrets(f"cannot read {HELD[2].to_path()}: gone")
    assert shown == "cannot read s3://***@b/a.tar?***::x/a b.jpg: gone"
    assert show_path(HELD[3].to_path()) == r"caf\udce9.tar::two\nlines\x00and::more.jpg"
    assert show_held("nothing") == "nothing"


def test_a_member_in_a_folder_of_a_store_is_no_store():
    assert not is_store_url(Held("s3://b/a.tar", TAR, 0, 1, "", "x.zarr/1.png").to_path())
