"""Runs of jobs that are killed on the way, each in a process of its own.

Read from standard input is JSON: a list of runs. Each is the name of a function of `dask_quant`,
its arguments, values to set in modules, and at what it kills itself: the n-th event of a stage
(``["relabel", 3]``), or having called a function (``["dask_quant.workplace:put_in_place"]``); or
how many bytes its files may have, as if the disk were full (``["limit", 10000]``). A line of JSON
comes back for each: how the process ended, the stages that its listener was told of, its report,
and the files that are there.
"""

import importlib
import json
import os
import resource
import signal
import sys
import traceback
from collections import Counter
from pathlib import Path

import dask_quant as dq
from dask_quant import kept_counts
from dask_quant.errors import DaskQuantError
from dask_quant.events import Event, Notice
from dask_quant.routes import chunked  # noqa: F401 - loaded once, before any process is forked
from dask_quant.sinks import png, store_layout, tiff_layout


def cut_small_images():
    """Cut small images as large ones are, and keep counts as often as can be."""
    store_layout.CHUNK_SIDE, store_layout.SHARD_SIDE = 32, 64
    tiff_layout.TILE_SIDE, tiff_layout.BLOCK_SIDE = 32, 64
    png.STRIP_PIXELS = 64 * 200
    kept_counts.MIN_CHECKPOINT_S, kept_counts.CHECKPOINT_SHARE = 0.0, 0
    kept_counts.BLOCKS_PER_THREAD = 1


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def find(name):
    home, _, attribute = name.partition(":")
    return importlib.import_module(home), attribute


def die_after(name):
    module, function = find(name)
    real = getattr(module, function)

    def call_and_die(*args, **kwargs):
        real(*args, **kwargs)
        die()

    setattr(module, function, call_and_die)


class Listener:
    """Notes what it is told, on disk, for it may be killed; kills when it is time."""

    def __init__(self, path, kill):
        self.file = path.open("w")
        self.kill = kill
        self.n_events = Counter()

    def __call__(self, event):
        told = event.message if isinstance(event, Notice) else event.stage
        print(json.dumps(told), file=self.file, flush=True)
        if isinstance(event, Event):
            self.n_events[event.stage] += 1
            if self.kill == [event.stage, self.n_events[event.stage]]:
                die()


def run_here(run, told, kept):
    if len(run["kill"]) == 1:
        die_after(*run["kill"])
    if run["kill"][:1] == ["limit"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (run["kill"][1], resource.RLIM_INFINITY))
    for name, value in run.get("set", {}).items():
        setattr(*find(name), value)
    function = getattr(dq, run["function"])
    listener = Listener(told, run["kill"])
    try:
        report = function(*run["args"], **run["options"], listener=listener).to_json()
    except DaskQuantError as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        report = {"error": type(error).__name__, "message": str(error)}
    kept.write_text(json.dumps(report))


def run_apart(run, folder):
    told, kept = folder / "told.txt", folder / "report.json"
    kept.unlink(missing_ok=True)
    pid = os.fork()
    if pid == 0:
        try:
            run_here(run, told, kept)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    report = json.loads(kept.read_text()) if kept.exists() else None
    return {"status": status, "told": lines, "report": report, "files": list_files(folder)}


def list_files(folder):
    """Return the time of change of every file below a folder."""
    files = (each for each in sorted(folder.rglob("*")) if each.is_file())
    return {each.relative_to(folder).as_posix(): each.stat().st_mtime_ns for each in files}


def warm_up(folder):
    """Compile and load what all runs need, on no thread but this one, for the sake of time."""
    here = dq.ClusterOptions(scheduler="synchronous")
    given = {"n_colors": 7, "effort": "fast", "cluster": here, "chunks": 64, "overwrite": True}
    for dither in ("none", "bayer", "floyd-steinberg"):
        dq.quantize(folder / "a.png", folder / "warm.png", dither=dither, **given)
    dq.quantize(folder / "a.png", folder / "warm.png", n_colors=7, effort="fast", overwrite=True)
    (folder / "warm.png").unlink()


if __name__ == "__main__":
    cut_small_images()
    warm_up(Path.cwd())
    for each in json.load(sys.stdin):
        print(json.dumps(run_apart(each, Path.cwd())), flush=True)
