"""The command that compares deployments finds what differs, and says what cannot run."""

import sys
from contextlib import contextmanager
from pathlib import Path

import check
import pytest
from deployments import Deployment, Kind


def write_as(text):
    """Return a deployment that writes a text for every output."""

    @contextmanager
    def start(folder):
        def quantize(arguments):
            Path(arguments[arguments.index("-o") + 1]).write_text(text)

        yield Deployment(quantize)

    return start


@contextmanager
def fail(folder):
    raise RuntimeError("no room at the inn")
    yield


KINDS = {
    "good": Kind(write_as("a"), lambda: None),
    "bad": Kind(write_as("b"), lambda: None),
    "broken": Kind(fail, lambda: None),
    "absent": Kind(fail, lambda: "its program is not installed"),
}


@pytest.fixture
def run_check(monkeypatch):
    monkeypatch.setattr(check, "KINDS", KINDS)
    monkeypatch.setattr(check, "threads", write_as("a"))
    monkeypatch.setattr(check, "write_inputs", lambda folder: None)

    def run(*names):
        monkeypatch.setattr(sys, "argv", ["check.py", *names])
        return check.main()

    return run


def test_the_same_bytes_are_said_to_be_so(run_check, capsys):
    assert run_check("good") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("threads ")
    assert second.split()[:3] == ["good", "the", "same"]
    assert first.split()[-1] == second.split()[-1]


@pytest.mark.parametrize(
    ("name", "said"), [("bad", "DIFFERENT"), ("bad", "strips.png: "), ("broken", "failed")]
)
def test_other_bytes_and_failures_are_found(run_check, capsys, name, said):
    assert run_check("good", name) == 1
    assert said in capsys.readouterr().out


def test_what_cannot_run_is_said_and_an_error_where_it_was_named(run_check, capsys, monkeypatch):
    assert run_check("absent") == 2
    assert "not run: its program is not installed" in capsys.readouterr().out
    monkeypatch.setattr(check, "KINDS", {name: KINDS[name] for name in ("good", "absent")})
    assert run_check() == 0
    with pytest.raises(SystemExit):
        run_check("nobody")
