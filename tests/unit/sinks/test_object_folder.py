"""Outputs in object stores: whole or not there, no row lost or twice, no secret told."""

import json
import logging
import multiprocessing
import os
import pickle
import signal
import socket
import subprocess
import sys
import time

import fsspec
import pytest
import s3_server

from dask_quant.errors import DaskQuantError, JobError, OutputError, SourceError
from dask_quant.sinks import object_folder, object_lock
from dask_quant.sinks.object_folder import ObjectFolder
from dask_quant.sources import file_systems

pytestmark = pytest.mark.usefixtures("no_waiting")


@pytest.fixture(params=["s3", "memory", "file"])
def folder(request):
    """A folder of outputs that does not exist yet."""
    return ObjectFolder(request.getfixturevalue(f"{request.param}_url") + "/out")


@pytest.fixture
def remote(bucket):
    """A folder of outputs in S3, whose store may misbehave."""
    return ObjectFolder("s3://scans/out/")


def rows(folder):
    return b"".join(folder.read_rows())


def test_what_is_written_is_read_listed_and_removed(folder):
    assert list(folder.list()) == []
    assert folder.read("a.png") is None
    folder.write("x/b.png", b"12345")
    folder.write("a.png", b"1")
    folder.write("a.png", b"22")
    assert folder.read("a.png") == b"22"
    assert folder.exists("x/b.png")
    assert not folder.exists("x")
    assert not folder.exists("none")
    assert sorted(folder.list()) == ["a.png", "x/b.png"]
    assert list(folder.list("x/")) == list(folder.list("x")) == ["x/b.png"]
    folder.remove("a.png")
    folder.remove("a.png")
    assert list(folder.list()) == ["x/b.png"]


def test_an_object_is_created_once(folder):
    assert folder.create("a", b"1")
    assert not folder.create("a", b"2")
    assert folder.read("a") == b"1"


@pytest.mark.parametrize("relative", ["", "/a", "../a", "x/../../a", "x//a", "./a", "x/"])
def test_nothing_is_written_outside_of_the_folder(folder, relative):
    for act in (lambda: folder.write(relative, b""), lambda: folder.remove(relative)):
        with pytest.raises(OutputError, match="must lie below"):
            act()


def test_an_object_is_put_by_one_request(remote, bucket):
    bucket.forget()
    remote.write("x/a.png", bytes(1_000_000))
    assert [method for method, _ in bucket.requests] == ["PUT"]
    assert bucket.read("out/x/a.png") == bytes(1_000_000)
    remote.put_rows(b"1\n")
    bucket.forget()
    remote.put_rows(b"2\n")
    assert [method for method, _ in bucket.requests] == ["PUT"]


def test_rows_come_back_in_the_order_in_which_runs_put_them(folder):
    folder.put_rows(b"1\n")
    folder.put_rows(b"2\n3\n")
    again = ObjectFolder(folder.url)
    assert rows(again) == b"1\n2\n3\n"
    again.put_rows(b"4\n")
    assert sorted(folder.list(".dask-quant")) == [
        f".dask-quant/manifest-{number:06}.jsonl" for number in (1, 2, 3)
    ]
    again.join_rows()
    assert list(folder.list()) == ["manifest.jsonl"]
    assert folder.read("manifest.jsonl") == rows(folder) == b"1\n2\n3\n4\n"
    again.put_rows(b"5\n")
    assert rows(folder) == b"1\n2\n3\n4\n5\n"
    ObjectFolder(folder.url).join_rows()
    folder.join_rows()
    assert folder.read("manifest.jsonl") == b"1\n2\n3\n4\n5\n"


def test_numbers_beyond_six_digits_stay_in_order(folder):
    for number in (999_999, 2):
        folder.write(f".dask-quant/manifest-{number:06}.jsonl", b"%d\n" % number)
    folder.put_rows(b"1000000\n")
    assert rows(folder) == b"2\n999999\n1000000\n"


def test_a_segment_of_another_run_is_never_replaced(folder):
    folder.put_rows(b"1\n")
    other = ObjectFolder(folder.url)
    other.put_rows(b"2\n")
    folder.put_rows(b"3\n")  # it knows of one segment alone
    assert rows(folder) == b"1\n2\n3\n"


@pytest.mark.parametrize(
    ("store", "n_acts"), [*(("memory", n_acts) for n_acts in range(6)), ("s3", 2), ("file", 3)]
)
def test_joining_that_ends_anywhere_loses_no_row_and_doubles_none(
    request, monkeypatch, store, n_acts
):
    folder = ObjectFolder(request.getfixturevalue(f"{store}_url") + "/out")
    for row in (b"1\n", b"2\n"):
        folder.put_rows(row)
    folder.join_rows()
    for row in (b"3\n", b"4\n"):
        folder.put_rows(row)
    left = iter(range(n_acts))

    def act_or_end(self, *arguments):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return act(self, *arguments)

    act = ObjectFolder._insist  # writes and removes
    with monkeypatch.context() as patch:
        patch.setattr(ObjectFolder, "_insist", act_or_end)
        try:
            folder.join_rows()
            is_ended = False
        except KeyboardInterrupt:
            is_ended = True
    assert is_ended is (n_acts < 5)  # the mark, the manifest, two segments, the mark
    after = ObjectFolder(folder.url)
    assert rows(after) == b"1\n2\n3\n4\n"
    after.put_rows(b"5\n")
    assert rows(after) == b"1\n2\n3\n4\n5\n"
    after.join_rows()
    assert after.read("manifest.jsonl") == b"1\n2\n3\n4\n5\n"
    assert list(after.list()) == ["manifest.jsonl"]


def test_a_long_manifest_is_joined_part_by_part(remote, bucket, monkeypatch):
    part_bytes = 5 << 20  # the least that S3 takes
    monkeypatch.setattr(object_folder, "_PART_BYTES", part_bytes)
    lines = [b"%07d" % number * 1000 + b"\n" for number in range(1800)]
    for start in (0, 600, 1200):
        remote.put_rows(b"".join(lines[start : start + 600]))
        remote.join_rows()
    assert bucket.read("out/manifest.jsonl") == b"".join(lines)
    assert any("uploadId" in path for _, path in bucket.requests)
    parts = list(remote.read_rows())
    assert len(parts) > 2
    assert all(part.endswith(b"\n") for part in parts)
    assert b"".join(parts) == b"".join(lines)


def test_a_long_manifest_that_cannot_be_read_on_replaces_nothing(remote, bucket, monkeypatch):
    monkeypatch.setattr(object_folder, "_PART_BYTES", 5 << 20)
    remote.put_rows(b"0" * (6 << 20) + b"\n")
    remote.join_rows()
    before = bucket.read("out/manifest.jsonl")
    remote.put_rows(b"1\n")
    whole = rows(remote)
    n_read = []

    def misbehave(method, path, times):
        n_read.append(path.endswith("manifest-000001.jsonl") and method == "GET")
        return "500" if sum(n_read) > 1 else ""  # once for the digest

    bucket.misbehave = misbehave
    with pytest.raises(DaskQuantError):
        remote.join_rows()
    bucket.misbehave = lambda method, path, times: ""
    assert bucket.read("out/manifest.jsonl") == before
    assert rows(ObjectFolder(remote.url)) == whole


@pytest.mark.parametrize("fault", ["500", "503", "slow", "cut", "lost"])
def test_a_store_that_fails_now_and_then_is_asked_again(remote, bucket, fault):
    bucket.misbehave = lambda method, path, times: fault if times < 3 else ""
    remote.write("a.png", b"12345")
    assert remote.read("a.png") == b"12345"
    for row in (b"1\n", b"2\n"):
        remote.put_rows(row)
    with remote.lock():
        assert not ObjectFolder(remote.url).create(".dask-quant/lock", b"")
    remote.join_rows()
    bucket.misbehave = lambda method, path, times: ""
    assert bucket.list_keys() == ["out/a.png", "out/manifest.jsonl"]
    assert bucket.read("out/manifest.jsonl") == b"1\n2\n"


def test_a_store_that_cannot_make_sure_is_looked_at(remote, bucket, monkeypatch):
    file_system, _ = file_systems.open_file_system(remote.url)
    put = type(file_system).pipe_file

    def pipe_file(self, path, data, mode="overwrite"):
        if mode == "create":
            raise OSError(38, "A header you provided implies functionality that is not implemented")
        return put(self, path, data)

    monkeypatch.setattr(type(file_system), "pipe_file", pipe_file)
    remote.put_rows(b"1\n")
    ObjectFolder(remote.url).put_rows(b"2\n")
    assert not remote.create(".dask-quant/manifest-000001.jsonl", b"3\n")
    assert rows(remote) == b"1\n2\n"


def test_a_bucket_that_is_not_there_or_not_ours_says_so(remote, bucket):
    nowhere = ObjectFolder("s3://nowhere/out")
    for act in (lambda: nowhere.write("a", b""), lambda: nowhere.put_rows(b"\n")):
        with pytest.raises(OutputError, match=r"s3://nowhere/out/.*: there is no such bucket"):
            act()
    bucket.misbehave = lambda method, path, times: "403"
    with pytest.raises(OutputError, match="Cannot write s3://scans/out/a: permission denied"):
        remote.write("a", b"")
    with pytest.raises(SourceError, match="permission denied"):
        remote.read("a")


def test_a_second_run_is_refused_and_told_who_writes(folder):
    with folder.lock("the folder out"):
        for again in (folder, ObjectFolder(folder.url)):
            with pytest.raises(JobError) as caught, again.lock("the folder out"):
                pass
            message = str(caught.value)
            assert f"Cannot write to the folder out: another run, process {os.getpid()}" in message
            assert socket.gethostname() in message
            assert "\n" not in message
    assert list(folder.list()) == []
    with folder.lock():
        pass


def leave_lock(folder, **changes):
    """Leave a lock as a run that was killed does."""
    holder = json.loads(object_lock._Holder.here().dump()) | changes
    folder.write(".dask-quant/lock", json.dumps(holder).encode())


def find_dead_pid():
    child = multiprocessing.get_context("spawn").Process(target=int)
    child.start()
    child.join()
    return child.pid


def test_a_lock_whose_process_is_gone_is_taken_over(folder, monkeypatch):
    monkeypatch.setattr(object_lock, "_SETTLE_S", 0.01)
    for changes in (
        {"pid": find_dead_pid()},
        {"pid": os.getpid()},  # of a container that was started again
        {"host": "elsewhere", "beat": time.time() - object_lock.STALE_S - 1},
        {"pid": os.getppid(), "beat": time.time() - object_lock.STALE_S - 1},
    ):
        leave_lock(folder, **changes)
        with folder.lock():
            pass
        assert list(folder.list()) == []
    for changes in ({"host": "elsewhere"}, {"pid": os.getppid()}):
        leave_lock(folder, **changes)
        with pytest.raises(JobError, match="another run, process"), folder.lock():
            pass
    folder.write(".dask-quant/lock", b"nonsense")
    with pytest.raises(JobError, match="holds something else"), folder.lock():
        pass


def test_a_lock_outlives_its_run_and_is_taken_over_once_that_is_killed(file_url, monkeypatch):
    monkeypatch.setattr(object_lock, "_SETTLE_S", 0.01)
    code = (
        "import sys, time\n"
        "from dask_quant.sinks.object_folder import ObjectFolder\n"
        "with ObjectFolder(sys.argv[1]).lock():\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    folder = ObjectFolder(file_url)
    with subprocess.Popen([sys.executable, "-c", code, file_url], stdout=subprocess.PIPE) as run:
        assert run.stdout.readline() == b"held\n"
        with pytest.raises(JobError, match=f"another run, process {run.pid} on"), folder.lock():
            pass
        run.kill()
        assert run.wait() == -signal.SIGKILL
    assert folder.exists(".dask-quant/lock")
    with folder.lock():
        pass
    assert not folder.exists(".dask-quant/lock")


def test_of_two_that_take_over_one_gives_way(folder, monkeypatch):
    leave_lock(folder, pid=find_dead_pid())
    monkeypatch.setattr(
        object_lock.time, "sleep", lambda seconds: leave_lock(folder, host="elsewhere")
    )
    with pytest.raises(JobError, match="on elsewhere"), folder.lock():
        pass
    assert folder.exists(".dask-quant/lock")


def test_a_lock_is_refreshed_while_it_is_held(folder, monkeypatch):
    monkeypatch.setattr(object_lock, "BEAT_S", 0.01)
    with folder.lock() as lock:
        first = json.loads(folder.read(".dask-quant/lock"))
        while (last := json.loads(folder.read(".dask-quant/lock")))["beat"] == first["beat"]:
            time.sleep(0.01)
        lock.check()
    assert last | {"beat": 0} == first | {"beat": 0}
    assert list(folder.list()) == []


def test_a_run_that_lost_its_lock_writes_no_rows(folder):
    with folder.lock() as lock:
        folder.put_rows(b"1\n")
        leave_lock(folder, host="elsewhere")
        lock.refresh()
        with pytest.raises(JobError, match="another run has taken it over"):
            folder.put_rows(b"2\n")
    assert json.loads(folder.read(".dask-quant/lock"))["host"] == "elsewhere"
    assert rows(folder) == b"1\n"


def test_a_refreshment_that_fails_is_tried_again(remote, bucket):
    with remote.lock() as lock:
        bucket.misbehave = lambda method, path, times: "500"
        lock.refresh()
        lock.check()
        bucket.misbehave = lambda method, path, times: ""
        lock.refresh()
        lock.check()
    assert bucket.list_keys() == []


def test_a_folder_is_small_once_it_is_pickled_and_written_to_elsewhere(folder):
    with folder.lock():
        folder.put_rows(b"1\n")
        data = pickle.dumps(folder)
    assert len(data) < 1000
    pickle.loads(data).write("a", b"1")
    assert folder.read("a") == b"1"


def say_all(folder):
    """Return what a folder says of itself, and when anything is done with it."""
    yield from (repr(folder), folder.name)
    for act in (
        lambda: folder.write("a", b"1"),
        lambda: folder.read("a"),
        lambda: list(folder.list()),
        lambda: folder.put_rows(b"1\n"),
        lambda: folder.join_rows(),
        lambda: folder.lock().__enter__(),
        lambda: folder.remove("a"),
    ):
        try:
            act()
        except DaskQuantError as error:
            yield from (str(error), repr(error), repr(error.__cause__))


def test_secrets_are_shown_nowhere(bucket, monkeypatch, caplog, capfd):
    hush = "hush-5e1c"
    monkeypatch.setitem(fsspec.config.conf, "s3", {"secret": hush, "key": "me"})
    caplog.set_level(logging.INFO)
    said = []
    for url in ("s3://scans/out", f"s3://me:{hush}@scans/out"):
        for fault in ("403", "500", "404", "cut", ""):
            bucket.misbehave = lambda method, path, times, fault=fault: fault
            said += say_all(ObjectFolder(url))
    said += [bucket.read(key).decode() for key in bucket.list_keys()]
    said += [caplog.text, *capfd.readouterr()]
    assert len(said) > 60
    assert not [text for text in said[:60] if "\n" in text]
    for secret in (hush, s3_server.SECRET):
        assert not [text for text in said if secret in text]
