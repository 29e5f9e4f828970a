"""Results of the benchmark: one JSON object a line, the first of which says what made them.

A line is written when its result is there, so that a run that was ended can go on. The file is
bound to machine, commit and versions: what differs in them cannot be compared.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from machine import describe_host, find_versions, read_commit

from dask_quant.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from peer_methods import Method

BINDING = ("machine", "commit", "versions")
"""What must be the same for results to go into one file."""


@dataclass(frozen=True)
class Header:
    """What made the results of a file."""

    begun: str
    """Date and time of the first result, UTC."""
    machine: str
    """Processor and cores."""
    commit: str
    """Commit of dask_quant, with ``-dirty`` where files differed from it."""
    versions: dict[str, str | None]
    """Versions of all that may take part; None: not installed."""
    missing: dict[str, str]
    """Methods that cannot run here, and why."""


@dataclass(frozen=True)
class Record:
    """One image, in one number of colours, by one method."""

    folder: str
    """Name of the folder of images."""
    image: str
    """Name of the file in it."""
    n_colors: int
    """Colours asked for."""
    method: str
    """Name of the method."""
    mse: float | None = None
    """Mean over pixels of the squared sRGB distance, summed over channels; None: it failed."""
    delta_e: float | None = None
    """Mean over pixels of the CIEDE2000 difference."""
    n_used: int | None = None
    """Distinct colours in the file that it wrote."""
    file_bytes: int | None = None
    """Bytes of that file."""
    seconds: float | None = None
    """Of the package from pixels to labels, or of the whole process."""
    error: str | None = None
    """Why it failed; None: it did not."""

    @property
    def key(self) -> tuple[str, str, int, str]:
        """What no other record of a file has."""
        return self.folder, self.image, self.n_colors, self.method


def describe_run(methods: Iterable[Method]) -> Header:
    """Return the header of results that are made here and now."""
    versions = find_versions()
    reasons = {method.name: method.find_missing(versions) for method in methods}
    return Header(
        begun=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=describe_host(),
        commit=read_commit(),
        versions=versions,
        missing={name: reason for name, reason in reasons.items() if reason is not None},
    )


def open_results(path: Path, header: Header) -> tuple[Header, list[Record]]:
    """Return the header and the records of a file, which is begun with ``header`` if it is new.

    A last line that a killed run left torn is cut off.

    Raises
    ------
    OptionError
        When the file was made by something else than ``header`` describes, or is of another kind.
    """
    if not path.exists() or path.stat().st_size == 0:
        append_line(path, asdict(header))
        return header, []
    found, records = read_results(path)
    differing = [name for name in BINDING if getattr(found, name) != getattr(header, name)]
    if differing:
        message = (
            f"Got {path.name}, whose results are of another {' and '.join(differing)}; "
            "give a --results file that does not exist."
        )
        raise OptionError(message)
    cut_torn_line(path)
    return found, records


def read_results(path: Path) -> tuple[Header, list[Record]]:
    """Return the header and the records of a file, less a torn line, or raise `OptionError`."""
    try:
        whole, _, _ = path.read_bytes().rpartition(b"\n")
        first, *others = map(json.loads, whole.splitlines())
        return Header(**first), [Record(**line) for line in others]
    except (ValueError, TypeError):
        message = f"Got {path.name}, which is no file of results; give one that does not exist."
        raise OptionError(message) from None


def cut_torn_line(path: Path) -> None:
    """Cut off what follows the last end of a line, of a file that is known for one of results."""
    os.truncate(path, path.read_bytes().rfind(b"\n") + 1)


def append_line(path: Path, value: dict[str, Any]) -> None:
    """Add one JSON object to a file, at once."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(value) + "\n")
