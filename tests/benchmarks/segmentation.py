"""k-means segmentation of a raster of many bands, beside other k-means: a command, not a test.

    python tests/benchmarks/segmentation.py --data GEOTIFFS/ --work FOLDER --mpx 50 \\
        --results segmentation.jsonl --markdown segmentation.md

A raster is mosaicked from a small GeoTIFF, written to a Zarr store and kept in --work (see
`raster_mosaic`). Then every method (see `segmentation_methods`) fits as many centres to all of its
pixels, in a process of its own, one after the other. What its centres leave is measured here, by
one routine for all. Results are lines of a file; the same command goes on where it stopped, and
measures again only what another version, machine or setting changes.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from machine import find_versions
from process_tree import run_watched
from raster_mosaic import make_store
from raster_rows import count_valid, measure_inertia, open_raster
from segmentation_methods import METHODS, Method
from segmentation_results import (
    Record,
    Setting,
    append_record,
    find_record,
    plan_record,
    read_records,
    render_table,
)

from dask_quant.errors import DaskQuantError, OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

METHOD_COMMAND = Path(__file__).with_name("segmentation_methods.py")

TIMEOUT_S = 7200
"""Seconds of a method's process after which it is given up: two hours (arbitrary)."""


def choose_methods(names: str | None) -> tuple[Method, ...]:
    """Return the methods of a list of names, separated by commas; None: all."""
    known = [method.name for method in METHODS]
    wanted = known if names is None else names.split(",")
    unknown = [name for name in wanted if name not in known]
    if unknown:
        message = f"Got the method {unknown[0]!r}; known are {', '.join(known)}."
        raise OptionError(message)
    return tuple(method for method in METHODS if method.name in wanted)


def describe_raster(store: Path) -> dict[str, object]:
    """Return what the results of a store depend on."""
    raster = open_raster(store)
    attributes = {name: raster.pixels.attrs[name] for name in ("source", "seed", "nodata")}
    lost = 1 - count_valid(raster) / raster.n_pixels
    return attributes | {"shape": list(raster.pixels.shape), "lost_part": lost}


def measure_method(planned: Record, store: Path) -> Record:
    """Return a planned record with figures, or with why there are none."""
    n_clusters = planned.setting["n_clusters"]
    command = [sys.executable, str(METHOD_COMMAND), planned.method, str(store), str(n_clusters)]
    try:
        run = run_watched(command, timeout_s=planned.timeout_s)
    except TimeoutError:
        error = f"given up after {planned.timeout_s:,g} s"
        return replace(planned, error=error, is_given_up=True)
    except RuntimeError as error:  # of any package: a row of its own, the others go on
        return replace(planned, error=str(error).splitlines()[-1])
    figures = json.loads(run.output.splitlines()[-1])
    inertia = measure_inertia(open_raster(store), figures["centers"])
    return replace(
        planned,
        **figures,
        process_s=run.seconds,
        peak_bytes=run.peak_bytes,
        inertia=inertia,
    )


def measure_missing(
    planned: Sequence[Record], results: Path, measure: Callable[[Record], Record]
) -> list[Record]:
    """Measure what a file of results lacks, write each line as it comes, and return all."""
    known, found = read_records(results), []
    for plan in planned:
        record = find_record(known, plan)
        if record is None:
            record = measure(plan)
            append_record(results, record)
        print(describe_record(record), file=sys.stderr)
        found.append(record)
    return found


def describe_record(record: Record) -> str:
    """Return one line of progress."""
    if record.error is not None:
        return f"{record.method}: {record.error}"
    return f"{record.method}: {record.seconds:.1f} s, inertia {record.inertia:.6g}"


def run_benchmark(given: argparse.Namespace) -> int:
    """Measure, and write the table where it is wanted."""
    methods = choose_methods(given.methods)
    store = make_store(given.work, given.mpx, given.data)
    setting = Setting(describe_raster(store), given.n_clusters)
    reasons = {method.name: method.find_missing(find_versions()) for method in methods}
    missing = {name: reason for name, reason in reasons.items() if reason is not None}
    planned = [
        plan_record(method, setting, given.timeout)
        for method in methods
        if method.name not in missing
    ]
    results = given.results or given.work / "segmentation.jsonl"
    records = measure_missing(planned, results, partial(measure_method, store=store))
    text = "\n".join(render_table(records, missing, setting)) + "\n"
    if given.markdown is None:
        print(text, end="")
    else:
        given.markdown.write_text(text, encoding="utf-8")
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, help="GeoTIFF, or a folder of them; not needed once the store is made")
    add("--work", type=Path, required=True, help="folder for the store, which is kept")
    add("--mpx", type=float, default=50, help="million pixels of the raster")
    add("-k", dest="n_clusters", type=int, default=12, help="centres")
    add("--methods", help="names, separated by commas; all by default")
    add("--timeout", type=float, default=TIMEOUT_S, help="seconds that a method may take")
    add("--results", type=Path, help="JSON lines; gone on with where it exists")
    add("--markdown", type=Path, help="where the table goes; by default it is printed")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit with 2, and say why, when it cannot be run as asked."""
    try:
        return run_benchmark(make_parser().parse_args(arguments))
    except DaskQuantError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
