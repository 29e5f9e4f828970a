"""Results of the benchmark as Markdown.

A method is compared with ours over the very images that both have done, image by image: methods
that ran on fewer images are judged on those alone, and so are we beside them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from peer_methods import METHODS, REFERENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from peer_results import Header, Record

KINDS = {method.name: method for method in METHODS}
"""Methods by name."""

OURS = frozenset(name for name, method in KINDS.items() if method.needs == "dask_quant")
"""Names of our own."""

NOTES = """\
- mse: mean over pixels of the squared sRGB distance, summed over the 3 channels, between the image
  and the indexed PNG that was written, as Pillow reads it. No dithering, but where it is said.
- ΔE: mean over pixels of the CIEDE2000 difference between the same two.
- ratio: mean over images of a method's mse divided by that of {reference}; above 1 is worse.
- images: how many were compared. All means of a row are over these.
- seconds: of a package, from decoded pixels in memory to palette and labels, warm; of a command,
  marked \\*, the wall time of the whole process, which reads and writes PNG. Each with the threads
  that it takes.
- Of packages that return centroids, these are rounded to 8 bits and every pixel gets the nearest,
  outside the seconds.
- colours: mean number of distinct ones in the file. kB: 1000 bytes of the file; Pillow writes those
  of packages, at its default compression."""


@dataclass(frozen=True)
class Row:
    """One method over the images of a folder, in one number of colours."""

    method: str
    """Its name."""
    n_images: int
    """Images that the means are over."""
    mse: float
    """Mean mse."""
    delta_e: float | None
    """Mean CIEDE2000; None: it was not measured."""
    reference_mse: float | None
    """Mean mse of the reference over the same images; None: it has not done them."""
    ratio: float | None
    """Mean over images of mse divided by the reference's; None without one."""
    seconds: float
    """Mean seconds."""
    file_bytes: float
    """Mean bytes of the files."""
    n_used: float
    """Mean number of distinct colours in the files."""


def divide_mse(mse: float, reference: float) -> float:
    """Return how many times the reference ``mse`` is: 1 where both are 0.

    Examples
    --------
    >>> divide_mse(3.0, 2.0), divide_mse(0.0, 0.0), divide_mse(1.0, 0.0)
    (1.5, 1.0, inf)
    """
    if reference == 0:
        return 1.0 if mse == 0 else float("inf")
    return mse / reference


def make_row(records: Sequence[Record], references: dict[str, float]) -> Row:
    """Return the row of one method, over the images that the reference has done as well.

    ``references`` are mse by image. Where none is shared, the row is over all images and compares
    nothing.
    """
    shared = [record for record in records if record.image in references]
    done = shared or list(records)
    ours = [references[record.image] for record in shared]
    ratios = [divide_mse(record.mse, mse) for record, mse in zip(shared, ours, strict=True)]
    return Row(
        method=done[0].method,
        n_images=len(done),
        mse=fmean(record.mse for record in done),
        delta_e=fmean_known([record.delta_e for record in done]),
        reference_mse=fmean(ours) if ours else None,
        ratio=fmean(ratios) if ratios else None,
        seconds=fmean(record.seconds for record in done),
        file_bytes=fmean(record.file_bytes for record in done),
        n_used=fmean(record.n_used for record in done),
    )


def fmean_known(values: Sequence[float | None]) -> float | None:
    """Return the mean of values that are all known, or None."""
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None


def summarize(records: Iterable[Record]) -> list[Row]:
    """Return the rows of one folder and number of colours, the best first."""
    by_method: dict[str, list[Record]] = {}
    for record in records:
        if record.error is None:
            by_method.setdefault(record.method, []).append(record)
    references = {record.image: record.mse for record in by_method.get(REFERENCE, [])}
    rows = [make_row(found, references) for found in by_method.values()]
    return sorted(rows, key=lambda row: (row.ratio is None, row.ratio, row.mse))


def format_number(value: float | None, digits: int) -> str:
    """Return a number for a table, a dash for None."""
    return "-" if value is None else f"{value:,.{digits}f}"


def format_row(row: Row) -> str:
    """Return one line of a table."""
    kind = KINDS.get(row.method)
    mark = "\\*" if kind is not None and kind.is_command else ""
    cells = (
        row.method,
        str(row.n_images),
        format_number(row.mse, 3),
        format_number(row.reference_mse, 3),
        format_number(row.ratio, 4),
        format_number(row.delta_e, 3),
        format_number(row.seconds, 3) + mark,
        format_number(row.file_bytes / 1000, 1),
        format_number(row.n_used, 1),
    )
    return f"| {' | '.join(cells)} |"


def name_better(rows: Sequence[Row]) -> str:
    """Say which rows have no higher mean mse than the reference over the same images."""
    others = [row for row in rows if row.method != REFERENCE and row.reference_mse is not None]
    better = [row.method for row in others if row.mse <= row.reference_mse]
    return f"Mean mse at or below {REFERENCE} over the same images: {', '.join(better) or 'none'}."


def render_table(folder: str, n_colors: int, records: Sequence[Record]) -> list[str]:
    """Return one table with its heading, and what failed."""
    rows = summarize(records)
    lines = [f"### {folder}, k = {n_colors}", ""]
    lines.append(f"| method | images | mse | {REFERENCE} | ratio | ΔE | seconds | kB | colours |")
    lines.append("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    lines += [format_row(row) for row in rows]
    if any(row.ratio is not None for row in rows):
        lines += ["", name_better(rows)]
    return [*lines, *name_failures(records), ""]


def name_failures(records: Sequence[Record]) -> list[str]:
    """Return a line for each method that failed: on how many images, and the first error."""
    failed = [record for record in records if record.error is not None]
    first = {record.method: record for record in reversed(failed)}
    counts = Counter(record.method for record in failed)
    tried = Counter(record.method for record in records)
    return [
        f"\n{name} failed on {counts[name]} of {tried[name]}; on {record.image}: {record.error}"
        for name, record in sorted(first.items())
    ]


def render_header(header: Header) -> list[str]:
    """Return what the results were made on and with, and what could not take part."""
    found = [f"{name} {version}" for name, version in header.versions.items() if version]
    lines = [
        f"Begun {header.begun}; commit {header.commit}; {header.machine}.",
        "",
        f"Versions: {', '.join(found)}.",
        "",
        NOTES.format(reference=REFERENCE),
    ]
    return [*lines, "", *render_methods(header), ""]


def render_methods(header: Header) -> list[str]:
    """Return a line for each method: how it is called, or why it cannot run."""
    lines = ["| method | how |", "|---|---|"]
    for name, method in KINDS.items():
        reason = header.missing.get(name)
        lines.append(f"| {name} | {f'did not run: {reason}' if reason else method.what} |")
    return lines


def count_lower(records: Sequence[Record]) -> list[str]:
    """Return how many files of others have a lower error than the reference's, and which."""
    done = [record for record in records if record.error is None]
    references = {r.key[:3]: r.mse for r in done if r.method == REFERENCE}
    theirs = [r for r in done if r.method not in OURS and r.key[:3] in references]
    lower = [r for r in theirs if r.mse < references[r.key[:3]]]
    lines = [
        f"Of {len(theirs):,} files of other programs {len(lower):,} have a lower error than "
        f"{REFERENCE}'s of the same image and number of colours.",
        "",
    ]
    for record in lower:
        ours = references[record.key[:3]]
        lines.append(
            f"- {record.folder}/{record.image}, k={record.n_colors}: {record.method} "
            f"{record.mse:,.4f}, {REFERENCE} {ours:,.4f}"
        )
    return [*lines, ""] if lower else lines


def render_results(header: Header, records: Sequence[Record]) -> list[str]:
    """Return the lines of all tables: a folder after the other, each by numbers of colours."""
    groups: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        groups.setdefault((record.folder, record.n_colors), []).append(record)
    folders = dict.fromkeys(record.folder for record in records)
    order = sorted(groups, key=lambda group: (list(folders).index(group[0]), group[1]))
    lines = ["# Quality and time beside other quantizers", "", *render_header(header)]
    for folder, n_colors in order:
        lines += render_table(folder, n_colors, groups[folder, n_colors])
    return [*lines, *count_lower(records)]
