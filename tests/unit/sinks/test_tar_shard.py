"""A packed shard reads back, by other readers, as the shard with other images in it."""

import io
import subprocess
import tarfile
import tracemalloc

import pytest

from dask_quant.errors import OutputError
from dask_quant.sinks.tar_shard import PackedImage, find_sample, pack_shard
from dask_quant.sources.tar_members import list_members


def make_shard(members, form=tarfile.PAX_FORMAT):
    """Bytes of a tar file: of each member a name and its bytes, or a header without any."""
    buffer = io.BytesIO()
    options = {"format": form, "encoding": "utf-8", "errors": "surrogateescape"}
    with tarfile.open(fileobj=buffer, mode="w", **options) as file:
        for number, (name, data) in enumerate(members):
            entry = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            content = b"" if entry is data else data
            entry.size, entry.mtime, entry.uid, entry.uname = len(content), 1000 + number, 7, "me"
            entry.mode = 0o4700
            file.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def make_entry(name, kind, target=""):
    """A header of a member that is no file."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return name, entry


@pytest.fixture
def pack(tmp_path):
    """Return a function that packs a shard, of which images are given by their names there."""

    def make(shard, images, left_out=frozenset()):
        packed = {}
        for number, member in enumerate(list_members(io.BytesIO(shard))):
            if getattr(member, "name", None) in images:
                path = tmp_path / f"waiting-{number}"
                name, data = images[member.name]
                path.write_bytes(data)
                packed[member.offset] = PackedImage(name, str(path))
        return b"".join(pack_shard(io.BytesIO(shard), packed, left_out))

    return make


def read_tar(data):
    """Return the members of a tar file in order, by Python's reader."""
    options = {"encoding": "utf-8", "errors": "surrogateescape"}
    with tarfile.open(fileobj=io.BytesIO(data), **options) as file:
        return [(entry, b"" if entry.isdir() else file.extractfile(entry).read()) for entry in file]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_images_are_others_and_all_else_is_as_it_was(pack, form):
    long = "/".join(["a folder of a name that is long"] * 5)
    members = [
        ("1.json", b'{"a": 1}'),
        ("1.jpg", b"x" * 700),
        (f"{long}/2.jpg", b"y" * 512),
        (f"{long}/2.cls", b""),
        ("ü.txt", b"z" * 1025),
    ]
    new = {"1.jpg": ("1.png", b"n" * 513), f"{long}/2.jpg": (f"{long}/2.png", b"")}
    packed = pack(make_shard(members, form), new)
    found = read_tar(packed)
    assert [(entry.name, data) for entry, data in found] == [
        new.get(name, (name, data)) for name, data in members
    ]
    assert [entry.mtime for entry, _ in found] == [1000, 1001, 1002, 1003, 1004]
    assert {(e.mode, e.uid, e.gid, e.uname, e.gname) for e, _ in found} == {(0o644, 0, 0, "", "")}
    assert len(packed) % 10240 == 0
    assert packed.endswith(bytes(1024))


def test_the_tar_program_reads_it(tmp_path, pack):
    members = [make_entry("d", tarfile.DIRTYPE), ("d/1.jpg", b"x"), ("d/1.cls", b"7"),
               ("d/" + "n" * 150 + ".txt", b"t")]  # fmt: skip
    packed = pack(make_shard(members), {"d/1.jpg": ("d/1.png", b"new")})
    (tmp_path / "packed.tar").write_bytes(packed)
    (tmp_path / "there").mkdir()
    done = subprocess.run(
        ["tar", "-xvf", "../packed.tar"], cwd=tmp_path / "there", capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["d/", "d/1.png", "d/1.cls", f"d/{'n' * 150}.txt"]
    assert (tmp_path / "there" / "d" / "1.png").read_bytes() == b"new"
    assert (tmp_path / "there" / "d" / "1.png").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "there" / "d").stat().st_mode & 0o777 == 0o755


def test_headers_of_other_users_and_formats_make_no_difference(pack):
    members = [("a.jpg", b"x"), ("a.cls", b"7")]
    new = {"a.jpg": ("a.png", b"n")}
    forms = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    assert len({pack(make_shard(members, form), new) for form in forms}) == 1


def test_a_sample_is_left_out_with_all_of_its_members(pack):
    members = [(f"{key}.{suffix}", key.encode()) for key in ("a", "a/b", "ab")
               for suffix in ("jpg", "cls", "seg.png")] + [("a", b"no sample")]  # fmt: skip
    packed = pack(make_shard(members), {"a/b.jpg": ("a/b.png", b"n")}, frozenset({"a"}))
    assert [entry.name for entry, _ in read_tar(packed)] == [
        *("a/b.png", "a/b.cls", "a/b.seg.png", "ab.jpg", "ab.cls", "ab.seg.png", "a")
    ]


def test_links_and_devices_are_left_out(pack):
    members = [
        ("a.jpg", b"x"),
        make_entry("b.jpg", tarfile.LNKTYPE, "a.jpg"),
        make_entry("c.txt", tarfile.SYMTYPE, "a.jpg"),
        make_entry("d", tarfile.FIFOTYPE),
        ("e.txt", b"e"),
    ]
    packed = pack(make_shard(members), {"a.jpg": ("a.png", b"n")})
    assert [entry.name for entry, _ in read_tar(packed)] == ["a.png", "e.txt"]


def test_a_sparse_member_is_written_out(tmp_path, pack):
    with open(tmp_path / "holes.bin", "wb") as file:
        file.truncate(3_000_000)
        file.seek(2_000_000)
        file.write(b"middle")
    (tmp_path / "a.jpg").write_bytes(b"x")
    command = ["tar", "--sparse", "-cf", "s.tar", "holes.bin", "a.jpg"]
    subprocess.run(command, cwd=tmp_path, check=True)
    shard = (tmp_path / "s.tar").read_bytes()
    assert len(shard) < 1_000_000
    found = read_tar(pack(shard, {"a.jpg": ("a.png", b"n")}))
    assert [(e.name, data) for e, data in found] == [
        ("holes.bin", (tmp_path / "holes.bin").read_bytes()), ("a.png", b"n")
    ]  # fmt: skip


@pytest.mark.parametrize("mtime", ["nan", "inf", "-5", "1e30", "12.75"])
def test_any_time_of_change_is_written(pack, mtime):
    entry = tarfile.TarInfo("a.txt")
    entry.pax_headers = {"mtime": mtime}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as file:
        file.addfile(entry)
    ((found, _),) = read_tar(pack(buffer.getvalue(), {}))
    assert found.mtime == {"1e30": int(1e30), "12.75": 12}.get(mtime, 0)


def test_names_that_are_no_utf8_are_kept(pack):
    names = ["caf\udce9.jpg", "caf\udce9.cls", "../../x.txt"]
    shard = make_shard([(name, b"x") for name in names], tarfile.GNU_FORMAT)
    packed = pack(shard, {names[0]: ("caf\udce9.png", b"n")})
    assert [entry.name for entry, _ in read_tar(packed)] == ["caf\udce9.png", *names[1:]]


@pytest.mark.parametrize(("cut", "n_members"), [(3100, 2), (3700, 2), (4183, 2), (4608, 3)])
def test_what_is_in_front_of_damage_is_packed(pack, cut, n_members):
    shard = make_shard([("a.jpg", b"x" * 600), ("b.txt", b"y" * 600), ("c.txt", b"z" * 600)])
    packed = pack(shard[:cut], {"a.jpg": ("a.png", b"n")})
    names = [entry.name for entry, _ in read_tar(packed)]
    assert names == ["a.png", "b.txt", "c.txt"][:n_members]


def test_an_image_that_is_gone_says_so(tmp_path):
    shard = make_shard([("a.jpg", b"x")])
    (member,) = list_members(io.BytesIO(shard))
    images = {member.offset: PackedImage("a.png", str(tmp_path / "gone"))}
    with pytest.raises(OutputError, match=r"gone', an image that waits .* --resume"):
        list(pack_shard(io.BytesIO(shard), images))


def test_memory_does_not_grow_with_a_shard(tmp_path):
    with open(tmp_path / "large.bin", "wb") as file:
        file.truncate(40_000_000)
    buffer = tmp_path / "s.tar"
    with tarfile.open(buffer, "w") as file:
        file.add(tmp_path / "large.bin", "large.bin")
        for number in range(2000):
            file.addfile(tarfile.TarInfo(f"{number}.cls"))
    with open(buffer, "rb") as file:
        tracemalloc.start()
        n_bytes = sum(map(len, pack_shard(file, {})))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert n_bytes == buffer.stat().st_size
    assert peak < 3_000_000


def test_samples_are_those_of_webdataset():
    names = ["a/b.c/1.seg.png", "1.png", "1", ".png", "a/.png", "a.b/1", "./x.cls"]
    assert list(map(find_sample, names)) == ["a/b.c/1", "1", None, None, None, None, "./x"]
