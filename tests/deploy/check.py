"""Run one job on real deployments of this machine, and compare every file with that of threads.

    python tests/deploy/check.py [NAME...]

Prints a line for each: whether all bytes are the same, seconds, and one digest of all files.
Returns 1 when some differ or a deployment fails, 2 when one that was named cannot run here.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from deployments import KINDS, threads
from same_job import run_job, summarize, write_inputs

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from deployments import Deployment


def parse_names() -> list[str]:
    """Return the deployments to run: those named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(KINDS)}")
    names: list[str] = parser.parse_args().names
    for name in names:
        if name not in KINDS:
            parser.error(f"got {name!r}; name some of {', '.join(KINDS)}")
    return names


def run(
    start: Callable[[Path], AbstractContextManager[Deployment]], inputs: Path, folder: Path
) -> dict[str, str]:
    """Return digests of what the job writes on a deployment."""
    (folder / "out").mkdir(parents=True)
    (folder / "own").mkdir()
    with start(folder / "own") as deployment:
        return run_job(deployment.quantize, inputs, folder / "out")


def show(name: str, outcome: str, seconds: float, digests: dict[str, str]) -> None:
    """Print a line."""
    digest = summarize(digests) if digests else ""
    print(f"{name:<20} {outcome:<10} {seconds:6.1f} s  {digest}", flush=True)


def compare(name: str, expected: dict[str, str], inputs: Path, folder: Path) -> bool:
    """Run one deployment; print how it went, and return whether all bytes are the same."""
    begin = time.monotonic()
    try:
        digests = run(KINDS[name].start, inputs, folder)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        show(name, "failed", time.monotonic() - begin, {})
        print(error, file=sys.stderr)
        return False
    same = digests == expected
    show(name, "the same" if same else "DIFFERENT", time.monotonic() - begin, digests)
    for file in sorted(expected.keys() | digests.keys()):
        if digests.get(file) != expected.get(file):
            print(f"  {file}: {digests.get(file)} instead of {expected.get(file)}")
    return same


def main() -> int:
    """Run what was asked for; return the exit code."""
    names = parse_names()
    reasons = {name: kind.find_reason() for name, kind in KINDS.items()}
    with tempfile.TemporaryDirectory(prefix="dask-quant-check-") as scratch:
        inputs = Path(scratch, "inputs")
        inputs.mkdir()
        write_inputs(inputs)
        begin = time.monotonic()
        expected = run(threads, inputs, Path(scratch, "threads"))
        show("threads", f"{len(expected)} files", time.monotonic() - begin, expected)
        outcomes = []
        for name in names or KINDS:
            if reasons[name] is not None:
                print(f"{name:<20} not run: {reasons[name]}")
                continue
            outcomes.append(compare(name, expected, inputs, Path(scratch, name)))
    if not all(outcomes):
        return 1
    return 2 if any(reasons[name] for name in names) else 0


if __name__ == "__main__":
    sys.exit(main())
