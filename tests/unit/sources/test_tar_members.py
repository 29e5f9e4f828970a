"""Members of a tar file are found by headers alone, and damage costs no more than what it hits."""

import io
import tarfile
import tracemalloc

import pytest

from dask_quant.sources.tar_members import (
    COMPRESSED,
    CUT_OFF,
    DAMAGED,
    UNFINISHED,
    Damage,
    Member,
    list_members,
)

N_BYTES = 700
"""Bytes of a member; with its header it takes 1,536."""

UNIT = 1536


def make_tar(*names, form=tarfile.PAX_FORMAT, **others):
    """Bytes of a tar file; member number i is all bytes of value i."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as file:
        for number, name in enumerate(names):
            entry = tarfile.TarInfo(name)
            entry.size = N_BYTES
            file.addfile(entry, io.BytesIO(bytes([number % 256]) * N_BYTES))
        for name, kind in others.items():
            entry = tarfile.TarInfo(name)
            entry.type = kind
            entry.linkname = "elsewhere"
            file.addfile(entry)
    return buffer.getvalue()


def find(data):
    return list(list_members(io.BytesIO(data)))


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_member_is_where_its_bytes_are(form):
    long = "/".join(["a folder of a name that is long"] * 5)
    names = ["a.jpg", f"{long}/b.jpg", "ü/c.jpg"]
    data = make_tar(*names, form=form)
    found = find(data)
    assert [member.name for member in found] == names
    for number, member in enumerate(found):
        assert data[member.offset :][: member.size] == bytes([number]) * N_BYTES


def test_names_that_are_no_utf8_and_lead_anywhere_are_names():
    names = ["/etc/a.jpg", "../../b.jpg", "caf\udce9.jpg"]
    data = io.BytesIO()
    options = {"format": tarfile.GNU_FORMAT, "encoding": "utf-8", "errors": "surrogateescape"}
    with tarfile.open(fileobj=data, mode="w", **options) as file:
        for name in names:
            file.addfile(tarfile.TarInfo(name))
    assert [member.name for member in find(data.getvalue())] == names


def test_links_and_devices_are_not_plain_and_folders_are_left_out():
    kinds = {"s": tarfile.SYMTYPE, "h": tarfile.LNKTYPE, "p": tarfile.FIFOTYPE}
    found = find(make_tar("a.jpg", d=tarfile.DIRTYPE, **kinds))
    assert [(member.name, member.is_plain) for member in found] == [
        *(("a.jpg", True), ("s", False), ("h", False), ("p", False))
    ]


def test_a_tar_file_without_members_is_whole():
    assert find(make_tar()) == []


@pytest.mark.parametrize(
    ("stop", "n_whole", "damage"),
    [
        (0, 0, Damage(0, CUT_OFF)),
        (100, 0, Damage(0, CUT_OFF)),
        (600, 0, Damage(0, CUT_OFF)),
        (UNIT, 1, Damage(UNIT, UNFINISHED)),
        (UNIT + 1, 1, Damage(UNIT, CUT_OFF)),
        (2 * UNIT - 400, 1, Damage(UNIT, CUT_OFF)),
        (2 * UNIT, 2, Damage(2 * UNIT, UNFINISHED)),
        (2 * UNIT + 511, 2, Damage(2 * UNIT, CUT_OFF)),
    ],
)
def test_what_is_cut_off_gives_what_is_whole_and_says_where(stop, n_whole, damage):
    *members, last = find(make_tar("a.jpg", "b.jpg")[:stop])
    assert [member.name for member in members] == ["a.jpg", "b.jpg"][:n_whole]
    assert last == damage


@pytest.mark.parametrize("at", [UNIT, UNIT + 130, UNIT + 150])
def test_a_header_that_is_damaged_ends_the_list(at):
    data = bytearray(make_tar("a.jpg", "b.jpg", "c.jpg"))
    data[at] ^= 1
    assert find(data) == [Member("a.jpg", 512, N_BYTES), Damage(UNIT, DAMAGED)]


def test_a_size_that_is_negative_leads_nowhere():
    data = bytearray(make_tar("a.jpg", "b.jpg"))
    data[UNIT + 124 : UNIT + 136] = b"\xff" * 4 + (-4 * UNIT).to_bytes(8, "big", signed=True)
    data[UNIT + 148 : UNIT + 156] = b" " * 8
    data[UNIT + 148 : UNIT + 155] = b"%06o\0" % sum(data[UNIT : UNIT + 512])
    assert find(data) == [Member("a.jpg", 512, N_BYTES), Damage(UNIT, DAMAGED)]


def test_a_header_that_claims_gigabytes_is_damage():
    data = bytearray(make_tar("é" * 200))
    assert data[156:157] == tarfile.XHDTYPE
    data[124:136] = b"%011o\0" % (1 << 24)
    data[148:156] = b" " * 8
    data[148:155] = b"%06o\0" % sum(data[:512])
    data += bytes(1 << 24)
    tracemalloc.start()
    assert find(data) == [Damage(0, DAMAGED)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(data) + (1 << 21)


@pytest.mark.parametrize("start", [b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"])
def test_a_file_that_is_compressed_is_known(start):
    assert find(start + make_tar("a.jpg")) == [Damage(0, COMPRESSED)]


def test_any_other_file_is_damage():
    assert find(b"no tar file" * 1000) == [Damage(0, DAMAGED)]


class Watched(io.BytesIO):
    """A file that tells what is read of it."""

    n_read = 0

    def read(self, n_bytes=-1):
        data = super().read(n_bytes)
        self.n_read += len(data)
        return data


def test_headers_alone_are_read_and_none_is_kept():
    def measure(n_members):
        file = Watched(make_tar(*(f"{number}.jpg" for number in range(n_members))))
        tracemalloc.start()
        assert sum(1 for _ in list_members(file)) == n_members
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert file.n_read < 600 * (n_members + 2)
        return peak

    measure(2)
    assert measure(2000) < measure(100) + 20_000
