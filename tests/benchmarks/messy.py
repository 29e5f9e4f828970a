"""Quantize every file below a folder, one by one: each must end well, or in one line that says why.

Each file is quantized in a process of its own kind, which is replaced when it crashes or takes too
long, so that one poisonous file costs one row of the table. What is broken is found by its name,
as far as the name says anything:

- ``ok_*`` must be written;
- ``bad_*``, and ``x*.png`` of PngSuite, must be refused;
- everything else must be either, and never end in a crash, a hang, a traceback or several lines.

What is written is read back with Pillow: indexed, as many colours at most, as large as the input
is shown. Run it as ``python tests/benchmarks/messy.py FOLDER``; it fails when a rule is broken.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import warnings
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection

N_COLORS = 16
"""Colours of every output (arbitrary)."""

UNSEEN = ("bad_bitflips_in_scan.jpg",)
"""Broken files that no decoder can tell: a JPEG's scan has no checksum."""


@dataclass(frozen=True)
class Row:
    """What became of one file."""

    path: str
    """Below the folder."""
    outcome: str
    """``written``, ``refused``, ``crash``, ``hang``, ``traceback`` or ``wrong``."""
    said: str
    """The reason, or what is stored and warned of."""
    broken: str = ""
    """The rule that this breaks."""

    @property
    def reason(self) -> str:
        """The reason less the name of the file, to be counted."""
        return self.said.replace(self.path, "FILE")


def quantize_one(path: str, out: str) -> tuple[str, str]:
    """Quantize one file and look at what was written: its outcome, and what is to be said."""
    import dask_quant as dq

    Path(out).unlink(missing_ok=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", dq.DaskQuantWarning)
        try:
            dq.quantize(path, out, n_colors=N_COLORS, effort="fast")
            info = dq.describe_images(path)[0]
        except dq.DaskQuantError as error:
            return "refused", str(error)
        except Exception as error:
            return "traceback", f"{type(error).__name__}: {error}"
    wrong = look_at(out, (info.width, info.height))
    if wrong:
        return "wrong", wrong
    words = [str(w.message) for w in caught if issubclass(w.category, dq.ColorProfileWarning)]
    return "written", "; ".join([f"{info.format} {info.mode}", *dict.fromkeys(words)])


def look_at(out: str, size: tuple[int, int]) -> str:
    """Return what is wrong with an output, read by Pillow; empty when nothing is."""
    from PIL import Image

    with Image.open(out) as image:
        image.load()
        colors = image.getcolors(N_COLORS)
        if image.mode not in ("1", "P"):
            return f"it is of mode {image.mode}"
        if image.size != size:
            return f"it has {image.size} pixels where {size} were to be"
    return "" if colors is not None else f"it has more than {N_COLORS} colours"


def serve(pipe: Connection) -> None:
    """Quantize what comes through a pipe until it closes."""
    with tempfile.TemporaryDirectory() as folder:
        while (path := pipe.recv()) is not None:
            pipe.send(quantize_one(path, str(Path(folder, "out.png"))))


class Worker:
    """A process that quantizes files, and is replaced when it does not come back."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.context = multiprocessing.get_context("spawn")
        self.process: Any = None
        self.pipe: Any = None

    def run(self, path: str) -> tuple[str, str]:
        """Return what became of one file."""
        if self.process is None:
            self.pipe, inner = self.context.Pipe()
            self.process = self.context.Process(target=serve, args=(inner,), daemon=True)
            self.process.start()
            inner.close()
        try:
            self.pipe.send(path)
            if self.pipe.poll(self.timeout_s):
                outcome: tuple[str, str] = self.pipe.recv()
                return outcome
        except (EOFError, ConnectionError):
            self.process.join()
            code, self.process = self.process.exitcode, None
            return "crash", f"the process ended with {code}"
        self.close()
        return "hang", f"no answer within {self.timeout_s:g} s"

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


def judge(name: str, outcome: str, said: str) -> str:
    """Return the rule that an outcome breaks, or nothing."""
    if outcome not in ("written", "refused"):
        return f"a file must be written or refused, and this ends in a {outcome}"
    if "\n" in said or not said:
        return "a reason is one line"
    is_bad = name.startswith("bad_") or (name.startswith("x") and len(name) == len("xs1n0g01.png"))
    if is_bad and outcome == "written" and name not in UNSEEN:
        return "a broken file must be reported"
    if name.startswith("ok") and outcome == "refused":
        return "a good file must be written"
    return ""


def survey(folder: Path, timeout_s: float) -> Iterator[Row]:
    """Yield what becomes of every file below a folder, by name."""
    worker = Worker(timeout_s)
    try:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            outcome, said = worker.run(str(path))
            said = said.replace(str(path), path.name)
            yield Row(path.name, outcome, said, judge(path.name, outcome, said))
    finally:
        worker.close()


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of the command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="Folder of files of any kind.")
    parser.add_argument("--timeout", type=float, default=60.0, help="Seconds for a file.")
    parser.add_argument("--json", action="store_true", help="Print one JSON object.")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Survey a folder, print what became of it, and return how many rules are broken."""
    given = parse_arguments(arguments)
    rows = list(survey(given.folder, given.timeout))
    broken = [row for row in rows if row.broken]
    counts = Counter(row.outcome for row in rows)
    if given.json:
        print(json.dumps({"counts": counts, "rows": [asdict(row) for row in rows]}))
    else:
        for row in rows:
            print(f"{row.outcome:9} {row.path}: {row.said}")
        print(", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items())))
        for row in broken:
            print(f"BROKEN {row.path}: {row.broken}: {row.said}")
    return len(broken)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
