"""Jobs that can be watched: whoever listened before hears the same, and calls tell no secret."""

import inspect
from pathlib import Path

import numpy as np
import pytest

import dask_quant as dq
from dask_quant import watching
from dask_quant.events import Event, Notice, ignore_event
from dask_quant.options import ClusterOptions
from dask_quant.watching import Watcher, describe_call, name_call, tell_report, watched

JOBS = ("quantize", "apply_palette", "make_palette", "segment", "apply_classes", "score_classes")


@watched
def shrink(source, *, n_colors=1, listener=ignore_event):
    """Shrink an image."""
    listener(Event("fit", 1, 2, "rounds"))
    listener(Notice("half-way"))
    return listener


def test_the_listener_hears_all_and_the_watcher_keeps_it():
    heard = []
    watcher = shrink("a.png", n_colors=3, listener=heard.append)
    assert heard == [Event("fit", 1, 2, "rounds"), Notice("half-way")]
    told = watcher.to_json()
    assert (told["command"], told["call"]) == ("shrink", "shrink('a.png', n_colors=3)")
    assert [(stage["name"], stage["done"]) for stage in told["stages"]] == [("fit", 1)]


def test_a_watched_function_looks_as_it_did():
    assert shrink.__doc__ == "Shrink an image."
    assert list(inspect.signature(shrink).parameters) == ["source", "n_colors", "listener"]


@pytest.mark.parametrize("name", [*JOBS, "elbow"])
def test_every_function_for_whole_jobs_is_watched(name):
    function = getattr(dq, name)
    assert "listener" in inspect.signature(function).parameters
    assert inspect.unwrap(function) is not function


def test_each_change_is_counted():
    watcher = Watcher(ignore_event, "quantize", "")
    seen = [watcher.n_changes]
    for change in (
        lambda: watcher(Event("fit", 1, 2)),
        lambda: watcher.take_palette(["#000000"]),
        lambda: watcher.take_report({"n_images": 1}),
        lambda: watcher.start("client"),
        lambda: watcher.end(None),
    ):
        change()
        seen.append(watcher.n_changes)
    assert seen == sorted(set(seen))


def test_what_is_no_watcher_is_told_nothing():
    tell_report(ignore_event, {"n_images": 1})
    assert name_call(ignore_event) == ""


LOGIN, SIGNATURE = "canary-login-19c2", "canary-signature-66aa"
ADDRESS = f"s3://me:{LOGIN}@scans/a/?X-Amz-Signature={SIGNATURE}"


@pytest.mark.parametrize(
    ("args", "kwargs", "call"),
    [
        ((ADDRESS, Path("out")), {}, "run('s3://***@scans/a/?***', 'out')"),
        (([ADDRESS] * 6, "o"), {}, None),
        (("a",), {"cluster": ClusterOptions(workers=2)}, "run('a', cluster=ClusterOptions("),
        (("a",), {"seed": 3, "report": None}, "run('a', seed=3, report=None)"),
        ((np.zeros((4, 5, 3), np.uint8), "o"), {}, "run(<4 x 5 x 3 uint8>, 'o')"),
        (("a",), {"palette": object()}, "run('a', palette=<object>)"),
        (("a",), {"listener": print}, "run('a')"),
    ],
)
def test_a_call_of_python_is_shown_as_it_is_written_without_secrets(args, kwargs, call):
    text = describe_call("run", args, kwargs)
    assert "canary" not in text
    assert call is None or text.startswith(call.removesuffix(")"))
    assert len(text) < 400


def test_a_command_is_shown_as_it_was_typed_without_secrets(monkeypatch):
    typed = ["dask-quant", "quantize", ADDRESS, "two words.png", "-k", "3"]
    monkeypatch.setattr(watching, "is_process_ours", lambda: True)
    monkeypatch.setattr("sys.argv", typed)
    text = describe_call("quantize", (), {})
    assert "canary" not in text
    assert text.startswith("dask-quant quantize ")
    assert text.endswith("'two words.png' -k 3")
