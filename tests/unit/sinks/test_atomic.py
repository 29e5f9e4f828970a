from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from dask_quant.errors import OutputError, OutputExistsError, SourceError
from dask_quant.sinks import atomic
from dask_quant.sinks.atomic import (
    check_output,
    partial_path,
    resolve_all_below,
    resolve_below,
    write_file_atomically,
)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def raise_os_error(code):
    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    return fail


def test_a_file_is_written_whole_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "a.png"
    assert write_file_atomically(path, [b"one", b"", b"two"], overwrite=False) == 6
    assert path.read_bytes() == b"onetwo"
    assert names_in(tmp_path) == ["a.png"]


def test_the_final_name_is_free_while_the_chunks_come(tmp_path):
    path = tmp_path / "a.png"

    def chunks():
        yield b"one"
        (partial,) = names_in(tmp_path)
        assert partial.startswith(".a.png.")
        assert partial.endswith(".partial")
        yield b"two"

    write_file_atomically(path, chunks(), overwrite=False)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_what_the_umask_leaves(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_file_atomically(tmp_path / "a", [b"x"], overwrite=False)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode


def test_missing_folders_are_created(tmp_path):
    write_file_atomically(tmp_path / "a" / "b" / "c", [b"x"], overwrite=False)
    assert (tmp_path / "a" / "b" / "c").read_bytes() == b"x"


def test_an_existing_file_is_kept_without_overwrite(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        write_file_atomically(path, [b"new"], overwrite=False)
    assert path.read_bytes() == b"old"
    assert write_file_atomically(path, [b"new"], overwrite=True) == 3
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_file_that_appears_meanwhile_is_kept(tmp_path, monkeypatch, hard_links):
    path = tmp_path / "a"
    if not hard_links:
        monkeypatch.setattr(os, "link", raise_os_error(errno.EPERM))

    def chunks():
        yield b"new"
        path.write_bytes(b"theirs")

    with pytest.raises(OutputExistsError, match="--overwrite"):
        write_file_atomically(path, chunks(), overwrite=False)
    assert path.read_bytes() == b"theirs"
    assert names_in(tmp_path) == ["a"]


def test_file_systems_without_hard_links_work(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", raise_os_error(errno.EPERM))
    write_file_atomically(tmp_path / "a", [b"x"], overwrite=False)
    assert names_in(tmp_path) == ["a"]


@pytest.mark.parametrize("error", [SourceError("torn"), KeyboardInterrupt(), OSError(5, "theirs")])
def test_what_the_chunks_raise_is_passed_on_and_the_temporary_removed(tmp_path, error):
    def chunks():
        yield b"one"
        raise error

    with pytest.raises(type(error)) as caught:
        write_file_atomically(tmp_path / "a", chunks(), overwrite=False)
    assert caught.value is error
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("function", ["write", "fsync", "link", "open"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO])
def test_system_errors_become_one_line_and_leave_nothing(tmp_path, monkeypatch, function, code):
    monkeypatch.setattr(os, function, raise_os_error(code))
    with pytest.raises(OutputError, match=os.strerror(code)) as caught:
        write_file_atomically(tmp_path / "a.png", [b"x"], overwrite=False)
    monkeypatch.undo()
    assert "a.png" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert names_in(tmp_path) == []


def test_a_full_device_is_an_output_error():
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(OutputError, match="No space"), atomic.report_os_errors(Path("x")):
            atomic._write_all(descriptor, b"x")
    finally:
        os.close(descriptor)


def test_short_writes_are_continued(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data[:3])))
    write_file_atomically(tmp_path / "a", [b"0123456789"], overwrite=False)
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_file_and_folder_are_synced_before_and_after_the_rename(tmp_path, monkeypatch):
    path, synced = tmp_path / "a", []
    fsync = os.fsync

    def record(descriptor):
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    write_file_atomically(path, [b"x"], overwrite=False)
    assert synced == [(False, False), (True, True)]


def test_folders_that_cannot_be_synced_are_tolerated(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "sync_file", raise_os_error(errno.EINVAL))
    write_file_atomically(tmp_path / "a", [b"x"], overwrite=False)


KILLED = """
import sys, os, signal
from pathlib import Path
from dask_quant.sinks.atomic import write_file_atomically
def chunks():
    yield b"half"
    os.kill(os.getpid(), signal.SIGKILL)
write_file_atomically(Path(sys.argv[1]), chunks(), overwrite=True)
"""


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    result = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert result.returncode == -9
    assert path.read_bytes() == b"old"


def test_a_folder_in_the_way_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="it is a folder"):
            check_output(tmp_path / "a", overwrite=overwrite)


def test_a_pipe_in_the_way_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a")
    with pytest.raises(OutputError, match="pipe"):
        check_output(tmp_path / "a", overwrite=True)


def test_a_file_as_parent_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(OutputError, match="a/b") as caught:
        check_output(tmp_path / "a" / "b", overwrite=False)
    assert not isinstance(caught.value, OutputExistsError)


def test_a_read_only_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *args: False)  # root may write anywhere
    with pytest.raises(OutputError, match="read-only"):
        check_output(tmp_path / "a", overwrite=False)


def test_a_name_that_is_too_long_is_refused_at_once(tmp_path):
    with pytest.raises(OutputError, match="too long"):
        check_output(tmp_path / ("a" * 256), overwrite=False)


@pytest.mark.parametrize("name", ["a" * 255, "é" * 127, "𝄞" * 63])
def test_the_longest_names_can_be_written(tmp_path, name):
    write_file_atomically(tmp_path / name, [b"x"], overwrite=False)
    assert names_in(tmp_path) == [name]


def test_temporary_names_are_unique_hidden_neighbours(tmp_path):
    first, second = partial_path(tmp_path / "a"), partial_path(tmp_path / "a")
    assert first != second
    assert first.parent == tmp_path
    assert first.name.startswith(".a.")


@pytest.mark.parametrize("exists", [True, False])
def test_a_symlink_is_replaced_not_its_target(tmp_path, exists):
    target, link = tmp_path / "target", tmp_path / "link"
    if exists:
        target.write_bytes(b"old")
    link.symlink_to(target)
    with pytest.raises(OutputExistsError):
        write_file_atomically(link, [b"new"], overwrite=False)
    write_file_atomically(link, [b"new"], overwrite=True)
    assert not link.is_symlink()
    assert link.read_bytes() == b"new"
    assert target.exists() == exists
    assert not exists or target.read_bytes() == b"old"


def test_resolve_below_returns_paths_inside(tmp_path):
    assert resolve_below(tmp_path, PurePosixPath("a/b.png")) == tmp_path / "a/b.png"
    assert resolve_below(tmp_path / "new", PurePosixPath("b")) == tmp_path / "new" / "b"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../b", "a/../../b", "a/..", "/etc/passwd", "a\0b/c"]
)
def test_resolve_below_refuses_names_that_leave(tmp_path, name):
    with pytest.raises(OutputError):
        resolve_below(tmp_path, PurePosixPath(name))


def test_resolve_below_refuses_symlinks_that_lead_out(tmp_path):
    root, outside = tmp_path / "out", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "away").symlink_to(outside)
    (root / "up").symlink_to("..")
    (root / "inside").mkdir()
    (root / "near").symlink_to("inside")
    (root / "loop").symlink_to("loop")
    for name in ("away/b", "away/new/b", "up/b", "up/outside/b", "inside/../away/b", "loop/b"):
        with pytest.raises(OutputError):
            resolve_below(root, PurePosixPath(name))
    assert resolve_below(root, PurePosixPath("near/b")) == root / "near" / "b"
    # The last name may be a symlink: writing replaces it.
    assert resolve_below(root, PurePosixPath("away")) == root / "away"


def test_resolve_below_follows_a_root_that_is_a_symlink(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to("real")
    assert resolve_below(tmp_path / "out", PurePosixPath("a/b")) == tmp_path / "out" / "a/b"


def test_resolve_all_below_looks_at_every_folder(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    root.mkdir()
    elsewhere.mkdir()
    (root / "out").symlink_to(elsewhere)
    near = [PurePosixPath("a/b"), PurePosixPath("a/c"), PurePosixPath("d")]
    assert resolve_all_below(root, near) == [root / "a/b", root / "a/c", root / "d"]
    with pytest.raises(OutputError, match="a symlink leads out"):
        resolve_all_below(root, [*near, PurePosixPath("out/b")])


def test_light_modules_import_nothing_heavy():
    code = (
        "import sys; import dask_quant.sinks.png, dask_quant.sinks.palette_file;"
        "print({'PIL', 'zarr', 'dask', 'numba'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
