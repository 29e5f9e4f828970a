from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from dask_quant.errors import JobError, OutputError
from dask_quant.sinks import state_folder
from dask_quant.sinks.state_folder import holds_state, open_state

IDENTITY = {"n_colors": 64, "dither": "none", "palette": None, "keep": ["#ff0000"], "tol": 0.5}

HOLDER = """
import sys
from pathlib import Path
from dask_quant.sinks.state_folder import open_state

with open_state(Path(sys.argv[1]), {"n_colors": 64}, shown="out", resume=False) as state:
    state.write_json("far.json", [1, 2])
    print("held", flush=True)
    sys.stdin.read()
"""


def open_for(path, identity=IDENTITY, *, resume=True, **options):
    return open_state(path, identity, shown="out", resume=resume, **options)


def names_in(folder):
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out" / ".dask-quant"


@pytest.fixture
def left(path):
    """A folder that an earlier run has left, with a value and a folder in it."""
    with open_for(path) as state:
        state.write_json("far.json", {"rows": 3})
        (path / "parts").mkdir()
        (path / "parts" / "0-0.part").write_bytes(b"labels")
    return path


@pytest.fixture
def holder(path):
    """Another process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_first_run_starts(path):
    with open_for(path) as state:
        assert (state.path, state.is_resumed, state.notice) == (path, False, None)
        assert names_in(path) == ["job.json", "lock"]
    job = json.loads((path / "job.json").read_text())
    assert (job["version"], job["identity"]) == (1, IDENTITY)
    assert set(job["software"]) == {"dask_quant", "numpy", "numba", "pillow"}


def test_the_same_job_goes_on(left):
    with open_for(left) as state:
        assert (state.is_resumed, state.notice) == (True, None)
        assert state.read_json("far.json") == {"rows": 3}
        assert (left / "parts" / "0-0.part").read_bytes() == b"labels"


@pytest.mark.parametrize("options", [{"resume": False}, {"resume": True, "overwrite": True}])
def test_a_run_that_is_not_to_go_on_starts_afresh(left, options):
    with open_for(left, {"n_colors": 3}, **options) as state:
        assert not state.is_resumed
        assert names_in(left) == ["job.json", "lock"]
    with open_for(left, {"n_colors": 3}) as state:
        assert state.is_resumed


@pytest.mark.parametrize("content", [None, b"", b'{"version": 1, "iden', b"[1]", b'{"version": 1}'])
def test_a_job_that_is_missing_or_torn_starts_afresh(left, content):
    (left / "job.json").unlink()
    if content is not None:
        (left / "job.json").write_bytes(content)
    with open_for(left) as state:
        assert not state.is_resumed
        assert names_in(left) == ["job.json", "lock"]


def test_every_option_that_differs_is_named_with_both_values(left):
    with pytest.raises(JobError) as caught, open_for(left, IDENTITY | {"n_colors": 32, "tol": 1.5}):
        pass
    assert str(caught.value) == (
        "Got n_colors 32 and tol 1.5 where the job in 'out' was started with 64 and 0.5; give the "
        "same options, or --overwrite to start afresh."
    )
    with open_for(left) as state:
        assert state.is_resumed


def test_options_that_one_run_alone_knows_differ(left):
    more = IDENTITY | {"strange": [1, 2]}
    with (
        pytest.raises(JobError, match=r"Got strange \[1, 2\] where .* with null; "),
        open_for(left, more),
    ):
        pass
    fewer = {name: value for name, value in IDENTITY.items() if name != "dither"}
    with (
        pytest.raises(JobError, match=r"Got dither null where .* with none; "),
        open_for(left, fewer),
    ):
        pass


def test_a_long_value_is_shown_in_short(left):
    with pytest.raises(JobError) as caught, open_for(left, IDENTITY | {"keep": ["#000000"] * 1000}):
        pass
    assert len(str(caught.value)) < 300


def test_values_are_compared_as_json_has_them(path):
    with open_for(path, {"keep": ((1, 2, 3),), "weight_power": 1}):
        pass
    with open_for(path, {"keep": [[1, 2, 3]], "weight_power": 1.0}) as state:
        assert state.is_resumed


def test_other_software_is_told_and_no_error(left):
    job = json.loads((left / "job.json").read_text())
    job["software"]["numpy"] = "1.0"
    (left / "job.json").write_text(json.dumps(job))
    with open_for(left) as state:
        assert state.is_resumed
        assert "numpy 1.0 is now" in state.notice
        assert "numba" not in state.notice
        assert "\n" not in state.notice


def test_a_second_run_is_refused_and_told_of_the_first(path, holder):
    with pytest.raises(JobError) as caught, open_for(path):
        pass
    assert re.fullmatch(
        rf"'out' is being written by process {holder.pid} on \S+ since "
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d; wait for it, or stop it first\.",
        str(caught.value),
    )
    assert names_in(path) == ["far.json", "job.json", "lock"]


def test_a_run_that_is_killed_lets_go(path, holder):
    holder.send_signal(signal.SIGKILL)
    assert holder.wait() == -signal.SIGKILL
    with open_for(path, {"n_colors": 64}) as state:
        assert state.is_resumed
        assert state.read_json("far.json") == [1, 2]


def test_a_lock_is_not_inherited(path):
    with open_for(path):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with open_for(path) as state:
            assert state.is_resumed
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()


def test_an_error_in_the_block_lets_go(path):
    with pytest.raises(ZeroDivisionError), open_for(path):
        raise ZeroDivisionError
    with open_for(path) as state:
        assert state.is_resumed


def test_an_unsigned_lock_is_refused_all_the_same(left):
    with open(left / "lock", "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        with pytest.raises(JobError, match="written by another process; wait"), open_for(left):
            pass


@pytest.mark.parametrize("code", [errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK])
def test_a_file_system_without_locks_is_put_up_with(path, monkeypatch, code):
    def refuse(descriptor, how):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(state_folder.fcntl, "flock", refuse)
    with open_for(path) as state:
        assert not state.is_resumed


def test_another_error_of_locking_is_one(path, monkeypatch):
    def refuse(descriptor, how):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(state_folder.fcntl, "flock", refuse)
    with pytest.raises(OutputError, match=r"Cannot lock .*: Input/output error"), open_for(path):
        pass


def test_a_folder_that_the_first_run_removes_meanwhile_is_made_again(left, monkeypatch):
    real, n_calls = fcntl.flock, []

    def finish_first(descriptor, how):
        if not n_calls:
            shutil.rmtree(left)  # as the first run does when it is done
        n_calls.append(descriptor)
        real(descriptor, how)

    monkeypatch.setattr(state_folder.fcntl, "flock", finish_first)
    with open_for(left) as state:
        assert not state.is_resumed
        assert names_in(left) == ["job.json", "lock"]
    assert len(n_calls) == 2


def test_removing_leaves_nothing(left):
    with open_for(left) as state:
        state.remove()
        assert not left.exists()
    assert left.parent.is_dir()


def test_torn_files_are_removed_and_folders_kept(left):
    (left / ".far.json.0123.partial").write_bytes(b"[1,")
    with open_for(left):
        assert names_in(left) == ["far.json", "job.json", "lock", "parts"]


@pytest.mark.parametrize("content", [None, b"", b"[1, 2", b"\xff"])
def test_a_value_that_is_missing_or_torn_is_none(path, content):
    with open_for(path) as state:
        if content is not None:
            (path / "far.json").write_bytes(content)
        assert state.read_json("far.json") is None


@pytest.mark.parametrize("resume", [True, False])
def test_a_symlink_for_the_folder_is_refused(path, tmp_path, resume):
    target = tmp_path / "precious"
    with open_for(target):
        pass
    (target / "photo.png").write_bytes(b"photo")
    path.parent.mkdir()
    path.symlink_to(target)
    with pytest.raises(OutputError, match="holds something else"), open_for(path, resume=resume):
        pass
    assert names_in(target) == ["job.json", "lock", "photo.png"]
    assert not holds_state(path)


@pytest.mark.parametrize("resume", [True, False])
def test_a_folder_without_our_marker_is_left_alone(path, resume):
    path.mkdir(parents=True)
    (path / "photo.png").write_bytes(b"photo")
    with pytest.raises(OutputError, match="holds something else"), open_for(path, resume=resume):
        pass
    assert names_in(path) == ["photo.png"]
    assert not holds_state(path)


def test_a_file_in_the_place_of_the_folder_is_left_alone(path):
    path.parent.mkdir()
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match="holds something else"), open_for(path):
        pass
    assert path.read_bytes() == b"mine"


def test_an_empty_folder_is_taken(path):
    path.mkdir(parents=True)
    with open_for(path) as state:
        assert not state.is_resumed


def test_symlinks_inside_lead_nowhere(left, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "photo").write_text("[1]")
    (left / "far.json").unlink()
    (left / "far.json").symlink_to(precious / "photo")
    (left / "more").symlink_to(precious)
    with open_for(left) as state:
        assert state.read_json("far.json") is None
        state.write_json("far.json", [2])
        assert not (left / "far.json").is_symlink()
    with open_for(left, resume=False):
        assert names_in(left) == ["job.json", "lock"]
    assert (precious / "photo").read_text() == "[1]"


def test_a_lock_that_is_a_symlink_is_refused(left, tmp_path):
    (tmp_path / "precious").write_text("mine")
    (left / "lock").unlink()
    (left / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OutputError, match="holds something else"), open_for(left):
        pass
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_lock_that_is_a_pipe_is_refused(left):
    (left / "lock").unlink()
    os.mkfifo(left / "lock")
    with pytest.raises(OutputError, match="holds something else"), open_for(left):
        pass


def test_a_folder_bears_our_marker_from_the_lock_on(path, left):
    assert holds_state(left)
    (left / "job.json").unlink()
    assert holds_state(left)
    (left / "lock").unlink()
    assert not holds_state(left)
    assert not holds_state(path / "nowhere")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="read-only"), open_for(tmp_path / "state"):
        pass


def test_a_full_disk_is_told_and_leaves_nothing_to_go_on_with(path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("dask_quant.sinks.atomic.os.fsync", fail)
        with pytest.raises(OutputError, match="No space left"), open_for(path):
            pass
    with open_for(path) as state:
        assert not state.is_resumed


def test_a_folder_below_is_made_once_and_loses_what_is_torn(path, tmp_path):
    with open_for(path) as state:
        folder = state.make_folder("parts")
        assert folder.is_absolute()
        (folder / "0.part").write_bytes(b"whole")
        (folder / ".0.part.12.partial").write_bytes(b"torn")
        (folder / ".store.12.partial").mkdir()
        assert names_in(state.make_folder("parts")) == ["0.part"]


def test_a_symlink_to_a_folder_is_not_taken_for_one(path, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "photo").write_bytes(b"mine")
    with open_for(path) as state:
        (path / "parts").symlink_to(tmp_path / "precious")
        folder = state.make_folder("parts")
        assert not folder.is_symlink()
        assert names_in(folder) == []
        (path / "more").symlink_to(tmp_path / "precious")
        state.discard("more", "nowhere")
    assert names_in(tmp_path / "precious") == ["photo"]


def test_tidying_keeps_what_the_job_is_and_what_is_named(left):
    with open_for(left) as state:
        assert not state.is_bare()
        state.tidy("far.json")
        assert names_in(left) == ["far.json", "job.json", "lock"]
        state.tidy()
        assert state.is_bare()
    with open_for(left) as state:
        assert state.is_resumed


def test_a_job_of_another_version_is_left_alone(path, left):
    (path / "job.json").write_bytes(b'{"version": 2, "identity": {}}')
    with (
        pytest.raises(JobError, match=r"of another version of dask_quant; go on with that one"),
        open_state(path, {}, shown="out", resume=True),
    ):
        pass
    assert (path / "job.json").read_bytes() == b'{"version": 2, "identity": {}}'
