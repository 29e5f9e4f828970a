"""A signal stops a command wherever it arrives."""

import gc
import signal
import sys
import threading

import pytest

import dask_quant as dq
from dask_quant.faces.terminal import run_command


class Bomb:
    """Raises a signal in its destructor, where Python swallows what handlers raise."""

    def __init__(self, number):
        self.number = number

    def __del__(self):
        signal.raise_signal(self.number)


def wait_after_bomb(number):
    """Run a command in which a signal is raised in a destructor, and wait for it to take hold."""
    with run_command("demo", quiet=True, as_json=False):
        bomb = Bomb(number)
        del bomb
        gc.collect()
        threading.Event().wait(60)  # ended by the signal, sent again
        pytest.fail("the signal was lost")


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")],
)
def test_a_signal_in_a_destructor_is_not_lost(number, code, word, capsys):
    with pytest.raises(SystemExit) as caught:
        wait_after_bomb(number)
    assert caught.value.code == code
    assert capsys.readouterr().err.startswith(f"error: {word}; ")


def test_handlers_and_hooks_are_put_back():
    before = signal.getsignal(signal.SIGTERM), sys.unraisablehook
    with pytest.raises(SystemExit), run_command("demo", quiet=True, as_json=False):
        pass
    assert (signal.getsignal(signal.SIGTERM), sys.unraisablehook) == before


@pytest.mark.parametrize(("command", "asks"), [("attach", "follow_job"), ("status", "read_job")])
def test_a_command_about_jobs_that_is_left_does_not_end_them(run, monkeypatch, command, asks):
    def leave(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(dq, asks, leave)
    done = run(command, "quantize-1", "--scheduler=tcp://a:1")
    assert done.code == 130
    (line,) = done.lines
    assert "interrupted; jobs of the cluster go on" in line
