"""A gigapixel on a laptop: seconds against a floor, and memory: a command, not a test.

    python tests/benchmarks/gigapixel.py --data PHOTOGRAPHS/ --work FOLDER --gigapixels 0.25,1,4
    python tests/benchmarks/gigapixel.py --all-colors --work FOLDER --gigapixels 1

For every size, a Zarr store is made of the photographs, or of all 2^24 colours, and kept in --work.
Then, each in a fresh process and one after the other: the job, Zarr to label Zarr; and its floor,
the same store read twice and labels like these written once, on two threads (see `store_floor`).
This is done --repeats times and the best of each is taken; what was just written or read may be in
the system's cache, for both alike. Memory is that of all processes of the job, seen from outside.

Labels are compared with brute force in tiles all over the image, and with --png the job is done
once more to a PNG, which Pillow reads back whole.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from label_check import count_other_pixels, count_wrong_labels
from mosaic import make_store
from process_tree import run_watched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from process_tree import Run

MAX_RATIO = 1.5
"""Seconds of the job over those of its floor, at most."""

MAX_PEAK_MB = 1500
"""Memory of the job, at most."""

N_TILES = 24
"""Tiles of labels that are compared with brute force (arbitrary)."""

FLOOR = Path(__file__).with_name("store_floor.py")


@dataclass(frozen=True)
class Row:
    """One job, measured."""

    gigapixels: float
    """Size of the image."""
    colors: int
    """Distinct colours of the image."""
    out: str
    """Kind of output."""
    floor_s: float | None
    """Seconds of two reads and a write; none for PNG."""
    job_s: float
    """Seconds of the job's process, start-up and all."""
    ratio: float | None
    """The latter over the former."""
    cpu_ratio: float | None
    """The same of processor seconds, which other users of the machine disturb less."""
    count_s: float
    """Seconds of counting."""
    fit_s: float
    """Seconds of fitting."""
    relabel_s: float
    """Seconds of relabelling and writing."""
    peak_mb: float
    """Most memory of all processes of the job."""
    projected_mb: float
    """What the plan said it would be at most."""
    wrong: int
    """Pixels compared that have another label than they should."""

    @property
    def met(self) -> bool:
        """Whether the aims were met; the ratio is one for images of a gigapixel and more."""
        quick = self.ratio is None or self.ratio <= MAX_RATIO or self.gigapixels < 1
        small = self.peak_mb <= min(MAX_PEAK_MB, self.projected_mb)
        return quick and small and self.wrong == 0


@dataclass(frozen=True)
class Job:
    """What is run on an image."""

    image: Path
    """Zarr store."""
    n_colors: int
    """Colours of the palette."""
    options: tuple[str, ...]
    """Further options of the command."""

    def run(self, out: Path) -> tuple[Run, dict[str, Any]]:
        """Write ``out`` anew; return the run and its report."""
        _remove(out)
        run = run_watched(self._command(out, "--json"))
        return run, json.loads(run.output)

    def plan_bytes(self, out: Path) -> int:
        """Return the memory that the job is planned to take at most."""
        _remove(out)
        plan = json.loads(run_watched(self._command(out, "--json", "--dry-run")).output)
        return int(plan["plan"]["projected_bytes"])

    def _command(self, out: Path, *options: str) -> list[str]:
        """Return the command that writes ``out``."""
        start = [sys.executable, "-m", "dask_quant.faces.cli", "quantize", str(self.image)]
        return [*start, "-o", str(out), "-k", str(self.n_colors), *options, *self.options]


def _remove(path: Path) -> None:
    """Remove a file or a store, if there is one."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def measure_store(job: Job, gigapixels: float, out: Path, repeats: int) -> Row:
    """Measure Zarr to label Zarr, and its floor."""
    projected = job.plan_bytes(out)
    runs, floors = [], []
    copy = out.with_name("floor.zarr")
    for _ in range(repeats):
        runs.append(job.run(out))
        _remove(copy)
        floor = run_watched([sys.executable, str(FLOOR), str(job.image), str(out), str(copy)])
        floors.append(json.loads(floor.output))
    _remove(copy)
    _, report = runs[-1]
    palette = parse_palette(report["palette"])
    wrong = count_wrong_labels(job.image, out, palette, n_tiles=N_TILES)
    return _make_row(gigapixels, out, runs, projected, wrong, floors)


def measure_png(job: Job, gigapixels: float, out: Path, labels: Path) -> Row:
    """Measure Zarr to PNG once, and compare it with a store of the same labels."""
    projected = job.plan_bytes(out)
    runs = [job.run(out)]
    return _make_row(gigapixels, out, runs, projected, count_other_pixels(out, labels))


def _make_row(
    gigapixels: float,
    out: Path,
    runs: Sequence[tuple[Run, dict[str, Any]]],
    projected: int,
    wrong: int,
    floors: Sequence[dict[str, float]] = (),
) -> Row:
    """Return what some runs of one job come to: the quickest, and the most memory."""
    quickest, report = min(runs, key=lambda each: each[0].seconds)
    stages = report["seconds"]
    floor_s, cpu_s = (min((f[n] for f in floors), default=None) for n in ("wall_s", "cpu_s"))
    job_cpu_s = min(run.cpu_seconds for run, _ in runs)
    return Row(
        gigapixels=gigapixels,
        colors=report["n_unique_colors"],
        out=out.suffix,
        floor_s=floor_s,
        job_s=quickest.seconds,
        ratio=None if floor_s is None else quickest.seconds / floor_s,
        cpu_ratio=None if cpu_s is None else job_cpu_s / cpu_s,
        count_s=stages["count"],
        fit_s=stages["fit"],
        relabel_s=stages["relabel"],
        peak_mb=max(run.peak_bytes for run, _ in runs) / 1e6,
        projected_mb=projected / 1e6,
        wrong=wrong,
    )


def parse_palette(entries: Sequence[str]) -> np.ndarray:
    """Return ``#rrggbb`` entries as uint8 ``(k, 3)``."""
    return np.array([list(bytes.fromhex(entry[1:])) for entry in entries], dtype=np.uint8)


def run_benchmark(given: argparse.Namespace) -> list[Row]:
    """Return the rows of all sizes."""
    photographs = [] if given.all_colors else sorted(given.data.glob("*.jpg"))
    given.work.mkdir(parents=True, exist_ok=True)
    workers = () if given.workers is None else ("--workers", str(given.workers))
    rows = []
    for size in given.gigapixels:
        image = make_store(given.work, size, photographs, layout=given.layout)
        job = Job(image, given.n_colors, (*workers, *given.option))
        out = given.work / "labels.zarr"
        rows.append(measure_store(job, size, out, given.repeats))
        if given.png:
            rows.append(measure_png(job, size, given.work / "labels.png", out))
            _remove(given.work / "labels.png")
        _remove(out)
    return rows


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of JPEG photographs to make images of")
    parser.add_argument("--all-colors", action="store_true", help="every colour there is instead")
    parser.add_argument("--work", type=Path, required=True, help="folder for images and labels")
    parser.add_argument("--gigapixels", type=parse_sizes, default=[0.25], metavar="G,G")
    parser.add_argument("--layout", choices=("persist", "plain"), default="persist")
    parser.add_argument("-k", dest="n_colors", type=int, default=16, help="colours")
    parser.add_argument("--workers", type=int, help="worker processes instead of threads")
    parser.add_argument("--option", action="append", default=[], help="passed on: --option=--X=Y")
    parser.add_argument("--repeats", type=int, default=1, help="runs of job and floor")
    parser.add_argument("--png", action="store_true", help="write a PNG as well")
    parser.add_argument("--json", action="store_true", dest="as_json")
    given = parser.parse_args(arguments)
    if (given.data is None) != given.all_colors:
        parser.error("give either --data or --all-colors")
    return given


def parse_sizes(text: str) -> list[float]:
    """Return comma-separated numbers."""
    return [float(part) for part in text.split(",")]


def format_value(value: object) -> str:
    """Return a value as a cell of a table."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or JSON; exit with 1 when an aim was missed."""
    given = parse_arguments(arguments)
    rows = run_benchmark(given)
    if given.as_json:
        print(json.dumps({"rows": [asdict(row) | {"met": row.met} for row in rows]}))
    else:
        names = [field.name for field in fields(Row)]
        print(f"| {' | '.join(names)} |\n|{'---:|' * len(names)}")
        for row in rows:
            print(f"| {' | '.join(format_value(getattr(row, name)) for name in names)} |")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
