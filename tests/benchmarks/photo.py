"""One photograph of 0.4 megapixels from the shell, warm: a command, not a test.

    python tests/benchmarks/photo.py                   # the sample photograph, scaled
    python tests/benchmarks/photo.py --image my.png -k 64 --repeats 9 --json

Wall time from before a process starts until it has ended, best and median. The kernels were
compiled and the files read before. The floor is what importing NumPy, Numba and Pillow takes. The
second table says where the time of one run goes, step after step.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from machine import describe_machine
from PIL import Image

from dask_quant.sources.samples import find_sample_images

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZE = (768, 512)
"""Width and height to which the sample photograph is scaled: 0.4 megapixels."""

AIM_S = 1.5
"""Seconds that a run of ours may take at most, on the machine that the aims were set on."""

SHELL = "import sys; from dask_quant.faces.cli import main; sys.argv[0] = 'dask-quant'; main()"
"""What the entry point of the package runs."""

FLOOR = "import numpy, numba, PIL.Image"
"""What no command that needs these packages can undercut."""

STEPS = """
import sys, time
begin = float(sys.argv[1])
marks = [("start Python", time.time())]
def mark(name):
    marks.append((name, time.time()))
from dask_quant.faces import cli
cli.claim_process()
mark("import click and the command line")
import numpy
mark("import NumPy")
import numba
mark("import Numba")
import PIL.Image
mark("import Pillow")
import dask_quant as dq
quantize = dq.quantize
mark("import the rest, and what Numba loads for it")
def run():
    before = time.perf_counter()
    options = dict(n_colors=int(sys.argv[4]), overwrite=True)
    return quantize(sys.argv[2], sys.argv[3], **options), time.perf_counter() - before
first, first_s = run()
again, again_s = run()
import json
names = [name for name, _ in marks]
times = [begin] + [when for _, when in marks]
rows = [(name, b - a) for name, a, b in zip(names, times, times[1:])]
rows.append(("load kernels at their first call", first_s - again_s))
rows += [(name, s) for name, s in again.seconds.items() if name != "total"]
print(json.dumps(rows))
"""
"""A program that does what the command does, and says how long each step took."""


PROGRAMS = ("Python", "NumPy", "Numba", "pngquant", "dask_quant")
"""What the results depend on."""


@dataclass(frozen=True)
class Row:
    """One command."""

    what: str
    """Its name and its settings."""
    best_s: float | None
    """Least seconds of all runs; None: not installed."""
    median_s: float | None
    """Median of their seconds."""


@dataclass(frozen=True)
class Step:
    """One step of a run of ours."""

    what: str
    """What is done."""
    seconds: float
    """Least of all runs."""


def prepare_image(given: Path | None, folder: Path) -> Path:
    """Return the photograph, or the sample scaled to 0.4 megapixels."""
    if given is not None:
        return given
    with Image.open(find_sample_images()[0]) as sample:
        sample.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS).save(folder / "photo.png")
    return folder / "photo.png"


def list_commands(image: Path, folder: Path, k: int) -> list[tuple[str, list[str]]]:
    """Return what is run, ours first and the floor last."""
    ours = [sys.executable, "-c", SHELL, "quantize", str(image), "-k", str(k), "--overwrite"]
    out = str(folder / "theirs.png")
    return [
        (f"dask-quant quantize -k {k}", [*ours, "-o", str(folder / "ours.png")]),
        (f"pngquant {k}", ["pngquant", "--force", "--output", out, str(k), "--", str(image)]),
        (f"floor: {FLOOR}", [sys.executable, "-c", FLOOR]),
    ]


def time_command(command: Sequence[str]) -> float:
    """Return the seconds of one run."""
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begin


def measure_commands(commands: Sequence[tuple[str, list[str]]], repeats: int) -> list[Row]:
    """Return best and median of every command; one round runs all of them."""
    installed = [i for i, (_, command) in enumerate(commands) if shutil.which(command[0])]
    for i in installed:
        time_command(commands[i][1])  # compiles, and warms caches
    seconds: dict[int, list[float]] = {i: [] for i in installed}
    for _ in range(repeats):
        for i in installed:
            seconds[i].append(time_command(commands[i][1]))
    return [
        Row(what, min(seconds[i]), statistics.median(seconds[i]))
        if i in seconds
        else Row(f"{what}: not installed", None, None)
        for i, (what, _) in enumerate(commands)
    ]


def measure_steps(image: Path, folder: Path, k: int, repeats: int) -> list[Step]:
    """Return the least seconds of every step of ``repeats`` runs."""
    least: dict[str, float] = {}
    for _ in range(repeats):
        names = [str(time.time()), str(image), str(folder / "steps.png"), str(k)]
        command = [sys.executable, "-c", STEPS, *names]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        for what, seconds in json.loads(done.stdout):
            least[what] = min(seconds, least.get(what, seconds))
    return [Step(what, seconds) for what, seconds in least.items()]


def print_tables(rows: Sequence[Row], steps: Sequence[Step], what: str) -> None:
    """Print both tables as Markdown."""
    print(f"{what}; {describe_machine(*PROGRAMS)}\n")
    print("| command | best s | median s |\n|---|---:|---:|")
    for row in rows:
        times = "- | -" if row.best_s is None else f"{row.best_s:.2f} | {row.median_s:.2f}"
        print(f"| {row.what} | {times} |")
    print("\n| step of dask-quant | least ms |\n|---|---:|")
    for step in steps:
        print(f"| {step.what} | {step.seconds * 1e3:.0f} |")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables, or JSON; exit with 1 when the aim was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=Path, help="a photograph, as PNG for pngquant")
    parser.add_argument("-k", "--colors", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", dest="as_json")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = prepare_image(given.image, folder)
        rows = measure_commands(list_commands(image, folder, given.colors), given.repeats)
        steps = measure_steps(image, folder, given.colors, given.repeats)
        with Image.open(image) as opened:
            size = f"{image.name}, {opened.width} x {opened.height}, k={given.colors}"
    if given.as_json:
        values = {"rows": [asdict(row) for row in rows], "steps": [asdict(step) for step in steps]}
        print(json.dumps({"machine": describe_machine(*PROGRAMS), "image": image.name, **values}))
    else:
        print_tables(rows, steps, size)
    ours = rows[0].best_s
    return 0 if ours is not None and ours <= AIM_S else 1


if __name__ == "__main__":
    sys.exit(main())
