"""Results of the benchmark of segmentation: one JSON object a line, and their table.

A line is written when its result is there. It holds all that it depends on, so that a file may
hold results of several rasters, machines and versions; those of other ones are left alone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from machine import describe_host, find_versions, read_commit
from peer_results import append_line, cut_torn_line
from segmentation_methods import METHODS, REFERENCE

from dask_quant.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from segmentation_methods import Method

OURS = "dask_quant"
"""What is known by its commit, beside its version."""

NOTES = """\
Seconds are those of the fit; those of the process also hold its start, compiling, and for methods
in memory the reading of all pixels. Memory is that of all processes, seen from outside. Inertia is
measured by one routine for all, in float64, over all pixels with data. Passes over the pixels are
all of them for dask_quant, which tells them, and for dask-ml, whose reads are counted; for the
others, those of their iterations, without what they begin with."""


@dataclass(frozen=True)
class Setting:
    """What is asked of every method."""

    raster: dict[str, Any]
    """What the store is made of."""
    n_clusters: int
    """Centres."""


@dataclass(frozen=True)
class Record:
    """One method, measured."""

    method: str
    """Its name."""
    setting: dict[str, Any]
    """Fields of the `Setting`."""
    machine: str
    """Processor and cores."""
    versions: dict[str, str | None]
    """Versions of what takes part."""
    made: str
    """Date and time, UTC."""
    timeout_s: float
    """Seconds that it was given."""
    seconds: float | None = None
    """Wall seconds of the fit; None: it came to no end."""
    process_s: float | None = None
    """Wall seconds of its process."""
    passes: float | None = None
    """Times that it went over all pixels."""
    peak_bytes: int | None = None
    """Most memory of its process."""
    inertia: float | None = None
    """Sum of squared distances to the nearest centre, all pixels with data."""
    centers: list[list[float]] | None = None
    """The centres, ``(k, band)``."""
    error: str | None = None
    """Why it came to no end."""
    is_given_up: bool = False
    """Whether that is because it took too long."""

    @property
    def key(self) -> str:
        """What it depends on, as text."""
        return json.dumps([self.method, self.setting, self.machine, self.versions], sort_keys=True)

    def holds_for(self, other: Record) -> bool:
        """Return whether measuring ``other`` anew would tell nothing new."""
        is_final = self.error is None or (self.is_given_up and self.timeout_s >= other.timeout_s)
        return is_final and self.key == other.key


def plan_record(method: Method, setting: Setting, timeout_s: float) -> Record:
    """Return the record of a method that is measured here and now, still without figures."""
    known = find_versions()
    versions = {name: known[name] for name in ("python", "numpy", *method.needs)}
    if OURS in versions:
        versions[OURS] = f"{versions[OURS]} {read_commit()}"
    return Record(
        method=method.name,
        setting=asdict(setting),
        machine=describe_host(),
        versions=versions,
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M UTC}",
        timeout_s=timeout_s,
    )


def read_records(path: Path) -> list[Record]:
    """Return the records of a file, less a line that a killed run left torn, which is cut off.

    Raises
    ------
    OptionError
        When it is a file of another kind.
    """
    if not path.exists():
        return []
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    try:
        records = [Record(**json.loads(line)) for line in whole.splitlines()]
    except (ValueError, TypeError):
        message = f"Got {path.name}, which is no file of results; give one that does not exist."
        raise OptionError(message) from None
    cut_torn_line(path)
    return records


def append_record(path: Path, record: Record) -> None:
    """Add a record to a file, at once."""
    append_line(path, asdict(record))


def find_record(records: Iterable[Record], planned: Record) -> Record | None:
    """Return the last record that holds for what is planned, None when there is none."""
    return next((r for r in reversed(list(records)) if r.holds_for(planned)), None)


def render_table(
    records: Sequence[Record], missing: Mapping[str, str], setting: Setting
) -> list[str]:
    """Return the lines of the Markdown of one setting."""
    by_name = {record.method: record for record in records}
    best = min((r.inertia for r in records if r.inertia is not None), default=None)
    reference = by_name.get(REFERENCE)
    unit_s = None if reference is None else reference.seconds
    versions = {name: v for record in records for name, v in record.versions.items() if v}
    height, width, n_bands = setting.raster["shape"]
    lines = [
        f"# k-means segmentation of a raster, {height * width / 1e6:,.1f} Mpx, {n_bands} bands",
        "",
        f"{setting.raster['source']}, mosaicked to {height} x {width} pixels, int16, "
        f"{setting.raster['lost_part']:.1%} without data; k={setting.n_clusters}. "
        f"{max((r.made for r in records), default='')}; {describe_host()}; "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + ".",
        "",
        *NOTES.splitlines(),
        "",
        "| method | what | seconds | ratio | passes | process s | peak MB | inertia / best |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for method in METHODS:
        what = method.what.replace("|", r"\|")
        start = f"| {method.name} | {what} | "
        if method.name in by_name:
            lines.append(start + format_record(by_name[method.name], unit_s, best))
        elif method.name in missing:
            lines.append(start + f"{missing[method.name]} {'| ' * 6}")
    return lines


def format_record(record: Record, unit_s: float | None, best: float | None) -> str:
    """Return the figures of one line; seconds beside ``unit_s``, inertia beside ``best``."""
    if record.seconds is None or record.inertia is None:
        return f"{record.error} {'| ' * 6}"
    ratio = "-" if unit_s is None else f"{record.seconds / unit_s:,.2f}"
    excess = "-" if not best else f"{record.inertia / best:.5f}"
    peak_mb = (record.peak_bytes or 0) / 1e6
    return (
        f"{record.seconds:,.1f} | {ratio} | {record.passes:,.1f} | {record.process_s:,.1f} | "
        f"{peak_mb:,.0f} | {excess} |"
    )
