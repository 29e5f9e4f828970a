"""A job of the command line, planned and then run in a process of its own, and tables of such."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from process_tree import run_watched

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from process_tree import Run


@dataclass(frozen=True)
class QuantizeJob:
    """What came of ``dask-quant quantize``."""

    run: Run
    """Seconds and memory."""
    report: dict[str, Any]
    """What it printed as JSON."""
    projected_bytes: int
    """Memory that it said it would take at most."""

    @property
    def palette(self) -> NDArray[np.uint8]:
        """Colours of its output, sRGB uint8 ``(k, 3)``."""
        texts = self.report["palette"]
        return np.array([list(bytes.fromhex(text[1:])) for text in texts], dtype=np.uint8)


def run_quantize(source: Path, out: Path, n_colors: int, options: Sequence[str]) -> QuantizeJob:
    """Plan a job, then run it to its end; an output that exists goes first."""
    out.unlink(missing_ok=True)
    command = [sys.executable, "-m", "dask_quant.faces.cli", "quantize", str(source)]
    command += ["-o", str(out), "-k", str(n_colors), "--json", *options]
    plan: dict[str, Any] = json.loads(run_watched([*command, "--dry-run"]).output)["plan"]
    run = run_watched(command)
    return QuantizeJob(run, json.loads(run.output), plan["projected_bytes"])


def read_clocks() -> NDArray[np.float64]:
    """Return wall and processor seconds since some moment."""
    return np.array([time.perf_counter(), time.process_time()])


def print_rows(rows: Sequence[Any], *, as_json: bool) -> int:
    """Print a table in Markdown, or JSON; return 1 when an aim was missed, else 0."""
    if as_json:
        print(json.dumps({"rows": [asdict(row) | {"met": row.met} for row in rows]}))
    else:
        names = [field.name for field in fields(rows[0])]
        print(f"| {' | '.join(names)} |\n|{'---:|' * len(names)}")
        for row in rows:
            values = [getattr(row, name) for name in names]
            shown = (v if isinstance(v, str) else f"{v:,.5g}" for v in values)
            print(f"| {' | '.join(shown)} |")
    return 0 if all(row.met for row in rows) else 1
