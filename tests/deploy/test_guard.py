"""What a test starts ends with it, whatever happens."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import guard
import psutil
import pytest
from daemons import StartError, running, running_daemon, start_again

FAMILY = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, {handler})
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
children = [subprocess.Popen(sleep, start_new_session=True)]
# A grandchild that is left alone at once, and keeps no pipe open.
start = "s.Popen(%r, stdout=s.DEVNULL, stderr=s.DEVNULL, start_new_session=True)" % (sleep,)
code = [sys.executable, "-c", f"import subprocess as s; print({{start}}.pid)"]
orphan = subprocess.run(code, capture_output=True, text=True).stdout
print(os.getpid(), children[0].pid, orphan.strip(), flush=True)
time.sleep(600)
"""
"""A program with a child and an orphan, each in a session of its own; it says their numbers."""


def family(handler):
    return [sys.executable, "-c", FAMILY.format(handler=handler)]


def read_members(process):
    return [psutil.Process(int(word)) for word in process.stdout.readline().split()]


def test_a_command_ends_with_all_that_came_of_it():
    with running(family("signal.SIG_DFL"), stdout=subprocess.PIPE) as process:
        members = read_members(process)
        assert len(members) == 3
        assert all(member.is_running() for member in members)
    assert not any(member.is_running() for member in members)


def test_a_command_that_does_not_stop_is_killed(monkeypatch, tmp_path):
    # The guard is a process of its own: how long it waits is changed in a copy.
    copy, text = tmp_path / "guard.py", Path(guard.__file__).read_text()
    assert text.count("STOP_TIMEOUT_S = 20") == 1
    copy.write_text(text.replace("STOP_TIMEOUT_S = 20", "STOP_TIMEOUT_S = 0.5"))
    monkeypatch.setattr(guard, "__file__", str(copy))
    with running(family("signal.SIG_IGN"), stdout=subprocess.PIPE) as process:
        members = read_members(process)
    assert not any(member.is_running() for member in members)


HOLDER = """
import subprocess, sys, time
from daemons import running
with running({command!r}, stdout=subprocess.PIPE) as process:
    print(process.stdout.readline(), end="", flush=True)
    time.sleep(600)
"""


def test_a_command_ends_when_who_started_it_is_killed():
    code = textwrap.dedent(HOLDER.format(command=family("signal.SIG_DFL")))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment
    )
    members = read_members(holder)
    holder.send_signal(signal.SIGKILL)
    assert holder.wait() == -signal.SIGKILL
    holder.stdout.close()
    gone, alive = psutil.wait_procs(members, timeout=60)
    assert (len(gone), alive) == (3, [])


def test_a_daemon_that_ends_is_said_with_its_log(tmp_path):
    command = [sys.executable, "-c", "raise SystemExit('no such door')"]
    with (
        running_daemon(command, tmp_path / "log") as daemon,
        pytest.raises(StartError, match="no such door"),
    ):
        daemon.wait_until(lambda: False)
    assert daemon.process.returncode == 1


def test_a_port_that_somebody_got_first_is_tried_again():
    attempts = []

    def start():
        attempts.append(time.monotonic())
        if len(attempts) < 3:
            raise StartError("bind: Address already in use")
        return "up"

    assert start_again(start) == "up"
    assert len(attempts) == 3
    with pytest.raises(StartError, match="other"):
        start_again(lambda: (_ for _ in ()).throw(StartError("other")))
